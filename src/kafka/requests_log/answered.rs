//! How far the partitions of the request topic are answered, on the state topic.
//!
//! All of it stands in one partition, whatever their number: whoever answers requests reads that one, and raising the
//! number loses nothing. The other records there are the polls'.
//!
//! Opening writes first and reads then: a record of its own, in a transaction with the offsets of the assignment. What an
//! earlier owner could still commit has passed the broker's check of its generation, which comes after all its records
//! are acknowledged, before this owner was assigned anything: so it stands below the own record, and a transaction that is
//! still open there holds the reader until it ends. No end of a partition is asked for, which a broker that leads since a
//! moment might tell wrong.
//!
//! # Why two connectors never answer the same requests
//!
//! Connectors of two names are in two groups, whose generations tell nothing about each other: what keeps them apart are the
//! fences in the partitions of the state, which the polls leave there ([`crate::kafka::facts_log`]). So no request is
//! answered before this connector's own fence stands confirmed in the partition that is read here: then its polls have met
//! no other's, and whoever comes later finds it. At every start but the first it has been there before.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use rdkafka::{Offset, TopicPartitionList};
use tokio_util::sync::CancellationToken;

use super::request_reader::again;
use super::rereader::ChunkReader;
use crate::commit::log::{LogError, OpenError};
use crate::kafka::client::context::LogContext;
use crate::kafka::client::error::ClientError;
use crate::kafka::client::rights;
use crate::kafka::client::settings::Settings;
use crate::kafka::client::supplied::LoggedConsumer;
use crate::kafka::transaction::Transactions;
use crate::kafka::transaction::error::TransactionError;
use crate::kafka::transaction::offsets::{CommittedOffset, OwnedOffsets};
use crate::kafka::transaction::partition_session::StartError;
use crate::kafka::transaction::record::Record;
use crate::model::fence::{Conflict, Fence, FoundFence};
use crate::model::request::answered_offsets::{AnsweredOffsets, RestoredOffsets, position};
use crate::requests::log::FETCH_RECORDS_MAX;

/// The partition of the state topic in which the progress stands.
pub(in crate::kafka) const STATE_PARTITION: i32 = 0;
const CALL_TIMEOUT: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(50);
/// How long the state topic may take to be made.
const APPEAR_MAX: Duration = Duration::from_secs(30);
/// How long reading may go without progress: an open transaction of another instance holds it for that one's
/// `transaction.timeout.ms` at most, which brokers limit to 15 minutes.
const STALL_MAX: Duration = Duration::from_secs(16 * 60);
/// After so long a wait for the polls it is said.
const WAIT_TOLD: Duration = Duration::from_secs(10);
/// How long a log may look shorter than it was before it is believed: a new leader does not know its end at once.
const SHORTER_MAX: Duration = Duration::from_secs(10);

const PREFIX: &str = "answered/";

/// What the keys of a request topic begin with.
pub(in crate::kafka) fn prefix(request_topic: &str) -> String {
    format!("{PREFIX}{request_topic}/")
}

/// The offsets that are committed for the partitions, which are sent again with the barrier: they only show how many
/// requests wait. Told when no transaction holds them open.
pub(in crate::kafka) fn committed(
    consumer: &BaseConsumer<LogContext>,
    topic: &str,
    partitions: &[i32],
) -> Result<Vec<CommittedOffset>, OpenError> {
    let mut asked = TopicPartitionList::new();
    for partition in partitions {
        asked.add_partition(topic, *partition);
    }
    let answered = consumer.committed_offsets(asked, CALL_TIMEOUT).map_err(again)?;
    let positions = answered.elements().into_iter().map(|element| {
        element.error().map_err(again)?;
        let offset = match element.offset() {
            Offset::Offset(offset) => offset,
            _ => 0,
        };
        Ok(CommittedOffset { partition: element.partition(), offset, metadata: String::new() })
    });
    positions.collect()
}

/// Everything that is known of the answers to requests on `request_topic`. Blocks.
pub(in crate::kafka) fn restore(
    settings: &Settings,
    request_topic: &str,
    transactions: &Transactions,
    offsets: &OwnedOffsets,
    cancel: &CancellationToken,
) -> Result<RestoredOffsets, StartError> {
    let topic = settings.topics.state.as_str();
    let reader: LoggedConsumer = settings.reader_config().create_with_context(LogContext::default()).map_err(failed)?;
    wait_for(&reader, topic, cancel)?;
    let prefix = prefix(request_topic);
    let barrier = format!("{prefix}opened/{:032x}", rand::random::<u128>());
    let record = || Record {
        topic,
        partition: Some(STATE_PARTITION),
        key: Some(barrier.as_bytes()),
        headers: &[],
        // It tells nothing, and compaction takes it away.
        value: None,
        timestamp: crate::clock::now(),
    };
    transactions.commit(|send| send(record()), offsets)?;
    Ok(read_to(&reader, (topic, &settings.name), &prefix, &barrier, cancel)?)
}

