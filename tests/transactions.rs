//! The decision table of `kafka::transaction`, row by row, on librdkafka's mock cluster, which answers with the errors
//! that it is told. What only a real broker does (fencing, isolation, generations) is in `tests/broker.rs`.

#![allow(clippy::unwrap_used, reason = "a test that can't go on fails")]

use std::collections::HashMap;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use promoter_connector::avro::encode::{Encoders, Framings};
use promoter_connector::commit::log::OpenError;
use promoter_connector::kafka::client::settings::{Settings, TopicNames, TopicPolicy};
use promoter_connector::kafka::facts_log::limits::{OldestEvents, SizeLimits};
use promoter_connector::kafka::facts_log::writer::FactWriter;
use promoter_connector::kafka::group::member::GroupMember;
use promoter_connector::kafka::transaction::{CommittedOffset, OwnedOffsets, TransactionError, Transactions};
use promoter_connector::model::batch::Batch;
use promoter_connector::model::cursor::Cursor;
use promoter_connector::model::feed::Feed;
use promoter_connector::model::promoter::Promoter;
use promoter_connector::model::state_record::{StateKey, StateRecord, StateValue};
use promoter_connector::model::time::{UnixMillis, UnixTime};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::types::RDKafkaApiKey::{
    AddOffsetsToTxn, AddPartitionsToTxn, EndTxn, InitProducerId, JoinGroup, Produce, TxnOffsetCommit,
};
use rdkafka::types::RDKafkaRespErr::{self, *};

mod transactions {
    mod replies;
}

const JOIN_BOUND: Duration = Duration::from_secs(30);

fn commit(transactions: &Transactions, writer: &FactWriter, offsets: &OwnedOffsets) -> Result<(), TransactionError> {
    commit_batch(transactions, &batch(), writer, offsets)
}

fn commit_batch(
    transactions: &Transactions,
    batch: &Batch,
    writer: &FactWriter,
    offsets: &OwnedOffsets,
) -> Result<(), TransactionError> {
    let now = UnixMillis(jiff::Timestamp::now().as_millisecond());
    transactions.commit(|send| writer.write(batch, now, send), offsets).map(drop)
}

/// A mock cluster with a group member; `open` makes the producer.
struct Bench {
    cluster: MockCluster<'static, DefaultProducerContext>,
    settings: Settings,
    offsets: OwnedOffsets,
    writer: FactWriter,
    // Keeps the assignment alive.
    _member: GroupMember,
}

impl Bench {
    fn new() -> Bench {
        Bench::with(&[])
    }

    /// With librdkafka properties beside the usual ones.
    fn with(properties: &[(&str, &str)]) -> Bench {
        Bench::on(MockCluster::new(1).unwrap(), properties)
    }

