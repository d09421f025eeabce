//! A log that is too slow for the answers there are.

use super::*;
use crate::commit::log::CommitError;
use crate::requests::log::AnswerBatch;

/// Takes so many answers in a minute, and no more.
struct Slow {
    log: MemoryAnswerLog,
    answers_max: usize,
}

impl CommitLog for Slow {
    type Opened = OpenedRequests;
    type Batch = AnswerBatch;

    async fn open(&mut self) -> Result<OpenedRequests, OpenError> {
        self.log.open().await
    }

    async fn commit(&mut self, batch: Arc<AnswerBatch>) -> Result<(), CommitError> {
        if batch.answers.len() > self.answers_max {
            tokio::time::sleep(MINUTE).await;
            return Err(CommitError::TooSlow("scripted".into()));
        }
        self.log.commit(batch).await
    }

    async fn release(&mut self) {}
}

#[tokio::test(start_paused = true)]
async fn replies_that_a_log_is_too_slow_for_come_in_smaller_transactions() {
    let (topic, executor) = (topic_holding(std::iter::repeat_n(0, 200)), executor(16));
    let stop = CancellationToken::new();
    let mut log = Slow { log: log(&topic, []), answers_max: 4 };
    let deadline = Instant::now() + 60 * MINUTE;
    while topic.answers_count() < 200 && Instant::now() < deadline {
        let opened = log.open().await.unwrap();
        let watching = async {
            while topic.answers_count() < 200 && Instant::now() < deadline {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        };
        let running = run(log, opened, executor.clone(), Arc::default(), &stop);
        let (back, _) = tokio::select! {
            ended = running => ended,
            () = watching => break,
        };
        log = back.unwrap();
    }
    assert_eq!(answered(&topic), topic.locations());
}