/// The polls make the topic, or say why it is missing.
fn wait_for(reader: &BaseConsumer<LogContext>, topic: &str, cancel: &CancellationToken) -> Result<(), OpenError> {
    let deadline = Instant::now() + APPEAR_MAX;
    loop {
        let metadata = reader.fetch_metadata(Some(topic), CALL_TIMEOUT).map_err(failed)?;
        let is_there = |found: &rdkafka::metadata::MetadataTopic| {
            found.name() == topic && found.error().is_none() && !found.partitions().is_empty()
        };
        if metadata.topics().iter().any(is_there) {
            return Ok(());
        }
        if cancel.is_cancelled() || Instant::now() >= deadline {
            return Err(OpenError::Again(format!("topic {topic} does not exist yet").into()));
        }
        std::thread::sleep(POLL);
    }
}

/// The fences in the partition, as far as it is read, that are confirmed.
#[derive(Default)]
struct ConfirmedFences {
    others: BTreeSet<String>,
    has_own: bool,
}

impl ConfirmedFences {
    fn take(&mut self, connector: &str, value: Option<&[u8]>, own_name: &str) {
        // What can't be read is told by the polls.
        let proves = value
            .is_some_and(|value| !matches!(Fence::decode(value), Ok(FoundFence::Fence(fence)) if !fence.confirmed));
        match proves {
            _ if connector == own_name => self.has_own = proves,
            true => drop(self.others.insert(connector.to_owned())),
            false => drop(self.others.remove(connector)),
        }
    }

    /// Whether requests may be answered. The error names another connector, which answers them.
    fn allow(&self) -> Result<bool, Conflict> {
        match self.others.first() {
            Some(other) => Err(Conflict::Name(other.clone())),
            None => Ok(self.has_own),
        }
    }
}

/// Stops where the topic is another connector's, which answers the same requests.
fn read_to(
    reader: &BaseConsumer<LogContext>,
    (topic, own_name): (&str, &str),
    prefix: &str,
    barrier: &str,
    cancel: &CancellationToken,
) -> Result<RestoredOffsets, OpenError> {
    let mut assignment = TopicPartitionList::new();
    assignment.add_partition_offset(topic, STATE_PARTITION, Offset::Beginning).map_err(failed)?;
    reader.assign(&assignment).map_err(failed)?;
    let (mut restored, mut fences) = (RestoredOffsets::default(), ConfirmedFences::default());
    let (mut is_passed, mut is_told) = (false, false);
    let mut progress = Instant::now();
    while progress.elapsed() < STALL_MAX {
        if is_passed {
            let allowed = fences
                .allow()
                .map_err(|conflict| OpenError::Stop(LogError::because(format!("topic {topic}"), conflict)))?;
            if allowed {
                return Ok(restored);
            }
            if progress.elapsed() > WAIT_TOLD && !std::mem::replace(&mut is_told, true) {
                tracing::info!(topic, "requests wait until the polls have made the state topic this connector's");
            }
        }
        if cancel.is_cancelled() {
            return Err(OpenError::Again("the partitions were revoked while their progress was read".into()));
        }
        match reader.poll(POLL) {
            Some(Ok(message)) => {
                progress = Instant::now();
                let key = message.key().and_then(|key| std::str::from_utf8(key).ok());
                is_passed |= key == Some(barrier);
                if let Some(connector) = message.key().and_then(Fence::connector_of) {
                    fences.take(connector, message.payload(), own_name);
                }
                if let Some(key) = key.and_then(|key| key.strip_prefix(prefix)) {
                    restored.take(key, message.payload());
                }
            }
            Some(Err(KafkaError::PartitionEOF(_))) | None => {}
            Some(Err(error @ KafkaError::MessageConsumptionFatal(_))) => return Err(failed(error)),
            Some(Err(error)) if rights::may_not(&error) => {
                return Err(OpenError::Stop(rights::may_not_read(topic).into()));
            }
            Some(Err(error)) => reader.context().error(&error, "reading how far requests are answered"),
        }
    }
    Err(OpenError::Again(format!("topic {topic} could not be read to the record that was just written").into()))
}

