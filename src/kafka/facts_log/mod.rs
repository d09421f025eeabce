//! The commit log on Kafka: topics, ownership, producer and state topic brought together.
//!
//! # The order at opening
//!
//! 1. `init_transactions`, which fences what ran under this `transactional.id` and ends what it left open.
//! 2. Read the partitions of the state that are taken over to their ends, and look at the fences in them. Whatever says
//!    that they are another connector's, or were laid out for another number of partitions, or that an app spoke in
//!    the other kind of ids, stops the process here, before it has left a trace.
//! 3. One transaction, which writes a **fence** to each of them, with the offsets of the assignment. It proves before
//!    anything is polled that this instance may write, and that its generation is the group's.
//! 4. Read on until the own fence is met, and look at the fences again.
//! 5. Where a partition had no **confirmed** fence of this connector, look at those of all the other partitions.
//! 6. Confirm the fences in those partitions, in another transaction.
//!
//! If (4) or (5) finds that somebody else was there at the same time, the fences of (3) are taken back from the partitions
//! that had no confirmed one before, so that whoever was first can go on, and does not find them at its next opening.
//!
//! # Why the state is whole then
//!
//! What any earlier owner of a partition got committed stands below the fence. Its records were acknowledged before its
//! offsets were checked ([`crate::kafka::transaction`]); that check passed under an older generation, or for the member whose place
//! in the group this one has taken, so before this one had its assignment; and the fence was written after that. An earlier transaction that is still open holds the
//! `read_committed` reader below the fence until it ends. One that is checked later is refused. And the reader has passed
//! the fence only when it has read it: no leader that was replaced without knowing it can show that record. So what was
//! read up to there is everything that was ever committed, and nothing of an earlier owner can follow.
//!
//! # Why nobody works with another number of partitions
//!
//! A promoter is looked for in the partition that its key's hash gives in so many partitions. Were one instance to count
//! six partitions where others counted three, it would find nothing of half of its promoters and publish them anew.
//!
//! A running instance keeps the number that it opened with, whatever happens to the topics: what it writes lies where it
//! looks, whoever else runs. So only an opening can do harm, and each one compares the number that it has found with the
//! fences. In a partition that has one, by (2). In a partition that has none, which is new or the first start's, by (5):
//! partitions that were added later have older ones beside them that have a fence. Two first openings that have found
//! different numbers at the same time write their fences (3) before they look at each other's (5), so at least one of
//! them sees the other's. An opening that ends between (3) and (6), because it was killed or its partitions were revoked,
//! leaves fences that nobody has compared with the others: they are not confirmed, and so the next owner does it. A confirmed
//! one was compared, and as nothing is polled before (6), all that an owner ever wrote stands behind a confirmed one.
//!
//! Partitions that are added while instances run bring a rebalance, as soon as a member has looked at the topics again
//! (`topic.metadata.refresh.interval.ms`), and with it an opening of each instance: all of them stop. Until then they go
//! on as before, which doubles nothing.
//!
//! # A state that is gone
//!
//! A partition without a fence is the first start's, unless the group has offsets for it: those are committed with every
//! transaction, and the first of them wrote the fence. Then the state was emptied or made anew, and the start stops. (That
//! the whole topic is missing beside a registry is told where the topics are made, in [`crate::kafka::client`].) Kafka forgets the offsets of a group that
//! nobody has joined for `offsets.retention.minutes`, and with the registry's topic: whoever deletes both topics wants to
//! begin anew, and may. Nor is it a sign that the last record under the fence's key is a tombstone: somebody has healed a
//! damaged one, as the connector asked for. Topics that an operator has made before the first start have neither fences nor offsets.
//!
//! That there are events of an earlier life counts for nothing: their topics may be shared with another connector, and may
//! outlive an operator's wish to begin anew.

pub mod limits;

mod topics;

pub mod writer;

mod state_reader;

mod peers;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::runtime::Handle;
use tokio_util::sync::{CancellationToken, DropGuard};

