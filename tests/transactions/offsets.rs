//! Offsets that are refused.

use promoter_connector::kafka::transaction::error::TransactionError;
use rdkafka::types::RDKafkaApiKey::{AddOffsetsToTxn, FindCoordinator, TxnOffsetCommit};
use rdkafka::types::RDKafkaRespErr::*;

use crate::bench::Bench;

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
    assert!(matches!(first, Err(TransactionError::Fenced(_))), "{first:?}");
}

/// librdkafka asks for the group's coordinator once, and after this answer only when some broker's connection comes or goes. Its call to
/// send the offsets does not come back, whatever time it is given.
#[test]
fn offsets_that_librdkafka_does_not_come_back_from_are_left_behind_and_the_log_is_opened_again() {
    let bench = Bench::new();
    let (first, again) = bench.commit_with(FindCoordinator, &[RD_KAFKA_RESP_ERR_NOT_COORDINATOR; 1]);
    let Err(TransactionError::Reopen(reason)) = first else { panic!("{first:?}") };
    assert!(reason.with_causes().contains("does not come back"), "{reason}");
    assert!(matches!(again, Err(TransactionError::Reopen(_))), "none follows: {again:?}");
    assert_eq!(bench.commit_with(TxnOffsetCommit, &[]).0, Ok(()), "another producer takes its place");
}
