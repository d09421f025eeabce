//! Causes of which nothing may stand still yet: what will, or what may be lost, if nobody looks.
//!
//! Where nothing is behind they are notes, however many facts they are of: a page is not red for what somebody looks at in a day, as
//! the alert on facts at risk is a ticket.

use std::collections::BTreeSet;
use std::time::Duration;

use super::{Severity, StatusCause};
use crate::admin::ages;
use crate::admin::observed::ObservedConnector;
use crate::admin::recent::CauseKey;
use crate::clock;
use crate::model::dead_letter::DeadLetterSource;
use crate::model::feed::{Feed, Interface};
use crate::model::time::{Day, UnixMillis, UnixTime};
use crate::session::PolledApp;
use crate::telemetry::buckets::BucketSnapshot;
use crate::telemetry::pipeline;

/// The code of a quota that others use up before its day ends.
pub(super) const QUOTA_ENDS_EARLY: &str = "quota_ends_early";
/// The code of facts that are seen when half of their lateness is over.
pub(super) const LATENESS_HALF_USED: &str = "lateness_half_used";
/// The code of facts that are seen when their lateness is nearly over.
pub const LATENESS_NEARLY_USED: &str = "lateness_nearly_used";
/// The code of partitions that are restored for long.
pub(super) const RESTORE_LASTS: &str = "restore_lasts";
/// The code of an upstream's clock that differs from this host's.
pub(super) const CLOCK_DIFFERS: &str = "clock_differs";
/// The code of a kind of dead letters that was not met before.
pub const DEAD_LETTERS_NEW: &str = "dead_letters_new";
/// The code of dead letters that are many among what is new.
pub(super) const DEAD_LETTERS_MANY: &str = "dead_letters_many";

pub(super) const CODES: [&str; 7] = [
    QUOTA_ENDS_EARLY,
    LATENESS_HALF_USED,
    LATENESS_NEARLY_USED,
    RESTORE_LASTS,
    CLOCK_DIFFERS,
    DEAD_LETTERS_NEW,
    DEAD_LETTERS_MANY,
];

/// Which share of its lateness one fact in a thousand may have used, before that is to be known, and before facts are at risk.
const LATENESS_NOTED: f64 = 0.5;
const LATENESS_RISK: f64 = 0.8;
/// Of so many facts one may be later.
const FACTS_FOR_ONE_LATE: u64 = 1000;
/// How long a restore may take before that is to be known, and before it is too long.
const RESTORE_NOTED: Duration = Duration::from_secs(60);
const RESTORE_MAX: Duration = Duration::from_secs(600);
/// How far the clocks may differ, in seconds, before that is to be known, and before it is too far.
const OFFSET_NOTED: i64 = 5;
const OFFSET_MAX: i64 = 60;
/// Of so many rows that are new one may be a dead letter.
const ROWS_FOR_ONE_LETTER: u64 = 100;

/// All of them now. Those that have no moment of their own are since they were first met.
pub(super) fn causes(observed: &ObservedConnector) -> Vec<StatusCause> {
    let mut found: Vec<(CauseKey, StatusCause)> = Vec::new();
    for app in observed.apps.iter() {
        let key = |code, detail| (code, Some(app.app.as_str().to_owned()), detail);
        let of_quota = Interface::ALL
            .into_iter()
            .filter_map(|interface| Some((key(QUOTA_ENDS_EARLY, interface.name()), quota_of(app, interface)?)));
        found.extend(of_quota);
        let offset = app.client.upstream_skew_seconds().and_then(|offset| clock_differs(app.app.as_str(), offset));
        found.extend(offset.map(|cause| (key(CLOCK_DIFFERS, ""), cause)));
    }
    for ((app, feed), [published, dead]) in observed.recent.rows_of_hour(observed.counters()) {
        let many = dead_letters_many(&app, feed, published, dead);
        found.extend(many.map(|cause| ((DEAD_LETTERS_MANY, Some(app), feed.name()), cause)));
    }
    let lateness = observed.recent.lateness_of_day(observed.counters());
    found.extend(Feed::ALL.into_iter().filter_map(|feed| {
        let cause = lateness_used(feed, &lateness[feed], observed.polls.figures.longest_lateness(feed))?;
        Some(((cause.code, None, feed.name()), cause))
    }));
    let keys: BTreeSet<CauseKey> = found.iter().map(|(key, _)| key.clone()).collect();
    let since = observed.recent.since(&keys);
    let dated = |(key, cause): (CauseKey, StatusCause)| StatusCause { since: since.get(&key).map(told), ..cause };
    let restore = observed.polls.figures.shards.restoring_since().and_then(|(since, shards)| {
        let took = clock::now().0.saturating_sub(since.0).max(0).cast_unsigned();
        restore_lasts(since, Duration::from_millis(took), shards)
    });
    let new_letters = observed.recent.new_letters();
    let of_letters = new_letters.iter().map(|((source, reason), met)| dead_letters_new(source, reason, *met));
    found.into_iter().map(dated).chain(restore).chain(of_letters).collect()
}

