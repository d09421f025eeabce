//! What one call is told of its app, and how far that counts for others.

use super::*;

#[tokio::test(start_paused = true)]
async fn an_interface_that_alone_is_told_that_the_app_is_stopped_is_held_alone() {
    let breakers = breakers();
    let fault = sent(&breakers, GetShareMaterial).note(Evidence::AppSuspected(STOPPED), &cause());
    assert_eq!(fault, Some(CallRefusal::BreakerOpen(STOPPED)));
    assert!(breakers.not_closed()[0].interface.is_none());
    assert_eq!(opens_after(&breakers, GetRelation).await, Duration::ZERO, "its answer decides");
    sent(&breakers, GetRelation).served();
    for round in 0..5 {
        assert!(!is_open(&breakers, GetRelation));
        breakers.ready(GetShareMaterial, "oP").await;
        let fault = sent(&breakers, GetShareMaterial).note(Evidence::AppSuspected(STOPPED), &cause());
        assert_eq!(fault, Some(CallRefusal::BreakerOpen(STOPPED)));
        assert_eq!(breakers.readiness(GetShareMaterial) == Readiness::Check, round < 2, "others may check");
        let began = Instant::now();
        breakers.ready(GetShareMaterial, "oP").await;
        assert_eq!(began.elapsed(), SETTINGS.stopped + PROBE_SLOT);
    }
    sent(&breakers, GetShareMaterial).served();
    assert!(breakers.not_closed().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_promoter_who_is_refused_while_others_are_answered_speaks_for_himself() {
    for evidence in [Evidence::AppSuspected(STOPPED), Evidence::Interface(OpenReason::TooFast { retry_after: None })] {
        let breakers = breakers();
        let mut openings = 0;
        while let Some(CallRefusal::BreakerOpen(_)) = sent_about(&breakers, GetRelation, "bad").note(evidence, &cause())
        {
            openings += 1;
            breakers.ready(GetRelation, "good").await;
            sent_about(&breakers, GetRelation, "good").served();
        }
        assert_eq!(openings, if matches!(evidence, Evidence::AppSuspected(_)) { 1 } else { 3 });
        assert!(!is_open(&breakers, GetRelation) && breakers.not_closed().is_empty());
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
    sent(&breakers, GetOrder).note(Evidence::Interface(OpenReason::TooFast { retry_after: None }), &cause());
    sent(&breakers, GetShareMaterial).note(Evidence::Interface(OpenReason::TooFast { retry_after: None }), &cause());
    late.note(Evidence::Interface(OpenReason::TooFast { retry_after: None }), &cause());
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
        assert!(is_open(&breakers, GetRelation) && is_open(&breakers, GetOrder));
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
    sent(&breakers, GetOrder).note(Evidence::Interface(OpenReason::TooFast { retry_after: None }), &cause());
    assert!(!is_open(&breakers, GetRelation) && is_open(&breakers, GetOrder));
}
