//! The breakers of an app, with calls that are only said to be made.

use super::*;
use crate::upstream::error::{CallKind, Reaction, StopReason};
use Interface::{GetOrder, GetRelation, GetShareMaterial};
use breaker_set::PROBE_SLOT;
use reason::Evidence;

mod unanswered;
mod word_of_one;

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

fn is_open(breakers: &Breakers, interface: Interface) -> bool {
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
    sent(&breakers, GetOrder).note(Evidence::Interface(OpenReason::TooFast { retry_after: None }), &cause());
    assert!(is_open(&breakers, GetOrder) && !is_open(&breakers, GetRelation));
    sent(&breakers, GetRelation).note(Evidence::App(STOPPED), &cause());
    assert!(is_open(&breakers, GetRelation));
    let not_closed: Vec<_> =
        breakers.not_closed().into_iter().map(|open| (open.interface, open.reason.name())).collect();
    assert_eq!(not_closed, [(None, "ip_not_allowed"), (Some(GetOrder), "too_fast")]);
    assert_eq!(opens_after(&breakers, GetOrder).await, SETTINGS.stopped);
}

#[tokio::test(start_paused = true)]
async fn answers_to_calls_from_before_the_opening_let_nobody_pass() {
    let breakers = breakers();
    let mut in_flight: Vec<_> = (0..96).map(|_| sent(&breakers, GetOrder)).collect();
    in_flight.pop().unwrap().note(Evidence::Interface(OpenReason::TooFast { retry_after: None }), &cause());
    in_flight.drain(..50).for_each(|mut pass| pass.served());
    assert!(is_open(&breakers, GetOrder));
    assert!(in_flight.iter().all(|pass| pass.check().is_err()), "a retry, a further page");
    assert_eq!(opens_after(&breakers, GetOrder).await, SETTINGS.too_fast);
    let mut probe = sent(&breakers, GetOrder);
    in_flight.iter_mut().for_each(Pass::served);
    assert!(is_open(&breakers, GetOrder), "the probe is still under way");
    probe.served();
    assert!(!is_open(&breakers, GetOrder));
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
async fn a_probe_that_is_dropped_leaves_the_next_one_to_another() {
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
    for _ in 0..3 * Interface::ALL.len() {
        let interface = next_probe(&breakers).await;
        sent(&breakers, interface).undecided();
        probes.push(interface);
    }
    for round in probes.chunks(Interface::ALL.len()) {
        assert!(Interface::ALL.iter().all(|interface| round.contains(interface)), "{probes:?}");
    }
}

#[test]
fn nothing_that_the_upstream_asks_for_holds_longer_than_a_stop() {
    let days = 240 * HOUR;
    for (reason, pause) in [
        (OpenReason::RetryAfter(days), SETTINGS.stopped),
        (OpenReason::RetryAfter(40 * SECOND), 40 * SECOND),
        (OpenReason::RetryAfter(Duration::ZERO), SECOND),
        (OpenReason::TooFast { retry_after: None }, SETTINGS.too_fast),
        (OpenReason::TooFast { retry_after: Some(10 * SECOND) }, SETTINGS.too_fast),
        (OpenReason::TooFast { retry_after: Some(90 * SECOND) }, 90 * SECOND),
        (OpenReason::TooFast { retry_after: Some(days) }, SETTINGS.stopped),
        (OpenReason::QuotaSpent { day_left: 12 * HOUR }, SETTINGS.stopped),
        (OpenReason::QuotaSpent { day_left: 10 * SECOND }, 10 * SECOND),
        // Of a clock that is a year ahead.
        (OpenReason::QuotaSpent { day_left: 9000 * HOUR }, SETTINGS.stopped),
    ] {
        assert_eq!(SETTINGS.pause(reason), pause, "{reason:?}");
    }
}

#[test]
fn every_reaction_tells_something_about_app_and_interface_or_nothing() {
    let retry_after = Some(SECOND);
    let told = |reaction, call| evidence(reaction, call, retry_after, HOUR);
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
    assert_eq!(told(Reaction::TooFast, data), Evidence::Interface(OpenReason::TooFast { retry_after }));
}
