//! One promoter of the world: the facts made so far, in the order of their times.
//!
//! A fact is a few numbers; everything else that its row says is drawn again from its seed whenever it is asked for.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use crate::model::time::{Day, UnixTime};

use super::shares::{SharedMaterial, Shares};
use crate::simulator::options::{Bounds, Days, WorldOptions};
use crate::simulator::seed::Seed;

/// All times of facts are Unix seconds.
pub struct TouchFact {
    pub time: u32,
    pub visible_at: u32,
    pub shown: FirstShown,
}

pub struct OrderFact {
    pub time: u32,
    pub visible_at: u32,
    pub refund_first: u32,
    pub refund_count: u8,
    /// The neighbouring day that lists it beside its own, as a difference; 0 where none does.
    pub also_listed: i8,
    pub shown: FirstShown,
}

impl OrderFact {
    pub fn refunds(&self) -> std::ops::Range<usize> {
        let first = self.refund_first as usize;
        first..first + usize::from(self.refund_count)
    }
}

pub struct RefundFact {
    pub time: u32,
    pub visible_at: u32,
    /// From when on its row has its time; 0 for always.
    pub told_at: u32,
    pub shown_by_orders: FirstShown,
    pub shown_by_refunds: FirstShown,
}

/// When a page first showed a fact; facts are many, so it is kept in four bytes.
#[derive(Clone, Copy, Default)]
pub struct FirstShown(u32);

impl FirstShown {
    pub fn mark(&mut self, now: u32) {
        if self.0 == 0 {
            self.0 = now.max(1);
        }
    }

    pub fn at(self) -> Option<u32> {
        (self.0 != 0).then_some(self.0)
    }
}

/// In which order rows stand on pages. Not documented by the upstream, so each promoter has its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrangement {
    Ascending,
    Descending,
    /// Mixed within blocks of [`SHUFFLED_BLOCK`], always in the same way.
    Shuffled,
}

pub const SHUFFLED_BLOCK: usize = 64;

/// What never changes about a promoter.
pub struct Traits {
    pub arrangement: Arrangement,
    /// Which place a row of a shuffled block takes: its own exclusive-or this.
    pub mask: usize,
    pub begin_inclusive: bool,
    pub end_inclusive: bool,
    /// Whether a refunded order still shows its row of status 1 beside those of status 2.
    pub keeps_paid_row: bool,
    /// Whether `start_id` is a number instead of a text.
    pub numeric_start_id: bool,
}

impl Traits {
    fn new(seed: Seed, bounds: Bounds) -> Traits {
        let mut rng = seed.text("traits").rng();
        let arrangement = match rng.random_range(0..3) {
            0 => Arrangement::Ascending,
            1 => Arrangement::Descending,
            _ => Arrangement::Shuffled,
        };
        let mut inclusive = || match bounds {
            Bounds::Inclusive => true,
            Bounds::Exclusive => false,
            Bounds::Seeded => rng.random_bool(0.7),
        };
        let (begin_inclusive, end_inclusive) = (inclusive(), inclusive());
        Traits {
            arrangement,
            mask: rng.random_range(0..SHUFFLED_BLOCK),
            begin_inclusive,
            end_inclusive,
            keeps_paid_row: rng.random_bool(0.5),
            numeric_start_id: rng.random_bool(0.5),
        }
    }
}

/// Facts that come by chance: the time from one to the next is exponential.
struct FactSource {
    rng: ChaCha8Rng,
    /// Facts a second; 0 for none.
    rate: f64,
    next: f64,
}

impl FactSource {
    fn new(seed: Seed, begin: f64, per_hour: f64) -> FactSource {
        let mut source = FactSource { rng: seed.rng(), rate: per_hour / 3600.0, next: begin };
        source.step();
        source
    }

    fn step(&mut self) {
        let chance: f64 = self.rng.random_range(f64::EPSILON..1.0);
        self.next += if self.rate > 0.0 { -chance.ln() / self.rate } else { f64::INFINITY };
    }

