//! The commit log on Kafka: topics, ownership, producer and state topic brought together.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::limits::LearnedLimits;
use super::ownership::Assignment;
use super::partition;
use super::records::{RecordClock, Writer};
use super::settings::Settings;
use super::state_topic;
use super::tenure::Tenure;
use super::topics::{self, Topics};
use super::transaction::{OwnedOffsets, Position, Transactions};
use crate::avro::encode::Encoders;
use crate::commit::crash_point::{CrashPoint, reach};
use crate::commit::log::{CommitError, CommitLog, Lease, OpenError, Opened};
use crate::domain::batch::Batch;
use crate::domain::promoter::IdKind;

/// Opens logs, one after the other, for the whole life of the process.
#[derive(Clone)]
pub struct KafkaLog {
    parts: Arc<Parts>,
    tenure: Tenure<Session>,
}

struct Parts {
    settings: Settings,
    encoders: Arc<Encoders>,
    id_kinds: HashMap<String, IdKind>,
    clock: RecordClock,
}

/// One life of the log.
struct Session {
    transactions: Transactions,
    writer: Writer,
    offsets: OwnedOffsets,
    clock: RecordClock,
}

impl KafkaLog {
    pub fn new(
        settings: Settings,
        encoders: Arc<Encoders>,
        id_kinds: HashMap<String, IdKind>,
        clock: RecordClock,
    ) -> KafkaLog {
        let tenure = Tenure::new(settings.clone(), settings.name.clone(), settings.topics.registry.clone());
        KafkaLog { parts: Arc::new(Parts { settings, encoders, id_kinds, clock }), tenure }
    }

    /// Cancelled once the topics have been found to be as they must be.
    pub fn topics_checked(&self) -> CancellationToken {
        self.tenure.topics_checked()
    }
}

impl CommitLog for KafkaLog {
    type Opened = Opened;
    type Batch = Batch;

    async fn open(&mut self) -> Result<Opened, OpenError> {
        let (prepared, started) = (self.parts.clone(), self.parts.clone());
        let prepare = || {
            let parts = prepared.clone();
            async move { topics::prepare(&parts.settings).await }
        };
        self.tenure.open(prepare, move |limits, topics, assignment| started.start(limits, topics, assignment)).await
    }

    async fn commit(&mut self, batch: Arc<Batch>) -> Result<(), CommitError> {
        let commit = move |session: &Session| {
            let now = (session.clock)();
            session.transactions.commit(|send| session.writer.write(&batch, now, send), &session.offsets)
        };
        self.tenure.commit(commit).await
    }

    async fn release(&mut self) {
        self.tenure.release().await;
    }
}

impl Parts {
    /// Fences, then reads: the order that makes the state whole. Blocks.
    fn start(
        &self,
        learned: &LearnedLimits,
        Topics { partitions, mut limits }: Topics,
        assignment: Arc<Assignment>,
    ) -> Result<(Session, Opened), OpenError> {
        let names = &self.settings.topics;
        for (topic, limit) in limits.by_topic(names) {
            *limit = learned.limit(topic, *limit);
        }
        let config = self.settings.producer_config(self.settings.transactional_id(), limits.smallest());
        let transactions = Transactions::open(config, &names.state)?;
        tracing::debug!("earlier writers are fenced");
        reach(CrashPoint::Fenced);
        let state = state_topic::restore(&self.settings, &assignment.partitions, partitions, &assignment.recalled)?;
        reach(CrashPoint::Restored);
        let owned: HashSet<i32> = assignment.partitions.iter().copied().collect();
        let owns = move |promoter: &_| owned.contains(&partition::of(promoter, partitions));
        let lease = Lease::new(owns, assignment.recalled.clone());
        let writer = Writer {
            topics: names.clone(),
            encoders: self.encoders.clone(),
            id_kinds: self.id_kinds.clone(),
            limits,
            state_partitions: partitions,
        };
        // Offset 0: whoever reads the registry reads all of it.
        let position = |partition: &i32| Position { partition: *partition, offset: 0, metadata: String::new() };
        let positions = assignment.partitions.iter().map(position).collect();
        let offsets = OwnedOffsets { assignment, topic: names.registry.clone(), positions };
        let clock = self.clock.clone();
        Ok((Session { transactions, writer, offsets, clock }, Opened { state, lease }))
    }
}
