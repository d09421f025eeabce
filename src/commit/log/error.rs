//! What fails at a log, cut by what to do.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use crate::model::shard::AssignedShard;
use crate::text;

/// What a log says of a failure, with its causes. It is opaque: whoever uses a log need not know what it is made of, for what
/// to do is told by the error that carries this.
#[derive(Clone, Debug)]
pub struct LogError(Arc<dyn Error + Send + Sync>);

/// A failure that follows from another.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
struct CausedError {
    what: String,
    #[source]
    cause: Box<dyn Error + Send + Sync>,
}

impl LogError {
    pub fn new(error: impl Error + Send + Sync + 'static) -> LogError {
        LogError(Arc::new(error))
    }

    /// That `what` is so because of `cause`, whose `Display` must not repeat its own source.
    pub(crate) fn because(what: impl Into<String>, cause: impl Error + Send + Sync + 'static) -> LogError {
        LogError::new(CausedError { what: what.into(), cause: Box::new(cause) })
    }

    /// With its causes, for people.
    pub fn with_causes(&self) -> String {
        text::with_causes(self)
    }
}

impl From<String> for LogError {
    fn from(text: String) -> LogError {
        LogError(Box::<dyn Error + Send + Sync>::from(text).into())
    }
}

impl From<&str> for LogError {
    fn from(text: &str) -> LogError {
        text.to_owned().into()
    }
}

impl fmt::Display for LogError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Error for LogError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}

/// Two that tell people the same are the same.
impl PartialEq for LogError {
    fn eq(&self, other: &LogError) -> bool {
        self.with_causes() == other.with_causes()
    }
}

impl Eq for LogError {}

/// Why a log could not be opened, cut by what to do.
#[derive(Clone, Debug, thiserror::Error)]
pub enum OpenError {
    /// Open again after a while.
    #[error(transparent)]
    Again(LogError),
    /// A setting that this log will never take, which only the log could tell: the process stops as for any other wrong
    /// setting.
    #[error(transparent)]
    Unfit(LogError),
    /// Only an operator can help: the process stops.
    #[error(transparent)]
    Stop(LogError),
}

/// Why a batch was not made durable, cut by what to do.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// It is certain that nothing was written: commit the same batch again.
    #[error(transparent)]
    NothingWritten(LogError),
    /// It is certain that nothing was written, for it took too long: commit the same again, or less at once.
    #[error(transparent)]
    TooSlow(LogError),
    /// It is certain that nothing was written, for these shards are not this instance's any more: drop what is theirs, and
    /// commit the rest.
    #[error("{} shards are not owned any more", .0.len())]
    ShardsLost(Vec<AssignedShard>),
    /// The outcome is unknown, or someone else writes now: drop everything and open again.
    #[error(transparent)]
    Reopen(LogError),
    /// Only an operator can help: the process stops.
    #[error(transparent)]
    Stop(LogError),
}

/// Why a session on an open log is over.
#[derive(Debug, PartialEq, Eq)]
pub enum Ended {
    /// It was told to stop, and everything that was to be written is durable.
    Drained,
    /// What was owned is to be given back.
    Revoked,
    /// The log has to be opened again.
    Reopen(LogError),
    /// Only an operator can help.
    Stop(LogError),
}

impl From<OpenError> for Ended {
    fn from(error: OpenError) -> Ended {
        match error {
            OpenError::Again(reason) => Ended::Reopen(reason),
            OpenError::Unfit(reason) | OpenError::Stop(reason) => Ended::Stop(reason),
        }
    }
}

impl From<CommitError> for Ended {
    fn from(error: CommitError) -> Ended {
        match error {
            // Whoever commits has tried again by then: more is wrong than one batch, and an opening finds out what.
            CommitError::NothingWritten(reason) | CommitError::TooSlow(reason) | CommitError::Reopen(reason) => {
                Ended::Reopen(reason)
            }
            lost @ CommitError::ShardsLost(_) => Ended::Reopen(LogError::new(lost)),
            CommitError::Stop(reason) => Ended::Stop(reason),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_told_with_each_of_its_causes_once() {
        let error =
            OpenError::Again(LogError::because("topic a", LogError::because("unreadable", LogError::from("late"))));
        assert_eq!(
            (error.to_string().as_str(), text::with_causes(&error).as_str()),
            ("topic a", "topic a: unreadable: late")
        );
    }
}
