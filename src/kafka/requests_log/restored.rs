//! Reads from the state topic how far requests are answered.
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

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::metadata::MetadataTopic;
use rdkafka::{Offset, TopicPartitionList};
use tokio_util::sync::CancellationToken;

use super::answered::{STATE_PARTITION, prefix};
use crate::commit::log::{LogError, OpenError};
use crate::kafka::client::CALL_TIMEOUT;
use crate::kafka::client::context::LogContext;
use crate::kafka::client::error::ClientError;
use crate::kafka::client::settings::Settings;
use crate::kafka::client::state_poll::{STALL_MAX, next_record};
use crate::kafka::client::supplied::LoggedConsumer;
use crate::kafka::transaction::Transactions;
use crate::kafka::transaction::offsets::OwnedOffsets;
use crate::kafka::transaction::partition_session::StartError;
use crate::kafka::transaction::record::Record;
use crate::model::fence::{Conflict, Fence, FoundFence};
use crate::model::request::answered_offsets::RestoredOffsets;

/// Between two looks whether the state topic is there.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How long the state topic may take to be made.
const APPEAR_MAX: Duration = Duration::from_secs(30);
/// After so long a wait for the polls it is said.
const REPORT_AFTER: Duration = Duration::from_secs(10);

/// Everything that is known of the answers to requests on `request_topic`. Blocks.
///
/// # Errors
/// [`StartError`] where the topic is not there, can't be read or written now, or is another connector's.
pub fn restore(
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
    let reading = Reading { reader, topic, own_name: &settings.name, prefix, barrier, cancel };
    Ok(reading.run()?)
}

