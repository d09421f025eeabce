//! Opens the log for one session, in the order that [`super`] argues for.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::ledger_topic::{LedgerStanding, NoLedger};
use super::own_fence::OwnFences;
use super::ownership::FactsOwnership;
use super::peers::InstanceProfile;
use super::topics::FactTopics;
use super::writer::FactWriter;
use super::{peers, state_ends};
use crate::avro::encode::Encoders;
use crate::commit::failpoint::{Failpoint, reach};
use crate::commit::log::{LogError, OpenError, Opened};
use crate::kafka::client::settings::Settings;
use crate::kafka::group::changes::MembershipChanges;
use crate::kafka::group::membership::GroupMembership;
use crate::kafka::group::snapshot::MembershipSnapshot;
use crate::kafka::registry_topic::Registrations;
use crate::kafka::registry_topic::follower::RegistryFollower;
use crate::kafka::transaction::error::TransactionError;
use crate::kafka::transaction::limits::LearnedLimits;
use crate::kafka::transaction::offsets::{CommittedOffset, OwnedOffsets};
use crate::kafka::transaction::partition_session::StartError;
use crate::kafka::transaction::record::{RecordClock, RecordSink};
use crate::kafka::transaction::{Transactions, Written};
use crate::model::batch::Batch;
use crate::model::feed::PerEventTopic;
use crate::model::refusal::EventRefusal;
use crate::model::shard::AssignedShard;
use crate::telemetry::health::PipelineHealth;

/// What every opening of the log needs, the same for each.
pub struct FactsLogOpener {
    pub settings: Settings,
    pub encoders: Arc<Encoders>,
    pub registrations: Registrations,
    pub clock: RecordClock,
    pub profile: InstanceProfile,
    pub fences: Arc<OwnFences>,
    pub health: Arc<PipelineHealth>,
    pub ledger: Arc<LedgerStanding>,
}

/// How long the generation that follows on a refused one is waited for. A member hears of it with its next heartbeat.
const GENERATION_WAIT: Duration = Duration::from_secs(60);

/// The log, open for one session.
pub struct FactsSession {
    transactions: Transactions,
    writer: Arc<FactWriter>,
    membership: Arc<GroupMembership>,
    /// What the others are told of this instance.
    profile: InstanceProfile,
    instance_id: String,
    clock: RecordClock,
    ledger: Arc<LedgerStanding>,
    /// Ends the watch over the other instances.
    _watch: DropGuard,
}

impl FactsSession {
    /// Writes in the name of the latest snapshot of the membership. That was published before the transaction begins, so where
    /// the broker takes its generation for the current one just before the commit, every shard that it has is still this
    /// instance's; and the batch has no other. Blocks.
    ///
    /// # Errors
    /// [`TransactionError::ShardsLost`] where the batch has shards that are not owned any more, or not as they were assigned
    /// when it was planned. Where the generation has moved meanwhile nothing was written, and the next one is waited for.
    pub fn commit(&self, batch: &Batch) -> Result<Written, TransactionError> {
        let Some(owner) = self.membership.current() else {
            return Err(TransactionError::ShardsLost(batch.shards.clone()));
        };
        let is_lost = |assigned: &&AssignedShard| !owner.owns(assigned.shard.0, assigned.number);
        let lost: Vec<AssignedShard> = batch.shards.iter().filter(is_lost).copied().collect();
        if !lost.is_empty() {
            return Err(TransactionError::ShardsLost(lost));
        }
        let now = (self.clock)();
        // They were counted as published. Planned anew they are dead letters, which are remembered as well.
        if self.writer.has_aged(batch, now) {
            return Err(TransactionError::Reopen(
                "facts have grown too old for their topic since they were planned: they are asked for again".into(),
            ));
        }
        let write = |send: RecordSink<'_>| self.writer.write(batch, now, send);
        let offsets =
            self.offsets(batch, owner.clone()).map_err(|error| TransactionError::Reopen(LogError::new(error)))?;
        self.transactions.commit(write, &offsets).map_err(|error| match self.without_ledger(error) {
            // It was aborted, so the same batch may go on under the next generation, if that still has all its shards.
            TransactionError::Revoked(reason) => self.wait_for_another(&owner, reason),
            TransactionError::NoteTooLarge(reason) => self.shorten_notes(reason),
            // It may not take over a shard at all, and only an operator can allow it.
            error @ TransactionError::NotAllowed { .. } if batch.has_fences() => {
                TransactionError::Final(LogError::new(error))
            }
            error => error,
        })
    }

    /// What the ledger refuses holds up no fact: the log is opened anew, and goes on without it.
    fn without_ledger(&self, error: TransactionError) -> TransactionError {
        let ledger = self.writer.topics.ledger.as_deref();
        match &error {
            TransactionError::NotAllowed { topic: Some(topic), reason }
            | TransactionError::Refused { topic, reason }
            | TransactionError::TooLarge { topic, reason }
            | TransactionError::WrongTime { topic, reason, .. }
                if ledger == Some(topic.as_str()) =>
            {
                let reason = reason.with_causes();
                self.ledger.refused(topic, &reason);
                TransactionError::Reopen(LogError::from(format!("the ledger {topic} refuses a record: {reason}")))
            }
            _ => error,
        }
    }

    /// What stands beside the offsets is shorter from here on, and the same batch is tried again with that.
    fn shorten_notes(&self, reason: LogError) -> TransactionError {
        if self.profile.shares.shorten() {
            tracing::warn!(
                reason = reason.with_causes(),
                "the brokers' offset.metadata.max.bytes has no room for what partitions need: budgets are divided among them as they are now"
            );
        }
        TransactionError::NothingWritten(reason)
    }

