//! Transactions of replies, some of which go to topics of others.

use std::sync::Arc;

use promoter_connector::avro::encode::{Encoders, Framings};
use promoter_connector::avro::framing::Framing;
use promoter_connector::avro::material::ResultEncoder;
use promoter_connector::kafka::requests_log::replies::ReplyWriter;
use promoter_connector::kafka::topics::settings::AcceptedRecords;
use promoter_connector::kafka::transaction::error::TransactionError;
use promoter_connector::model::material::{MaterialOutcome, MaterialRefusal, MaterialResult};
use promoter_connector::model::request::record::{Header, RecordOffset, RequestAnswer, RequestRecord};
use promoter_connector::model::time::UnixMillis;
use promoter_connector::requests::log::AnswerBatch;
use rdkafka::mocking::{MockCluster, MockCoordinator};

use crate::bench::Bench;

/// Two requests are answered: one asks for its reply on a topic of its own.
fn two_answers() -> AnswerBatch {
    let answer = |offset: i64, reply_topic: Option<&'static str>| {
        let header = |topic: &'static str| Header { name: "reply-topic".into(), value: Some(topic.as_bytes().into()) };
        let location = RecordOffset { partition: 0, offset };
        let headers = reply_topic.map(header).into_iter().collect();
        let record = RequestRecord { location, timestamp: UnixMillis(0), key: None, headers, value: None };
        let [request_id, app_id, promoter_openid] = ["r", "wx1", "oP"].map(str::to_owned);
        let outcome = MaterialOutcome::Failed(MaterialRefusal::own("none"));
        (Arc::new(record), RequestAnswer::Reply(MaterialResult { request_id, app_id, promoter_openid, outcome }))
    };
    AnswerBatch { answers: vec![answer(0, None), answer(1, Some("silent"))], ..AnswerBatch::default() }
}

#[test]
fn a_reply_topic_of_others_that_acknowledges_nothing_is_passed_by_at_the_next_attempt() {
    let cluster = MockCluster::new(2).unwrap();
    cluster.coordinator(MockCoordinator::Group("connector".into()), 1).unwrap();
    cluster.coordinator(MockCoordinator::Transaction("connector:one".into()), 1).unwrap();
    let bench = Bench::on(cluster, &[("transaction.timeout.ms", "3000")]);
    for (topic, leader) in [("results", 1), ("silent", 2)] {
        bench.cluster.create_topic(topic, 1, 1).unwrap();
        bench.cluster.partition_leader(topic, 0, Some(leader)).unwrap();
    }
    let takes = AcceptedRecords { bytes: 1_000_000, keyed: false };
    let writer = ReplyWriter {
        default_topic: "results".into(),
        request_topic: "requests".into(),
        reply_topics: ["results", "silent"].map(|topic| (topic.to_owned(), takes)).into(),
        closed: Arc::default(),
        dead_letters: "promoter.dead-letters".into(),
        dead_letters_limit: 1_000_000,
        state: "promoter.state".into(),
        state_limit: 1_000_000,
        encoders: Arc::new(Encoders::new(Framings::SINGLE_OBJECT)),
        results: Arc::new(ResultEncoder::new(Framing::SingleObject)),
    };
    let transactions = bench.open();
    let batch = two_answers();
    let commit = || transactions.commit(|send| writer.write(&batch, UnixMillis(0), send), &bench.offsets);
    assert_eq!(commit(), Ok(["results", "silent"].map(str::to_owned).into()));
    bench.cluster.broker_down(2).unwrap();
    let failure = commit().unwrap_err();
    assert!(matches!(failure, TransactionError::TooSlow(_)), "{failure:?}");
    assert_eq!(transactions.late_topics(), ["silent"]);
    assert!(writer.late(&transactions.late_topics()), "all the others have acknowledged");
    assert_eq!(commit(), Ok(["results".to_owned()].into()));
    assert!(transactions.late_topics().is_empty());
}
