//! Opens one life of the log, in the order that [`super`] argues for.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::runtime::Handle;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::peers;
use super::takeover::Takeover;
use super::topics::FactTopics;
use super::writer::FactWriter;
use crate::avro::encode::Encoders;
use crate::commit::failpoint::{Failpoint, reach};
use crate::commit::log::{Lease, Opened};
use crate::kafka::client::partitioner;
use crate::kafka::client::settings::Settings;
use crate::kafka::group::whole_assignment::Assignment;
use crate::kafka::transaction::error::TransactionError;
use crate::kafka::transaction::limits::LearnedLimits;
use crate::kafka::transaction::offsets::{CommittedOffset, OwnedOffsets};
use crate::kafka::transaction::partition_session::StartError;
use crate::kafka::transaction::record::RecordClock;
use crate::kafka::transaction::{Transactions, Written};
use crate::model::batch::Batch;
use crate::model::feed::PerEventTopic;
use crate::model::fence::{self, Fence};
use crate::model::promoter::IdKind;
use crate::model::refusal::EventRefusal;
use crate::model::roster::Roster;

/// What every opening of the log needs, the same for each.
pub struct FactsLogOpener {
    pub settings: Settings,
    encoders: Arc<Encoders>,
    id_kinds: HashMap<String, IdKind>,
    clock: RecordClock,
    roster: Roster,
    openings: AtomicU64,
}

/// One life of the log.
pub struct FactsSession {
    transactions: Transactions,
    writer: Arc<FactWriter>,
    offsets: OwnedOffsets,
    clock: RecordClock,
    /// Ends the watch over the other instances.
    _watch: DropGuard,
}

impl FactsSession {
    /// Blocks.
    pub fn commit(&self, batch: &Batch) -> Result<Written, TransactionError> {
        let now = (self.clock)();
        self.transactions.commit(|send| self.writer.write(batch, now, send), &self.offsets)
    }
}

impl FactsLogOpener {
    pub fn new(
        settings: Settings,
        encoders: Arc<Encoders>,
        id_kinds: HashMap<String, IdKind>,
        clock: RecordClock,
        roster: Roster,
    ) -> FactsLogOpener {
        FactsLogOpener { settings, encoders, id_kinds, clock, roster, openings: AtomicU64::new(0) }
    }

    /// The order at opening. Blocks.
    pub fn start(
        &self,
        learned: &LearnedLimits,
        topics: FactTopics,
        assignment: Arc<Assignment>,
    ) -> Result<(FactsSession, Opened), StartError> {
        let names = &self.settings.topics;
        let (partitions, mut limits) = (topics.partitions, topics.limits);
        for (topic, limit) in limits.by_topic(names) {
            *limit = learned.limit(topic, *limit);
        }
        let config = self.settings.producer_config(self.settings.transactional_id(), limits.smallest());
        let transactions = Transactions::open(config, &names.state, self.settings.tried_group(&self.settings.name))?;
        tracing::debug!("earlier writers are fenced");
        reach(Failpoint::Fenced);
        let offsets = self.offsets(&assignment);
        let own = self.fence(&assignment, partitions);
        let takeover = Takeover {
            settings: &self.settings,
            transactions: &transactions,
            offsets: &offsets,
            clock: &self.clock,
            assignment: &assignment,
        };
        let mut state = takeover.run(own)?;
        reach(Failpoint::Restored);
        let owned: HashSet<i32> = assignment.partitions.iter().copied().collect();
        let owns = move |promoter: &_| owned.contains(&partitioner::of(promoter, partitions));
        let lease = Lease::new(owns, assignment.revoked.clone());
        let writer = Arc::new(self.writer(learned, &FactTopics { limits, ..topics }));
        let clock = self.clock.clone();
        state.refuse(refusal(writer.clone(), clock.clone()));
        let _watch = self.watch_others(&assignment, partitions);
        let opened = Opened { state, lease, age_limits: topics.age_limits(names) };
        Ok((FactsSession { transactions, writer, offsets, clock, _watch }, opened))
    }

    /// Writes what the topics take, by what they tell and by what they have refused.
    fn writer(&self, learned: &LearnedLimits, topics: &FactTopics) -> FactWriter {
        let names = &self.settings.topics;
        FactWriter {
            topics: names.clone(),
            encoders: self.encoders.clone(),
            id_kinds: self.id_kinds.clone(),
            limits: topics.limits,
            oldest: PerEventTopic::new(|topic| {
                learned.oldest(&names.events[topic], topics.ages[topic].taken.map(|taken| taken.age))
            }),
            state_partitions: topics.partitions,
        }
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
    fn offsets(&self, assignment: &Assignment) -> OwnedOffsets {
        let committed_offset =
            |partition: &i32| CommittedOffset { partition: *partition, offset: 0, metadata: String::new() };
        let mut committed: Vec<CommittedOffset> = assignment.partitions.iter().map(committed_offset).collect();
        if let Some(first) = committed.first_mut() {
            first.metadata = self.roster.note(&self.settings.instance_id);
        }
        OwnedOffsets { owner: assignment.snapshot.clone(), topic: self.settings.topics.registry.clone(), committed }
    }

    /// The own fence, confirmed, before it has inherited anything.
    fn fence(&self, assignment: &Assignment, partitions: i32) -> Fence {
        Fence {
            format: fence::FORMAT,
            connector: self.settings.name.clone(),
            partitions,
            id_kinds: self.id_kinds.iter().map(|(app, kind)| (app.clone(), *kind)).collect(),
            generation: assignment.snapshot.member.generation,
            member: assignment.snapshot.member.member.clone(),
            transactional_id: self.settings.transactional_id(),
            opening: self.openings.fetch_add(1, Ordering::Relaxed),
            confirmed: true,
        }
    }
}

/// What the topics do not take by what is known of them now.
fn refusal(writer: Arc<FactWriter>, clock: RecordClock) -> EventRefusal {
    EventRefusal::new(move |event| writer.refusal(event, || clock()))
}
