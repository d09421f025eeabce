//! How long a request is asked for, and what ends it.

use super::*;

#[tokio::test(start_paused = true)]
async fn what_the_upstream_refuses_for_good_is_answered_at_once() {
    for (code, expected) in [
        (103_001, "rejected"),
        (103_002, "rejected"),
        (103_004, "rejected"),
        (103_005, "rejected"),
        (103_006, "failed"),
        (103_014, "failed"),
        (40_003, "failed"),
        (47_001, "failed"),
        (424_242, "failed"),
    ] {
        let (outcome, calls) = outcome_of([code], None).await;
        assert_eq!((errcode(outcome), calls.len()), ((expected, Some(code)), 1));
    }
}

#[tokio::test(start_paused = true)]
async fn an_upstream_that_is_unable_is_asked_again_for_a_minute() {
    for code in [-1, 103_009] {
        let (outcome, calls) = outcome_of([code; 5], None).await;
        assert_eq!(errcode(outcome), ("succeeded", None));
        assert_eq!(calls.len(), 6);
        let (outcome, calls) = outcome_of([code; 1000], None).await;
        assert_eq!(errcode(outcome), ("failed", Some(code)));
        assert!((40..=62).contains(calls.last().unwrap()), "{calls:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_deadline_bounds_the_calls_and_says_what_failed_before() {
    let (outcome, calls) = outcome_of([-1; 1000], Some(20)).await;
    assert_eq!(errcode(outcome), ("expired", Some(-1)));
    assert!((12..=20).contains(calls.last().unwrap()), "{calls:?}");
    // Further away than anybody may wait.
    let (outcome, calls) = outcome_of([-1; 10_000], Some(100_000)).await;
    assert_eq!(errcode(outcome), ("failed", Some(-1)));
    assert!((580..=602).contains(calls.last().unwrap()), "{:?}", calls.last());
}

#[tokio::test(start_paused = true)]
async fn a_deadline_that_passes_before_any_answer_is_expired() {
    let upstream = ScriptedUpstream::new([]);
    let executor = executor([app("wx1", &upstream, 1)]);
    let words = "deadline had passed when the request was read";
    let unread = outcome(&executor, &request("wx1", Some(0))).await;
    assert_eq!(unread, MaterialOutcome::Expired(MaterialRefusal::own(words)), "nothing has failed");
    assert!(upstream.calls().is_empty(), "no call is spent");
    let slow = MaterialRequest { deadline: Some(UnixMillis(START.as_millis().0 + 500)), ..request("wx1", None) };
    assert_eq!(errcode(outcome(&executor, &slow).await), ("expired", None));
}

/// A call that is never answered ends with the transport's time-out; no attempt begins whose pause is longer than what
/// is left, a second at most.
#[tokio::test(start_paused = true)]
async fn a_host_that_hangs_is_given_up_after_a_minute_whatever_the_attempts_of_a_call() {
    let upstream = ScriptedUpstream::hanging(Duration::from_secs(15));
    let executor = executor([app_trying(1000, "wx1", &upstream, 1)]);
    for (deadline_seconds, expected, within) in
        [(None, "failed", 59..=75), (Some(100), "expired", 99..=100), (Some(100_000), "failed", 599..=615)]
    {
        let began = Instant::now();
        let seconds = deadline_seconds.map(|seconds| seconds + i64::try_from(upstream.now_seconds()).unwrap());
        let outcome = outcome(&executor, &request("wx1", seconds)).await;
        assert_eq!(errcode(outcome), (expected, None));
        assert!(within.contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
    }
}
