//! What is waited for, and for how long.

use std::thread;
use std::time::Duration;

use promoter_connector::kafka::transaction::error::TransactionError;
use promoter_connector::model::batch::Batch;

use crate::bench::{Bench, batch, commit, commit_batch};

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
        goes_on(&committing, Duration::from_secs(4), "an abort needs a broker");
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
        goes_on(&committing, Duration::from_secs(2), "nothing can be committed without a broker");
        bench.cluster.broker_up(1).unwrap();
        assert_eq!(committing.join().unwrap(), Ok(()));
    });
}

/// Whether it goes on for that long, because of `why`.
fn goes_on<T>(committing: &thread::ScopedJoinHandle<'_, T>, long: Duration, why: &str) {
    let began = std::time::Instant::now();
    while began.elapsed() < long {
        assert!(!committing.is_finished(), "{why}");
        thread::sleep(Duration::from_millis(20));
    }
}
