//! How far the partitions of the request topic are answered, on the state topic.
//!
//! All of it stands in one partition, whatever their number: whoever answers requests reads that one, and raising the
//! number loses nothing. The other records there are the polls'.

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{Offset, TopicPartitionList};

use super::request_reader::again;
use crate::commit::log::OpenError;
use crate::kafka::client::CALL_TIMEOUT;
use crate::kafka::client::context::LogContext;
use crate::kafka::client::settings::Settings;
use crate::kafka::transaction::Transactions;
use crate::kafka::transaction::error::TransactionError;
use crate::kafka::transaction::offsets::{CommittedOffset, OwnedOffsets};
use crate::kafka::transaction::record::Record;
use crate::model::request::answered_offsets::{ANSWERED_PREFIX, AnsweredOffsets, RestoredOffsets, position};

/// The partition of the state topic in which the progress stands.
pub const STATE_PARTITION: i32 = 0;

/// What the keys of a request topic begin with.
pub fn prefix(request_topic: &str) -> String {
    format!("{ANSWERED_PREFIX}{request_topic}/")
}

/// The offsets that are committed for the partitions, which are sent again with the barrier: they only show how many
/// requests wait. Told when no transaction holds them open.
///
/// # Errors
/// [`OpenError::Again`] where the group's offsets can't be asked for.
pub fn committed(
    consumer: &BaseConsumer<LogContext>,
    topic: &str,
    partitions: &[i32],
) -> Result<Vec<CommittedOffset>, OpenError> {
    let mut requested = TopicPartitionList::new();
    for partition in partitions {
        requested.add_partition(topic, *partition);
    }
    let answered = consumer.committed_offsets(requested, CALL_TIMEOUT).map_err(again)?;
    let positions = answered.elements().into_iter().map(|element| {
        element.error().map_err(again)?;
        let offset = match element.offset() {
            Offset::Offset(offset) => offset,
            // Of a partition that the group has never committed; 0 says of none that it is answered.
            _ => 0,
        };
        Ok(CommittedOffset { partition: element.partition(), offset, metadata: String::new() })
    });
    positions.collect()
}

/// Requests that the group has answered must be known: a state that was emptied, or made anew, would have them answered
/// again. Kafka forgets the offsets of a partition with its topic, so those of a request topic that was made anew tell nothing.
///
/// # Errors
/// [`OpenError::Stop`] where that is so, with what to do.
pub fn refuse_emptied(
    settings: &Settings,
    request_topic: &str,
    restored: &RestoredOffsets,
    committed: &[CommittedOffset],
) -> Result<(), OpenError> {
    let is_lost = |position: &&CommittedOffset| {
        position.offset > 0
            && !restored.is_taken_away(position.partition)
            && matches!(restored.answered(position.partition), Ok(None))
    };
    let Some(CommittedOffset { partition, offset, .. }) = committed.iter().find(is_lost) else { return Ok(()) };
    let (state, group) = (&settings.topics.state, settings.requests_group());
    let reason = format!(
        "topic {state} does not tell how far partition {partition} of {request_topic} is answered, though the group {group} \
         has come to offset {offset}: it was emptied or made anew. Put its records back; or, to have the requests answered \
         again that still stand there, write a tombstone under the key {}{partition} into its partition {STATE_PARTITION}",
        prefix(request_topic)
    );
    Err(OpenError::Stop(reason.into()))
}

/// Writes where the partitions begin whose record somebody has taken away: compaction forgets that this was wanted, and a
/// later opening would take the state for one that was emptied. Blocks.
///
/// # Errors
/// [`TransactionError`], as [`Transactions::commit`].
pub fn begin_anew(
    (state, request_topic): (&str, &str),
    restored: &RestoredOffsets,
    progress: &[AnsweredOffsets],
    transactions: &Transactions,
    offsets: &OwnedOffsets,
) -> Result<(), TransactionError> {
    let begun = begun_anew(request_topic, restored, progress);
    if begun.is_empty() {
        return Ok(());
    }
    let timestamp = crate::clock::now();
    let mut records = begun.iter().map(|(key, value)| Record {
        topic: state,
        partition: Some(STATE_PARTITION),
        key: Some(key.as_bytes()),
        headers: &[],
        value: value.as_deref(),
        timestamp,
    });
    transactions.commit(|send| records.try_for_each(send), offsets).map(drop)
}

fn begun_anew(
    request_topic: &str,
    restored: &RestoredOffsets,
    progress: &[AnsweredOffsets],
) -> Vec<(String, Option<Vec<u8>>)> {
    let begun = progress.iter().filter(|progress| restored.is_taken_away(progress.partition));
    let record = |progress: &AnsweredOffsets| {
        let record = position(progress.partition, progress.next);
        (format!("{}{}", prefix(request_topic), record.key), record.value)
    };
    begun.map(record).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_that_is_to_be_answered_again_is_so_once_though_compaction_forgets_who_wanted_it() {
        let settings = crate::kafka::client::settings::tests::settings(&[]);
        let committed = [CommittedOffset { partition: 3, offset: 7, metadata: String::new() }];
        let refused = |restored: &RestoredOffsets| refuse_emptied(&settings, "requests", restored, &committed).is_err();
        let mut restored = RestoredOffsets::default();
        assert!(refused(&restored) && begun_anew("requests", &restored, &[AnsweredOffsets::at(3, 5)]).is_empty());
        restored.take("3", None);
        assert!(!refused(&restored));
        let begun = begun_anew("requests", &restored, &[AnsweredOffsets::at(2, 0), AnsweredOffsets::at(3, 5)]);
        // All that compaction leaves.
        let mut compacted = RestoredOffsets::default();
        begun.iter().for_each(|(key, value)| {
            compacted.take(key.strip_prefix(&prefix("requests")).unwrap(), value.as_deref());
        });
        assert!(!refused(&compacted));
        assert_eq!(compacted.answered(3), Ok(Some(AnsweredOffsets::at(3, 5))));
        assert_eq!(compacted.answered(2), Ok(None));
    }
}
