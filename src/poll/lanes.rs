//! Due work by interface: what one interface waits for, a breaker or its places, never holds up another's.
//!
//! While a breaker is open its lane is not looked at: what is due stays where it is, however much that is. Clocks are
//! durations since the scheduler began.

use std::hash::Hash;
use std::ops::{Index, IndexMut};
use std::time::Duration;

use tokio::time::Instant;

use super::lane::{Begun, Bounds, Entry, Lane, Reach};
use crate::model::feed::Interface;
use crate::upstream::breaker::Readiness;

pub struct Lanes<K> {
    lanes: [Lane<K>; Interface::ALL.len()],
    /// A poll has begun that is going to be the probe, unless somebody else is.
    probe_begun: bool,
    began: Instant,
}

impl<K> Index<Interface> for Lanes<K> {
    type Output = Lane<K>;

    fn index(&self, interface: Interface) -> &Lane<K> {
        &self.lanes[interface as usize]
    }
}

impl<K> IndexMut<Interface> for Lanes<K> {
    fn index_mut(&mut self, interface: Interface) -> &mut Lane<K> {
        &mut self.lanes[interface as usize]
    }
}

impl<K: Copy + Eq + Hash + Ord> Lanes<K> {
    /// The bounds are those of each interface.
    pub fn new(bounds: Bounds, began: Instant) -> Lanes<K> {
        Lanes { lanes: Interface::ALL.map(|_| Lane::new(bounds)), probe_begun: false, began }
    }

    /// Takes what has been due longest of all that may begin: a poll of it begins.
    pub fn begin(&mut self, clock: Duration, readiness: impl Fn(Interface) -> Readiness) -> Option<(K, Reach)> {
        let due_first = |interface: Interface| {
            self[interface].next_due(Entry::Call).filter(|due| *due <= clock)?;
            let entry = self.entry(readiness(interface))?;
            Some((self[interface].due(clock, entry)?, interface, entry))
        };
        let (_, interface, entry) = Interface::ALL.into_iter().filter_map(due_first).min_by_key(|(due, ..)| *due)?;
        self.probe_begun |= entry != Entry::Call;
        self[interface].begin(clock, entry)
    }

    /// As what a poll may begin now.
    fn entry(&self, readiness: Readiness) -> Option<Entry> {
        match readiness {
            Readiness::Closed => Some(Entry::Call),
            Readiness::Probe => (!self.probe_begun).then_some(Entry::Probe),
            Readiness::Check => (!self.probe_begun).then_some(Entry::Check),
            Readiness::At(_) | Readiness::AfterProbe => None,
        }
    }

    /// When the next poll may begin: nothing where only the end of a poll or a change of the breakers can tell.
    pub fn next_begin(&self, readiness: impl Fn(Interface) -> Readiness) -> Option<Duration> {
        let begins = |interface: Interface| {
            let lane = &self[interface];
            let due = lane.next_due(Entry::Call)?;
            match readiness(interface) {
                Readiness::At(until) => Some(due.max(until.saturating_duration_since(self.began))),
                readiness => lane.next_due(self.entry(readiness)?),
            }
        };
        Interface::ALL.into_iter().filter_map(begins).min()
    }

    /// A poll that had begun has ended.
    pub fn ended(&mut self, interface: Interface, key: K) -> Begun {
        self.probe_begun = false;
        self[interface].ended(key)
    }

    /// A breaker has changed: the probe that has begun is under way by now, or not needed any more.
    pub fn breakers_changed(&mut self) {
        self.probe_begun = false;
    }

    pub fn polls(&self) -> usize {
        self.lanes.iter().map(Lane::polls).sum()
    }

    /// The one whose polls have come to nothing longest, and since when it is due.
    pub fn latest(&self) -> Option<(Duration, K)> {
        self.lanes.iter().filter_map(Lane::latest).min()
    }

