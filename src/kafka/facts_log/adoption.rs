//! Taking over what a connector of another name has left: `run --adopt`.
//!
//! # The order
//!
//! 1. Read the fences of all partitions. Where none has another name there is nothing to take over. What else speaks against this
//!    connector stops it as ever: another number of partitions, a kind of ids that has changed, a state that was emptied.
//! 2. Wait until nobody is in the groups of that name any more, that of its polls and that of its requests: each takes an offset from
//!    somebody who is no member, which it does only where it has none.
//! 3. One transaction: this connector's fence, not confirmed yet, in each partition, beside those of the other name.
//! 4. Ask the groups once more, as in (2).
//! 5. Read each partition on to the own fence of (3): no further name may have come meanwhile.
//! 6. One transaction: the confirmed fence in each partition, and tombstones for those of the other name.
//!
//! Then the log is opened as ever ([`super`]), and finds a state with a confirmed fence of this connector. Nobody polls or answers
//! anything before.
//!
//! # Why nothing is lost, nor doubled
//!
//! What is known of facts and of requests stands under keys that no name is part of, in the same partitions and for the same ids,
//! as (1) has made sure. So it counts for this connector as it did for the other. What could do harm is an instance of the other name
//! that goes on. Let it commit something behind (4).
//!
//! - It is in its group by a joining that came behind (4). Then it has taken its shards, or its partition of requests, anew: it has
//!   written its own record there and reads to that. The fence of (3) stands before it. The polls stop at any fence of another
//!   name; requests wait where it is not confirmed, and stop where it is.
//! - It was in its group at (4). Then the group had a member and took no offset from a stranger.
//! - It had been in its group and was so no more at (4). Then the brokers refuse its offsets, and with these its transaction. If they
//!   had taken them before, all records of that transaction were acknowledged before, for it sends its offsets behind them; so they
//!   stand below every fence that this connector's opening writes, and it reads to that, past what is still open.
//!
//! Two that adopt at once write (3) before they read in (5), each to its own fence: so one of them at least meets the other's.
//!
//! # What ends in the middle
//!
//! Before (6) the other name's fences are there, so this connector does not start without `--adopt`; and where (4) or (5) finds
//! somebody, the fences of (3) are taken back, so that he is stopped by nothing. One that is killed between (3) and (6) leaves them:
//! then neither name starts before somebody adopts. (6) is one transaction: it is done in all partitions, or in none.

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

