//! Records that are refused, by what for.

use promoter_connector::kafka::transaction::error::TransactionError;
use promoter_connector::model::time::UnixTime;
use rdkafka::types::RDKafkaApiKey::{AddPartitionsToTxn, Produce};
use rdkafka::types::RDKafkaRespErr::*;

use crate::bench::Bench;

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
