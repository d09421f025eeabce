//! The commit log on Kafka: topics, ownership, producer and state topic brought together.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::ownership::{Assignment, Ownership};
use super::partition;
use super::records::{Limits, Writer};
use super::settings::{BATCH_BYTES, Settings};
use super::state_topic;
use super::topics::{self, Topics};
use super::transaction::{Failure, Owner, Transactions};
use crate::avro::encode::Encoders;
use crate::commit::crash_point::{CrashPoint, reach};
use crate::commit::log::{CommitError, CommitLog, Lease, OpenError, Opened};
use crate::domain::batch::Batch;
use crate::domain::promoter::IdKind;

/// How long a refused member waits to be told about the newer generation before it tries again with what it has.
const REASSIGNMENT_WAIT: Duration = Duration::from_secs(60);

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
    ownership: tokio::sync::OnceCell<Ownership>,
    /// The last assignment that the broker refused: only a later one counts.
    refused: Mutex<u64>,
    /// Limits that a broker enforced below what it had told.
    learned_limits: Mutex<HashMap<String, usize>>,
}

/// One life of the producer.
struct Session {
    transactions: Transactions,
    writer: Writer,
    owner: Owner,
}

impl KafkaLog {
    pub fn new(settings: Settings, encoders: Arc<Encoders>, id_kinds: HashMap<String, IdKind>) -> KafkaLog {
        let shared = Shared {
            settings,
            encoders,
            id_kinds,
            ownership: tokio::sync::OnceCell::new(),
            refused: Mutex::default(),
            learned_limits: Mutex::default(),
        };
        KafkaLog { shared: Arc::new(shared), session: None }
    }
}

impl CommitLog for KafkaLog {
    async fn open(&mut self) -> Result<Opened, OpenError> {
        self.release().await;
        let shared = self.shared.clone();
        let mut topics = topics::prepare(&shared.settings).await?;
        shared.apply_learned(&mut topics.limits);
        let assignment = shared.acquire().await?;
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
        let assignment = session.owner.assignment.number;
        let result =
            tokio::task::spawn_blocking(move || session.transactions.commit(&batch, &session.writer, &session.owner));
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
        if let Some(ownership) = self.shared.ownership.get() {
            ownership.release();
        }
    }
}

impl Shared {
    /// The current assignment, waiting for one if need be.
    async fn acquire(&self) -> Result<Arc<Assignment>, OpenError> {
        let join = async || Ownership::join(&self.settings);
        let ownership = self.ownership.get_or_try_init(join).await;
        let ownership = ownership.map_err(|error| OpenError::Stop(format!("the group can't be joined: {error}")))?;
        let refused = *self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        if refused == 0 {
            return ownership.acquire(0).await.map_err(OpenError::Stop);
        }
        // A member that was refused learns of the newer generation with its next heartbeat. Should the refusal have
        // had another cause, the assignment it has is tried again after a while.
        match tokio::time::timeout(REASSIGNMENT_WAIT, ownership.acquire(refused)).await {
            Ok(acquired) => acquired.map_err(OpenError::Stop),
            Err(_) => {
                *self.refused.lock().unwrap_or_else(PoisonError::into_inner) = 0;
                Err(OpenError::Again("no new assignment came after the last one was refused".into()))
            }
        }
    }

    /// Fences, then reads: the order that makes the state whole. Blocks.
    fn start(
        &self,
        topics: Topics,
        assignment: Arc<Assignment>,
    ) -> Result<(Session, crate::domain::state::State), OpenError> {
        // A batch of several records has to keep to the limit too; librdkafka takes one record into it in any case.
        let batch_bytes = topics.limits.smallest().clamp(1, BATCH_BYTES);
        let transactions = Transactions::open(&self.settings, batch_bytes).map_err(OpenError::Again)?;
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
        let owner = Owner { assignment, registry: self.settings.topics.registry.clone() };
        Ok((Session { transactions, writer, owner }, state))
    }

    fn judge(&self, failure: Failure, assignment: u64) -> CommitError {
        match failure {
            Failure::NothingWritten(reason) => CommitError::NothingWritten(reason),
            Failure::Reopen(reason) => CommitError::Reopen(reason),
            Failure::Recalled(reason) => {
                *self.refused.lock().unwrap_or_else(PoisonError::into_inner) = assignment;
                CommitError::Reopen(reason)
            }
            Failure::TooLarge { topic, reason } => {
                self.learn(topic);
                CommitError::Reopen(reason)
            }
        }
    }

    /// A broker that refuses what it said it takes is believed: the topic's limit is halved with each refusal.
    fn learn(&self, topic: String) {
        let mut learned = self.learned_limits.lock().unwrap_or_else(PoisonError::into_inner);
        let limit = learned.entry(topic).or_insert(2 * Limits::KAFKA_DEFAULT);
        *limit /= 2;
    }

    fn apply_learned(&self, limits: &mut Limits) {
        let learned = self.learned_limits.lock().unwrap_or_else(PoisonError::into_inner);
        let names = &self.settings.topics;
        for (topic, limit) in [
            (&names.touches, &mut limits.touches),
            (&names.orders, &mut limits.orders),
            (&names.dead_letters, &mut limits.dead_letters),
            (&names.state, &mut limits.state),
        ] {
            if let Some(learned) = learned.get(topic) {
                *limit = (*limit).min(*learned);
            }
        }
    }
}