use rdkafka::consumer::{CommitMode, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::Producer;
use rdkafka::{Offset, TopicPartitionList};
use tokio_util::sync::CancellationToken;

use super::own_fence::OwnFences;
use super::state_ends::{self, StateEnds, again};
use super::state_reader::StateReader;
use super::takeover::refuse_emptied;
use crate::clock;
use crate::commit::log::{LogError, OpenError};
use crate::kafka::client::CALL_TIMEOUT;
use crate::kafka::client::context::LogContext;
use crate::kafka::client::error::ClientError;
use crate::kafka::client::profiles::BATCH_BYTES;
use crate::kafka::client::settings::Settings;
use crate::kafka::client::supplied::LoggedConsumer;
use crate::kafka::group::member_id::MemberId;
use crate::kafka::topics::lookup::TopicLookup;
use crate::kafka::transaction::producer::{TransactionalProducer, retried};
use crate::kafka::transaction::record::Record;
use crate::model::fence::Fence;
use crate::model::promoter::IdKind;

/// How long those are waited for that are still in the groups: longer than brokers wait for one that was killed.
const MEMBERS_WAIT: Duration = Duration::from_secs(60);
const MEMBERS_PAUSE: Duration = Duration::from_millis(500);

/// A record of the state: partition, key and value. No value is a tombstone.
type FenceRecord = (i32, String, Option<Vec<u8>>);

/// Takes over what connectors of other names have left in the state topic, where there is something. Blocks, unless it is
/// `given_up`.
///
/// # Errors
/// [`OpenError::Stop`] where it can't be taken over, or somebody still works with it; [`OpenError::Again`] where the brokers can't be
/// asked, or nobody knows whether a transaction was committed: to begin anew is right then.
pub fn adopt(
    settings: &Settings,
    id_kinds: &HashMap<String, IdKind>,
    given_up: &CancellationToken,
) -> Result<(), OpenError> {
    let topic = &settings.topics.state;
    let lookup = TopicLookup::open(settings).map_err(again)?;
    let found = lookup.count(topic, "DESCRIBE, READ and WRITE", CALL_TIMEOUT);
    let Some(count) = found.map_err(|error| OpenError::Again(LogError::new(error)))? else { return Ok(()) };
    let uncommitted = state_ends::uncommitted(settings).map_err(again)?;
    let ends = StateEnds { settings, uncommitted: &uncommitted };
    let all: Vec<i32> = (0..count.partitions).collect();
    // (1)
    let mut reader = StateReader::of_others(&ends, &all, given_up)?;
    reader.read_to_end()?;
    let others = reader.content().names_but(&settings.name);
    if others.is_empty() {
        tracing::info!(topic, "there is nothing to adopt");
        return Ok(());
    }
    let mut own = own_fence(settings, id_kinds, count.partitions);
    all.iter().try_for_each(|partition| reader.check_adopted(&own, *partition))?;
    others.iter().try_for_each(|other| refuse_emptied_of(settings, other, &all, &reader))?;
    reader.content().fences().for_each(|earlier| own.inherit(earlier));
    let adoption = Adoption { settings, all, others, own };
    // (2)
    adoption.await_end(given_up)?;
    adoption.run(reader)
}

/// Of this process, confirmed; no other record has the same value.
fn own_fence(settings: &Settings, id_kinds: &HashMap<String, IdKind>, partitions: i32) -> Fence {
    let member = MemberId { generation: 0, member: format!("adoption-{:016x}", rand::random::<u64>()) };
    OwnFences::new(settings, id_kinds.clone()).next(&member, partitions)
}

/// # Errors
/// [`OpenError::Stop`] where a connector has worked with a partition that holds nothing of it any more.
fn refuse_emptied_of(settings: &Settings, name: &str, all: &[i32], reader: &StateReader<'_>) -> Result<(), OpenError> {
    let other = named(settings, name);
    let uncommitted = state_ends::uncommitted(&other).map_err(again)?;
    let worked_on = StateEnds { settings: &other, uncommitted: &uncommitted }.worked_on(all)?;
    all.iter().try_for_each(|partition| refuse_emptied(&other, &worked_on, reader.content(), *partition))
}

/// The settings as a connector of that name has them, or a client of a group of that name.
fn named(settings: &Settings, name: &str) -> Settings {
    Settings { name: name.to_owned(), ..settings.clone() }
}

struct Adoption<'a> {
    settings: &'a Settings,
    /// Of the state topic.
    all: Vec<i32>,
    /// Whose fences are there.
    others: BTreeSet<String>,
    /// Confirmed, with what it has inherited.
    own: Fence,
}

