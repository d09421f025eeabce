//! Due work by interface: what one interface waits for, a breaker or its places, never holds up another's.
//!
//! While a breaker is open its lane is not looked at: what is due stays where it is, however much that is. Clocks are
//! durations since the scheduler began.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::time::Duration;

use tokio::time::Instant;

use super::schedule::Schedule;
use super::tally::Tally;
use crate::domain::feed::Interface;
use crate::wechat::breaker::Readiness;

pub struct Lanes<K> {
    lanes: [Lane<K>; Interface::ALL.len()],
    polls_max: usize,
    /// A poll has begun that is going to be the probe, unless somebody else is.
    probe_begun: bool,
    began: Instant,
}

struct Lane<K> {
    schedule: Schedule<K>,
    /// Those whose last question was not answered while the upstream seemed dead, and since when they wait.
    doubtful: VecDeque<(Duration, K)>,
    /// Polls under way, and when they were due.
    begun: HashMap<K, Duration>,
    /// Of all of these.
    dues: Tally,
}

impl<K: Copy + Eq + Hash + Ord> Lanes<K> {
    /// `polls_max` bounds the polls of each interface.
    pub fn new(polls_max: usize, began: Instant) -> Lanes<K> {
        let lane = || Lane {
            schedule: Schedule::new(),
            doubtful: VecDeque::new(),
            begun: HashMap::new(),
            dues: Tally::default(),
        };
        let lanes = Interface::ALL.map(|_| lane());
        Lanes { lanes, polls_max, probe_begun: false, began }
    }

    pub fn put(&mut self, interface: Interface, key: K, due: Duration) {
        let lane = &mut self.lanes[interface as usize];
        lane.dues.add(seconds(due));
        lane.schedule.put(key, due);
    }

    /// Puts back, at `clock`, one whose question was not answered while the upstream seems dead. It begins as soon as its
    /// breaker lets it, but becomes the probe only where nobody else is due: or a few questions that kill their answers
    /// would keep all others waiting.
    pub fn put_doubtful(&mut self, interface: Interface, key: K, clock: Duration) {
        let lane = &mut self.lanes[interface as usize];
        lane.dues.add(seconds(clock));
        lane.doubtful.push_back((clock, key));
    }

    /// As [`Lanes::put`], before all others of the interface.
    pub fn put_first(&mut self, interface: Interface, key: K) {
        let lane = &mut self.lanes[interface as usize];
        lane.dues.add(0);
        lane.schedule.put_first(key);
    }

    /// Takes what has been due longest of all that may begin: a poll of it begins.
    pub fn begin(&mut self, clock: Duration, readiness: impl Fn(Interface) -> Readiness) -> Option<K> {
        let due_first = |interface: Interface| {
            let due = self.next_due(interface).filter(|due| *due <= clock)?;
            let readiness = readiness(interface);
            let passes = readiness == Readiness::Closed || (readiness == Readiness::Probe && !self.probe_begun);
            passes.then_some((due, interface, readiness))
        };
        let (_, interface, readiness) =
            Interface::ALL.into_iter().filter_map(due_first).min_by_key(|(due, ..)| *due)?;
        let is_probe = readiness == Readiness::Probe;
        self.probe_begun |= is_probe;
        self.lanes[interface as usize].begin(clock, is_probe)
    }

    /// When the next poll may begin: nothing where only the end of a poll or a change of the breakers can tell.
    pub fn next_begin(&self, readiness: impl Fn(Interface) -> Readiness) -> Option<Duration> {
        let begins = |interface: Interface| {
            let due = self.next_due(interface)?;
            match readiness(interface) {
                Readiness::Closed => Some(due),
                Readiness::Probe => (!self.probe_begun).then_some(due),
                Readiness::At(until) => Some(due.max(until.saturating_duration_since(self.began))),
                Readiness::AfterProbe => None,
            }
        };
        Interface::ALL.into_iter().filter_map(begins).min()
    }

    /// A poll that had begun has ended.
    pub fn ended(&mut self, interface: Interface, key: K) {
        let lane = &mut self.lanes[interface as usize];
        if let Some(due) = lane.begun.remove(&key) {
            lane.dues.remove(seconds(due));
        }
        self.probe_begun = false;
    }

    /// A breaker has changed: the probe that has begun is under way by now, or not needed any more.
    pub fn breakers_changed(&mut self) {
        self.probe_begun = false;
    }

    pub fn polls(&self) -> usize {
        self.lanes.iter().map(|lane| lane.begun.len()).sum()
    }

    /// How many have been due for more than a minute, and were not polled to the end since.
    pub fn overdue(&self, clock: Duration) -> usize {
        self.lanes.iter().map(|lane| lane.dues.before(seconds(clock) - 60)).sum()
    }

    /// Of a lane that has work and room.
    fn next_due(&self, interface: Interface) -> Option<Duration> {
        let lane = &self.lanes[interface as usize];
        lane.next_due().filter(|_| lane.begun.len() < self.polls_max)
    }
}

impl<K: Copy + Eq + Hash + Ord> Lane<K> {
    fn next_due(&self) -> Option<Duration> {
        let doubtful = self.doubtful.front().map(|(since, _)| *since);
        self.schedule.next_due().into_iter().chain(doubtful).min()
    }

