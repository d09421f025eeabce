//! What polling an app costs in calls, and how fresh that keeps it: by the formula, with the quota that the upstream tells.

use std::time::Duration;

use jiff::SignedDuration;

use super::finding::{Finding, Verdict};
use super::fleet::CheckedFleet;
use crate::model::duration::MINUTES_OF_A_DAY;
use crate::model::feed::{Feed, Interface, PerFeed, PerInterface};
use crate::model::pacing::fleet_cost::{DailyCalls, FeedFleet, FleetCost, InterfaceCost, QuotaVerdict};
use crate::session::AppSettings;
use crate::upstream::quota_answer::DailyQuota;

const SUBJECT: &str = "quota";

/// Whether the app polls anything by this interface.
pub fn is_polled(app: &AppSettings, interface: Interface) -> bool {
    Feed::ALL.into_iter().any(|feed| feed.interface() == interface && app.feeds.polled[feed].is_some())
}

/// Of each interface by which the promoters of `fleet` are polled. `reported` is what the upstream says of today.
pub fn findings(app: &AppSettings, fleet: &CheckedFleet, reported: &PerInterface<Option<DailyQuota>>) -> Vec<Finding> {
    let fleet = of_feeds(app, fleet);
    let budgets = PerInterface::new(|interface| {
        let configured =
            app.client.budgets.get(&interface).map_or_else(DailyCalls::default, |budget| budget.daily_calls());
        let limit = reported[interface].map(|quota| quota.limit as f64);
        DailyCalls { by_day: configured.by_day.into_iter().chain(limit).min_by(f64::total_cmp), ..configured }
    });
    let cost = FleetCost::of(&fleet, &budgets);
    let finding = |interface| {
        let of_it = cost.interfaces[interface]?;
        Some(of_interface(app, interface, &of_it, reported[interface], &freshness(&cost, interface)))
    };
    Interface::ALL.into_iter().filter_map(finding).collect()
}

/// How many promoters each feed is polled for.
fn of_feeds(app: &AppSettings, fleet: &CheckedFleet) -> PerFeed<Option<FeedFleet>> {
    let mut promoters: PerFeed<u32> = PerFeed::default();
    for polled in fleet.polled(app) {
        for feed in Feed::ALL.into_iter().filter(|feed| polled.feeds[*feed].is_some()) {
            promoters[feed] += 1;
        }
    }
    PerFeed::new(|feed| {
        let settings = app.feeds.polled[feed]?.settings;
        Some(FeedFleet { promoters: promoters[feed], settings })
    })
}

/// How late the facts of the feeds of an interface are seen.
fn freshness(cost: &FleetCost, interface: Interface) -> String {
    let of_feed = |feed: Feed| {
        let delay = cost.feeds[feed].filter(|_| feed.interface() == interface)?;
        Some(format!("{feed} seen after {}, 95 of 100 within {}", shown(delay.mean), shown(delay.p95)))
    };
    Feed::ALL.into_iter().filter_map(of_feed).collect::<Vec<_>>().join("; ")
}

fn of_interface(
    app: &AppSettings,
    interface: Interface,
    cost: &InterfaceCost,
    reported: Option<DailyQuota>,
    freshness: &str,
) -> Finding {
    let (app_id, calls) = (&app.client.app_id, rounded(cost.calls));
    let quota = match (reported, cost.budget.by_day) {
        (Some(of_app), Some(by_day)) if by_day < of_app.limit as f64 => {
            format!(" of per_day = {}, where the app has {}", rounded(by_day), with_use(of_app))
        }
        (Some(of_app), _) => format!(" of {}", with_use(of_app)),
        (None, Some(by_day)) => format!(" of {}", rounded(by_day)),
        (None, None) => ", of a quota that is not known".to_owned(),
    };
    let text = format!("{app_id} {interface}: {calls} calls a day{quota}; {freshness}");
    match cost.verdict() {
        _ if reported.is_some_and(|quota| quota.left() == 0) => Finding::new(SUBJECT, Verdict::Warning, text)
            .fixed_by("wait for midnight in Beijing, or have the quota raised"),
        QuotaVerdict::Enough | QuotaVerdict::QuietWaitLonger => Finding::new(SUBJECT, Verdict::Sound, text),
        QuotaVerdict::TooSmall { calls, factor } => Finding::new(SUBJECT, Verdict::Warning, text).fixed_by(format!(
            "{} would do; or set idle_every {factor:.1} times as long: with less, all wait that much longer",
            enough(cost.budget, reported, calls)
        )),
    }
}

/// The limit, and what is left of it. Also calls that were refused may be counted.
fn with_use(quota: DailyQuota) -> String {
    let DailyQuota { limit, used } = quota;
    match quota.left() {
        0 => format!("{limit}, none of which is left today ({used} calls are counted)"),
        _ => format!("{limit}, {used} of which are used today"),
    }
}

/// What of the budget would have to be how much for this many calls a day.
fn enough(DailyCalls { by_minute, by_day }: DailyCalls, reported: Option<DailyQuota>, calls: f64) -> String {
    let is_less = |limit: Option<f64>| limit.is_some_and(|limit| limit < calls);
    let a_day = is_less(by_day).then(|| match reported {
        Some(quota) if (quota.limit as f64) < calls => format!("{} calls a day", rounded(calls)),
        _ => format!("per_day = {}", rounded(calls.ceil())),
    });
    let a_minute = is_less(by_minute).then(|| format!("per_minute = {}", rounded((calls / MINUTES_OF_A_DAY).ceil())));
    a_day.into_iter().chain(a_minute).collect::<Vec<_>>().join(" and ")
}

