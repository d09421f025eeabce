//! How long the usual pause between two polls of a feed is, so that a budget of calls buys the least delay.
//!
//! A fact of a feed that is polled at an interval `I` waits `I / 2` in the mean. With facts at a rate `λ`, polls that cost
//! `c` calls, and a budget of `B` calls a second over all feeds, the mean delay of a fact is least where each `I` is in
//! proportion to `√(c / λ)`, within `every` and `idle_every`. What is left is one number, the scale, for which the calls of
//! all feeds together come to `B`.
//!
//! It is found over a histogram: feeds are counted by classes of their rate, half an octave wide, which leaves an interval
//! within 9 % of the right one, and the mean delay within 1 %. So it takes the same time for ten feeds and for ten million.

use std::time::Duration;

use super::fact_rate::{FactRate, MeanRate};

/// Classes of rates.
pub(crate) const CLASSES: usize = 62;
const CLASSES_PER_OCTAVE: f32 = 2.0;
/// The slowest class, in octaves: a fact in 97 days.
const SLOWEST: f32 = -23.0;
/// The pause at most, as a part of `idle_every`: what is left is for those who wait when their time has come.
const IDLE_PART: f64 = 0.95;
/// Where no budget is to be spent, that many seconds between two facts are worth a poll each `every`, and rarer ones less.
const UNBUDGETED: f64 = 3600.0;
/// Steps that bring the scale within a thousandth of a percent of the right one.
const BISECTIONS: u32 = 40;
/// How much the latest poll tells of what a poll of its class costs.
const COST_WEIGHT: f32 = 1.0 / 256.0;

/// The bounds of an interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IntervalBounds {
    pub every: Duration,
    /// At least `every`.
    pub idle_every: Duration,
}

/// Where a feed is counted: among those with the same bounds, by its rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateClass {
    group: u8,
    class: u8,
}

impl RateClass {
    pub(crate) fn index(self) -> (usize, usize) {
        (usize::from(self.group), usize::from(self.class))
    }
}

/// What the feeds of a budget would need at `idle_every`, where that is more than the budget.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Shortage {
    /// Calls a second.
    pub needed: f64,
    pub budget: f64,
}

/// What a budget is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BudgetUse {
    /// It is known to be there, and what is not spent of it is lost.
    Spend,
    /// Nobody knows how many calls there are: it only keeps them from being more than that.
    Bound,
}

/// The intervals of all feeds that share a budget.
#[derive(Debug, Default)]
pub(crate) struct Intervals {
    groups: Vec<Group>,
    shortage: Option<Shortage>,
    spends: bool,
}

/// Feeds with the same bounds.
#[derive(Debug)]
struct Group {
    bounds: IntervalBounds,
    mean: MeanRate,
    feeds: [u32; CLASSES],
    /// What a poll costs, in calls.
    cost: [f32; CLASSES],
    /// In seconds.
    interval: [f64; CLASSES],
}

impl Intervals {
    /// The class of a feed with these bounds of which nothing is known; it is counted from now on.
    ///
    /// # Panics
    /// Where there are more than 256 different bounds.
    pub fn join(&mut self, bounds: IntervalBounds) -> RateClass {
        let group = self.group_of(bounds);
        let mean = self.groups[usize::from(group)].mean.per_second();
        self.count(group, mean, 1)
    }

    /// The class of so many feeds with these bounds whose facts come at a known rate a second; they are counted from now on.
    ///
    /// # Panics
    /// As [`join`](Self::join).
    pub(crate) fn join_at(&mut self, bounds: IntervalBounds, rate: f32, feeds: u32) -> RateClass {
        let group = self.group_of(bounds);
        self.count(group, rate, feeds)
    }

    fn count(&mut self, group: u8, rate: f32, feeds: u32) -> RateClass {
        let class = RateClass { group, class: class_of(rate) };
        let counted = self.feeds(class);
        *counted = counted.saturating_add(feeds);
        class
    }

    fn group_of(&mut self, bounds: IntervalBounds) -> u8 {
        let known = self.groups.iter().position(|group| group.bounds == bounds);
        let index = known.unwrap_or_else(|| {
            self.groups.push(Group::new(bounds));
            self.groups.len() - 1
        });
        u8::try_from(index).expect("there are 256 bounds at most, as `join` demands")
    }

    /// A feed is polled no more.
    pub fn leave(&mut self, class: RateClass) {
        *self.feeds(class) -= 1;
    }

    /// Takes what a poll has brought, and what it cost in calls. Gives the feed's class from then on.
    pub fn learn(&mut self, class: RateClass, rate: &mut FactRate, brought: Brought) -> RateClass {
        let (group, number) = class.index();
        let of_group = &mut self.groups[group];
        rate.learn(brought.facts, brought.covered);
        of_group.mean.learn(brought.facts, brought.covered, of_group.feeds.iter().sum());
        let cost = &mut of_group.cost[number];
        *cost += (brought.calls.max(1) as f32 - *cost) * COST_WEIGHT;
        let learned = RateClass { class: class_of(rate.per_second(of_group.mean.per_second())), ..class };
        *self.feeds(class) -= 1;
        *self.feeds(learned) += 1;
        learned
    }

