//! Each reason why a promoter stands still is told, with what is lost by it.

use super::*;
use crate::admin::causes::{REGISTRY_HELD_UP, Severity};
use crate::model::feed_set::FeedSet;
use crate::registry::table::PromoterSource;

const NOW: UnixTime = UnixTime(1_668_657_600); // 2022-11-17T04:00:00Z

fn known(paused_by: Option<PromoterSource>) -> FoundRegistration {
    let sources = vec![PromoterSource::Configuration, PromoterSource::Registry];
    FoundRegistration::Known(KnownPromoter { sources, feeds: FeedSet::default(), paused_by })
}

/// Read 35 minutes ago, and complete to ten minutes before.
fn touches(condition: Option<FeedCondition>) -> FeedFinding {
    FeedFinding {
        condition,
        read_to: condition.map(|_| NOW.minus(2100)),
        complete_before: Some(NOW.minus(2700)),
        promised_seconds: condition.map(|_| 900),
        ..FeedFinding::not_begun(Feed::Touches)
    }
}

fn found(place: PromoterPlace, registration: FoundRegistration, feeds: Vec<FeedFinding>) -> PromoterFindings {
    PromoterFindings {
        promoter: Promoter::from_key("wx1/oABC").unwrap(),
        as_of: NOW,
        partition: Some(7),
        place,
        registration,
        feeds,
        causes: Vec::new(),
        calls: Vec::new(),
    }
}

fn here() -> PromoterPlace {
    PromoterPlace::Here("pc-0".to_owned())
}

fn text(findings: PromoterFindings) -> String {
    Explanation::of(findings).text()
}

#[test]
fn a_feed_that_begins_later_is_not_told_to_be_complete() {
    let ahead = FeedFinding { complete_before: Some(NOW.plus(61_200)), ..touches(Some(FeedCondition::OnTime)) };
    let told = text(found(here(), known(None), vec![ahead]));
    let line = "\n· touches: nothing is published before 2022-11-17T21:00:00Z, in 17h: it begins there by its start_from, or the clock \
                was set back\n";
    assert!(told.contains(line), "{told}");
}

#[test]
fn what_stops_an_app_is_told_between_who_polls_and_how_far_it_is() {
    let cause = StatusCause {
        app: Some("wx1".to_owned()),
        errcode: Some(40164),
        text: "invalid ip 203.0.113.7".to_owned(),
        since: Some("2022-11-17T03:25:00Z".to_owned()),
        next_try: Some("2022-11-17T04:05:00Z".to_owned()),
        ..StatusCause::new("app_stopped_ip", Severity::Stopped, "add the address")
    };
    let quota = |interface, limit, used_by_all| QuotaStatus {
        app: "wx1".to_owned(),
        interface,
        limit,
        used: 3,
        used_by_all,
        limit_told: used_by_all.and(limit),
        resets_at: "2022-11-17T16:00:00Z".to_owned(),
    };
    let calls = vec![quota("getrelation", Some(500), Some(17)), quota("getorder", None, None)];
    let late = touches(Some(FeedCondition::Late));
    let told = text(PromoterFindings { causes: vec![cause], calls, ..found(here(), known(None), vec![late]) });
    assert_eq!(
        told,
        "wx1/oABC\n\
         ✓ named by configuration, registry; not paused\n\
         ✓ partition 7 is owned by pc-0\n\
         ✗ app_stopped_ip since 2022-11-17T03:25:00Z: 40164: invalid ip 203.0.113.7; next try 2022-11-17T04:05:00Z; do: add the \
         address\n\
         ✗ touches: late: read 35m ago, promised each 15m; complete to 2022-11-17T03:15:00Z, 45m ago\n\
         · calls of this instance today: getrelation 3 (the app has 500, of which all together had used 17); getorder 3 (no limit \
         known)\n\
         · nothing is lost by waiting: it goes on from touches 2022-11-17T03:15:00Z, from which the lateness is taken off already\n"
    );
}

#[test]
fn a_quota_of_which_nothing_is_left_is_told_so_and_one_of_ones_own_beside_that_of_the_app() {
    let told = |limit, limit_told, used_by_all| {
        let (app, interface, resets_at) = ("wx1".to_owned(), "getrelation", "2022-11-17T16:00:00Z".to_owned());
        let calls = vec![QuotaStatus { app, interface, limit, used: 3, used_by_all, limit_told, resets_at }];
        let text = text(PromoterFindings { calls, ..found(here(), known(None), vec![]) });
        text.lines().find_map(|line| line.strip_prefix("· calls of this instance today: ")).unwrap().to_owned()
    };
    assert_eq!(
        told(Some(5000), Some(5000), Some(88_832)),
        "getrelation 3 (the app has 5000, and all together had called 88832 times: none is left until midnight in Beijing)"
    );
    assert_eq!(
        told(Some(5000), Some(1_000_000), Some(88_832)),
        "getrelation 3 (per_day is 5000; the app has 1000000, of which all together had used 88832)"
    );
    assert_eq!(told(Some(5000), None, None), "getrelation 3 (the app has 5000)");
    assert_eq!(told(None, None, None), "getrelation 3 (no limit known)");
}

