//! What a failed transaction means.

use crate::commit::log::LogError;
use crate::kafka::client::rights;
use crate::model::shard::AssignedShard;
use crate::model::time::UnixMillis;

/// What the failed transaction means to whoever wanted it.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransactionError {
    /// The abort succeeded and no commit was tried.
    #[error(transparent)]
    NothingWritten(LogError),
    /// The same, because the records were not acknowledged in their time.
    #[error(transparent)]
    TooSlow(LogError),
    /// A member of a newer generation may own the partitions.
    #[error(transparent)]
    Revoked(LogError),
    /// Nothing was written: the broker takes no text that long beside an offset.
    #[error(transparent)]
    NoteTooLarge(LogError),
    /// This producer can't go on, or the outcome is unknown.
    #[error(transparent)]
    Reopen(LogError),
    /// The same, for another producer has taken its transactional id.
    #[error(transparent)]
    Fenced(LogError),
    /// Nothing was written, and only an operator can help.
    #[error(transparent)]
    Final(LogError),
    /// Nothing was written: these shards are not owned any more.
    #[error("{} shards are not owned any more", .0.len())]
    ShardsLost(Vec<AssignedShard>),
    /// Nothing was written: the topic refuses one of the records, and would again.
    #[error("topic {topic} refuses a record")]
    Refused {
        topic: String,
        #[source]
        reason: LogError,
    },
    /// Nothing was written: the user may not write to the topic. Absent where librdkafka does not say to which.
    #[error("{}", rights::may_not_write(topic.as_deref()))]
    NotAllowed {
        topic: Option<String>,
        #[source]
        reason: LogError,
    },
    /// Nothing was written: the broker takes no record that large on this topic.
    #[error("topic {topic} takes no record that large")]
    TooLarge {
        topic: String,
        #[source]
        reason: LogError,
    },
    /// Nothing was written: the broker takes no record of this time on this topic.
    #[error("topic {topic} takes no record of this time")]
    WrongTime {
        topic: String,
        time: UnixMillis,
        #[source]
        reason: LogError,
    },
}
