//! One promoter of the world: the facts made so far, in the order of their times.
//!
//! A fact is a few numbers; everything else that its row says is drawn again from its seed whenever it is asked for.

use super::fact::{OrderFact, RefundFact, TouchFact};
use super::fates::Fates;
use super::shares::{SharedMaterial, Shares};
use super::source::FactSource;
use super::traits::Traits;
use crate::model::time::UnixTime;
use crate::simulator::options::WorldOptions;
use crate::simulator::seed::Seed;

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
    fates: Fates,
    /// No fact has this time, in Unix seconds, or a later one.
    end: f64,
    facts_max: usize,
}

impl SimPromoter {
    /// With the history that an exact one asks for; the rest comes with [`SimPromoter::advance`]. No more facts are made
    /// once there are `facts_max`.
    pub fn new(id: String, seed: Seed, options: &WorldOptions, start: UnixTime, facts_max: usize) -> SimPromoter {
        let begin = start.minus(options.history.as_secs().cast_signed()).0.max(0);
        let pace = pace(seed);
        // An exact history replaces the flow of facts before the start.
        let flow_begin = |exact: Option<u32>| if exact.is_some() { start.0 } else { begin } as f64;
        let touch_begin = flow_begin(options.history_touches);
        let order_begin = flow_begin(options.history_orders);
        let end = options.quiet_after.map_or(f64::INFINITY, |quiet| start.0 as f64 + quiet.as_secs_f64());
        let mut promoter = SimPromoter {
            traits: Traits::new(seed, options.bounds),
            touches: Vec::new(),
            orders: Vec::new(),
            refunds: Vec::new(),
            shares: Shares::default(),
            calls: 0,
            touch_source: FactSource::new(seed.text("touches"), touch_begin, options.touches_per_hour * pace),
            order_source: FactSource::new(seed.text("orders"), order_begin, options.orders_per_hour * pace),
            fates: Fates::new(seed, options, end),
            end,
            facts_max,
            seed,
            id,
        };
        for time in spread(options.history_touches.unwrap_or(0), begin, start.0) {
            promoter.touch(time);
        }
        for time in spread(options.history_orders.unwrap_or(0), begin, start.0) {
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
            self.shares.decide(self.touches.len(), self.seed);
            self.touches.push(self.fates.touch(time));
        }
    }

    fn order(&mut self, time: u32) {
        if self.facts() < self.facts_max {
            self.orders.push(self.fates.order(time, &mut self.refunds));
        }
    }
}

/// So many times between two others, evenly, the first of them included.
fn spread(count: u32, begin: i64, end: i64) -> impl Iterator<Item = u32> {
    let length = (end - begin).max(0) as u64;
    (0..count).map(move |index| (begin as u64 + length * u64::from(index) / u64::from(count)) as u32)
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
    use crate::simulator::facts::lateness::rest_of_day;
    use crate::simulator::options::DayZone;

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
        for days in [DayZone::Beijing, DayZone::Utc] {
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