fn told(time: &UnixMillis) -> String {
    time.as_seconds().to_string()
}

fn quota_of(app: &PolledApp, interface: Interface) -> Option<StatusCause> {
    let now = app.client.now();
    let ends_at = now.plus(i64::try_from(app.client.quota_ends_in(interface)?.as_secs()).unwrap_or(i64::MAX));
    Some(quota_ends_early(app.app.as_str(), interface, ends_at, Day::in_beijing(now).beijing_end()))
}

fn quota_ends_early(app: &str, interface: Interface, ends_at: UnixTime, resets_at: UnixTime) -> StatusCause {
    StatusCause {
        app: Some(app.to_owned()),
        interface: Some(interface.name()),
        text: format!(
            "others call for this app, too: at this pace the calls of the day are spent at {ends_at}, before {resets_at}"
        ),
        affects: format!("{interface} of app {app}, from then on"),
        ..StatusCause::new(QUOTA_ENDS_EARLY, Severity::Note, "see who else calls for this app, or raise its quota")
    }
}

/// As the alert on facts at risk: one fact in a thousand. It comes with the `lateness`, in seconds, of which no more than one in a
/// thousand of the same facts had used up so much that it is to be known.
fn lateness_used(feed: Feed, used: &BucketSnapshot, lateness: i64) -> Option<StatusCause> {
    let all = used.total();
    let is_passed = |bound| used.above(bound).saturating_mul(FACTS_FOR_ONE_LATE) > all;
    let bounds = [(LATENESS_RISK, LATENESS_NEARLY_USED), (LATENESS_NOTED, LATENESS_HALF_USED)];
    let (bound, code) = bounds.into_iter().find(|(bound, _)| is_passed(*bound))?;
    // Facts that came later than all of it are not counted, so the last bound holds all of them.
    let reached = used.bound_of_all_but_one_in(FACTS_FOR_ONE_LATE).unwrap_or(1.0);
    let wanted = ages::at_least((lateness as f64 * reached / LATENESS_NOTED).ceil() as i64);
    Some(StatusCause {
        text: format!(
            "of {all} facts of a day {} were not shown yet when more than {bound} of the lateness of {feed} was over: with \
             {feed}.lateness = \"{wanted}\" instead of {} half of it would be left",
            used.above(bound),
            ages::duration(lateness)
        ),
        affects: format!("{feed}: what comes later than all of it is not seen"),
        ..StatusCause::new(
            code,
            Severity::Note,
            "set the lateness that the text tells, or a longer one, in the files of all instances; verify says whether something was missed",
        )
    })
}

fn restore_lasts(since: UnixMillis, took: Duration, shards: u64) -> Option<StatusCause> {
    if took <= RESTORE_NOTED {
        return None;
    }
    let severity = if took > RESTORE_MAX { Severity::Late } else { Severity::Note };
    let seconds = i64::try_from(took.as_secs()).unwrap_or(i64::MAX);
    Some(StatusCause {
        text: format!("partitions have been restored for {}", ages::duration(seconds)),
        since: Some(told(&since)),
        affects: format!("the promoters of {shards} partitions, which nobody polls meanwhile"),
        ..StatusCause::new(
            RESTORE_LASTS,
            severity,
            "look at the log (shards can't be restored now), and at the brokers",
        )
    })
}

fn clock_differs(app: &str, ahead: i64) -> Option<StatusCause> {
    let offset = ahead.unsigned_abs().cast_signed();
    if offset <= OFFSET_NOTED {
        return None;
    }
    let severity = if offset > OFFSET_MAX { Severity::Late } else { Severity::Note };
    let direction = if ahead > 0 { "ahead of" } else { "behind" };
    Some(StatusCause {
        app: Some(app.to_owned()),
        text: format!("the upstream's clock is {offset} s {direction} this host's"),
        affects: "how fresh its feeds seem, and up to when they are read: the earlier of both clocks counts".to_owned(),
        ..StatusCause::new(
            CLOCK_DIFFERS,
            severity,
            "set this host's clock (NTP); the log tells where the upstream's is odd",
        )
    })
}

fn dead_letters_new(source: &str, reason: &str, met: UnixMillis) -> StatusCause {
    let action = if source == DeadLetterSource::Registry.name() {
        "tail dead-letters shows it; see who writes that to the registry: it changes nothing there"
    } else if source == DeadLetterSource::Requests.name() {
        "tail dead-letters shows it; see which requester sends that"
    } else {
        "tail dead-letters shows it; see what the upstream has changed"
    };
    StatusCause {
        interface: Feed::from_name(source).map(|feed| feed.interface().name()),
        pipeline: (source == DeadLetterSource::Requests.name()).then_some(pipeline::REQUESTS),
        text: format!("the first dead letter of {source} for {reason} since this instance began"),
        since: Some(told(&met)),
        affects: format!("what can't be read of {source}; it is kept with its raw bytes"),
        ..StatusCause::new(DEAD_LETTERS_NEW, Severity::Note, action)
    }
}

