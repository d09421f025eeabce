//! Requests of an app that is stopped.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_token_that_comes_back_after_its_rejection_stops_the_app_at_the_third_call() {
    let (outcome, calls) = outcome_of([40_001; 2], None).await;
    assert_eq!((errcode(outcome), calls.len()), (("succeeded", None), 3));
    let (outcome, calls) = outcome_of([40_001; 3], None).await;
    assert_eq!((errcode(outcome), calls.len()), (("succeeded", None), 4));
    assert!(calls[2] < 20 && calls[3] >= 300, "{calls:?}");
}

#[tokio::test(start_paused = true)]
async fn a_request_whose_app_is_stopped_until_its_deadline_is_expired_and_says_what_stops_it() {
    for (code, reason) in [(45_009, "quota_spent"), (40_125, "credentials")] {
        let upstream = ScriptedUpstream::new([code; 10]);
        let executor = executor([app("wx1", &upstream, 1)]);
        let (asked, waited) = (request("wx1", Some(30)), request("wx1", Some(30)));
        let (asked, waited) = tokio::join!(outcome(&executor, &asked), outcome(&executor, &waited));
        let unread = outcome(&executor, &request("wx1", Some(20))).await;
        for outcome in [asked, waited, unread] {
            let MaterialOutcome::Expired(MaterialRefusal { errcode: None, message }) = outcome else {
                panic!("{outcome:?}")
            };
            let words = format!("; the app's requests wait ({reason}): errcode {code}: no");
            assert!(message.ends_with(&words), "{message}");
        }
        assert_eq!(upstream.calls().len(), 1);
        // A fault of the request comes first, and what holds one app tells nothing of another.
        let other = executor.without_a_call(
            &DecodedRequest { request: request("wx2", Some(0)), flaw: None },
            UnixMillis(START.as_millis().0 + 1),
        );
        assert!(
            matches!(other, Some(RequestAnswer::Reply(MaterialResult { outcome: MaterialOutcome::Rejected(_), .. }))),
            "{other:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_stopped_app_waits_and_is_probed_by_one_while_others_go_on() {
    for code in [45_009, 40_125, 48_001] {
        let [spent, other] = [ScriptedUpstream::new([code, code]), ScriptedUpstream::new([])];
        let executor = executor([app("wx1", &spent, 1), app("wx2", &other, 1)]);
        let began = Instant::now();
        let one = request("wx1", None);
        let waiting =
            async { tokio::join!(outcome(&executor, &one), outcome(&executor, &one), outcome(&executor, &one)) };
        let two = request("wx2", None);
        let going_on = async {
            tokio::time::sleep(Duration::from_secs(10)).await;
            (outcome(&executor, &two).await, began.elapsed())
        };
        let (waited, (went_on, after)) = tokio::join!(waiting, going_on);
        assert_eq!(errcode(went_on), ("succeeded", None));
        assert!(after <= Duration::from_secs(12), "the only place to call is not held: {after:?}");
        for outcome in [waited.0, waited.1, waited.2] {
            assert_eq!(errcode(outcome), ("succeeded", None));
        }
        // One call finds out, one probes in vain, one probes well, and the other two follow.
        let calls = spent.calls();
        assert_eq!(calls.len(), 5, "{calls:?}");
        assert!(calls[1] >= 300 && calls[2] >= 600 && calls[4] <= 606, "{calls:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_request_has_waited_for_a_stopped_app_is_no_call() {
    // Unable before the quota is spent and for two calls behind it, of which the second has two attempts.
    let codes = [-1, -1, 45_009, 103_009, -1, -1];
    let (outcome, calls) = outcome_of(codes, None).await;
    assert_eq!(errcode(outcome), ("succeeded", None));
    assert_eq!(calls.len(), codes.len() + 1);
    // Behind it the minute begins anew, and ends: the one probe has told nothing.
    let (outcome, calls) = outcome_of([-1, -1, 45_009].into_iter().chain([-1; 1000]), None).await;
    assert_eq!(errcode(outcome), ("failed", Some(-1)));
    assert!((300..=312).contains(calls.last().unwrap()), "{calls:?}");
}

#[tokio::test(start_paused = true)]
async fn a_request_that_waits_for_a_stopped_app_expires_and_says_what_failed_before() {
    let upstream = ScriptedUpstream::new([45_011; 100]);
    let executor = executor([app("wx1", &upstream, 1)]);
    let (asked, waited) = (request("wx1", Some(30)), request("wx1", Some(30)));
    let (asked, waited) = tokio::join!(outcome(&executor, &asked), outcome(&executor, &waited));
    assert_eq!((errcode(asked), errcode(waited)), (("expired", Some(45_011)), ("expired", None)));
    assert_eq!(upstream.calls().len(), 1);
}