    /// How many have been due for more than a minute, and were not polled to the end since.
    pub fn overdue(&self, clock: Duration) -> usize {
        self.lanes.iter().map(|lane| lane.overdue(clock)).sum()
    }
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
        let mut lanes = Lanes::new(Bounds { polls: polls_max, to_the_end: 1 }, Instant::now());
        (0..3).for_each(|key| lanes[GetRelation].put(key, SECOND));
        (10..13).for_each(|key| lanes[GetOrder].put(key, 2 * SECOND));
        lanes
    }

    fn all(lanes: &mut Lanes<u32>, readiness: impl Fn(Interface) -> Readiness) -> Vec<u32> {
        std::iter::from_fn(|| lanes.begin(9 * SECOND, &readiness)).map(|(key, _)| key).collect()
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
        lanes[GetRelation].put(0, 5 * SECOND);
        assert_eq!(all(&mut lanes, |_| Readiness::Probe), [1]);
    }

    #[test]
    fn a_lane_whose_probes_are_refused_leaves_the_next_one_to_the_other_whatever_else_waits_in_it() {
        let mut lanes = Lanes::new(Bounds { polls: 9, to_the_end: 1 }, Instant::now());
        [99, 10, 11].into_iter().for_each(|key| lanes[GetOrder].put(key, SECOND));
        let begun = std::iter::from_fn(|| lanes.begin(SECOND, closed)).count();
        assert_eq!(begun, 3);
        let doubtful = lanes.ended(GetOrder, 99);
        lanes[GetOrder].put_doubtful(99, SECOND, doubtful);
        for key in [10, 11] {
            let begun = lanes.ended(GetOrder, key);
            lanes[GetOrder].put_late(key, 5 * SECOND, begun);
        }
        lanes[GetRelation].put(0, 3 * SECOND);
        assert_eq!(lanes.begin(300 * SECOND, |_| Readiness::Probe), Some((0, Reach::OnePage)));
        lanes.ended(GetRelation, 0);
        lanes[GetRelation].put(0, 300 * SECOND);
        for (probe, clock) in [(10, 600), (11, 900), (0, 1200)] {
            let clock = clock * SECOND;
            assert_eq!(lanes.begin(clock, |_| Readiness::Probe), Some((probe, Reach::OnePage)));
            if probe != 0 {
                let begun = lanes.ended(GetOrder, probe);
                lanes[GetOrder].put_late(probe, clock, begun);
            }
        }
    }

    #[test]
    fn a_check_is_made_by_somebody_who_was_not_refused() {
        let mut lanes = lanes(9);
        let check = |interface| if interface == GetOrder { Readiness::Check } else { Readiness::AfterProbe };
        for key in [10, 11, 12] {
            assert_eq!(all(&mut lanes, check), [key]);
            let begun = lanes.ended(GetOrder, key);
            lanes[GetOrder].put_doubtful(key, 9 * SECOND, begun);
        }
        assert_eq!((all(&mut lanes, check), lanes.next_begin(check)), (vec![], None));
        lanes[GetOrder].put(13, 20 * SECOND);
        assert_eq!(lanes.next_begin(check), Some(20 * SECOND));
        assert_eq!(all(&mut lanes, |_| Readiness::Probe), [0], "that is due longer");
    }

    /// Looking at each of them each time would take days.
    #[test]
    fn a_million_entries_behind_an_open_breaker_cost_nothing_to_keep_waiting() {
        let began = Instant::now();
        let mut lanes = Lanes::new(Bounds { polls: 9, to_the_end: 1 }, began);
        (0..1_500_000).for_each(|key| lanes[GetRelation].put(key, SECOND));
        let open = |_| Readiness::At(began + 300 * SECOND);
        for tick in 0..1_000_000 {
            assert_eq!(lanes.begin(SECOND + tick * SECOND / 1000, open), None);
            assert_eq!(lanes.next_begin(open), Some(300 * SECOND));
        }
        assert_eq!(lanes.overdue(3600 * SECOND), 1_500_000);
        assert_eq!(lanes.begin(301 * SECOND, |_| Readiness::Probe), Some((0, Reach::OnePage)));
    }
}
