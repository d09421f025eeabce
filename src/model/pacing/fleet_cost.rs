//! What a fleet costs in calls, and how fresh that keeps it: by the formula, before anybody is polled.
//!
//! How often facts come is not known then, so a mix of promoters is assumed ([`ASSUMED_MIX`]); the connector itself learns it
//! from what polls bring. The cost is certain all the same where the budget is known, for that is spent, and so is what is
//! needed at `every` and at `idle_every`.

use std::time::Duration;

use super::PollSettings;
use super::intervals::{BudgetUse, Intervals, RateClass};
use crate::model::feed::{Feed, Interface, PerFeed, PerInterface, PulledBy};

/// Of a hundred promoters so many have a fact each so many seconds: an active one each ten minutes, nine three a day, ninety
/// one in ten days.
pub const ASSUMED_MIX: [(u32, f64); 3] = [(1, 600.0), (9, 28_800.0), (90, 864_000.0)];
const MIX_PARTS: u32 = 100;
/// A day of orders is closed its lateness after its end in UTC, which comes so many seconds after Beijing's.
const UTC_AFTER_BEIJING: f64 = 8.0 * 3600.0;
const DAY_SECONDS: f64 = 86_400.0;
/// So many of a hundred facts are not delayed longer than is told.
const PERCENTILE: f64 = 0.95;
const BISECTIONS: u32 = 60;
/// What is rounded away.
const ENOUGH: f64 = 0.9999;

/// The promoters that one feed is polled for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FeedFleet {
    pub promoters: u32,
    pub settings: PollSettings,
}

/// What a fleet costs a day, and what that buys.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FleetCost {
    /// Of those that are polled.
    pub interfaces: PerInterface<Option<InterfaceCost>>,
    /// How long after its time a fact is seen, where the upstream shows it at once.
    pub feeds: PerFeed<Option<FactDelay>>,
}

/// Calls of one interface a day, of all instances.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct InterfaceCost {
    /// That are made.
    pub calls: f64,
    /// That polling everybody each `every` would take,
    pub at_every: f64,
    /// and each `idle_every`: with less, somebody waits longer than that.
    pub at_idle_every: f64,
    pub budget: DailyCalls,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FactDelay {
    pub mean: Duration,
    /// That 95 of 100 facts have at most.
    pub p95: Duration,
}

/// How many calls of an interface may be made in a day.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct DailyCalls {
    /// By the limit of the minute, in calls a day; nothing where it has none.
    pub by_minute: Option<f64>,
    /// By the day's own limit; nothing where that is not known.
    pub by_day: Option<f64>,
}

/// What would have to change.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum QuotaVerdict {
    /// Nothing: everybody can be polled each `every`.
    Enough,
    /// Nothing: quiet promoters are polled less often, but not less than each `idle_every`.
    QuietWaitLonger,
    /// A quota of this many calls a day, or an `idle_every` longer by this factor.
    TooSmall { calls: f64, factor: f64 },
}

/// The feeds of one interface, each part of the mix of each of them.
struct CountedFleet {
    intervals: Intervals,
    parts: Vec<CountedPart>,
    /// Calls a day of orders' days before today, that are not closed yet.
    beside: f64,
    at_every: f64,
    at_idle_every: f64,
}

struct CountedPart {
    feed: Feed,
    class: RateClass,
    feeds: f64,
    /// Facts a second of each.
    rate: f64,
}

impl FleetCost {
    /// Of these feeds, with so many calls of each interface a day.
    pub fn of(fleet: &PerFeed<Option<FeedFleet>>, budgets: &PerInterface<DailyCalls>) -> FleetCost {
        let (mut interfaces, mut feeds) = (PerInterface::default(), PerFeed::default());
        for interface in Interface::ALL {
            let mut counted = CountedFleet::new(fleet, interface);
            if counted.parts.is_empty() {
                continue;
            }
            interfaces[interface] = Some(counted.spend(budgets[interface]));
            Feed::ALL.into_iter().for_each(|feed| feeds[feed] = counted.delay(feed).or(feeds[feed]));
        }
        FleetCost { interfaces, feeds }
    }
}

