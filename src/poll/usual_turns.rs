//! Feeds that wait for their usual turn, which comes as often as facts do.
//!
//! There is one line for each class of rates, in the order in which its feeds were polled. Whoever is first in his line has
//! waited longest of those with his interval, so only the first of each line are compared: next is the one who has waited
//! longest in proportion to his interval. No due time is kept, so a budget that changes acts at once on all that wait, and
//! where intervals come out a little too long or too short for the budget, all of them are so in the same proportion.

use std::time::Duration;

use super::waiting_line::WaitingLine;
use crate::model::pacing::intervals::{CLASSES, Intervals, RateClass};

#[derive(Debug)]
pub struct UsualTurns<K> {
    groups: Vec<Lines<K>>,
}

/// The lines of feeds with the same bounds.
#[derive(Debug)]
struct Lines<K> {
    /// Feeds go from line to line as their rates are learnt, so none keeps the room that it had once.
    lines: [WaitingLine<K>; CLASSES],
    /// Which lines have somebody in them, a bit for each.
    used: u64,
}

/// Who is next.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NextTurn {
    /// How long he has waited, in intervals.
    pub waited: f64,
    /// When he has waited one.
    pub due: Duration,
    group: usize,
    class: usize,
}

/// Who may be next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MayCome {
    /// Whoever has waited for his interval.
    WhenDue,
    /// Also before that, as long as it is not before `every`: there are calls to be spent.
    AfterEvery,
}

impl<K> UsualTurns<K> {
    pub fn new() -> UsualTurns<K> {
        UsualTurns { groups: Vec::new() }
    }

    /// `since` must not be earlier than that of those who wait in the same class.
    pub fn put(&mut self, key: K, class: RateClass, since: Duration) {
        let (group, class) = class.index();
        if self.groups.len() <= group {
            self.groups.resize_with(group + 1, Lines::new);
        }
        let lines = &mut self.groups[group];
        lines.lines[class].push_back(microseconds(since), key);
        lines.used |= 1 << class;
    }

    /// Who comes next at `clock`.
    pub fn next(&self, clock: Duration, intervals: &Intervals, may_come: MayCome) -> Option<NextTurn> {
        let clock = clock.as_secs_f64();
        let may = |turn: &FirstOfLine| match may_come {
            MayCome::WhenDue => turn.since + turn.interval <= clock,
            MayCome::AfterEvery => turn.since + turn.every <= clock,
        };
        let waited = |turn: &FirstOfLine| (clock - turn.since) / turn.interval;
        let (waited, turn) = self
            .firsts(intervals)
            .filter(may)
            .map(|turn| (waited(&turn), turn))
            .max_by(|(one, _), (other, _)| one.total_cmp(other))?;
        let due = Duration::from_secs_f64(turn.since + turn.interval);
        Some(NextTurn { waited, due, group: turn.group, class: turn.class })
    }

    /// When somebody may come next.
    pub fn next_at(&self, intervals: &Intervals, may_come: MayCome) -> Option<Duration> {
        let at = |turn: FirstOfLine| match may_come {
            MayCome::WhenDue => turn.since + turn.interval,
            MayCome::AfterEvery => turn.since + turn.every,
        };
        let earliest = self.firsts(intervals).map(at).min_by(f64::total_cmp)?;
        // Rounded up: a little before that, nobody may.
        Some(Duration::from_secs_f64(earliest) + Duration::from_micros(1))
    }

    pub fn take(&mut self, turn: NextTurn) -> Option<K> {
        let lines = &mut self.groups[turn.group];
        let line = &mut lines.lines[turn.class];
        let key = line.pop_front()?;
        if line.is_empty() {
            lines.used &= !(1 << turn.class);
        }
        Some(key)
    }

    /// How many have been due since `time` or longer.
    pub fn due_before(&self, time: Duration, intervals: &Intervals) -> usize {
        let time = time.as_secs_f64();
        let of_line = |turn: FirstOfLine| {
            let line = &self.groups[turn.group].lines[turn.class];
            line.count_early(|since| seconds(since) + turn.interval < time)
        };
        self.firsts(intervals).map(of_line).sum()
    }