use self::state_reader::StateReader;
use self::topics::FactTopics;
use self::writer::FactWriter;
use crate::avro::encode::Encoders;
use crate::commit::failpoint::{Failpoint, reach};
use crate::commit::log::{CommitError, CommitLog, Lease, OpenError, Opened};
use crate::kafka::client::partitioner;
use crate::kafka::client::settings::Settings;
use crate::kafka::group::assignment::Assignment;
use crate::kafka::transaction::Transactions;
use crate::kafka::transaction::error::TransactionError;
use crate::kafka::transaction::limits::LearnedLimits;
use crate::kafka::transaction::offsets::{CommittedOffset, OwnedOffsets};
use crate::kafka::transaction::partition_session::{PartitionSession, StartError};
use crate::kafka::transaction::record::{Record, RecordClock};
use crate::model::batch::Batch;
use crate::model::feed::PerEventTopic;
use crate::model::fence::{self, Fence};
use crate::model::promoter::IdKind;
use crate::model::refusal::EventRefusal;
use crate::model::roster::Roster;
use crate::model::state::State;
use crate::model::state_content::Stray;
use crate::text;

/// How many stray records are told one by one.
const STRAYS_TOLD: usize = 10;

/// Opens logs, one after the other, for the whole life of the process.
#[derive(Clone)]
pub struct FactsLog {
    parts: Arc<FactsLogOpener>,
    partitions: PartitionSession<FactsSession>,
}

struct FactsLogOpener {
    settings: Settings,
    encoders: Arc<Encoders>,
    id_kinds: HashMap<String, IdKind>,
    clock: RecordClock,
    roster: Roster,
    openings: AtomicU64,
}

/// One life of the log.
struct FactsSession {
    transactions: Transactions,
    writer: Arc<FactWriter>,
    offsets: OwnedOffsets,
    clock: RecordClock,
    /// Ends the watch over the other instances.
    _watch: DropGuard,
}

impl FactsLog {
    pub fn new(
        settings: Settings,
        encoders: Arc<Encoders>,
        id_kinds: HashMap<String, IdKind>,
        clock: RecordClock,
        roster: Roster,
    ) -> FactsLog {
        let partitions =
            PartitionSession::new(settings.clone(), settings.name.clone(), settings.topics.registry.clone());
        let parts = FactsLogOpener { settings, encoders, id_kinds, clock, roster, openings: AtomicU64::new(0) };
        FactsLog { parts: Arc::new(parts), partitions }
    }

    /// Cancelled once the topics have been found to be as they must be.
    pub fn topics_checked(&self) -> CancellationToken {
        self.partitions.topics_checked()
    }
}

impl CommitLog for FactsLog {
    type Opened = Opened;
    type Batch = Batch;

    async fn open(&mut self) -> Result<Opened, OpenError> {
        let (prepared, started) = (self.parts.clone(), self.parts.clone());
        let prepare = || {
            let parts = prepared.clone();
            async move { topics::prepare(&parts.settings).await }
        };
        self.partitions.open(prepare, move |limits, topics, assignment| started.start(limits, topics, assignment)).await
    }

    async fn commit(&mut self, batch: Arc<Batch>) -> Result<(), CommitError> {
        let commit = move |session: &FactsSession| {
            let now = (session.clock)();
            session.transactions.commit(|send| session.writer.write(&batch, now, send), &session.offsets)
        };
        self.partitions.commit(commit).await
    }

    async fn release(&mut self) {
        self.partitions.release().await;
    }
}

impl FactsLogOpener {
    /// The order at opening. Blocks.
    fn start(
        &self,
        learned: &LearnedLimits,
        topics: FactTopics,
        assignment: Arc<Assignment>,
    ) -> Result<(FactsSession, Opened), StartError> {
        let names = &self.settings.topics;
        let FactTopics { partitions, mut limits, ages } = topics;
        for (topic, limit) in limits.by_topic(names) {
            *limit = learned.limit(topic, *limit);
        }
        let config = self.settings.producer_config(self.settings.transactional_id(), limits.smallest());
        let transactions = Transactions::open(config, &names.state, self.settings.tried_group(&self.settings.name))?;
        tracing::debug!("earlier writers are fenced");
        reach(Failpoint::Fenced);
        let offsets = self.offsets(&assignment);
        let mut state = self.take_over(&transactions, &offsets, partitions)?;
        reach(Failpoint::Restored);
        let owned: HashSet<i32> = assignment.partitions.iter().copied().collect();
        let owns = move |promoter: &_| owned.contains(&partitioner::of(promoter, partitions));
        let lease = Lease::new(owns, assignment.revoked.clone());
        let writer = Arc::new(FactWriter {
            topics: names.clone(),
            encoders: self.encoders.clone(),
            id_kinds: self.id_kinds.clone(),
            limits,
            oldest: PerEventTopic::new(|topic| {
                learned.oldest(&names.events[topic], ages[topic].taken.map(|taken| taken.age))
            }),
            state_partitions: partitions,
        });
        let clock = self.clock.clone();
        state.refuse(refusal(writer.clone(), clock.clone()));
        let _watch = self.watch_others(&offsets.assignment, partitions);
        let opened = Opened { state, lease, age_limits: topics.age_limits(names) };
        Ok((FactsSession { transactions, writer, offsets, clock, _watch }, opened))
    }

