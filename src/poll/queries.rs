//! Queries to a loop about what it works by, which it answers between two steps of its work.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

/// Queries that wait; whoever sends more gets no answer.
const QUERIES_MAX: usize = 16;
/// How long an answer may take: a loop that is at something long answers later, and one that hangs never.
const ANSWER_MAX: Duration = Duration::from_secs(2);

/// Where such a loop takes queries as long as it runs. Lives as long as the process.
#[derive(Debug)]
pub struct Queries<Q>(Mutex<Option<mpsc::Sender<Q>>>);

impl<Q> Default for Queries<Q> {
    fn default() -> Queries<Q> {
        Queries(Mutex::new(None))
    }
}

impl<Q> Queries<Q> {
    /// A loop begins to answer, and the one before it gets no more queries.
    pub fn open(&self) -> mpsc::Receiver<Q> {
        let (sender, queries) = mpsc::channel(QUERIES_MAX);
        *self.0.lock() = Some(sender);
        queries
    }

    /// The answer to what `query` makes of where it goes; nothing where no loop runs, or none answers in time.
    pub async fn ask<A>(&self, query: impl FnOnce(oneshot::Sender<A>) -> Q) -> Option<A> {
        let (reply, answer) = oneshot::channel();
        // The lock goes with this statement, and is not held while the answer is waited for.
        self.0.lock().as_ref()?.try_send(query(reply)).ok()?;
        timeout(ANSWER_MAX, answer).await.ok()?.ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn whoever_asks_a_loop_that_hangs_is_let_go() {
        let queries = Queries::<oneshot::Sender<()>>::default();
        assert_eq!(queries.ask(|reply| reply).await, None, "no loop runs");
        let _hanging = queries.open();
        let asked = timeout(2 * ANSWER_MAX, queries.ask(|reply| reply)).await;
        assert_eq!(asked, Ok(None), "it hangs");
    }

    #[tokio::test(start_paused = true)]
    async fn the_latest_loop_is_asked() {
        let queries = Queries::default();
        let (mut before, mut latest) = (queries.open(), queries.open());
        assert!(before.recv().await.is_none());
        let answers = async {
            let reply: oneshot::Sender<u32> = latest.recv().await.unwrap();
            reply.send(7).unwrap();
        };
        let (answer, ()) = tokio::join!(queries.ask(|reply| reply), answers);
        assert_eq!(answer, Some(7));
    }
}