    /// The time of the next fact, if it happens before `until`.
    fn take(&mut self, until: f64) -> Option<u32> {
        if self.next >= until {
            return None;
        }
        let time = self.next as u32;
        self.step();
        Some(time)
    }
}

/// How late facts appear.
#[derive(Clone, Copy)]
struct Lateness {
    share: f64,
    seconds_max: u32,
}

impl Lateness {
    /// Most facts appear at once, some take up to the limit.
    fn visible_at(self, time: u32, rng: &mut ChaCha8Rng) -> u32 {
        let late = rng.random_bool(self.share) && self.seconds_max > 0;
        time + if late { rng.random_range(0..=self.seconds_max) } else { 0 }
    }

    /// The same with a limit of its own, if there is one.
    fn up_to(self, seconds_max: Option<u32>) -> Lateness {
        Lateness { seconds_max: seconds_max.unwrap_or(self.seconds_max), ..self }
    }
}

/// Seconds from a payment to the end of its day.
fn rest_of_day(time: u32, days: Days) -> u32 {
    let time = UnixTime(i64::from(time));
    let end = match days {
        Days::Beijing => Day::in_beijing(time).beijing_end(),
        Days::Utc => Day::in_utc(time).utc_end(),
    };
    u32::try_from(end.0 - time.0).unwrap_or(0)
}

/// An hour, in seconds.
const TOLD_AFTER_MAX: u32 = 3600;

pub struct SimPromoter {
    pub seed: Seed,
    pub id: String,
    pub traits: Traits,
    pub touches: Vec<TouchFact>,
    pub orders: Vec<OrderFact>,
    pub refunds: Vec<RefundFact>,
    pub shares: Shares,
    /// Data calls so far: the seed of what happens by chance within a call.
    pub calls: u64,
    touch_source: FactSource,
    order_source: FactSource,
    /// What becomes of each fact; the times have generators of their own.
    rng: ChaCha8Rng,
    lateness: Lateness,
    days: Days,
    orders_late_max: Option<u32>,
    refunds_late_max: Option<u32>,
    two_dates: f64,
    told_later: f64,
    refund_share: f64,
    partial_share: f64,
    refund_within: u32,
    /// No fact has this time or a later one.
    end: f64,
    facts_max: usize,
}

/// Seconds of an option, which is at most ten years.
fn seconds(duration: std::time::Duration) -> u32 {
    u32::try_from(duration.as_secs()).unwrap_or(u32::MAX)
}

impl SimPromoter {
    pub fn new(id: String, seed: Seed, options: &WorldOptions, start: UnixTime, facts_max: usize) -> SimPromoter {
        let begin = start.minus(options.history.as_secs().cast_signed()).0.max(0);
        let pace = pace(seed);
        // An exact history replaces the flow of facts before the start.
        let flow_begin = |exact: Option<u32>| if exact.is_some() { start.0 } else { begin } as f64;
        let touch_begin = flow_begin(options.history_touches);
        let order_begin = flow_begin(options.history_orders);
        let mut promoter = SimPromoter {
            traits: Traits::new(seed, options.bounds),
            touches: Vec::new(),
            orders: Vec::new(),
            refunds: Vec::new(),
            shares: Shares::default(),
            calls: 0,
            touch_source: FactSource::new(seed.text("touches"), touch_begin, options.touches_per_hour * pace),
            order_source: FactSource::new(seed.text("orders"), order_begin, options.orders_per_hour * pace),
            rng: seed.text("fates").rng(),
            lateness: Lateness { share: options.late, seconds_max: seconds(options.late_max) },
            days: options.days,
            orders_late_max: options.orders_late_max.map(seconds),
            refunds_late_max: options.refunds_late_max.map(seconds),
            two_dates: options.two_dates,
            told_later: options.told_later,
            refund_share: options.refunds,
            partial_share: options.partial_refunds,
            refund_within: seconds(options.refund_within).max(1),
            end: options.quiet_after.map_or(f64::INFINITY, |quiet| start.0 as f64 + quiet.as_secs_f64()),
            facts_max,
            seed,
            id,
        };
        let spread = |count: u32| {
            let length = (start.0 - begin).max(0) as u64;
            (0..count).map(move |index| (begin as u64 + length * u64::from(index) / u64::from(count)) as u32)
        };
        for time in spread(options.history_touches.unwrap_or(0)) {
            promoter.touch(time);
        }
        for time in spread(options.history_orders.unwrap_or(0)) {
            promoter.order(time);
        }
        promoter
    }