    /// Says, as long as the guard lives, which other instances know other promoters.
    fn watch_others(&self, assignment: &Assignment, partitions: i32) -> DropGuard {
        let end = CancellationToken::new();
        let others = (0..partitions).filter(|partition| !assignment.partitions.contains(partition)).collect();
        Handle::current().spawn(peers::watch(self.settings.clone(), self.roster.clone(), others, end.clone()));
        end.drop_guard()
    }

    /// Of the registry, whose reader reads all of it: they only say who writes. The first one has the note of whom this
    /// instance polls, for the others.
    fn offsets(&self, assignment: &Arc<Assignment>) -> OwnedOffsets {
        let committed_offset =
            |partition: &i32| CommittedOffset { partition: *partition, offset: 0, metadata: String::new() };
        let mut committed: Vec<CommittedOffset> = assignment.partitions.iter().map(committed_offset).collect();
        if let Some(first) = committed.first_mut() {
            first.metadata = self.roster.note(&self.settings.instance_id);
        }
        OwnedOffsets { assignment: assignment.clone(), topic: self.settings.topics.registry.clone(), committed }
    }

    /// Steps 2 to 6.
    fn take_over(
        &self,
        transactions: &Transactions,
        offsets: &OwnedOffsets,
        partitions: i32,
    ) -> Result<State, StartError> {
        let Assignment { partitions: owned, revoked, .. } = &*offsets.assignment;
        // Before anything is read: what is known of a partition now has left its fence in it already.
        let worked_on = state_reader::worked_on(&self.settings, owned)?;
        let mut reader = StateReader::of_owned(&self.settings, owned, partitions, revoked)?;
        reader.read_to_end()?;
        let mut fence = self.fence(&offsets.assignment, partitions);
        reader.check(&fence)?;
        let name = &self.settings.name;
        let (mut fenced, mut confirmed) = (HashSet::new(), HashSet::new());
        for (partition, earlier) in reader.content().fences_of(name) {
            fenced.insert(partition);
            if earlier.is_confirmed() {
                confirmed.insert(partition);
            }
            fence.inherit(earlier);
        }
        let is_emptied =
            |partition: &&i32| !fenced.contains(partition) && !reader.content().is_fence_taken_away(**partition, name);
        self.refuse_emptied(worked_on.iter().filter(is_emptied))?;
        let new: Vec<i32> = owned.iter().copied().filter(|partition| !confirmed.contains(partition)).collect();
        let begun = |partition: i32| Fence { confirmed: confirmed.contains(&partition), ..fence.clone() };
        self.write_fences(owned, |partition| Some(begun(partition).encode()), transactions, offsets)?;
        reach(Failpoint::FencesWritten);
        let compared = reader.read_to(begun).and_then(|()| reader.check(&fence));
        let compared = compared.and_then(|()| if new.is_empty() { Ok(()) } else { self.check_others(&fence, offsets) });
        if let Err(OpenError::Stop(_)) = &compared {
            self.withdraw(&fence, &new, transactions, &offsets.assignment);
        }
        compared?;
        if !new.is_empty() {
            self.write_fences(&new, |_| Some(fence.encode()), transactions, offsets)?;
        }
        let (state, strays) = reader.into_content().finish();
        tell(&self.settings.topics.state, &strays);
        Ok(state)
    }