/// Requests that the group has answered must be known: a state that was emptied, or made anew, would have them answered
/// again. Kafka forgets the offsets of a partition with its topic, so those of a request topic that was made anew tell nothing.
pub(in crate::kafka) fn refuse_emptied(
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
pub(in crate::kafka) fn begin_anew(
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

/// What is known of each partition, as far as its log is still the same. Blocks.
pub(in crate::kafka) fn settle(
    restored: &RestoredOffsets,
    chunks: &mut ChunkReader,
    topic: &str,
    partitions: &[i32],
    stop: &CancellationToken,
) -> Result<Vec<AnsweredOffsets>, OpenError> {
    let patience = Instant::now() + SHORTER_MAX;
    let settled = partitions.iter().map(|partition| {
        let known = restored.answered(*partition);
        let known = known.map_err(|error| {
            OpenError::Stop(LogError::because(format!("how far {topic} is answered can't be read"), error))
        })?;
        let (low, _) = watermarks(chunks, topic, *partition)?;
        let Some(mut progress) = known else { return Ok(AnsweredOffsets::at(*partition, low)) };
        let Some((last, fingerprint)) = progress.fingerprints.last().filter(|(last, _)| *last >= low) else {
            progress.settle(low, &BTreeMap::new());
            return Ok(progress);
        };
        let end = end(chunks, topic, *partition, last + 1, patience, stop)?;
        let found = fingerprints(chunks, *partition, last.min(end), end.min(last + 1), stop)?;
        if found.get(&last) == Some(&fingerprint) {
            progress.next = progress.next.min(end).max(last + 1);
            return Ok(progress);
        }
        let from = progress.fingerprints.first_from(low).unwrap_or(low);
        let found = fingerprints(chunks, *partition, from, end.min(last + 1), stop)?;
        if let Some(offset) = progress.settle(low, &found) {
            tracing::error!(
                topic,
                partition,
                offset,
                last,
                "the request topic is another log from this offset on: was it made anew, or has it lost its tail? its \
                 requests are answered from there"
            );
        }
        Ok(progress)
    });
    settled.collect()
}

/// The end of the partition, waited for where it should be at `expected` at least.
fn end(
    chunks: &ChunkReader,
    topic: &str,
    partition: i32,
    expected: i64,
    patience: Instant,
    stop: &CancellationToken,
) -> Result<i64, OpenError> {
    loop {
        let (_, end) = watermarks(chunks, topic, partition)?;
        if end >= expected || stop.is_cancelled() || Instant::now() >= patience {
            return Ok(end);
        }
        std::thread::sleep(POLL);
    }
}

fn watermarks(chunks: &ChunkReader, topic: &str, partition: i32) -> Result<(i64, i64), OpenError> {
    chunks.consumer().fetch_watermarks(topic, partition, CALL_TIMEOUT).map_err(again)
}

/// Of the records from `from` to before `to`, all of which are there.
fn fingerprints(
    chunks: &mut ChunkReader,
    partition: i32,
    mut from: i64,
    to: i64,
    stop: &CancellationToken,
) -> Result<BTreeMap<i64, u64>, OpenError> {
    let mut found = BTreeMap::new();
    while from < to {
        let chunk =
            chunks.read(partition, from, to, FETCH_RECORDS_MAX, Instant::now() + CALL_TIMEOUT, stop).map_err(again)?;
        if chunk.next <= from {
            return Err(OpenError::Again(format!("the requests of partition {partition} can't be read now").into()));
        }
        from = chunk.next;
        found.extend(chunk.records.iter().map(|command| (command.location.offset, command.fingerprint())));
    }
    Ok(found)
}

fn failed(error: KafkaError) -> OpenError {
    OpenError::Again(ClientError::new("how far requests are answered can't be read", error).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::fence::FORMAT;

    fn fence(connector: &str, confirmed: bool) -> Vec<u8> {
        Fence {
            format: FORMAT,
            connector: connector.into(),
            partitions: 3,
            id_kinds: [].into(),
            generation: 1,
            member: "m".into(),
            transactional_id: "t".into(),
            opening: 0,
            confirmed,
        }
        .encode()
    }

    #[test]
    fn requests_are_answered_by_whose_fence_is_confirmed() {
        const BEGUN: Option<bool> = Some(false);
        const CONFIRMED: Option<bool> = Some(true);
        for (records, allowed) in [
            (&[][..], Ok(false)),
            (&[("own", BEGUN)], Ok(false)),
            (&[("own", BEGUN), ("own", CONFIRMED)], Ok(true)),
            (&[("own", CONFIRMED), ("own", None)], Ok(false)),
            (&[("own", BEGUN), ("other", BEGUN)], Ok(false)),
            (&[("other", BEGUN), ("own", CONFIRMED)], Ok(true)),
            (&[("other", CONFIRMED)], Err(())),
            (&[("other", CONFIRMED), ("own", BEGUN)], Err(())),
            (&[("other", CONFIRMED), ("other", None), ("own", CONFIRMED)], Ok(true)),
        ] {
            let mut fences = ConfirmedFences::default();
            for (connector, confirmed) in records {
                fences.take(connector, confirmed.map(|confirmed| fence(connector, confirmed)).as_deref(), "own");
            }
            assert_eq!(fences.allow().map_err(drop), allowed, "{records:?}");
        }
    }

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