    /// Makes the facts up to a time. Asking twice or in small steps makes the same facts.
    pub fn advance(&mut self, now: UnixTime) {
        let until = (now.0 as f64 + 1.0).min(self.end);
        // Kinds alternate as their times do, so that the generator of fates is drawn from in one order.
        loop {
            let touches_next = self.touch_source.next <= self.order_source.next;
            let source = if touches_next { &mut self.touch_source } else { &mut self.order_source };
            match source.take(until) {
                None => return,
                Some(time) if touches_next => self.touch(time),
                Some(time) => self.order(time),
            }
        }
    }

    /// Touches after `now` may come from the material.
    pub fn share(&mut self, material: SharedMaterial, now: UnixTime) {
        self.advance(now);
        self.shares.add(material);
    }

    /// How much happens, compared with the average promoter.
    pub fn pace(&self) -> f64 {
        pace(self.seed)
    }

    pub fn facts(&self) -> usize {
        self.touches.len() + self.orders.len() + self.refunds.len()
    }

    fn touch(&mut self, time: u32) {
        if self.facts() < self.facts_max {
            let visible_at = self.lateness.visible_at(time, &mut self.rng);
            self.shares.decide(self.touches.len(), self.seed);
            self.touches.push(TouchFact { time, visible_at, shown: FirstShown::default() });
        }
    }

    fn order(&mut self, time: u32) {
        if self.facts() >= self.facts_max {
            return;
        }
        let limit = self.orders_late_max.map(|late_max| rest_of_day(time, self.days) + late_max);
        let visible_at = self.lateness.up_to(limit).visible_at(time, &mut self.rng);
        let refund_first = u32::try_from(self.refunds.len()).unwrap_or(u32::MAX);
        let wanted = match self.rng.random_bool(self.refund_share) {
            false => 0,
            true if self.rng.random_bool(self.partial_share) => self.rng.random_range(2..=4),
            true => 1,
        };
        // A refund is never shown before its order, and must not be late for that.
        let refunded_by = self.refunds_late_max.filter(|_| wanted > 0).map(|late_max| time + late_max);
        let visible_at = refunded_by.map_or(visible_at, |limit| visible_at.min(limit));
        let mut refund_time = time;
        for _ in 0..wanted {
            // The parts come one after another, never two in one second.
            refund_time += self.rng.random_range(1..=(self.refund_within / wanted).max(1));
            let lateness = self.lateness.up_to(self.refunds_late_max);
            let refund_visible_at = lateness.visible_at(refund_time, &mut self.rng).max(visible_at);
            let is_told_later = wanted == 1 && self.draw(self.told_later);
            let told_after = if is_told_later { self.rng.random_range(1..=TOLD_AFTER_MAX) } else { 0 };
            if f64::from(refund_time) < self.end {
                self.refunds.push(RefundFact {
                    time: refund_time,
                    visible_at: refund_visible_at,
                    told_at: if is_told_later { refund_visible_at + told_after } else { 0 },
                    shown_by_orders: FirstShown::default(),
                    shown_by_refunds: FirstShown::default(),
                });
            }
        }
        let refund_count = u8::try_from(self.refunds.len() - refund_first as usize).unwrap_or(u8::MAX);
        let also_listed = match self.draw(self.two_dates) {
            true if self.rng.random_bool(0.5) => 1,
            true => -1,
            false => 0,
        };
        let shown = FirstShown::default();
        self.orders.push(OrderFact { time, visible_at, refund_first, refund_count, also_listed, shown });
    }

    /// What has no chance costs no draw, so a world without it stays as it is.
    fn draw(&mut self, share: f64) -> bool {
        share > 0.0 && self.rng.random_bool(share)
    }
}