    /// Step 5.
    fn check_others(&self, fence: &Fence, offsets: &OwnedOffsets) -> Result<(), OpenError> {
        let Assignment { partitions: owned, revoked, .. } = &*offsets.assignment;
        let others = (0..fence.partitions).filter(|partition| !owned.contains(partition)).collect();
        let mut reader = StateReader::of_others(&self.settings, others, revoked)?;
        reader.read_to_end()?;
        reader.check(fence)
    }

    /// Takes the fence back from `partitions`. Should that fail, its tombstone is an operator's to write.
    fn withdraw(&self, fence: &Fence, partitions: &[i32], transactions: &Transactions, assignment: &Arc<Assignment>) {
        if partitions.is_empty() {
            return;
        }
        let committed_offset = |partition: &i32| CommittedOffset {
            partition: *partition,
            offset: 0,
            metadata: state_reader::WITHDRAWN.to_owned(),
        };
        let offsets = OwnedOffsets {
            assignment: assignment.clone(),
            topic: self.settings.topics.registry.clone(),
            committed: partitions.iter().map(committed_offset).collect(),
        };
        if let Err(failure) = self.write_fences(partitions, |_| None, transactions, &offsets) {
            let (topic, key) = (&self.settings.topics.state, fence.key());
            let error = text::with_causes(&failure);
            tracing::warn!(topic, key, %error, "a fence could not be taken back; write a tombstone under its key");
        }
    }

    fn fence(&self, assignment: &Assignment, partitions: i32) -> Fence {
        Fence {
            format: fence::FORMAT,
            connector: self.settings.name.clone(),
            partitions,
            id_kinds: self.id_kinds.iter().map(|(app, kind)| (app.clone(), *kind)).collect::<BTreeMap<_, _>>(),
            generation: assignment.member.generation,
            member: assignment.member.member.clone(),
            transactional_id: self.settings.transactional_id(),
            opening: self.openings.fetch_add(1, Ordering::Relaxed),
            confirmed: true,
        }
    }

    /// Into each of `partitions`, with `offsets`; no value is a tombstone.
    fn write_fences(
        &self,
        partitions: &[i32],
        value: impl Fn(i32) -> Option<Vec<u8>>,
        transactions: &Transactions,
        offsets: &OwnedOffsets,
    ) -> Result<(), TransactionError> {
        let (key, now) = (Fence::key_of(&self.settings.name), (self.clock)());
        let values: Vec<(i32, Option<Vec<u8>>)> = partitions.iter().map(|part| (*part, value(*part))).collect();
        let write = |send: &mut dyn FnMut(Record<'_>) -> _| {
            values.iter().try_for_each(|(partition, value)| {
                send(Record {
                    topic: &self.settings.topics.state,
                    partition: Some(*partition),
                    key: Some(key.as_bytes()),
                    headers: &[],
                    value: value.as_deref(),
                    timestamp: now,
                })
            })
        };
        transactions.commit(write, offsets).map(drop)
    }

    fn refuse_emptied<'a>(&self, mut emptied: impl Iterator<Item = &'a i32>) -> Result<(), OpenError> {
        let Some(partition) = emptied.next() else { return Ok(()) };
        let (Settings { name, topics, .. }, registry) = (&self.settings, &self.settings.topics.registry);
        let reason = format!(
            "topic {} partition {partition} holds nothing of connector {name}, though the group {name} has written for it: it \
             was emptied or made anew, and what is published is not known any more. Put its records back; or, to begin \
             anew and publish again what lies behind start_from, delete topic {registry} as well",
            topics.state
        );
        Err(OpenError::Stop(reason.into()))
    }
}

/// What the topics do not take by what is known of them now.
fn refusal(writer: Arc<FactWriter>, clock: RecordClock) -> EventRefusal {
    EventRefusal::new(move |event| writer.refusal(event, || clock()))
}

/// Records that were skipped do no harm, but somebody wrote them.
fn tell(topic: &str, strays: &[Stray]) {
    for Stray { place, fault } in strays.iter().take(STRAYS_TOLD) {
        let (partition, offset) = (place.partition, place.offset);
        tracing::error!(topic, partition, offset, error = %fault, "a stray record of the state is skipped; write a tombstone under its key");
    }
    if strays.len() > STRAYS_TOLD {
        tracing::error!(topic, records = strays.len() - STRAYS_TOLD, "more stray records of the state are skipped");
    }
}
