//! Whether the next transaction goes on with the same producer.

use std::time::Duration;

use promoter_connector::kafka::transaction::error::TransactionError;
use rdkafka::types::RDKafkaApiKey::{ListOffsets, Produce, TxnOffsetCommit};
use rdkafka::types::RDKafkaRespErr::*;

use crate::bench::Bench;

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

/// Whoever can't be told that it is ended must not write over it.
#[test]
fn after_an_abort_that_nobody_tells_to_be_ended_none_follows() {
    let bench = Bench::new();
    let transactions = bench.open();
    bench.errors(TxnOffsetCommit, &[RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED]);
    assert!(matches!(bench.commit(&transactions), Err(TransactionError::NothingWritten(_))));
    bench.errors(ListOffsets, &[RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED; 10_000]);
    let Err(TransactionError::Reopen(reason)) = bench.commit(&transactions) else { panic!("nothing may be written") };
    assert!(reason.with_causes().contains("the brokers have not ended what was written there"), "{reason}");
    bench.cluster.clear_request_errors(ListOffsets);
    assert!(matches!(bench.commit(&transactions), Err(TransactionError::Reopen(_))), "none follows");
}

#[test]
fn after_a_revocation_no_new_producer_is_made() {
    let bench = Bench::new();
    let transactions = bench.open();
    bench.errors(Produce, &[RD_KAFKA_RESP_ERR_INVALID_RECORD]);
    assert!(matches!(bench.commit(&transactions), Err(TransactionError::Refused { .. })));
    bench.offsets.owner.lost.cancel();
    let Err(TransactionError::Reopen(reason)) = bench.commit(&transactions) else {
        panic!("it must not fence whoever is next")
    };
    assert!(reason.with_causes().contains("revoked"), "{reason}");
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