/// The polls make the topic, or say why it is missing.
///
/// # Errors
/// [`OpenError::Again`] where it does not exist in time, or the brokers can't be asked.
fn wait_for(reader: &BaseConsumer<LogContext>, topic: &str, cancel: &CancellationToken) -> Result<(), OpenError> {
    let deadline = Instant::now() + APPEAR_MAX;
    loop {
        let metadata = reader.fetch_metadata(Some(topic), CALL_TIMEOUT).map_err(failed)?;
        let is_there =
            |found: &MetadataTopic| found.name() == topic && found.error().is_none() && !found.partitions().is_empty();
        if metadata.topics().iter().any(is_there) {
            return Ok(());
        }
        // Both pipelines open at once, so at a first start the polls may be about to make it.
        if cancel.is_cancelled() || Instant::now() >= deadline {
            return Err(OpenError::Again(format!("topic {topic} does not exist yet").into()));
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

/// Whose fences are in the partition, as far as it is read, and whether they are confirmed.
#[derive(Default)]
struct KnownFences {
    others: BTreeSet<String>,
    /// Whoever has one may be about to take all over ([`crate::kafka::facts_log::adoption`]).
    unconfirmed_others: BTreeSet<String>,
    has_own: bool,
}

impl KnownFences {
    fn take(&mut self, connector: &str, value: Option<&[u8]>, own_name: &str) {
        // What can't be read is told by the polls.
        let proves = value
            .is_some_and(|value| !matches!(Fence::decode(value), Ok(FoundFence::Fence(fence)) if !fence.confirmed));
        if connector == own_name {
            self.has_own = proves;
            return;
        }
        self.others.remove(connector);
        self.unconfirmed_others.remove(connector);
        if value.is_some() {
            let known = if proves { &mut self.others } else { &mut self.unconfirmed_others };
            known.insert(connector.to_owned());
        }
    }

    /// Whether requests may be answered; not yet where another connector's fence may be confirmed at any moment.
    ///
    /// # Errors
    /// [`Conflict::Name`] with another connector, which answers them.
    fn allow(&self) -> Result<bool, Conflict> {
        match self.others.first() {
            Some(other) => Err(Conflict::Name(other.clone())),
            None => Ok(self.has_own && self.unconfirmed_others.is_empty()),
        }
    }
}

/// A reading of the partition, from its beginning to the record that was just written.
struct Reading<'a> {
    reader: LoggedConsumer,
    topic: &'a str,
    own_name: &'a str,
    /// What the keys begin with that count.
    prefix: String,
    /// The key of that record.
    barrier: String,
    cancel: &'a CancellationToken,
}

/// What was read so far.
#[derive(Default)]
struct PartitionContent {
    restored: RestoredOffsets,
    fences: KnownFences,
    /// The record that was just written was read: nothing of an earlier owner can come any more.
    is_passed: bool,
}

impl Reading<'_> {
    /// Stops where the topic is another connector's, which answers the same requests.
    ///
    /// # Errors
    /// [`OpenError::Stop`] there, and where the right to read is missing; [`OpenError::Again`] where nothing comes for too
    /// long, or the partitions are revoked.
    fn run(&self) -> Result<RestoredOffsets, OpenError> {
        self.assign().map_err(failed)?;
        let mut content = PartitionContent::default();
        let mut is_reported = false;
        let mut progress = Instant::now();
        while progress.elapsed() < STALL_MAX {
            if content.is_passed {
                // Whose the topic is may be told only later: the polls begin beside this, and confirm their fence when they
                // have compared it with all others.
                if content.fences.allow().map_err(|conflict| self.conflict(conflict))? {
                    return Ok(content.restored);
                }
                if progress.elapsed() > REPORT_AFTER && !std::mem::replace(&mut is_reported, true) {
                    let topic = self.topic;
                    tracing::info!(topic, "requests wait until the polls have made the state topic this connector's");
                }
            }
            if self.cancel.is_cancelled() {
                return Err(OpenError::Again("the partitions were revoked while their progress was read".into()));
            }
            // Only silence counts: a topic of any length is read to its end, however long that takes.
            if self.take_next(&mut content)? {
                progress = Instant::now();
            }
        }
        let topic = self.topic;
        Err(OpenError::Again(format!("topic {topic} could not be read to the record that was just written").into()))
    }

    /// # Errors
    /// Where librdkafka can't begin to read.
    fn assign(&self) -> KafkaResult<()> {
        let mut assignment = TopicPartitionList::new();
        assignment.add_partition_offset(self.topic, STATE_PARTITION, Offset::Beginning)?;
        self.reader.assign(&assignment)
    }

    /// Takes one record, and says whether there was one.
    ///
    /// # Errors
    /// As [`next_record`].
    fn take_next(&self, content: &mut PartitionContent) -> Result<bool, OpenError> {
        let next = next_record(&self.reader, self.topic, "reading how far requests are answered", failed)?;
        let Some(message) = next else { return Ok(false) };
        self.take(&message, content);
        Ok(true)
    }

    fn take(&self, message: &BorrowedMessage<'_>, content: &mut PartitionContent) {
        let key = message.key().and_then(|key| std::str::from_utf8(key).ok());
        content.is_passed |= key == Some(&self.barrier);
        if let Some(connector) = message.key().and_then(Fence::connector_of) {
            content.fences.take(connector, message.payload(), self.own_name);
        }
        if let Some(key) = key.and_then(|key| key.strip_prefix(&self.prefix)) {
            content.restored.take(key, message.payload());
        }
    }

    fn conflict(&self, conflict: Conflict) -> OpenError {
        OpenError::Stop(LogError::because(format!("topic {}", self.topic), conflict))
    }
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
            (&[("other", BEGUN), ("own", CONFIRMED)], Ok(false)),
            (&[("other", BEGUN), ("own", CONFIRMED), ("other", None)], Ok(true)),
            (&[("other", CONFIRMED)], Err(())),
            (&[("other", CONFIRMED), ("own", BEGUN)], Err(())),
            (&[("other", CONFIRMED), ("other", None), ("own", CONFIRMED)], Ok(true)),
        ] {
            let mut fences = KnownFences::default();
            for (connector, confirmed) in records {
                fences.take(connector, confirmed.map(|confirmed| fence(connector, confirmed)).as_deref(), "own");
            }
            assert_eq!(fences.allow().map_err(drop), allowed, "{records:?}");
        }
    }
}