impl InterfaceCost {
    pub fn verdict(&self) -> QuotaVerdict {
        let InterfaceCost { calls, at_every, at_idle_every, budget } = *self;
        match budget.least() {
            Some(budget) if budget < at_idle_every => {
                QuotaVerdict::TooSmall { calls: at_idle_every, factor: at_idle_every / budget.max(1.0) }
            }
            // Also where nobody knows the day's quota.
            _ if calls < at_every * ENOUGH => QuotaVerdict::QuietWaitLonger,
            _ => QuotaVerdict::Enough,
        }
    }
}

impl DailyCalls {
    fn least(self) -> Option<f64> {
        self.by_minute.into_iter().chain(self.by_day).min_by(f64::total_cmp)
    }

    fn budget_use(self) -> BudgetUse {
        if self.by_day.is_some() { BudgetUse::Spend } else { BudgetUse::Bound }
    }
}

impl CountedFleet {
    fn new(fleet: &PerFeed<Option<FeedFleet>>, interface: Interface) -> CountedFleet {
        let (intervals, parts) = (Intervals::default(), Vec::new());
        let mut counted = CountedFleet { intervals, parts, beside: 0.0, at_every: 0.0, at_idle_every: 0.0 };
        for feed in Feed::ALL.into_iter().filter(|feed| feed.interface() == interface) {
            if let Some(fleet) = fleet[feed].filter(|fleet| fleet.promoters > 0) {
                counted.add(feed, fleet);
            }
        }
        counted
    }

    fn add(&mut self, feed: Feed, FeedFleet { promoters, settings }: FeedFleet) {
        let (bounds, promoters_count) = (settings.bounds(), f64::from(promoters));
        for (parts, seconds) in ASSUMED_MIX {
            let rate = 1.0 / (seconds * feed.rarity());
            // Whole feeds are counted, and a part of the mix may be less than one: so all are counted a hundred times.
            let class = self.intervals.join_at(bounds, rate as f32, promoters.saturating_mul(parts));
            let feeds = promoters_count * f64::from(parts) / f64::from(MIX_PARTS);
            self.parts.push(CountedPart { feed, class, feeds, rate });
        }
        let a_day = |pause: Duration| promoters_count * DAY_SECONDS / pause.as_secs_f64();
        self.at_every += a_day(bounds.every);
        self.at_idle_every += a_day(bounds.idle_every);
        if feed.pulled_by() == PulledBy::Day {
            let open_days = (settings.lateness as f64 + UTC_AFTER_BEIJING) / DAY_SECONDS;
            self.beside += a_day(bounds.idle_every) * open_days;
        }
    }

    fn spend(&mut self, budget: DailyCalls) -> InterfaceCost {
        // Other days than today have half of it at most.
        let usual = budget.least().map(|calls| (calls - self.beside).max(calls / 2.0));
        let usual = usual.map(|calls| calls / DAY_SECONDS * f64::from(MIX_PARTS));
        self.intervals.spread(usual, budget.budget_use());
        let of_part = |part: &CountedPart| part.feeds * DAY_SECONDS / self.seconds(part);
        let usual_calls: f64 = self.parts.iter().map(of_part).sum();
        let calls = usual_calls + self.beside;
        InterfaceCost {
            calls: budget.least().map_or(calls, |budget| calls.min(budget)),
            at_every: self.at_every + self.beside,
            at_idle_every: self.at_idle_every + self.beside,
            budget,
        }
    }

    /// From one poll to the next: the interval, or longer where the budget is too small even for the longest.
    fn seconds(&self, part: &CountedPart) -> f64 {
        let longer = self.intervals.shortage().map_or(1.0, |shortage| shortage.needed / shortage.budget.max(1e-9));
        self.intervals.interval(part.class).as_secs_f64() * longer
    }