    /// On a cluster whose first broker leads all that the connector needs.
    fn on(cluster: MockCluster<'static, DefaultProducerContext>, properties: &[(&str, &str)]) -> Bench {
        let name = |topic: &str| format!("promoter.{topic}");
        let topics = TopicNames {
            touches: name("touches"),
            orders: name("orders"),
            dead_letters: name("dead-letters"),
            registry: name("registry"),
            state: name("state"),
        };
        for topic in [&topics.touches, &topics.orders, &topics.dead_letters, &topics.registry, &topics.state] {
            cluster.create_topic(topic, 1, 1).unwrap();
            cluster.partition_leader(topic, 0, Some(1)).unwrap();
        }
        let mut all = vec![("bootstrap.servers".to_owned(), cluster.bootstrap_servers())];
        all.extend(properties.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
        let settings = Settings {
            properties: all,
            tokens: None,
            name: "connector".into(),
            instance_id: "one".into(),
            topics: topics.clone(),
            topic_policy: TopicPolicy::Trust,
        };
        let member = GroupMember::join(&settings, &settings.name, &topics.registry).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let joined = runtime.block_on(async { tokio::time::timeout(JOIN_BOUND, member.acquire(0)).await });
        let committed = vec![CommittedOffset { partition: 0, offset: 0, metadata: "noted".into() }];
        let assignment = joined.unwrap().unwrap();
        let offsets = OwnedOffsets { assignment, topic: topics.registry.clone(), committed };
        let size = SizeLimits::KAFKA_DEFAULT;
        let writer = FactWriter {
            topics,
            encoders: Arc::new(Encoders::new(Framings::SINGLE_OBJECT)),
            id_kinds: HashMap::new(),
            limits: SizeLimits { touches: size, orders: size, dead_letters: size, state: size },
            oldest: OldestEvents::default(),
            state_partitions: 1,
        };
        Bench { cluster, settings, offsets, writer, _member: member }
    }

    fn open(&self) -> Transactions {
        self.try_open().unwrap()
    }

    fn try_open(&self) -> Result<Transactions, OpenError> {
        let config = self.settings.producer_config(self.settings.transactional_id(), 1_000_000);
        Transactions::open(config, &self.settings.topics.state, None)
    }

    fn errors(&self, key: rdkafka::types::RDKafkaApiKey, errors: &[RDKafkaRespErr]) {
        self.cluster.request_errors(key, errors);
    }

    fn commit(&self, transactions: &Transactions) -> Result<(), TransactionError> {
        commit(transactions, &self.writer, &self.offsets)
    }

    /// What comes of a commit when `key` is answered with `errors`, and of the same batch again.
    fn commit_with(
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
    fn takes_a_new_producer(&self, transactions: &Transactions) -> bool {
        self.errors(InitProducerId, &[RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED]);
        let next = self.commit(transactions);
        self.cluster.clear_request_errors(InitProducerId);
        matches!(next, Err(TransactionError::Reopen(reason)) if reason.contains("may not be taken"))
    }
}

/// Some record of the state.
fn batch() -> Batch {
    let promoter = Promoter::from_key("wx1/o1").unwrap();
    let cursor = Cursor::begin(Feed::Touches, UnixTime(1_700_000_000));
    let key = StateKey::Cursor(promoter, Feed::Touches);
    let state = vec![StateRecord { key, value: Some(StateValue::Cursor(cursor)) }];
    Batch { state, ..Batch::default() }
}

#[test]
fn without_errors_a_batch_is_committed() {
    let bench = Bench::new();
    let transactions = bench.open();
    for _ in 0..3 {
        assert_eq!(bench.commit(&transactions), Ok(()));
    }
}

#[test]
fn init_is_called_again_while_the_coordinator_loads() {
    let bench = Bench::new();
    bench.errors(InitProducerId, &[RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS; 3]);
    assert_eq!(bench.commit(&bench.open()), Ok(()));
}

#[test]
fn init_that_is_refused_says_for_which_id() {
    let bench = Bench::new();
    bench.errors(InitProducerId, &[RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED]);
    let Err(OpenError::Stop(refused)) = bench.try_open() else { panic!("only an operator can give the right") };
    assert!(refused.contains("connector:one") && refused.contains("WRITE"), "{refused}");
}

#[test]
fn init_that_no_broker_will_ever_answer_well_says_what_to_change() {
    for (error, is_a_setting, words) in [
        (RD_KAFKA_RESP_ERR_INVALID_TRANSACTION_TIMEOUT, true, "transaction.timeout.ms"),
        (RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED, false, "IDEMPOTENT_WRITE"),
    ] {
        let bench = Bench::new();
        bench.errors(InitProducerId, &[error]);
        let refused = bench.try_open().err().unwrap();
        assert_eq!(matches!(refused, OpenError::Unfit(_)), is_a_setting, "{refused:?}");
        assert!(!matches!(refused, OpenError::Again(_)), "{refused:?} does not pass by itself");
        assert!(refused.to_string().contains(words), "{refused}");
    }
}

#[test]
fn brokers_without_transactions_are_told_to_be_none_to_work_with() {
    let bench = Bench::new();
    for key in [InitProducerId, AddPartitionsToTxn, AddOffsetsToTxn, EndTxn, TxnOffsetCommit] {
        bench.cluster.apiversion(key, None, None).unwrap();
    }
    let Err(OpenError::Stop(refused)) = bench.try_open() else { panic!("no broker learns it by itself") };
    assert!(refused.contains("the brokers know no transactions"), "{refused}");
}

#[test]
fn a_topic_that_may_not_be_written_is_named_and_leaves_nothing_and_the_same_batch_goes_again() {
    let bench = Bench::new();
    let (first, again) = bench.commit_with(AddPartitionsToTxn, &[RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED]);
    let Err(TransactionError::NotAllowed { topic, .. }) = first else { panic!("{first:?}") };
    assert_eq!(topic.as_deref(), Some("promoter.state"));
    assert_eq!(again, Ok(()));
}

#[test]
fn a_record_that_is_refused_leaves_nothing_and_the_same_batch_goes_again() {
    let bench = Bench::new();
    let (first, again) = bench.commit_with(Produce, &[RD_KAFKA_RESP_ERR_UNKNOWN]);
    assert!(matches!(first, Err(TransactionError::NothingWritten(_))), "{first:?}");
    assert_eq!(again, Ok(()));
}

#[test]
fn a_record_that_is_refused_for_what_it_is_names_its_topic() {
    let refused = |error| {
        let (first, again) = Bench::new().commit_with(Produce, &[error]);
        assert_eq!(again, Ok(()));
        first.unwrap_err()
    };
    let failure = refused(RD_KAFKA_RESP_ERR_INVALID_RECORD);
    assert!(matches!(&failure, TransactionError::Refused { topic, .. } if topic == "promoter.state"), "{failure:?}");
    let failure = refused(RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED);
    assert!(
        matches!(&failure, TransactionError::NotAllowed { topic: Some(topic), .. } if topic == "promoter.state"),
        "{failure:?}"
    );
}

#[test]
fn a_record_that_is_refused_for_its_size_names_its_topic() {
    for error in [RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE] {
        let bench = Bench::new();
        let (first, again) = bench.commit_with(Produce, &[error]);
        let Err(TransactionError::TooLarge { topic, .. }) = &first else { panic!("{error:?}: {first:?}") };
        assert_eq!(topic, "promoter.state");
        assert!(matches!(again, Err(TransactionError::Reopen(_))), "the limits have to be read first: {again:?}");
    }
}

#[test]
fn a_record_that_is_refused_for_its_time_names_its_topic_and_time() {
    let bench = Bench::new();
    let before = UnixTime(jiff::Timestamp::now().as_second()).as_millis();
    let (first, again) = bench.commit_with(Produce, &[RD_KAFKA_RESP_ERR_INVALID_TIMESTAMP]);
    let Err(TransactionError::WrongTime { topic, time, .. }) = &first else { panic!("{first:?}") };
    assert!(topic == "promoter.state" && *time >= before, "{first:?}");
    assert!(matches!(again, Err(TransactionError::Reopen(_))), "the limits have to be read first: {again:?}");
}

#[test]
fn after_a_commit_that_was_answered_at_once_the_producer_goes_on() {
    let bench = Bench::new();
    let transactions = bench.open();
    assert_eq!(bench.commit(&transactions), Ok(()));
    assert!(!bench.takes_a_new_producer(&transactions));
}

#[test]
fn after_an_abort_the_next_transaction_has_a_new_producer() {
    let bench = Bench::new();
    let transactions = bench.open();
    bench.errors(Produce, &[RD_KAFKA_RESP_ERR_INVALID_RECORD]);
    assert!(matches!(bench.commit(&transactions), Err(TransactionError::Refused { .. })));
    assert!(bench.takes_a_new_producer(&transactions));
}

#[test]
fn after_a_revocation_no_new_producer_is_made() {
    let bench = Bench::new();
    let transactions = bench.open();
    bench.errors(Produce, &[RD_KAFKA_RESP_ERR_INVALID_RECORD]);
    assert!(matches!(bench.commit(&transactions), Err(TransactionError::Refused { .. })));
    bench.offsets.assignment.revoked.cancel();
    let Err(TransactionError::Reopen(reason)) = bench.commit(&transactions) else {
        panic!("it must not fence whoever is next")
    };
    assert!(reason.contains("revoked"), "{reason}");
}

#[test]
fn a_member_has_a_generation_and_an_id() {
    let bench = Bench::new();
    let member = &bench.offsets.assignment.member;
    assert!(member.generation >= 0 && !member.member.is_empty(), "{member:?}");
}

#[test]
fn after_a_commit_that_may_have_been_sent_twice_the_next_transaction_has_a_new_producer() {
    let bench = Bench::new();
    let transactions = bench.open();
    bench.cluster.broker_round_trip_time(1, Duration::from_millis(1200)).unwrap();
    assert_eq!(bench.commit(&transactions), Ok(()));
    bench.cluster.broker_round_trip_time(1, Duration::ZERO).unwrap();
    assert!(bench.takes_a_new_producer(&transactions));
}

#[test]
fn offsets_of_an_older_generation_mean_that_others_may_own_the_partitions() {
    for error in [RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION, RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID] {
        let bench = Bench::new();
        let (first, _) = bench.commit_with(TxnOffsetCommit, &[error]);
        assert!(matches!(first, Err(TransactionError::Revoked(_))), "{error:?}: {first:?}");
    }
}

#[test]
fn offsets_are_sent_again_while_the_coordinator_loads() {
    let bench = Bench::new();
    let (first, _) = bench.commit_with(TxnOffsetCommit, &[RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS]);
    assert_eq!(first, Ok(()));
}

#[test]
fn offsets_that_may_not_be_sent_leave_nothing_and_the_same_batch_goes_again() {
    let bench = Bench::new();
    let (first, again) = bench.commit_with(TxnOffsetCommit, &[RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED]);
    assert!(matches!(first, Err(TransactionError::NothingWritten(_))), "{first:?}");
    assert_eq!(again, Ok(()));
}

#[test]
fn offsets_of_a_fenced_producer_mean_to_open_again() {
    let bench = Bench::new();
    let (first, _) = bench.commit_with(AddOffsetsToTxn, &[RD_KAFKA_RESP_ERR_PRODUCER_FENCED]);
    assert!(matches!(first, Err(TransactionError::Reopen(_))), "{first:?}");
}

#[test]
fn a_commit_that_is_retriable_is_called_again_and_resumes() {
    let bench = Bench::new();
    let errors = [RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS, RD_KAFKA_RESP_ERR_CONCURRENT_TRANSACTIONS];
    let (first, again) = bench.commit_with(EndTxn, &errors);
    assert_eq!((first, again), (Ok(()), Ok(())));
}

#[test]
fn a_commit_whose_answer_breaks_off_is_resumed() {
    let bench = Bench::new();
    let (first, _) = bench.commit_with(EndTxn, &[RD_KAFKA_RESP_ERR__TRANSPORT]);
    assert_eq!(first, Ok(()));
}

#[test]
fn after_any_other_error_of_a_commit_the_log_decides() {
    for error in [
        RD_KAFKA_RESP_ERR_PRODUCER_FENCED,
        RD_KAFKA_RESP_ERR_INVALID_TXN_STATE,
        RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
    ] {
        let bench = Bench::new();
        let (first, _) = bench.commit_with(EndTxn, &[error]);
        assert!(matches!(first, Err(TransactionError::Reopen(_))), "{error:?}: {first:?}");
    }
}

#[test]
fn an_abort_that_fails_means_to_open_again() {
    let bench = Bench::new();
    let transactions = bench.open();
    bench.errors(Produce, &[RD_KAFKA_RESP_ERR_INVALID_RECORD]);
    bench.errors(EndTxn, &[RD_KAFKA_RESP_ERR_PRODUCER_FENCED]);
    let result = bench.commit(&transactions);
    assert!(matches!(result, Err(TransactionError::Reopen(_))), "{result:?}");
}

#[test]
fn an_abort_that_is_retriable_is_called_again() {
    let bench = Bench::new();
    let transactions = bench.open();
    bench.errors(Produce, &[RD_KAFKA_RESP_ERR_INVALID_RECORD]);
    bench.errors(EndTxn, &[RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS; 2]);
    let result = bench.commit(&transactions);
    assert!(matches!(result, Err(TransactionError::Refused { .. })), "{result:?}");
}

#[test]
fn after_an_unknown_outcome_nothing_is_written() {
    let bench = Bench::new();
    let (first, again) = bench.commit_with(EndTxn, &[RD_KAFKA_RESP_ERR_PRODUCER_FENCED]);
    assert!(matches!(first, Err(TransactionError::Reopen(_))), "{first:?}");
    assert_eq!(again, Err(TransactionError::Reopen("a transaction before it has failed".into())));
}

#[test]
fn a_group_that_may_not_be_joined_is_named() {
    let bench = Bench::new();
    bench.errors(JoinGroup, &[RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED; 3]);
    let member = GroupMember::join(&bench.settings, "another", &bench.settings.topics.registry).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let joined = runtime.block_on(async { tokio::time::timeout(JOIN_BOUND, member.acquire(0)).await });
    let refused = joined.unwrap().err().unwrap();
    assert!(refused.to_string().contains("group another may not be joined"), "{refused}");
}

#[test]
fn a_full_queue_is_waited_for() {
    let bench = Bench::with(&[("queue.buffering.max.messages", "2")]);
    let state = vec![batch().state.remove(0); 100];
    let batch = Batch { state, ..Batch::default() };
    assert_eq!(commit_batch(&bench.open(), &batch, &bench.writer, &bench.offsets), Ok(()));
}

#[test]
fn records_that_are_not_delivered_in_time_leave_nothing() {
    let bench = Bench::with(&[("message.timeout.ms", "1000")]);
    let transactions = bench.open();
    assert_eq!(bench.commit(&transactions), Ok(()));
    bench.cluster.broker_down(1).unwrap();
    thread::scope(|scope| {
        let committing = scope.spawn(|| commit(&transactions, &bench.writer, &bench.offsets));
        // Until the records have timed out; the abort then waits for the broker.
        let patience = std::time::Instant::now();
        while patience.elapsed() < Duration::from_secs(4) {
            assert!(!committing.is_finished(), "an abort needs a broker");
            thread::sleep(Duration::from_millis(20));
        }
        bench.cluster.broker_up(1).unwrap();
        let result = committing.join().unwrap();
        assert!(matches!(result, Err(TransactionError::TooSlow(_) | TransactionError::Reopen(_))), "{result:?}");
    });
}

#[test]
fn a_transaction_outlasts_a_broker_that_is_away_for_a_while() {
    let bench = Bench::new();
    let transactions = bench.open();
    assert_eq!(bench.commit(&transactions), Ok(()));
    bench.cluster.broker_down(1).unwrap();
    thread::scope(|scope| {
        let committing = scope.spawn(|| commit(&transactions, &bench.writer, &bench.offsets));
        // Long enough for the records to wait, short of any time-out.
        let patience = std::time::Instant::now();
        while patience.elapsed() < Duration::from_secs(2) {
            assert!(!committing.is_finished(), "nothing can be committed without a broker");
            thread::sleep(Duration::from_millis(20));
        }
        bench.cluster.broker_up(1).unwrap();
        assert_eq!(committing.join().unwrap(), Ok(()));
    });
}
