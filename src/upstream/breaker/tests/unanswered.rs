//! What only counts when it happens several times in a row: rejected tokens, and calls without an answer.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_token_that_two_hundred_calls_learn_of_is_one_rejection() {
    let breakers = breakers();
    let (kept, stopped) = (5 * SECOND, SETTINGS.stopped);
    // That the app is stopped is checked once.
    for (fetch, pause) in [(7, kept), (8, kept), (9, Duration::ZERO), (10, stopped), (11, stopped)] {
        let mut calls = vec![sent_about(&breakers, GetRelation, &fetch.to_string())];
        calls.extend((0..199).filter_map(|_| breakers.pass(GetRelation, "oP").ok()));
        calls.iter_mut().for_each(|call| {
            call.token_rejected_again(fetch, &cause());
        });
        drop(calls);
        assert_eq!(opens_after(&breakers, GetRelation).await, pause, "{fetch}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_that_was_good_meanwhile_begins_the_count_anew() {
    let breakers = breakers();
    for fetch in 1..20 {
        let reason = sent(&breakers, GetRelation).token_rejected_again(fetch, &cause());
        assert_eq!(reason, CallRefusal::BreakerOpen(OpenReason::TokenRejected));
        breakers.ready(GetRelation, "oP").await;
        sent(&breakers, GetRelation).served();
    }
}

#[tokio::test(start_paused = true)]
async fn calls_in_a_row_without_an_answer_open_the_breaker_and_one_answer_begins_anew() {
    let breakers = breakers();
    (0..3).for_each(|_| sent(&breakers, GetOrder).unanswered(0, 1, &cause()));
    sent(&breakers, GetOrder).served();
    (0..3).for_each(|_| sent(&breakers, GetOrder).unanswered(0, 1, &cause()));
    assert!(!is_open(&breakers, GetOrder));
    sent(&breakers, GetOrder).unanswered(0, 1, &cause());
    assert!(is_open(&breakers, GetOrder) && !is_open(&breakers, GetRelation));
    assert_eq!(opens_after(&breakers, GetOrder).await, SETTINGS.unanswered);
}

#[tokio::test(start_paused = true)]
async fn requests_that_kill_their_answer_while_others_are_answered_open_no_breaker() {
    let breakers = breakers();
    for _ in 0..10 {
        let mut slow: Vec<_> = (0..30).map(|_| sent(&breakers, GetOrder)).collect();
        sent(&breakers, GetOrder).served();
        slow.iter_mut().for_each(|pass| pass.unanswered(0, 1, &cause()));
        assert!(!is_open(&breakers, GetOrder));
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_fetch_that_all_have_waited_for_is_one_without_an_answer() {
    let breakers = breakers();
    for fetch in 1..=4 {
        assert!(!is_open(&breakers, GetOrder));
        let mut waited: Vec<_> = (0..64).map(|_| sent(&breakers, GetOrder)).collect();
        waited.iter_mut().for_each(|pass| pass.fetch_unanswered(fetch, 0, 1, &cause()));
    }
    assert!(is_open(&breakers, GetOrder) && is_open(&breakers, GetRelation));
}
