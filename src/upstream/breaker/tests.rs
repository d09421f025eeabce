//! The breakers of an app, with calls that are only said to be made.

use super::*;
use crate::upstream::error::{CallKind, Reaction, StopReason};
use Interface::{GetOrder, GetRelation, GetShareMaterial};
use breaker_set::TURN;
use reason::Evidence;

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);
const SETTINGS: BreakerSettings = BreakerSettings {
    too_fast: Duration::from_secs(60),
    stopped: Duration::from_secs(300),
    unanswered: Duration::from_secs(30),
};
const STOPPED: OpenReason = OpenReason::Stopped(StopReason::IpNotAllowed);

fn breakers() -> Breakers {
    Breakers::new(AppId::new("wx1").unwrap(), SETTINGS, 4)
}

fn cause() -> Cause {
    Cause { errcode: None, text: "as scripted".into() }
}

/// A call that is on its way.
fn sent(breakers: &Breakers, interface: Interface) -> Pass<'_> {
    sent_about(breakers, interface, "oP")
}

fn sent_about<'a>(breakers: &'a Breakers, interface: Interface, promoter: &str) -> Pass<'a> {
    let mut pass = breakers.pass(interface, promoter).ok().unwrap();
    pass.sends().unwrap();
    pass
}

fn is_held(breakers: &Breakers, interface: Interface) -> bool {
    breakers.pass(interface, "oP").is_err()
}

/// How long nothing but a probe passes, of a promoter who was not refused; the clock is there then.
async fn opens_after(breakers: &Breakers, interface: Interface) -> Duration {
    let began = Instant::now();
    breakers.ready(interface, "another").await;
    began.elapsed()
}

#[tokio::test(start_paused = true)]
async fn what_holds_an_interface_holds_no_other_and_what_stops_the_app_holds_all() {
    let breakers = breakers();
    sent(&breakers, GetOrder).note(Evidence::Interface(OpenReason::TooFast { asked: None }), &cause());
    assert!(is_held(&breakers, GetOrder) && !is_held(&breakers, GetRelation));
    sent(&breakers, GetRelation).note(Evidence::App(STOPPED), &cause());
    assert!(is_held(&breakers, GetRelation));
    let held: Vec<_> = breakers.not_closed().into_iter().map(|held| (held.interface, held.reason.name())).collect();
    assert_eq!(held, [(None, "ip_not_allowed"), (Some(GetOrder), "too_fast")]);
    assert_eq!(opens_after(&breakers, GetOrder).await, SETTINGS.stopped);
}

