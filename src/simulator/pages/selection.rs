//! Which rows answer a request at one moment, in which order, and which of them stand on one page.

use std::ops::Range;

use rand::RngExt;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::data_request::Subject;
use super::rows::RowRef;
use crate::model::time::{Day, UnixTime};
use crate::simulator::facts::details::Drawer;
use crate::simulator::facts::fact::OrderFact;
use crate::simulator::facts::promoter::SimPromoter;
use crate::simulator::facts::traits::{Arrangement, SHUFFLED_BLOCK};
use crate::simulator::options::DayZone;

/// In seconds.
const DAY: i64 = 86_400;

pub struct Selection<'a> {
    pub drawer: &'a Drawer,
    pub promoter: &'a SimPromoter,
    pub subject: &'a Subject,
    pub days: DayZone,
    /// Unix seconds.
    pub now: u32,
    /// Seconds for which a row that has appeared keeps changing its place.
    pub moving: u32,
    /// Seconds by which a touch appears late at most.
    pub late_max: u32,
}

/// In which order rows stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    Usual,
    /// In one that no call before had.
    New,
}

/// The rows of one page.
pub struct Cut {
    pub rows: Vec<RowRef>,
    /// How many rows stand before the end of this page, over all pages.
    pub passed: usize,
    /// Whether rows follow.
    pub more: bool,
}