    /// What was refused as of an older generation is tried again under the next one.
    fn wait_for_another(&self, refused: &Arc<MembershipSnapshot>, reason: LogError) -> TransactionError {
        let another = async { tokio::time::timeout(GENERATION_WAIT, self.membership.changed(refused)).await };
        match Handle::current().block_on(another) {
            Ok(Ok(())) => TransactionError::NothingWritten(reason),
            // The membership tells by itself why it is over.
            Ok(Err(_)) | Err(_) => TransactionError::Reopen(reason),
        }
    }

    /// Of the registry, whose reader reads all of it: they say who writes, and whom this instance polls. Only those of shards
    /// that are written to: an offset says that the shard has a fence.
    fn offsets(&self, batch: &Batch, owner: Arc<MembershipSnapshot>) -> serde_json::Result<OwnedOffsets> {
        let is_withdrawn =
            |shard| batch.shard_records.iter().any(|record| record.assigned.shard == shard && record.value.is_none());
        let committed_offset = |assigned: &AssignedShard| {
            let metadata = match is_withdrawn(assigned.shard) {
                true => state_ends::WITHDRAWN.to_owned(),
                false => self.profile.note(&self.instance_id, *assigned, owner.member.generation)?,
            };
            Ok(CommittedOffset { partition: assigned.shard.0, offset: 0, metadata })
        };
        let committed = batch.shards.iter().map(committed_offset).collect::<serde_json::Result<_>>()?;
        Ok(OwnedOffsets { owner, topic: self.writer.topics.registry.clone(), committed })
    }
}

impl FactsLogOpener {
    /// Step 1 of the order at opening. The others are taken for the shards as they are assigned. Blocks.
    ///
    /// # Errors
    /// [`StartError`] where the producer can't be had; by that whether it is tried again.
    pub fn start(
        self: Arc<Self>,
        learned: &LearnedLimits,
        topics: FactTopics,
        (membership, changes): (Arc<GroupMembership>, MembershipChanges),
    ) -> Result<(FactsSession, Opened), StartError> {
        let names = &self.settings.topics;
        let (partitions, mut limits) = (topics.partitions, topics.limits);
        for (topic, limit) in limits.by_topic(names) {
            // What a broker has refused counts more than what it tells.
            *limit = learned.limit(topic, *limit);
        }
        let config = self.settings.producer_config(self.settings.transactional_id(), limits.smallest());
        let transactions =
            Transactions::open(&self.settings, config, &names.state, self.settings.tried_group(&self.settings.name))?;
        tracing::debug!("earlier writers are fenced");
        reach(Failpoint::Fenced);
        let tells_days = self.tells_days(&topics);
        let topics = FactTopics { limits, ..topics };
        let writer = Arc::new(self.writer(learned, &topics));
        let clock = self.clock.clone();
        let (profile, instance_id) = (self.profile.clone(), self.settings.instance_id.clone());
        let _watch = self.watch_others(partitions);
        let age_limits = topics.age_limits(names);
        let refusal = refusal(writer.clone(), clock.clone());
        let held = membership.clone();
        let ledger = self.ledger.clone();
        let session =
            FactsSession { transactions, writer, membership: held, profile, instance_id, clock, ledger, _watch };
        let Registrations { schemas, framing } = self.registrations.clone();
        let runtime = Handle::current();
        let health = self.health.clone();
        let (registry, registered) =
            RegistryFollower::start(&self.settings, schemas, framing, partitions, health, runtime)
                .map_err(|error| OpenError::Again(error.into()))?;
        let (settings, fences) = (self.settings.clone(), self.fences.clone());
        let ownership = FactsOwnership {
            settings,
            fences,
            membership,
            changes,
            partitions,
            refusal,
            tells_days,
            registry,
            registered,
        };
        Ok((session, Opened { partitions, age_limits, ownership: Box::new(ownership) }))
    }

    /// Whether the ledger is told of days. Where it is not though one is wanted, that is said.
    fn tells_days(&self, topics: &FactTopics) -> bool {
        if self.settings.topics.ledger.is_none() || self.ledger.has_refused() {
            return false;
        }
        let without_schema = || (!self.encoders.has_ledger()).then_some(NoLedger::WithoutSchema);
        let lacking = topics.no_ledger.clone().or_else(without_schema);
        let tells = lacking.is_none();
        lacking.into_iter().for_each(|reason| self.ledger.say(reason));
        tells
    }

    /// Writes what the topics take, by what they tell and by what they have refused.
    fn writer(&self, learned: &LearnedLimits, topics: &FactTopics) -> FactWriter {
        let names = &self.settings.topics;
        FactWriter {
            topics: names.clone(),
            encoders: self.encoders.clone(),
            id_kinds: self.fences.id_kinds().clone(),
            limits: topics.limits,
            oldest: PerEventTopic::new(|topic| {
                learned.oldest(&names.events[topic], topics.ages[topic].taken.map(|taken| taken.age))
            }),
            state_partitions: topics.partitions,
        }
    }

    /// Says, as long as the guard lives, which other instances know other promoters.
    fn watch_others(&self, partitions: i32) -> DropGuard {
        let end = CancellationToken::new();
        let watch = peers::watch(self.settings.clone(), self.profile.clone(), (0..partitions).collect(), end.clone());
        Handle::current().spawn(watch);
        end.drop_guard()
    }
}

/// What the topics do not take by what is known of them now.
fn refusal(writer: Arc<FactWriter>, clock: RecordClock) -> EventRefusal {
    EventRefusal::new(move |event| writer.refusal(event, || clock()))
}