/// How a promoter compares with the average: of ten promoters one is silent, four are quiet, four steady, one busy.
fn pace(seed: Seed) -> f64 {
    match seed.text("pace").bits() % 10 {
        0 => 0.0,
        1..=4 => 0.2,
        5..=8 => 1.2,
        _ => 4.4,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const START: UnixTime = UnixTime(1_750_000_000);

    fn promoter(number: u64, options: &WorldOptions) -> SimPromoter {
        SimPromoter::new("o".into(), Seed::new(number), options, START, 1_000_000)
    }

    fn times(promoter: &SimPromoter) -> Vec<(u32, u32)> {
        let touches = promoter.touches.iter().map(|touch| (touch.time, touch.visible_at));
        let orders = promoter.orders.iter().map(|order| (order.time, order.visible_at));
        let refunds = promoter.refunds.iter().map(|refund| (refund.time, refund.visible_at));
        touches.chain(orders).chain(refunds).collect()
    }

    proptest::proptest! {
        #[test]
        fn the_facts_do_not_depend_on_how_often_one_looks(seed: u64, steps in proptest::collection::vec(1i64..2000, 1..20)) {
            let options = WorldOptions::default();
            let (mut often, mut once) = (promoter(seed, &options), promoter(seed, &options));
            let mut now = START;
            for step in steps {
                now = now.plus(step);
                often.advance(now);
            }
            once.advance(now);
            proptest::prop_assert_eq!(times(&often), times(&once));
        }
    }

    #[test]
    fn facts_stand_in_the_order_of_their_times_and_appear_within_the_limit() {
        let options = WorldOptions { late_max: Duration::from_secs(60), late: 0.5, ..WorldOptions::default() };
        for seed in 0..20 {
            let mut promoter = promoter(seed, &options);
            promoter.advance(START.plus(3600));
            assert!(promoter.touches.is_sorted_by_key(|touch| touch.time));
            assert!(promoter.orders.is_sorted_by_key(|order| order.time));
            assert!(promoter.touches.iter().all(|touch| touch.visible_at - touch.time <= 60));
        }
    }

    #[test]
    fn an_order_may_appear_until_its_lateness_after_the_end_of_its_day() {
        for days in [Days::Beijing, Days::Utc] {
            let options = WorldOptions {
                late: 1.0,
                orders_late_max: Some(Duration::from_secs(3600)),
                refunds: 0.0,
                orders_per_hour: 60.0,
                days,
                ..WorldOptions::default()
            };
            let mut promoter = promoter(4, &options);
            promoter.advance(START.plus(86_400));
            let left = |order: &OrderFact| rest_of_day(order.time, days) + 3600 - (order.visible_at - order.time);
            let least = promoter.orders.iter().map(left).min();
            assert!(least.is_some_and(|least| least < 1000), "{least:?} of {}", promoter.orders.len());
        }
    }

    #[test]
    fn an_exact_history_is_exact() {
        let options = WorldOptions { history_touches: Some(1000), history_orders: Some(10), ..WorldOptions::plain() };
        let promoter = promoter(3, &options);
        assert_eq!((promoter.touches.len(), promoter.orders.len()), (1000, 10));
        assert!(promoter.touches.iter().all(|touch| i64::from(touch.time) < START.0));
    }

    #[test]
    fn nothing_happens_after_the_quiet_nor_beyond_the_bound() {
        let options = WorldOptions { quiet_after: Some(Duration::from_secs(60)), ..WorldOptions::default() };
        for seed in 0..20 {
            let mut promoter = promoter(seed, &options);
            promoter.advance(START.plus(7200));
            assert!(times(&promoter).iter().all(|(time, _)| i64::from(*time) < START.0 + 60));
        }
        let mut small = SimPromoter::new("o".into(), Seed::new(9), &WorldOptions::default(), START, 5);
        small.advance(START.plus(86_400));
        assert!(small.facts() <= 5 + 4, "an order may bring up to four refunds beyond the bound: {}", small.facts());
    }
}