impl Selection<'_> {
    /// At most `room` rows after the first `offset`. Some rows are shown twice, at once or on the next page.
    pub fn cut(&self, offset: usize, room: usize, duplicates: f64, order: Order, rng: &mut ChaCha8Rng) -> Cut {
        let again = offset > 0 && rng.random_bool((duplicates * 10.0).min(0.5));
        let begin = if again { offset - 1 } else { offset };
        let tail = self.young_rows(rng);
        let rows_in_order = self.indexes(self.range()).flat_map(|index| self.rows_at(index));
        let settled = rows_in_order.filter(|(_, visible_at)| !self.is_young(*visible_at)).map(|(row, _)| row);
        let mut cut = Cut { rows: Vec::new(), passed: begin, more: false };
        let rows: Box<dyn Iterator<Item = RowRef>> = match order {
            Order::Usual => Box::new(settled.chain(tail)),
            Order::New => {
                let mut rows: Vec<RowRef> = settled.chain(tail).collect();
                rows.shuffle(rng);
                Box::new(rows.into_iter())
            }
        };
        for row in rows.skip(begin) {
            if cut.rows.len() == room {
                cut.more = true;
                break;
            }
            cut.rows.push(row);
            cut.passed += 1;
            // Never the first row: a page must get ahead of the last one, or its start_id would repeat.
            if (2..room).contains(&cut.rows.len()) && duplicates > 0.0 && rng.random_bool(duplicates) {
                cut.rows.push(row);
            }
        }
        cut
    }

    /// The indexes of the facts that the request's time covers.
    fn range(&self) -> Range<usize> {
        match self.subject {
            Subject::Touches { begin, end, .. } => {
                let traits = &self.promoter.traits;
                let first = begin.map(|begin| if traits.begin_inclusive { begin } else { begin.saturating_add(1) });
                let behind = end.map(|end| if traits.end_inclusive { end.saturating_add(1) } else { end });
                let touches = &self.promoter.touches;
                let place = |limit: i64| touches.partition_point(|touch| i64::from(touch.time) < limit);
                ordered(first.map_or(0, place), behind.map_or(touches.len(), place))
            }
            Subject::Orders { date, .. } => {
                let orders = &self.promoter.orders;
                let place = |limit: i64| orders.partition_point(|order| i64::from(order.time) < limit);
                match date.map(|date| day_begin(date, self.days)) {
                    None => 0..orders.len(),
                    Some(None) => 0..0,
                    // Those of its neighbours that it lists, too, are picked from the rows.
                    Some(Some(begin)) => ordered(place(begin - DAY), place(begin + 2 * DAY)),
                }
            }
        }
    }

    fn indexes(&self, range: Range<usize>) -> Box<dyn Iterator<Item = usize>> {
        let mask = self.promoter.traits.mask;
        match self.promoter.traits.arrangement {
            Arrangement::Ascending => Box::new(range),
            Arrangement::Descending => Box::new(range.rev()),
            Arrangement::Shuffled => {
                let blocks = range.start / SHUFFLED_BLOCK..range.end.div_ceil(SHUFFLED_BLOCK);
                let places = move |block| (0..SHUFFLED_BLOCK).map(move |place| block * SHUFFLED_BLOCK + (place ^ mask));
                Box::new(blocks.flat_map(places).filter(move |index| range.contains(index)))
            }
        }
    }

    /// The visible rows of one fact that fit the request, each with the moment at which it appeared.
    fn rows_at(&self, index: usize) -> impl Iterator<Item = (RowRef, u32)> {
        let (first, refunds) = match self.subject {
            Subject::Touches { .. } => (self.touch_row(index), 0..0),
            Subject::Orders { .. } => self.order_rows(index),
        };
        let refunds = refunds.filter_map(move |refund| {
            let visible_at = self.promoter.refunds[refund].visible_at;
            (visible_at <= self.now).then_some((RowRef::Refunded { order: index, refund }, visible_at))
        });
        first.into_iter().chain(refunds)
    }

    fn touch_row(&self, index: usize) -> Option<(RowRef, u32)> {
        let Subject::Touches { scene, path, .. } = self.subject else {
            return None;
        };
        let visible_at = self.promoter.touches[index].visible_at;
        if visible_at > self.now {
            return None;
        }
        if scene.is_some() || path.is_some() {
            let detail = self.drawer.touch(self.promoter, index);
            let fits = fits(scene.as_ref(), detail.scene.as_ref()) && fits(path.as_ref(), detail.path.as_ref());
            fits.then_some((RowRef::Touch(index), visible_at))
        } else {
            Some((RowRef::Touch(index), visible_at))
        }
    }

    /// The row that shows the order itself, and the refunds whose rows are shown once they are visible.
    fn order_rows(&self, index: usize) -> (Option<(RowRef, u32)>, Range<usize>) {
        let order = &self.promoter.orders[index];
        let Subject::Orders { date, status, mch_id, trade_no, out_trade_no } = self.subject else {
            return (None, 0..0);
        };
        if order.visible_at > self.now || !date.is_none_or(|date| self.lists(date, order)) {
            return (None, 0..0);
        }
        if mch_id.is_some() || trade_no.is_some() || out_trade_no.is_some() {
            let detail = self.drawer.order(self.promoter, index);
            let named = fits(mch_id.as_ref(), Some(&detail.mch_id))
                && fits(trade_no.as_ref(), Some(&detail.trade_no))
                && fits(out_trade_no.as_ref(), detail.out_trade_no.as_ref());
            if !named {
                return (None, 0..0);
            }
        }
        let refunded = order.refunds().any(|refund| self.promoter.refunds[refund].visible_at <= self.now);
        let paid =
            (!refunded || self.promoter.traits.keeps_paid_row).then_some((RowRef::Paid(index), order.visible_at));
        match status {
            None => (paid, order.refunds()),
            Some(2) => (None, order.refunds()),
            Some(code) => {
                let shown = self.drawer.order(self.promoter, index).unknown_status.unwrap_or(1);
                (paid.filter(|_| shown == *code), 0..0)
            }
        }
    }

    fn lists(&self, date: u32, order: &OrderFact) -> bool {
        let time = UnixTime(i64::from(order.time));
        let day = match self.days {
            DayZone::Beijing => Day::in_beijing(time),
            DayZone::Utc => Day::in_utc(time),
        };
        let also = match order.also_listed {
            0 => None,
            1.. => Some(day.next()),
            ..0 => Some(day.previous()),
        };
        [Some(day), also].into_iter().flatten().any(|day| day.as_yyyymmdd() == date)
    }

    fn is_young(&self, visible_at: u32) -> bool {
        self.moving > 0 && visible_at.saturating_add(self.moving) > self.now
    }

    /// The rows that still move: behind all others, in another order at each call. When such a row comes to rest
    /// it takes its place among the others, so a pull that is under way shows a row twice or misses this one.
    fn young_rows(&self, rng: &mut ChaCha8Rng) -> Vec<RowRef> {
        if self.moving == 0 {
            return Vec::new();
        }
        let range = self.range();
        let first = match self.subject {
            Subject::Touches { .. } => {
                let oldest = self.now.saturating_sub(self.moving).saturating_sub(self.late_max);
                self.promoter.touches.partition_point(|touch| touch.time < oldest).max(range.start)
            }
            // The refund of an old order may be young.
            Subject::Orders { .. } => range.start,
        };
        let rows = (first..range.end).flat_map(|index| self.rows_at(index));
        let mut young: Vec<_> = rows.filter(|(_, visible_at)| self.is_young(*visible_at)).map(|(row, _)| row).collect();
        young.shuffle(rng);
        young
    }
}