    fn firsts<'a>(&'a self, intervals: &'a Intervals) -> impl Iterator<Item = FirstOfLine> + 'a {
        self.groups.iter().enumerate().flat_map(|(group, lines)| {
            let (every, interval) = intervals.group(group);
            lines.used_classes().filter_map(move |class| {
                let since = seconds(lines.lines[class].first_since()?);
                Some(FirstOfLine { since, every, interval: interval[class], group, class })
            })
        })
    }
}

/// In seconds.
struct FirstOfLine {
    since: f64,
    every: f64,
    interval: f64,
    group: usize,
    class: usize,
}

impl<K> Lines<K> {
    fn new() -> Lines<K> {
        Lines { lines: [const { WaitingLine::new() }; CLASSES], used: 0 }
    }

    fn used_classes(&self) -> impl Iterator<Item = usize> + use<K> {
        let mut left = self.used;
        std::iter::from_fn(move || {
            let class = left.trailing_zeros() as usize;
            // Clears the lowest bit.
            left &= left.checked_sub(1)?;
            Some(class)
        })
    }
}

fn microseconds(clock: Duration) -> u64 {
    u64::try_from(clock.as_micros()).unwrap_or(u64::MAX)
}

fn seconds(microseconds: u64) -> f64 {
    microseconds as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::pacing::fact_rate::FactRate;
    use crate::model::pacing::intervals::{Brought, BudgetUse, IntervalBounds};

    const BOUNDS: IntervalBounds =
        IntervalBounds { every: Duration::from_secs(60), idle_every: Duration::from_secs(900) };

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// Feeds of two rates, the one a fact a minute and the other none in a week; with the classes of both.
    fn intervals() -> (Intervals, RateClass, RateClass) {
        let mut intervals = Intervals::default();
        let mut class_with = |facts| {
            let class = intervals.join(BOUNDS);
            let brought = Brought { facts, covered: Duration::from_secs(7 * 86_400), calls: 1 };
            intervals.learn(class, &mut FactRate::default(), brought)
        };
        let (busy, quiet) = (class_with(7 * 1440), class_with(0));
        intervals.spread(None, BudgetUse::Spend);
        (intervals, busy, quiet)
    }

    fn all(turns: &mut UsualTurns<char>, intervals: &Intervals, clock: u64, may_come: MayCome) -> String {
        let next = || turns.next(at(clock), intervals, may_come).and_then(|turn| turns.take(turn));
        std::iter::from_fn(next).collect()
    }

    #[test]
    fn who_has_waited_longest_in_proportion_to_his_interval_comes_first() {
        let (intervals, busy, quiet) = intervals();
        let mut turns = UsualTurns::new();
        [('a', quiet, 0), ('b', quiet, 400), ('c', busy, 800), ('d', busy, 900)]
            .into_iter()
            .for_each(|(key, class, since)| turns.put(key, class, at(since)));
        assert_eq!(turns.next_at(&intervals, MayCome::WhenDue).map(|due| due.as_secs()), Some(855));
        assert_eq!(all(&mut turns, &intervals, 850, MayCome::WhenDue), "");
        assert_eq!(turns.due_before(at(1000), &intervals), 3);
        assert_eq!(all(&mut turns, &intervals, 1000, MayCome::WhenDue), "cda");
    }

    #[test]
    fn where_there_are_calls_to_be_spent_nobody_comes_before_every() {
        let (intervals, busy, quiet) = intervals();
        let mut turns = UsualTurns::new();
        [('a', quiet, 0), ('b', busy, 30), ('c', quiet, 50)]
            .into_iter()
            .for_each(|(key, class, since)| turns.put(key, class, at(since)));
        assert_eq!(all(&mut turns, &intervals, 59, MayCome::AfterEvery), "");
        assert_eq!(turns.next_at(&intervals, MayCome::AfterEvery).map(|at| at.as_secs()), Some(60));
        assert_eq!(all(&mut turns, &intervals, 100, MayCome::AfterEvery), "ba");
    }

    #[test]
    fn a_budget_that_grows_acts_at_once_on_all_that_wait() {
        let (mut intervals, _, quiet) = intervals();
        let mut turns = UsualTurns::new();
        turns.put('a', quiet, at(0));
        assert_eq!(all(&mut turns, &intervals, 100, MayCome::WhenDue), "");
        intervals.spread(Some(10.0), BudgetUse::Spend);
        assert_eq!(all(&mut turns, &intervals, 100, MayCome::WhenDue), "a");
    }
}