/// Calls are counted whole.
fn rounded(calls: f64) -> u64 {
    calls.round().max(0.0) as u64
}

fn shown(duration: Duration) -> String {
    if duration < Duration::from_secs(1) {
        return "less than a second".to_owned();
    }
    let seconds = i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
    format!("{:#}", SignedDuration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::Config;

    /// An app of two promoters, one of whom has touches alone.
    fn app(quota: &str) -> AppSettings {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("more.csv"), "promoter,feeds\noB,touches\n").unwrap();
        let text = format!(
            "kafka.\"bootstrap.servers\" = \"a:1\"\n[[apps]]\napp_id = \"wx1\"\nsecret = \"s\"\npromoters = [\"oA\"]\n\
             promoters_file = \"more.csv\"\nquota = {{ {quota} }}\n"
        );
        let config = Config::parse(&text, Path::new(&directory.path().join("connector.toml")), &|_| None);
        config.unwrap().apps.remove(0)
    }

    /// Those whom the configuration names.
    fn fleet(app: &AppSettings) -> CheckedFleet {
        CheckedFleet::configured(std::slice::from_ref(app))
    }

    fn found(quota: &str, reported: Option<DailyQuota>) -> Vec<Finding> {
        let app = app(quota);
        let reported = PerInterface::new(|interface| reported.filter(|_| interface == Interface::GetRelation));
        findings(&app, &fleet(&app), &reported)
    }

    #[test]
    fn those_are_counted_who_have_the_feed() {
        let app = app("");
        let fleet = of_feeds(&app, &fleet(&app));
        let counted = fleet.values().map(|fleet| fleet.map_or(0, |fleet| fleet.promoters)).collect::<Vec<_>>();
        assert_eq!(counted, [2, 1, 1]);
        let found = found("getrelation = { per_day = 1000000 }", None);
        let reported = &found[0];
        assert_eq!(reported.verdict, Verdict::Sound);
        assert!(
            reported.text.starts_with("wx1 getrelation: 2880 calls a day of 1000000; touches seen after 30s, "),
            "{reported:?}"
        );
        assert!(found[1].text.contains("of a quota that is not known; orders seen after "), "{found:?}");
    }

    #[test]
    fn a_quota_that_is_too_small_is_told_with_what_would_do() {
        let quota = DailyQuota { limit: 96, used: 7 };
        let found = found("getrelation = { per_day = 1000000 }", Some(quota));
        let reported = &found[0];
        assert_eq!(reported.verdict, Verdict::Warning);
        assert!(reported.text.contains(" of 96, 7 of which are used today"), "{reported:?}");
        assert!(
            reported
                .fix
                .as_ref()
                .is_some_and(|fix| fix.starts_with("192 calls a day would do; or set idle_every 2.0 "))
        );
    }

    #[test]
    fn what_would_do_is_told_of_the_limit_that_is_too_small() {
        let quota = |by_minute: f64, by_day: Option<f64>, reported: Option<DailyQuota>| {
            let budget = DailyCalls { by_minute: Some(by_minute * MINUTES_OF_A_DAY), by_day };
            enough(budget, reported, 2_000.0 * MINUTES_OF_A_DAY)
        };
        let of = |by_minute: f64, by_day: Option<f64>| {
            quota(by_minute, by_day, Some(DailyQuota { limit: 2_000_000, used: 0 }))
        };
        let roomy = DailyQuota { limit: 10_000_000, used: 0 };
        assert_eq!(quota(5_000.0, Some(2_000_000.0), Some(roomy)), "per_day = 2880000", "the configuration's own");
        assert_eq!(quota(5_000.0, Some(2_000_000.0), None), "per_day = 2880000");
        assert_eq!(of(1_000.0, Some(20_000_000.0)), "per_minute = 2000");
        assert_eq!(of(1_000.0, None), "per_minute = 2000");
        assert_eq!(of(1_000.0, Some(2_000_000.0)), "2880000 calls a day and per_minute = 2000");
        assert_eq!(of(1_500.0, Some(2_000_000.0)), "2880000 calls a day and per_minute = 2000");
        assert_eq!(of(5_000.0, Some(2_000_000.0)), "2880000 calls a day");
    }

    #[test]
    fn a_day_of_the_configuration_is_told_beside_that_of_the_app() {
        let found = found("getrelation = { per_day = 100 }", Some(DailyQuota { limit: 1_000_000, used: 7 }));
        let told = " calls a day of per_day = 100, where the app has 1000000, 7 of which are used today; ";
        assert!(found[0].text.contains(told), "{found:?}");
        assert!(found[0].fix.as_ref().is_some_and(|fix| fix.starts_with("per_day = 192 would do; ")), "{found:?}");
    }

    #[test]
    fn a_quota_that_is_spent_is_told() {
        for used in [5_000, 79_259] {
            let found = found("", Some(DailyQuota { limit: 5_000, used }));
            assert!(found[0].verdict == Verdict::Warning && found[0].fix.is_some(), "{found:?}");
            let told = format!(" of 5000, none of which is left today ({used} calls are counted); ");
            assert!(found[0].text.contains(&told), "{found:?}");
        }
    }
}