fn ordered(first: usize, behind: usize) -> Range<usize> {
    first..behind.max(first)
}

fn fits<T: PartialEq>(wanted: Option<&T>, has: Option<&T>) -> bool {
    wanted.is_none() || wanted == has
}

/// The first second of a day given as yyyymmdd, or nothing where there is no such day.
fn day_begin(date: u32, days: DayZone) -> Option<i64> {
    let year = i16::try_from(date / 10_000).ok()?;
    let (month, day) = (i8::try_from(date / 100 % 100).ok()?, i8::try_from(date % 100).ok()?);
    let offset = match days {
        DayZone::Beijing => jiff::tz::Offset::constant(8),
        DayZone::Utc => jiff::tz::Offset::UTC,
    };
    let midnight = jiff::civil::Date::new(year, month, day).ok()?.at(0, 0, 0, 0);
    Some(offset.to_timestamp(midnight).ok()?.as_second())
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::simulator::options::WorldOptions;
    use crate::simulator::seed::Seed;

    const START: UnixTime = UnixTime(1_750_000_000);

    #[test]
    fn a_day_begins_at_its_midnight_in_either_zone() {
        let day = Day::in_beijing(START);
        assert_eq!(day_begin(day.as_yyyymmdd(), DayZone::Beijing), Some(day.beijing_start().0));
        assert_eq!(day_begin(day.as_yyyymmdd(), DayZone::Utc), Some(day.beijing_start().0 + 8 * 3600));
        assert_eq!(day_begin(20_250_230, DayZone::Beijing), None);
    }

    proptest::proptest! {
        #[test]
        fn pages_show_each_resting_row_at_least_once(seed: u64, room in 4usize..40, duplicates in 0.0f64..0.5) {
            let options = WorldOptions { history_touches: Some(300), touches_per_hour: 0.0, ..WorldOptions::plain() };
            let promoter = SimPromoter::new("o".into(), Seed::new(seed), &options, START, 1_000_000);
            let subject = Subject::Touches { begin: None, end: None, scene: None, path: None };
            let drawer = Drawer::new(&options);
            let selection = Selection {
                drawer: &drawer,
                promoter: &promoter,
                subject: &subject,
                days: DayZone::Beijing,
                now: START.0 as u32,
                moving: 0,
                late_max: 0,
            };
            let mut rng = Seed::new(seed).rng();
            let (mut shown, mut offset, mut pages) = (Vec::new(), 0, 0);
            loop {
                let cut = selection.cut(offset, room, duplicates, Order::Usual, &mut rng);
                proptest::prop_assert!(cut.rows.len() <= room);
                shown.extend(cut.rows);
                pages += 1;
                proptest::prop_assert!(pages <= 300, "each page gets ahead");
                if !cut.more {
                    break;
                }
                proptest::prop_assert!(cut.passed > offset, "no start_id repeats");
                offset = cut.passed;
            }
            let indexes: HashSet<_> = shown
                .iter()
                .map(|row| match row {
                    RowRef::Touch(index) => *index,
                    other => panic!("a touch was asked for, not {other:?}"),
                })
                .collect();
            proptest::prop_assert_eq!(indexes, (0..300).collect::<HashSet<_>>());
            proptest::prop_assert!(duplicates > 0.0 || shown.len() == 300);
        }
    }
}
