//! How a transaction ends: its commit or its abort.

use promoter_connector::kafka::transaction::error::TransactionError;
use rdkafka::types::RDKafkaApiKey::{EndTxn, Produce};
use rdkafka::types::RDKafkaRespErr::*;

use crate::bench::Bench;

#[test]
fn without_errors_a_batch_is_committed() {
    let bench = Bench::new();
    let transactions = bench.open();
    for _ in 0..3 {
        assert_eq!(bench.commit(&transactions), Ok(()));
    }
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
        let is_fenced = error == RD_KAFKA_RESP_ERR_PRODUCER_FENCED;
        let is_told = match first {
            Err(TransactionError::Fenced(_)) => is_fenced,
            Err(TransactionError::Reopen(_)) => !is_fenced,
            _ => false,
        };
        assert!(is_told, "{error:?}: {first:?}");
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
    assert!(matches!(first, Err(TransactionError::Fenced(_))), "{first:?}");
    assert_eq!(again, Err(TransactionError::Reopen("a transaction before it has failed".into())));
}
