//! Offsets that are refused.

use promoter_connector::kafka::transaction::error::TransactionError;
use rdkafka::types::RDKafkaApiKey::{AddOffsetsToTxn, TxnOffsetCommit};
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
