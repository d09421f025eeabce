//! The commit log on Kafka: topics, ownership, producer and state topic brought together.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::claim::Claim;
use super::limits::LearnedLimits;
use super::ownership::Assignment;
use super::partition;
use super::records::{Limits, Writer};
use super::settings::Settings;
use super::state_topic;
use super::topics::{self, Topics};
use super::transaction::{Failure, OwnedOffsets, Position, Transactions};
use crate::avro::encode::Encoders;
use crate::commit::crash_point::{CrashPoint, reach};
use crate::commit::log::{CommitError, CommitLog, Lease, OpenError, Opened};
use crate::domain::batch::Batch;
use crate::domain::promoter::IdKind;

/// Opens logs, one after the other, for the whole life of the process.
#[derive(Clone)]
pub struct KafkaLog {
    shared: Arc<Shared>,
    session: Option<Arc<Session>>,
}

struct Shared {
    settings: Settings,
    encoders: Arc<Encoders>,
    id_kinds: HashMap<String, IdKind>,
    claim: Claim,
    /// Limits that a broker enforced below what it had told.
    learned_limits: LearnedLimits,
    topics_checked: CancellationToken,
}

/// One life of the producer.
struct Session {
    transactions: Transactions,
    writer: Writer,
    offsets: OwnedOffsets,
}

impl KafkaLog {
    pub fn new(settings: Settings, encoders: Arc<Encoders>, id_kinds: HashMap<String, IdKind>) -> KafkaLog {
        let claim = Claim::new(settings.name.clone(), settings.topics.registry.clone());
        let shared = Shared {
            settings,
            encoders,
            id_kinds,
            claim,
            learned_limits: LearnedLimits::default(),
            topics_checked: CancellationToken::new(),
        };
        KafkaLog { shared: Arc::new(shared), session: None }
    }

    /// Cancelled once the topics have been found to be as they must be.
    pub fn topics_checked(&self) -> CancellationToken {
        self.shared.topics_checked.clone()
    }
}

impl CommitLog for KafkaLog {
    async fn open(&mut self) -> Result<Opened, OpenError> {
        self.release().await;
        let shared = self.shared.clone();
        let mut topics = topics::prepare(&shared.settings).await?;
        shared.topics_checked.cancel();
        shared.apply_learned(&mut topics.limits);
        let assignment = shared.claim.acquire(&shared.settings).await?;
        let recalled = assignment.recalled.clone();
        let opened = tokio::task::spawn_blocking({
            let assignment = assignment.clone();
            move || shared.start(topics, assignment)
        });
        let opened = opened.await.map_err(|error| OpenError::Again(format!("opening the log: {error}")));
        match opened.and_then(|result| result) {
            Ok((session, state)) => {
                self.session = Some(Arc::new(session));
                let owned: HashSet<i32> = assignment.partitions.iter().copied().collect();
                let owns = move |promoter: &_| owned.contains(&partition::of(promoter, topics.partitions));
                Ok(Opened { state, lease: Lease::new(owns, recalled) })
            }
            Err(error) => {
                self.release().await;
                Err(error)
            }
        }
    }

    async fn commit(&mut self, batch: Arc<Batch>) -> Result<(), CommitError> {
        let Some(session) = self.session.clone() else {
            return Err(CommitError::Reopen("the log is not open".into()));
        };
        let assignment = session.offsets.assignment.number;
        let result = tokio::task::spawn_blocking(move || {
            let Session { transactions, writer, offsets } = &*session;
            transactions.commit(|now, send| writer.write(&batch, now, send), offsets)
        });
        let result = result.await.unwrap_or_else(|error| Err(Failure::Reopen(format!("transaction thread: {error}"))));
        result.map_err(|failure| self.shared.judge(failure, assignment))
    }

    async fn release(&mut self) {
        if let Some(session) = self.session.take() {
            // The producer's end blocks until its thread has ended.
            let dropped = tokio::task::spawn_blocking(move || drop(session)).await;
            if let Err(error) = dropped {
                tracing::error!(%error, "closing the producer");
            }
        }
        self.shared.claim.release();
    }
}

impl Shared {
    /// Fences, then reads: the order that makes the state whole. Blocks.
    fn start(
        &self,
        topics: Topics,
        assignment: Arc<Assignment>,
    ) -> Result<(Session, crate::domain::state::State), OpenError> {
        let config = self.settings.producer_config(self.settings.transactional_id(), topics.limits.smallest());
        let transactions = Transactions::open(&config, &self.settings.topics.state).map_err(OpenError::Again)?;
        tracing::debug!("earlier writers are fenced");
        reach(CrashPoint::Fenced);
        let state =
            state_topic::restore(&self.settings, &assignment.partitions, topics.partitions, &assignment.recalled)?;
        reach(CrashPoint::Restored);
        let writer = Writer {
            topics: self.settings.topics.clone(),
            encoders: self.encoders.clone(),
            id_kinds: self.id_kinds.clone(),
            limits: topics.limits,
            state_partitions: topics.partitions,
        };
        // Offset 0: whoever reads the registry reads all of it.
        let position = |partition: &i32| Position { partition: *partition, offset: 0, metadata: String::new() };
        let positions = assignment.partitions.iter().map(position).collect();
        let offsets = OwnedOffsets { assignment, topic: self.settings.topics.registry.clone(), positions };
        Ok((Session { transactions, writer, offsets }, state))
    }

    fn judge(&self, failure: Failure, assignment: u64) -> CommitError {
        match failure {
            Failure::NothingWritten(reason) => CommitError::NothingWritten(reason),
            Failure::Reopen(reason) => CommitError::Reopen(reason),
            Failure::Recalled(reason) => {
                self.claim.refuse(assignment);
                CommitError::Reopen(reason)
            }
            Failure::TooLarge { topic, reason } => {
                self.learned_limits.learn(topic);
                CommitError::Reopen(reason)
            }
        }
    }

    fn apply_learned(&self, limits: &mut Limits) {
        let names = &self.settings.topics;
        for (topic, limit) in [
            (&names.touches, &mut limits.touches),
            (&names.orders, &mut limits.orders),
            (&names.dead_letters, &mut limits.dead_letters),
            (&names.state, &mut limits.state),
        ] {
            *limit = self.learned_limits.apply(topic, *limit);
        }
    }
}