    fn begin(&mut self, clock: Duration, is_probe: bool) -> Option<K> {
        let due = self.schedule.next_due().filter(|due| *due <= clock);
        let (due, key) = match (due, self.doubtful.front()) {
            (None, _) => self.doubtful.pop_front()?,
            (Some(due), Some((since, _))) if *since < due && !is_probe => self.doubtful.pop_front()?,
            (Some(due), _) => (due, self.schedule.take_due(clock)?),
        };
        self.begun.insert(key, due);
        Some(key)
    }
}

fn seconds(clock: Duration) -> i64 {
    i64::try_from(clock.as_secs()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use Interface::{GetOrder, GetRelation};

    const SECOND: Duration = Duration::from_secs(1);

    fn closed(_: Interface) -> Readiness {
        Readiness::Closed
    }

    fn lanes(polls_max: usize) -> Lanes<u32> {
        let mut lanes = Lanes::new(polls_max, Instant::now());
        (0..3).for_each(|key| lanes.put(GetRelation, key, SECOND));
        (10..13).for_each(|key| lanes.put(GetOrder, key, 2 * SECOND));
        lanes
    }

    fn all(lanes: &mut Lanes<u32>, readiness: impl Fn(Interface) -> Readiness) -> Vec<u32> {
        std::iter::from_fn(|| lanes.begin(9 * SECOND, &readiness)).collect()
    }

    #[test]
    fn what_is_due_longest_begins_first_over_all_interfaces() {
        assert_eq!(lanes(9).next_begin(closed), Some(SECOND));
        assert_eq!(all(&mut lanes(9), closed), [0, 1, 2, 10, 11, 12]);
        assert_eq!(lanes(9).begin(SECOND / 2, closed), None);
    }

    #[test]
    fn an_interface_without_room_leaves_the_other_its_own() {
        let mut lanes = lanes(2);
        assert_eq!(all(&mut lanes, closed), [0, 1, 10, 11]);
        lanes.ended(GetOrder, 10);
        assert_eq!(all(&mut lanes, closed), [12]);
    }

    #[test]
    fn behind_an_open_breaker_one_probe_begins_and_the_other_lane_goes_on() {
        let mut lanes = lanes(9);
        let half = |interface| if interface == GetRelation { Readiness::Probe } else { Readiness::Closed };
        assert_eq!(all(&mut lanes, half), [0, 10, 11, 12]);
        assert_eq!(lanes.next_begin(half), None, "one probe has begun");
        lanes.breakers_changed();
        assert_eq!(all(&mut lanes, |_| Readiness::AfterProbe), [0; 0]);
        lanes.ended(GetRelation, 0);
        assert_eq!(all(&mut lanes, half), [1]);
    }

    #[test]
    fn of_an_app_that_is_probed_the_lane_that_has_waited_longest_sends_the_probe() {
        let mut lanes = lanes(9);
        assert_eq!(all(&mut lanes, |_| Readiness::Probe), [0]);
        // It told nothing, and stands behind the others now.
        lanes.ended(GetRelation, 0);
        lanes.put(GetRelation, 0, 5 * SECOND);
        assert_eq!(all(&mut lanes, |_| Readiness::Probe), [1]);
    }

    #[test]
    fn one_that_was_not_answered_is_the_probe_only_where_nobody_else_is_due() {
        let mut lanes = lanes(9);
        (20..22).for_each(|key| lanes.put_doubtful(GetRelation, key, SECOND / 2));
        for probe in [0, 1, 2, 20] {
            assert_eq!(lanes.begin(SECOND, |_| Readiness::Probe), Some(probe));
            lanes.ended(GetRelation, probe);
        }
        lanes.put(GetRelation, 0, SECOND);
        assert_eq!(lanes.begin(SECOND, closed), Some(21), "it has waited longest");
    }

    /// Looking at each of them each time would take days.
    #[test]
    fn a_million_entries_behind_an_open_breaker_cost_nothing_to_keep_waiting() {
        let began = Instant::now();
        let mut lanes = Lanes::new(9, began);
        (0..1_500_000).for_each(|key| lanes.put(GetRelation, key, SECOND));
        let open = |_| Readiness::At(began + 300 * SECOND);
        for tick in 0..1_000_000 {
            assert_eq!(lanes.begin(SECOND + tick * SECOND / 1000, open), None);
            assert_eq!(lanes.next_begin(open), Some(300 * SECOND));
        }
        assert_eq!(lanes.overdue(3600 * SECOND), 1_500_000);
        assert_eq!(lanes.begin(301 * SECOND, |_| Readiness::Probe), Some(0));
    }

    #[test]
    fn what_is_due_for_more_than_a_minute_and_not_polled_is_overdue() {
        let mut lanes = lanes(1);
        assert_eq!(lanes.overdue(30 * SECOND), 0);
        assert_eq!(lanes.overdue(180 * SECOND), 6);
        assert_eq!(all(&mut lanes, closed), [0, 10]);
        assert_eq!((lanes.overdue(180 * SECOND), lanes.polls()), (6, 2), "they have only begun");
        lanes.ended(GetRelation, 0);
        assert_eq!((lanes.overdue(180 * SECOND), lanes.polls()), (5, 1));
    }
}
