//! A mock cluster that answers with the errors that it is told, and transactions on it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use promoter_connector::avro::encode::{Encoders, Framings};
use promoter_connector::commit::log::OpenError;
use promoter_connector::kafka::client::settings::{Settings, TopicNames, TopicPolicy};
use promoter_connector::kafka::facts_log::limits::SizeLimits;
use promoter_connector::kafka::facts_log::writer::FactWriter;
use promoter_connector::kafka::group::member::GroupMember;
use promoter_connector::kafka::topics::settings::RECORD_BYTES_DEFAULT;
use promoter_connector::kafka::transaction::Transactions;
use promoter_connector::kafka::transaction::error::TransactionError;
use promoter_connector::kafka::transaction::offsets::{CommittedOffset, OwnedOffsets};
use promoter_connector::model::batch::Batch;
use promoter_connector::model::cursor::Cursor;
use promoter_connector::model::feed::{Feed, PerEventTopic};
use promoter_connector::model::promoter::Promoter;
use promoter_connector::model::state_record::{StateKey, StateRecord, StateValue};
use promoter_connector::model::time::{UnixMillis, UnixTime};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::types::RDKafkaApiKey::InitProducerId;
use rdkafka::types::RDKafkaRespErr::{self, *};

pub const JOIN_BOUND: Duration = Duration::from_secs(30);

pub fn commit(
    transactions: &Transactions,
    writer: &FactWriter,
    offsets: &OwnedOffsets,
) -> Result<(), TransactionError> {
    commit_batch(transactions, &batch(), writer, offsets)
}

pub fn commit_batch(
    transactions: &Transactions,
    batch: &Batch,
    writer: &FactWriter,
    offsets: &OwnedOffsets,
) -> Result<(), TransactionError> {
    let now = UnixMillis(jiff::Timestamp::now().as_millisecond());
    transactions.commit(|send| writer.write(batch, now, send), offsets).map(drop)
}

/// A mock cluster with a group member; `open` makes the producer.
pub struct Bench {
    pub cluster: MockCluster<'static, DefaultProducerContext>,
    pub settings: Settings,
    pub offsets: OwnedOffsets,
    pub writer: FactWriter,
    // Keeps the assignment alive.
    _member: GroupMember,
}

impl Bench {
    pub fn new() -> Bench {
        Bench::with(&[])
    }

    /// With librdkafka properties beside the usual ones.
    pub fn with(properties: &[(&str, &str)]) -> Bench {
        Bench::on(MockCluster::new(1).unwrap(), properties)
    }

    /// On a cluster whose first broker leads all that the connector needs.
    pub fn on(cluster: MockCluster<'static, DefaultProducerContext>, properties: &[(&str, &str)]) -> Bench {
        let topics = TopicNames::new(|topic| format!("promoter.{topic}"));
        for topic in topics.all() {
            cluster.create_topic(topic, 1, 1).unwrap();
            cluster.partition_leader(topic, 0, Some(1)).unwrap();
        }
        let mut all = vec![("bootstrap.servers".to_owned(), cluster.bootstrap_servers())];
        all.extend(properties.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
        let settings = Settings {
            properties: all,
            credentials: None,
            name: "connector".into(),
            instance_id: "one".into(),
            topics: topics.clone(),
            topic_policy: TopicPolicy::Trust,
        };
        let member =
            GroupMember::join(&settings, &settings.name, &topics.registry, Arc::new(|_| {}), Arc::default()).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let joined = runtime.block_on(async { tokio::time::timeout(JOIN_BOUND, member.acquire()).await });
        let committed = vec![CommittedOffset { partition: 0, offset: 0, metadata: "noted".into() }];
        joined.unwrap().unwrap();
        let owner = member.current().unwrap();
        let offsets = OwnedOffsets { owner, topic: topics.registry.clone(), committed };
        let size = RECORD_BYTES_DEFAULT;
        let writer = FactWriter {
            topics,
            encoders: Arc::new(Encoders::new(Framings::SINGLE_OBJECT)),
            id_kinds: HashMap::new(),
            limits: SizeLimits { events: PerEventTopic::new(|_| size), dead_letters: size, state: size },
            oldest: PerEventTopic::default(),
            state_partitions: 1,
        };
        Bench { cluster, settings, offsets, writer, _member: member }
    }

    pub fn open(&self) -> Transactions {
        self.try_open().unwrap()
    }

    pub fn try_open(&self) -> Result<Transactions, OpenError> {
        let config = self.settings.producer_config(self.settings.transactional_id(), 1_000_000);
        Transactions::open(&self.settings, config, &self.settings.topics.state, None)
    }

    pub fn errors(&self, key: rdkafka::types::RDKafkaApiKey, errors: &[RDKafkaRespErr]) {
        self.cluster.request_errors(key, errors);
    }

    pub fn commit(&self, transactions: &Transactions) -> Result<(), TransactionError> {
        commit(transactions, &self.writer, &self.offsets)
    }

    /// What comes of a commit when `key` is answered with `errors`, and of the same batch again.
    pub fn commit_with(
        &self,
        key: rdkafka::types::RDKafkaApiKey,
        errors: &[RDKafkaRespErr],
    ) -> (Result<(), TransactionError>, Result<(), TransactionError>) {
        let transactions = self.open();
        self.errors(key, errors);
        let first = self.commit(&transactions);
        self.cluster.clear_request_errors(key);
        (first, self.commit(&transactions))
    }

    /// Whether the next commit begins with a new producer: it then fails where none can be made.
    pub fn takes_a_new_producer(&self, transactions: &Transactions) -> bool {
        self.errors(InitProducerId, &[RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED]);
        let next = self.commit(transactions);
        self.cluster.clear_request_errors(InitProducerId);
        matches!(next, Err(TransactionError::Reopen(reason)) if reason.with_causes().contains("may not be taken"))
    }
}

/// Some record of the state.
pub fn batch() -> Batch {
    let promoter = Promoter::from_key("wx1/o1").unwrap();
    let cursor = Cursor::begin(Feed::Touches, UnixTime(1_700_000_000));
    let key = StateKey::Cursor(promoter, Feed::Touches);
    let state = vec![StateRecord { key, value: Some(StateValue::Cursor(cursor)) }];
    Batch { state, ..Batch::default() }
}
