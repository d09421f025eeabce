//! Queries to a session about what is registered of a promoter. It answers between two changes, from the tables that it polls by.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use crate::model::promoter::Promoter;
use crate::registry::known::KnownPromoter;

/// Queries that wait; whoever sends more gets no answer.
const QUERIES_MAX: usize = 16;
/// How long an answer may take: a session that hands shards over, or tells an app much, answers later.
const ANSWER_MAX: Duration = Duration::from_secs(2);

/// Where a promoter stands in a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegistrationView {
    /// The promoter's.
    pub partition: i32,
    pub standing: ShardStanding,
}

/// How a session stands to the shard of a promoter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ShardStanding {
    /// It is another instance's, or nobody's yet.
    Elsewhere,
    /// It is this instance's, and its state is being read.
    Restoring,
    /// It is polled here; who is known in it is told, nothing of whom nobody names.
    Here(Option<KnownPromoter>),
}

#[derive(Debug)]
pub(super) struct RegistrationQuery {
    pub promoter: Promoter,
    pub reply: oneshot::Sender<RegistrationView>,
}

/// Where a session takes queries as long as it runs. Lives as long as the process.
#[derive(Debug, Default)]
pub struct RegistrationQueries(Mutex<Option<mpsc::Sender<RegistrationQuery>>>);

impl RegistrationQueries {
    /// A session begins to answer, and the one before it gets no more queries.
    pub(super) fn open(&self) -> mpsc::Receiver<RegistrationQuery> {
        let (sender, queries) = mpsc::channel(QUERIES_MAX);
        *self.0.lock() = Some(sender);
        queries
    }

    /// Nothing where no session runs, or none answers in time.
    pub(crate) async fn of(&self, promoter: Promoter) -> Option<RegistrationView> {
        let (reply, answer) = oneshot::channel();
        // The lock goes with this statement, and is not held while the answer is waited for.
        self.0.lock().as_ref()?.try_send(RegistrationQuery { promoter, reply }).ok()?;
        timeout(ANSWER_MAX, answer).await.ok()?.ok()
    }
}
