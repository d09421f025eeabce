//! What becomes of each fact of one promoter: when it appears; of an order, which refunds follow, and which days list it.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::fact::{FirstShown, OrderFact, RefundFact, TouchFact};
use super::lateness::{AppearanceDelay, rest_of_day, seconds};
use crate::simulator::options::{DayZone, WorldOptions};
use crate::simulator::seed::Seed;

/// An hour, in seconds.
const TOLD_AFTER_MAX: u32 = 3600;

/// Draws from one generator, so the facts have to come in the order of their times. That of the times is another one:
/// when a fact happens does not depend on what became of those before it.
pub struct Fates {
    rng: ChaCha8Rng,
    delay: AppearanceDelay,
    days: DayZone,
    /// Seconds, as the ones below.
    orders_late_max: Option<u32>,
    refunds_late_max: Option<u32>,
    refund_within: u32,
    two_dates: f64,
    told_later: f64,
    refund_share: f64,
    partial_share: f64,
    /// No refund has this time, in Unix seconds, or a later one.
    end: f64,
}

impl Fates {
    pub fn new(promoter: Seed, options: &WorldOptions, end: f64) -> Fates {
        Fates {
            rng: promoter.text("fates").rng(),
            delay: AppearanceDelay::new(options),
            days: options.days,
            orders_late_max: options.orders_late_max.map(seconds),
            refunds_late_max: options.refunds_late_max.map(seconds),
            refund_within: seconds(options.refund_within).max(1),
            two_dates: options.two_dates,
            told_later: options.told_later,
            refund_share: options.refunds,
            partial_share: options.partial_refunds,
            end,
        }
    }

    pub fn touch(&mut self, time: u32) -> TouchFact {
        let visible_at = self.delay.visible_at(time, &mut self.rng);
        TouchFact { time, visible_at, shown: FirstShown::default() }
    }

    /// An order; its refunds, up to four, are put behind those of the orders before it.
    pub fn order(&mut self, time: u32, refunds: &mut Vec<RefundFact>) -> OrderFact {
        let limit = self.orders_late_max.map(|late_max| rest_of_day(time, self.days) + late_max);
        let visible_at = self.delay.up_to(limit).visible_at(time, &mut self.rng);
        let parts = self.refund_parts();
        // A refund is never shown before its order, and must not be late for that.
        let refunded_by = self.refunds_late_max.filter(|_| parts > 0).map(|late_max| time + late_max);
        let visible_at = refunded_by.map_or(visible_at, |limit| visible_at.min(limit));
        let first = refunds.len();
        let mut refund_time = time;
        for _ in 0..parts {
            // The parts come one after another, never two in one second.
            refund_time += self.rng.random_range(1..=(self.refund_within / parts).max(1));
            let refund = self.refund(refund_time, visible_at, parts == 1);
            if f64::from(refund_time) < self.end {
                refunds.push(refund);
            }
        }
        OrderFact {
            time,
            visible_at,
            refund_first: u32::try_from(first).unwrap_or(u32::MAX),
            refund_count: u8::try_from(refunds.len() - first).unwrap_or(u8::MAX),
            also_listed: self.also_listed(),
            shown: FirstShown::default(),
        }
    }

    /// In how many parts an order is refunded: 0 for not at all.
    fn refund_parts(&mut self) -> u32 {
        match self.rng.random_bool(self.refund_share) {
            false => 0,
            true if self.rng.random_bool(self.partial_share) => self.rng.random_range(2..=4),
            true => 1,
        }
    }

    fn refund(&mut self, time: u32, order_visible_at: u32, is_whole: bool) -> RefundFact {
        let delay = self.delay.up_to(self.refunds_late_max);
        let visible_at = delay.visible_at(time, &mut self.rng).max(order_visible_at);
        let is_told_later = is_whole && self.draw(self.told_later);
        let told_after = if is_told_later { self.rng.random_range(1..=TOLD_AFTER_MAX) } else { 0 };
        RefundFact {
            time,
            visible_at,
            told_at: if is_told_later { visible_at + told_after } else { 0 },
            shown_by_orders: FirstShown::default(),
            shown_by_refunds: FirstShown::default(),
        }
    }

    fn also_listed(&mut self) -> i8 {
        match self.draw(self.two_dates) {
            true if self.rng.random_bool(0.5) => 1,
            true => -1,
            false => 0,
        }
    }

    /// What has no chance costs no draw, so a world without it stays as it is.
    fn draw(&mut self, share: f64) -> bool {
        share > 0.0 && self.rng.random_bool(share)
    }
}