impl Adoption<'_> {
    /// (3) to (6).
    ///
    /// # Errors
    /// As [`adopt`].
    fn run(&self, mut reader: StateReader<'_>) -> Result<(), OpenError> {
        let config = self.settings.producer_config(self.settings.transactional_id(), BATCH_BYTES);
        let producer = TransactionalProducer::open(&config, &self.settings.topics.state)?;
        let begun = Fence { confirmed: false, ..self.own.clone() };
        self.write(&producer, self.of_all(&self.own.key(), Some(&begun.encode())))?;
        let proven = self.refuse_members().and_then(|()| self.refuse_further(&mut reader, &begun));
        if let Err(OpenError::Stop(_)) = &proven {
            self.write(&producer, self.of_all(&self.own.key(), None))?;
        }
        proven?;
        let tombstones = self.others.iter().flat_map(|other| self.of_all(&Fence::key_of(other), None));
        let confirmed = self.of_all(&self.own.key(), Some(&self.own.encode()));
        self.write(&producer, confirmed.into_iter().chain(tombstones).collect())?;
        let (topic, from) = (&self.settings.topics.state, &self.others);
        tracing::warn!(topic, ?from, "what another connector has left is adopted: it must not be started again");
        Ok(())
    }

    fn of_all(&self, key: &str, value: Option<&[u8]>) -> Vec<FenceRecord> {
        self.all.iter().map(|partition| (*partition, key.to_owned(), value.map(<[u8]>::to_vec))).collect()
    }

    /// The groups of all others: of their polls, and of their requests.
    fn groups(&self) -> Vec<String> {
        let of = |other: &String| [other.clone(), named(self.settings, other).requests_group()];
        self.others.iter().flat_map(of).collect()
    }

    /// (2)
    ///
    /// # Errors
    /// [`OpenError::Stop`] where somebody is there after [`MEMBERS_WAIT`].
    fn await_end(&self, given_up: &CancellationToken) -> Result<(), OpenError> {
        let deadline = Instant::now() + MEMBERS_WAIT;
        loop {
            match self.refuse_members() {
                Err(OpenError::Stop(_)) if Instant::now() < deadline && !given_up.is_cancelled() => {
                    std::thread::sleep(MEMBERS_PAUSE);
                }
                ended => return ended,
            }
        }
    }

    /// (4), as a stranger to each group.
    ///
    /// # Errors
    /// [`OpenError::Stop`] where somebody is in one of the groups.
    fn refuse_members(&self) -> Result<(), OpenError> {
        for group in self.groups() {
            let setup = named(self.settings, &group).reader_config();
            let stranger: LoggedConsumer = setup.create_with_context(LogContext::default()).map_err(again)?;
            let mut offset = TopicPartitionList::new();
            // No connector commits one for the state: whoever works with this group does not miss what stood there.
            offset.add_partition_offset(&self.settings.topics.state, 0, Offset::Offset(0)).map_err(again)?;
            match stranger.commit(&offset, CommitMode::Sync) {
                Ok(()) => {}
                Err(error) if has_members(&error) => return Err(self.still_runs(&group)),
                Err(error) => return Err(unknown_members(&group, error)),
            }
        }
        Ok(())
    }

    fn still_runs(&self, group: &str) -> OpenError {
        let topic = &self.settings.topics.state;
        let reason = format!(
            "topic {topic} can't be adopted: somebody is in group {group}; stop all instances of that connector, and start this one again"
        );
        OpenError::Stop(reason.into())
    }

    /// (5)
    ///
    /// # Errors
    /// [`OpenError::Stop`] where there is a name now that was not there before, or something else speaks against this connector.
    fn refuse_further(&self, reader: &mut StateReader<'_>, begun: &Fence) -> Result<(), OpenError> {
        self.all.iter().for_each(|partition| reader.read_to(*partition, begun));
        reader.read_to_end()?;
        let names = reader.content().names_but(&self.settings.name);
        if let Some(further) = names.difference(&self.others).next() {
            let topic = &self.settings.topics.state;
            let reason = format!("topic {topic} can't be adopted: connector {further} was started on it meanwhile");
            return Err(OpenError::Stop(reason.into()));
        }
        self.all.iter().try_for_each(|partition| reader.check_adopted(&self.own, *partition))
    }

    /// All of `records`, or none of them.
    ///
    /// # Errors
    /// [`OpenError::Again`] where they are not, or where nobody knows it.
    fn write(&self, producer: &TransactionalProducer, records: Vec<FenceRecord>) -> Result<(), OpenError> {
        let topic = self.settings.topics.state.as_str();
        let failed = |error| OpenError::Again(producer.failed(format!("topic {topic} is not adopted"), error).into());
        let kafka = producer.kafka();
        kafka.context().reset();
        kafka.begin_transaction().map_err(failed)?;
        for (partition, key, value) in &records {
            let (key, value) = (Some(key.as_bytes()), value.as_deref());
            let timestamp = clock::now();
            let record = Record { topic, partition: Some(*partition), key, headers: &[], value, timestamp };
            producer.send(&record).map_err(failed)?;
        }
        let is_sent = producer.flush();
        if let Some(refused) = kafka.context().first_refusal() {
            return Err(failed(refused.error));
        }
        if !is_sent {
            return Err(failed(KafkaError::Flush(RDKafkaErrorCode::OperationTimedOut)));
        }
        retried(|| kafka.commit_transaction(CALL_TIMEOUT)).map_err(failed)
    }
}

/// Whether a group has refused an offset because it is not the stranger's to commit.
fn has_members(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(
            RDKafkaErrorCode::UnknownMemberId
                | RDKafkaErrorCode::IllegalGeneration
                | RDKafkaErrorCode::RebalanceInProgress
                | RDKafkaErrorCode::FencedInstanceId
        )
    )
}

fn unknown_members(group: &str, error: KafkaError) -> OpenError {
    let what = format!("whether somebody is in group {group} can't be told; this user needs READ on it");
    OpenError::Again(ClientError::new(what, error).into())
}