/// As the alert on facts at risk, of what was new within an hour.
fn dead_letters_many(app: &str, feed: Feed, published: u64, dead: u64) -> Option<StatusCause> {
    let new = published.saturating_add(dead);
    (dead.saturating_mul(ROWS_FOR_ONE_LETTER) > new).then(|| StatusCause {
        app: Some(app.to_owned()),
        interface: Some(feed.interface().name()),
        text: format!("of {new} rows of {feed} that were new within an hour {dead} can't be read"),
        affects: format!("{feed} of app {app}: as many events are missing, and kept as dead letters"),
        ..StatusCause::new(
            DEAD_LETTERS_MANY,
            Severity::Note,
            "tail dead-letters shows them; see what the upstream has changed, and report it with a record",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::buckets::{BucketCounts, SHARES};

    #[test]
    fn a_quota_that_others_use_up_is_a_note_that_tells_when() {
        let reset = UnixTime(1_700_000_000);
        let told = quota_ends_early("wx1", Interface::GetOrder, reset.minus(7200), reset);
        assert_eq!(
            (told.code, told.app.as_deref(), told.interface, told.severity),
            ("quota_ends_early", Some("wx1"), Some("getorder"), Severity::Note)
        );
        assert!(told.text.contains(&reset.minus(7200).to_string()), "{told:?}");
    }

    #[test]
    fn lateness_is_nearly_used_where_more_than_one_fact_in_a_thousand_has_used_so_much() {
        let code = |late: usize, share: f64| {
            let counts = BucketCounts::new(SHARES);
            (0..1000 - late).for_each(|_| counts.add(0.1));
            (0..late).for_each(|_| counts.add(share));
            lateness_used(Feed::Orders, &counts.snapshot(), 12 * 3600).map(|cause| cause.code)
        };
        assert_eq!([code(0, 0.0), code(2, 0.5), code(1, 0.6)], [None; 3]);
        assert_eq!([code(2, 0.6), code(2, 0.8)], [Some(LATENESS_HALF_USED); 2]);
        assert_eq!(code(2, 0.81), Some(LATENESS_NEARLY_USED));
        assert_eq!(lateness_used(Feed::Orders, &BucketCounts::new(SHARES).snapshot(), 12 * 3600), None);
    }

    #[test]
    fn the_lateness_is_told_of_which_late_facts_would_use_half() {
        let text = |share: f64, lateness| {
            let counts = BucketCounts::new(SHARES);
            (0..10).for_each(|_| counts.add(share));
            lateness_used(Feed::Orders, &counts.snapshot(), lateness).unwrap().text
        };
        let told = text(0.6, 12 * 3600);
        assert!(told.ends_with("with orders.lateness = \"20h\" instead of 12h half of it would be left"), "{told}");
        assert!(text(0.95, 12 * 3600).contains("\"24h\" instead of 12h"));
        assert!(text(0.95, 7 * 86_400).contains("\"14d\" instead of 7d"));
        assert!(text(0.85, 600).contains("\"18m\" instead of 10m"));
    }

    #[test]
    fn a_restore_is_to_be_known_after_a_minute_and_too_long_after_ten() {
        let severity = |seconds| {
            let told = restore_lasts(UnixMillis(5000), Duration::from_secs(seconds), 3)?;
            assert_eq!(told.since.as_deref(), Some("1970-01-01T00:00:05Z"));
            assert!(told.affects.contains("3 partitions"), "{told:?}");
            Some(told.severity)
        };
        assert_eq!(
            [60, 61, 600, 601].map(severity),
            [None, Some(Severity::Note), Some(Severity::Note), Some(Severity::Late)]
        );
    }

    #[test]
    fn clocks_may_differ_by_five_seconds_and_by_no_more_than_a_minute() {
        let severity = |ahead| clock_differs("wx1", ahead).map(|cause| cause.severity);
        let [note, late] = [Some(Severity::Note), Some(Severity::Late)];
        assert_eq!([0, 5, -5, 6, -6, 60, 61, -61].map(severity), [None, None, None, note, note, note, late, late]);
        assert!(clock_differs("wx1", -7).unwrap().text.contains("7 s behind"));
    }

    #[test]
    fn what_is_to_be_done_about_a_dead_letter_goes_by_who_has_written_it() {
        let action = |source| dead_letters_new(source, "not_json", UnixMillis(0)).action;
        assert!(action("orders").contains("the upstream"));
        assert!(action("registry").contains("the registry") && !action("registry").contains("upstream"));
        assert!(action("commands").contains("requester") && !action("commands").contains("upstream"));
    }

    #[test]
    fn more_than_one_dead_letter_in_a_hundred_new_rows_are_many() {
        let is_told = |published, dead| dead_letters_many("wx1", Feed::Orders, published, dead).is_some();
        assert!(!is_told(0, 0) && !is_told(99, 1) && is_told(98, 1) && is_told(0, 1));
        assert!(dead_letters_many("wx1", Feed::Orders, 3, 1).unwrap().text.contains("of 4 rows of orders"));
    }
}