    /// Of a fact of this feed: it comes at any moment between two polls.
    fn delay(&self, feed: Feed) -> Option<FactDelay> {
        let parts = || self.parts.iter().filter(|part| part.feed == feed);
        let facts: f64 = parts().map(|part| part.feeds * part.rate).sum();
        if facts <= 0.0 {
            return None;
        }
        let of_facts = |delay: &dyn Fn(f64) -> f64| -> f64 {
            parts().map(|part| part.feeds * part.rate * delay(self.seconds(part))).sum::<f64>() / facts
        };
        let mean = of_facts(&|interval| interval / 2.0);
        let (mut least, mut most) = (0.0, parts().map(|part| self.seconds(part)).fold(0.0, f64::max));
        for _ in 0..BISECTIONS {
            let middle = f64::midpoint(least, most);
            let seen = of_facts(&|interval| (middle / interval).min(1.0));
            if seen < PERCENTILE { least = middle } else { most = middle }
        }
        Some(FactDelay { mean: Duration::from_secs_f64(mean), p95: Duration::from_secs_f64(most) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(lateness: i64) -> PollSettings {
        PollSettings { every: Duration::from_secs(60), idle_every: Duration::from_secs(900), lateness }
    }

    fn budget(by_day: Option<f64>) -> PerInterface<DailyCalls> {
        PerInterface::new(|_| DailyCalls { by_minute: Some(5000.0 * 1440.0), by_day })
    }

    fn touches(promoters: u32, calls_a_day: Option<f64>) -> (InterfaceCost, FactDelay) {
        let fleet = PerFeed { touches: Some(FeedFleet { promoters, settings: settings(600) }), ..PerFeed::default() };
        let cost = FleetCost::of(&fleet, &budget(calls_a_day));
        assert_eq!((cost.interfaces.get_order, cost.feeds.orders), (None, None));
        (cost.interfaces.get_relation.unwrap(), cost.feeds.touches.unwrap())
    }

    /// Calls that poll so many promoters each minute of a day.
    fn each_minute(promoters: u32) -> f64 {
        f64::from(promoters) * 1440.0
    }

    #[test]
    fn a_budget_for_all_polls_everybody_each_every() {
        let (cost, delay) = touches(1000, Some(2.0 * each_minute(1000)));
        assert_eq!((cost.calls.round(), cost.verdict()), (each_minute(1000), QuotaVerdict::Enough));
        assert_eq!((delay.mean.as_secs(), delay.p95.as_secs()), (30, 57));
    }

    /// The README's table: an optimum of 37 s within a fifth of all, and of 50 s within a tenth.
    #[test]
    fn a_part_of_it_buys_what_the_formula_says() {
        for (part, means) in [(0.2, 36..44), (0.1, 46..66)] {
            let (cost, delay) = touches(20_000, Some(part * each_minute(20_000)));
            assert!((0.99..=1.0).contains(&(cost.calls / (part * each_minute(20_000)))), "{cost:?}");
            assert_eq!(cost.verdict(), QuotaVerdict::QuietWaitLonger);
            assert!(means.contains(&delay.mean.as_secs()), "{delay:?}");
            assert!(delay.p95 > delay.mean * 2, "{delay:?}");
        }
    }

    #[test]
    fn a_budget_that_is_too_small_tells_which_would_do_or_how_much_longer_all_wait() {
        let (cost, delay) = touches(9000, Some(each_minute(300)));
        assert_eq!(cost.verdict(), QuotaVerdict::TooSmall { calls: each_minute(600), factor: 2.0 });
        assert!((850..950).contains(&delay.mean.as_secs()), "{delay:?}");
    }

    #[test]
    fn where_the_quota_is_not_known_the_quiet_are_polled_less_often_whoever_could_be() {
        let (cost, delay) = touches(100, None);
        assert!(cost.calls < each_minute(100) / 5.0 && cost.calls > each_minute(100) / 15.0, "{cost:?}");
        assert_eq!(cost.verdict(), QuotaVerdict::QuietWaitLonger);
        assert!(delay.mean < Duration::from_secs(120), "{delay:?}");
    }

    #[test]
    fn orders_cost_their_open_days_as_well_and_share_with_refunds() {
        let hours = |hours: u64| Duration::from_secs(hours * 3600);
        let refunds = PollSettings { every: hours(1), idle_every: hours(6), lateness: 7 * 86_400 };
        let fleet = PerFeed {
            orders: Some(FeedFleet { promoters: 100, settings: settings(12 * 3600) }),
            refunds: Some(FeedFleet { promoters: 100, settings: refunds }),
            ..PerFeed::default()
        };
        let cost = FleetCost::of(&fleet, &budget(Some(1e9)));
        let InterfaceCost { calls, at_idle_every, .. } = cost.interfaces.get_order.unwrap();
        let beside = 9600.0 * 20.0 / 24.0;
        assert!((calls - (144_000.0 + 2400.0 + beside)).abs() < 1.0, "{calls}");
        assert!((at_idle_every - (9600.0 + 400.0 + beside)).abs() < 1.0, "{at_idle_every}");
        assert!(cost.feeds.refunds.unwrap().mean > cost.feeds.orders.unwrap().mean);
    }
}