/// Whoever polled it before may have read it to then, and nobody knows.
#[test]
fn a_feed_of_which_no_poll_was_read_to_its_end_here_is_not_told_as_read() {
    let unread = |condition, is_polled_now| {
        let feed = FeedFinding { read_to: None, is_polled_now, ..touches(Some(condition)) };
        let explanation = Explanation::of(found(here(), known(None), vec![feed]));
        assert_eq!((explanation.feeds[0].state, &explanation.feeds[0].read_to), (Some(condition.name()), &None));
        explanation.text()
    };
    let told = unread(FeedCondition::OnTime, false);
    let line = "\n· touches: not read yet since this instance polls it, promised each 15m; complete to 2022-11-17T03:15:00Z, 45m ago\n";
    assert!(told.contains(line), "{told}");
    let told = unread(FeedCondition::Late, true);
    assert!(
        told.contains("\n✗ touches: late: not read yet since this instance polls it, promised each 15m; "),
        "{told}"
    );
    assert!(told.contains("45m ago; is being polled\n"), "{told}");
    let told = text(found(here(), known(None), vec![touches(Some(FeedCondition::OnTime))]));
    assert!(told.contains("\n✓ touches: read 35m ago, promised each 15m; "), "{told}");
}

#[test]
fn a_parked_feed_is_told_with_the_code_and_the_next_try() {
    let parked = ParkedFeed::new(Some(103_007), NOW.minus(60));
    let feed = FeedFinding {
        parked: Some(ParkedFinding { parked, next_try: NOW.plus(840) }),
        read_to: None,
        ..touches(Some(FeedCondition::Parked))
    };
    let explanation = Explanation::of(found(here(), known(None), vec![feed]));
    let told = &explanation.feeds[0];
    assert_eq!((told.state, told.errcode), (Some("parked"), Some(103_007)));
    assert_eq!(told.next_try.as_deref(), Some("2022-11-17T04:14:00Z"));
    assert!(explanation.text().contains("at 2022-11-17T03:59:00Z with 103007; next try 2022-11-17T04:14:00Z"));
}

#[test]
fn who_is_paused_is_told_by_whom_and_that_nothing_is_lost() {
    let told = text(found(here(), known(Some(PromoterSource::Registry)), vec![touches(None)]));
    assert!(told.contains("✗ named by configuration, registry; paused by the registry: promoters resume"), "{told}");
    assert!(told.contains("once polled again, it goes on from touches 2022-11-17T03:15:00Z\n"), "{told}");
    let told = text(found(here(), known(Some(PromoterSource::Discovery)), vec![]));
    assert!(told.contains("has not authorised the app"), "{told}");
}

#[test]
fn whom_nobody_names_has_nothing_to_lose_unless_there_is_progress() {
    let never = Explanation::of(found(here(), FoundRegistration::Nobody, vec![]));
    assert_eq!(never.sources.as_deref(), Some(&[][..]));
    assert!(never.text().contains(
        "✗ nobody has registered this promoter, or the record can't be read (promoters list names those): promoters add wx1/oABC does"
    ));
    assert!(never.text().contains("nothing of it was ever published"));
    let held_up = StatusCause::new(REGISTRY_HELD_UP, Severity::Note, "end it");
    let unread = PromoterFindings { causes: vec![held_up], ..found(here(), FoundRegistration::Nobody, vec![]) };
    let told = text(unread);
    assert!(told.contains("✗ nobody has registered this promoter, as far as the registry can be read now\n"), "{told}");
    let removed = text(found(here(), FoundRegistration::Nobody, vec![touches(None)]));
    assert!(removed.contains("is kept for registry.forget: registered again, it goes on from touches"), "{removed}");
}

#[test]
fn where_no_instance_tells_it_is_said_what_the_rest_rests_on() {
    let place = |place| text(found(place, known(None), vec![touches(None), FeedFinding::not_begun(Feed::Orders)]));
    assert!(place(PromoterPlace::Nobody).contains("✗ no instance answers, and none owns partition 7: nobody polls it"));
    let untold = place(PromoterPlace::Untold("pc-1".to_owned()));
    assert!(
        untold.contains("✗ partition 7 is owned by pc-1, as the group says, which was not asked or does not answer"),
        "{untold}"
    );
    assert!(untold.contains("· touches: complete to 2022-11-17T03:15:00Z, 45m ago\n· orders: not begun yet\n"));
    let foreign = PromoterPlace::Foreign("rdkafka-1 at 10.0.0.7 (partition 7 of promoter.registry)".to_owned());
    let told = place(foreign.clone());
    assert!(told.contains("✗ partition 7 is owned by a member of the consumer group that is no instance"), "{told}");
    assert!(told.contains("rdkafka-1 at 10.0.0.7 (partition 7 of promoter.registry); do: stop that program"), "{told}");
    assert_eq!((foreign.name(), foreign.instance()), ("foreign", None));
    let elsewhere = text(found(PromoterPlace::Elsewhere("pc-0".to_owned()), FoundRegistration::Untold, vec![]));
    assert!(elsewhere.contains("partition 7 is not owned by pc-0: ask the others"), "{elsewhere}");
    assert!(!elsewhere.contains("nobody has registered"), "it can't know");
}

#[test]
fn each_place_has_a_word_of_its_own() {
    let name = || "pc-0".to_owned();
    let places = [
        here(),
        PromoterPlace::Restoring(name()),
        PromoterPlace::Elsewhere(name()),
        PromoterPlace::NoSession(name()),
        PromoterPlace::Untold(name()),
        PromoterPlace::Foreign(name()),
        PromoterPlace::Nobody,
        PromoterPlace::Unknown,
    ];
    let words: std::collections::BTreeSet<_> = places.iter().map(PromoterPlace::name).collect();
    assert_eq!(words.len(), places.len());
}