    fn feeds(&mut self, class: RateClass) -> &mut u32 {
        let (group, class) = class.index();
        &mut self.groups[group].feeds[class]
    }

    /// Spreads a budget, in calls a second, over all feeds; nothing where there is none.
    pub(crate) fn spread(&mut self, budget: Option<f64>, budget_use: BudgetUse) {
        (self.shortage, self.spends) = (None, false);
        // First, for by the calls of these intervals it is told whether they need the budget at all.
        self.groups.iter_mut().for_each(Group::unbudgeted);
        let is_free = |budget: &f64| budget_use == BudgetUse::Bound && self.calls_now() <= *budget;
        let Some(budget) = budget.filter(|budget| !is_free(budget)) else { return };
        self.spends = true;
        let needed = self.calls(f64::INFINITY);
        if needed > budget {
            self.shortage = Some(Shortage { needed, budget });
        }
        let scale = self.scale(budget);
        self.groups.iter_mut().for_each(|group| group.set(scale));
    }

    /// The scale at which all feeds together make as many calls as the budget has, or all that they may.
    fn scale(&self, budget: f64) -> f64 {
        // In octaves: at the least everybody is polled at `every`, at the most at `idle_every`.
        let (mut least, mut most) = (-32.0_f64, 32.0_f64);
        for _ in 0..BISECTIONS {
            let middle = f64::midpoint(least, most);
            if self.calls(middle.exp2()) > budget { least = middle } else { most = middle }
        }
        // Of the two the one with fewer calls: never more than there are.
        most.exp2()
    }

    /// Calls a second.
    fn calls(&self, scale: f64) -> f64 {
        self.groups.iter().map(|group| group.calls(scale)).sum()
    }

    /// Calls a second at the intervals as they are.
    fn calls_now(&self) -> f64 {
        self.groups.iter().map(Group::calls_now).sum()
    }

    /// Whether all of the budget is to be used: where somebody would have to wait for his interval, he need not.
    pub(crate) fn spends(&self) -> bool {
        self.spends
    }

    /// Whether the feeds need more calls than there are, however quiet they are: then everybody waits longer, in proportion.
    pub(crate) fn shortage(&self) -> Option<Shortage> {
        self.shortage
    }

    pub fn interval(&self, class: RateClass) -> Duration {
        let (group, class) = class.index();
        Duration::from_secs_f64(self.groups[group].interval[class])
    }

    /// The interval of a feed of which nothing is known, in seconds: of these bounds, the shortest.
    pub(crate) fn mean_seconds(&self) -> f64 {
        let of_group = |group: &Group| group.interval[usize::from(class_of(group.mean.per_second()))];
        self.groups.iter().map(of_group).fold(f64::MAX, f64::min)
    }

    /// In seconds: `every`, and the interval of each class.
    pub(crate) fn group(&self, group: usize) -> (f64, &[f64; CLASSES]) {
        (self.groups[group].bounds.every.as_secs_f64(), &self.groups[group].interval)
    }
}

/// What a poll has brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Brought {
    /// That no poll before it had shown.
    pub facts: u64,
    /// The time in which they came.
    pub covered: Duration,
    pub calls: u32,
}

impl Group {
    fn new(bounds: IntervalBounds) -> Group {
        let interval = [bounds.every.as_secs_f64(); CLASSES];
        Group { bounds, mean: MeanRate::default(), feeds: [0; CLASSES], cost: [1.0; CLASSES], interval }
    }

    fn seconds(&self, class: usize, scale: f64) -> f64 {
        let every = self.bounds.every.as_secs_f64();
        let idle = (self.bounds.idle_every.as_secs_f64() * IDLE_PART).max(every);
        (scale * (f64::from(self.cost[class]) / rate_of(class)).sqrt()).clamp(every, idle)
    }

    fn calls(&self, scale: f64) -> f64 {
        self.calls_at(|class| self.seconds(class, scale))
    }

    fn calls_now(&self) -> f64 {
        self.calls_at(|class| self.interval[class])
    }

    /// Calls a second of all that are counted, at these intervals.
    fn calls_at(&self, seconds: impl Fn(usize) -> f64) -> f64 {
        let calls_of = |class| f64::from(self.feeds[class]) * f64::from(self.cost[class]) / seconds(class);
        (0..CLASSES).filter(|class| self.feeds[*class] > 0).map(calls_of).sum()
    }

    fn set(&mut self, scale: f64) {
        (0..CLASSES).for_each(|class| self.interval[class] = self.seconds(class, scale));
    }

    fn unbudgeted(&mut self) {
        self.set(self.bounds.every.as_secs_f64() / UNBUDGETED.sqrt());
    }
}

fn class_of(rate: f32) -> u8 {
    let class = ((rate.log2() - SLOWEST) * CLASSES_PER_OCTAVE).round();
    class.clamp(0.0, (CLASSES - 1) as f32) as u8
}

fn rate_of(class: usize) -> f64 {
    f64::from(SLOWEST + class as f32 / CLASSES_PER_OCTAVE).exp2()
}

#[cfg(test)]
mod tests;