#[tokio::test(start_paused = true)]
async fn answers_to_calls_from_before_the_opening_let_nobody_pass() {
    let breakers = breakers();
    let mut in_flight: Vec<_> = (0..96).map(|_| sent(&breakers, GetOrder)).collect();
    in_flight.pop().unwrap().note(Evidence::Interface(OpenReason::TooFast { asked: None }), &cause());
    in_flight.drain(..50).for_each(|mut pass| pass.served());
    assert!(is_held(&breakers, GetOrder));
    assert!(in_flight.iter().all(|pass| pass.check().is_err()), "a retry, a further page");
    assert_eq!(opens_after(&breakers, GetOrder).await, SETTINGS.too_fast);
    let mut probe = sent(&breakers, GetOrder);
    in_flight.iter_mut().for_each(Pass::served);
    assert!(is_held(&breakers, GetOrder), "the probe is still under way");
    probe.served();
    assert!(!is_held(&breakers, GetOrder));
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_tells_nothing_is_repeated_after_the_breakers_own_pause() {
    for (reason, pause) in [
        (STOPPED, SETTINGS.stopped),
        (OpenReason::Unanswered, SETTINGS.unanswered),
        (OpenReason::TokenRejected, 5 * SECOND),
        // Until then midnight has passed.
        (OpenReason::QuotaSpent { day_left: 10 * SECOND }, SETTINGS.stopped),
    ] {
        let breakers = breakers();
        sent(&breakers, GetOrder).note(Evidence::App(reason), &cause());
        breakers.ready(GetOrder, "oP").await;
        let mut probe = sent(&breakers, GetOrder);
        probe.note(evidence(Reaction::RetryBusy, CallKind::Data(GetOrder), None, HOUR), &cause());
        probe.undecided();
        assert_eq!(opens_after(&breakers, GetRelation).await, pause, "{reason:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_is_dropped_leaves_its_turn_to_another() {
    let breakers = breakers();
    sent(&breakers, GetOrder).note(Evidence::App(STOPPED), &cause());
    breakers.ready(GetOrder, "oP").await;
    drop(sent(&breakers, GetOrder));
    assert_eq!(opens_after(&breakers, GetOrder).await, DROPPED_PROBE_AGAIN);
}

#[tokio::test(start_paused = true)]
async fn of_all_who_wait_one_becomes_the_probe() {
    let breakers = breakers();
    sent(&breakers, GetOrder).note(Evidence::App(STOPPED), &cause());
    let probes = std::sync::atomic::AtomicU32::new(0);
    let waiting = (0..50).map(|_| async {
        breakers.ready(GetOrder, "oP").await;
        probes.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        breakers.pass(GetOrder, "oP").ok()
    });
    let all = futures_util::future::join_all(waiting);
    assert!(tokio::time::timeout(HOUR, all).await.is_err(), "the others wait until the probe has told something");
    assert_eq!(probes.into_inner(), 1);
}

/// The interface whose call becomes the next probe of the app, of all that want to.
async fn next_probe(breakers: &Breakers) -> Interface {
    let ready = Interface::ALL.map(|interface| {
        Box::pin(async move {
            breakers.ready(interface, "oP").await;
            interface
        })
    });
    futures_util::future::select_all(ready).await.0
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_tells_nothing_leaves_the_next_one_to_the_others() {
    let breakers = breakers();
    sent(&breakers, GetOrder).note(Evidence::App(STOPPED), &cause());
    let mut probes = Vec::new();
    for _ in 0..9 {
        let interface = next_probe(&breakers).await;
        sent(&breakers, interface).undecided();
        probes.push(interface);
    }
    for round in probes.chunks(3) {
        assert!(Interface::ALL.iter().all(|interface| round.contains(interface)), "{probes:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_interface_that_alone_is_told_that_the_app_is_stopped_is_held_alone() {
    let breakers = breakers();
    let fault = sent(&breakers, GetShareMaterial).note(Evidence::AppSuspected(STOPPED), &cause());
    assert_eq!(fault, Some(CallRefusal::BreakerOpen(STOPPED)));
    assert!(breakers.not_closed()[0].interface.is_none());
    assert_eq!(opens_after(&breakers, GetRelation).await, Duration::ZERO, "its answer decides");
    sent(&breakers, GetRelation).served();
    for round in 0..5 {
        assert!(!is_held(&breakers, GetRelation));
        breakers.ready(GetShareMaterial, "oP").await;
        let fault = sent(&breakers, GetShareMaterial).note(Evidence::AppSuspected(STOPPED), &cause());
        assert_eq!(fault, Some(CallRefusal::BreakerOpen(STOPPED)));
        assert_eq!(breakers.readiness(GetShareMaterial) == Readiness::Check, round < 2, "others may check");
        let began = Instant::now();
        breakers.ready(GetShareMaterial, "oP").await;
        assert_eq!(began.elapsed(), SETTINGS.stopped + TURN);
    }
    sent(&breakers, GetShareMaterial).served();
    assert!(breakers.not_closed().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_promoter_who_is_refused_while_others_are_answered_speaks_for_himself() {
    for evidence in [Evidence::AppSuspected(STOPPED), Evidence::Interface(OpenReason::TooFast { asked: None })] {
        let breakers = breakers();
        let mut holds = 0;
        while let Some(CallRefusal::BreakerOpen(_)) = sent_about(&breakers, GetRelation, "bad").note(evidence, &cause())
        {
            holds += 1;
            breakers.ready(GetRelation, "good").await;
            sent_about(&breakers, GetRelation, "good").served();
        }
        assert_eq!(holds, if matches!(evidence, Evidence::AppSuspected(_)) { 1 } else { 3 });
        assert!(!is_held(&breakers, GetRelation) && breakers.not_closed().is_empty());
        sent_about(&breakers, GetRelation, "bad").served();
        assert!(matches!(
            sent_about(&breakers, GetRelation, "bad").note(evidence, &cause()),
            Some(CallRefusal::BreakerOpen(_))
        ));
    }
}

/// Or he would ask again and again at once.
#[tokio::test(start_paused = true)]
async fn who_is_told_that_he_may_pass_may_pass() {
    let breakers = breakers();
    let mut late = sent_about(&breakers, GetShareMaterial, "late");
    sent(&breakers, GetOrder).note(Evidence::Interface(OpenReason::TooFast { asked: None }), &cause());
    sent(&breakers, GetShareMaterial).note(Evidence::Interface(OpenReason::TooFast { asked: None }), &cause());
    late.note(Evidence::Interface(OpenReason::TooFast { asked: None }), &cause());
    sent(&breakers, GetRelation).note(Evidence::AppSuspected(STOPPED), &cause());
    for promoter in ["late", "oP", "another"] {
        breakers.ready(GetShareMaterial, promoter).await;
        assert!(breakers.pass(GetShareMaterial, promoter).is_ok(), "{promoter} was told so");
    }
}

#[tokio::test(start_paused = true)]
async fn what_stops_the_app_indeed_is_checked_by_few_and_then_costs_a_probe_a_pause() {
    let breakers = breakers();
    let mut calls = 0;
    sent_about(&breakers, GetRelation, "0").note(Evidence::AppSuspected(STOPPED), &cause());
    while breakers.readiness(GetRelation) == Readiness::Check || breakers.readiness(GetOrder) == Readiness::Check {
        calls += 1;
        let interface = if calls % 2 == 0 { GetRelation } else { GetOrder };
        sent_about(&breakers, interface, &calls.to_string()).note(Evidence::AppSuspected(STOPPED), &cause());
        assert!(calls < 9);
    }
    assert_eq!(calls, 3);
    for promoter in 10..20 {
        assert_eq!(opens_after(&breakers, GetRelation).await.as_secs(), SETTINGS.stopped.as_secs());
        sent_about(&breakers, GetRelation, &promoter.to_string()).note(Evidence::AppSuspected(STOPPED), &cause());
        assert!(is_held(&breakers, GetRelation) && is_held(&breakers, GetOrder));
    }
    // When that is over it is over for all.
    breakers.ready(GetOrder, "good").await;
    sent_about(&breakers, GetOrder, "good").served();
    assert!(breakers.not_closed().is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_app_that_is_too_fast_for_an_interface_is_no_stopped_app() {
    let breakers = breakers();
    sent(&breakers, GetOrder).note(Evidence::App(STOPPED), &cause());
    breakers.ready(GetOrder, "oP").await;
    sent(&breakers, GetOrder).note(Evidence::Interface(OpenReason::TooFast { asked: None }), &cause());
    assert!(!is_held(&breakers, GetRelation) && is_held(&breakers, GetOrder));
}

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
    assert!(!is_held(&breakers, GetOrder));
    sent(&breakers, GetOrder).unanswered(0, 1, &cause());
    assert!(is_held(&breakers, GetOrder) && !is_held(&breakers, GetRelation));
    assert_eq!(opens_after(&breakers, GetOrder).await, SETTINGS.unanswered);
}

#[tokio::test(start_paused = true)]
async fn questions_that_kill_their_answer_while_others_are_answered_open_no_breaker() {
    let breakers = breakers();
    for _ in 0..10 {
        let mut slow: Vec<_> = (0..30).map(|_| sent(&breakers, GetOrder)).collect();
        sent(&breakers, GetOrder).served();
        slow.iter_mut().for_each(|pass| pass.unanswered(0, 1, &cause()));
        assert!(!is_held(&breakers, GetOrder));
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_fetch_that_all_have_waited_for_is_one_without_an_answer() {
    let breakers = breakers();
    for fetch in 1..=4 {
        assert!(!is_held(&breakers, GetOrder));
        let mut waited: Vec<_> = (0..64).map(|_| sent(&breakers, GetOrder)).collect();
        waited.iter_mut().for_each(|pass| pass.fetch_unanswered(fetch, 0, 1, &cause()));
    }
    assert!(is_held(&breakers, GetOrder) && is_held(&breakers, GetRelation));
}

#[test]
fn nothing_that_the_upstream_asks_for_holds_longer_than_a_stop() {
    let days = 240 * HOUR;
    for (reason, pause) in [
        (OpenReason::RetryAfter(days), SETTINGS.stopped),
        (OpenReason::RetryAfter(40 * SECOND), 40 * SECOND),
        (OpenReason::RetryAfter(Duration::ZERO), SECOND),
        (OpenReason::TooFast { asked: None }, SETTINGS.too_fast),
        (OpenReason::TooFast { asked: Some(10 * SECOND) }, SETTINGS.too_fast),
        (OpenReason::TooFast { asked: Some(90 * SECOND) }, 90 * SECOND),
        (OpenReason::TooFast { asked: Some(days) }, SETTINGS.stopped),
        (OpenReason::QuotaSpent { day_left: 12 * HOUR }, SETTINGS.stopped),
        (OpenReason::QuotaSpent { day_left: 10 * SECOND }, 10 * SECOND),
        // Of a clock that is a year ahead.
        (OpenReason::DailyBudget { day_left: 9000 * HOUR }, SETTINGS.stopped),
    ] {
        assert_eq!(SETTINGS.pause(reason), pause, "{reason:?}");
    }
}

#[test]
fn every_reaction_tells_something_about_app_and_interface_or_nothing() {
    let asked = Some(SECOND);
    let told = |reaction, call| evidence(reaction, call, asked, HOUR);
    let data = CallKind::Data(GetOrder);
    for reaction in [
        Reaction::Read,
        Reaction::NoData,
        Reaction::ParkPromoter,
        Reaction::RefuseRequest,
        Reaction::TryLater,
        Reaction::ClientFault,
        Reaction::Unforeseen,
    ] {
        let no_token = Evidence::App(OpenReason::NoToken);
        assert_eq!(
            (told(reaction, data), told(reaction, CallKind::Token)),
            (Evidence::Served, no_token),
            "{reaction:?}"
        );
    }
    for reaction in [Reaction::RetryBusy, Reaction::RetryTransport, Reaction::RejectToken] {
        assert_eq!(
            (told(reaction, data), told(reaction, CallKind::Token)),
            (Evidence::Nothing, Evidence::Nothing),
            "{reaction:?}"
        );
    }
    let stop = Reaction::StopApp(StopReason::IpNotAllowed);
    assert_eq!(
        (told(stop, data), told(stop, CallKind::Token)),
        (Evidence::AppSuspected(STOPPED), Evidence::App(STOPPED))
    );
    let spent = OpenReason::QuotaSpent { day_left: HOUR };
    assert_eq!(told(Reaction::QuotaSpent, data), Evidence::Interface(spent));
    // Every interface needs the token.
    assert_eq!(told(Reaction::QuotaSpent, CallKind::Token), Evidence::App(spent));
    assert_eq!(told(Reaction::TooFast, data), Evidence::Interface(OpenReason::TooFast { asked }));
}
