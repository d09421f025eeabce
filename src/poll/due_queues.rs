//! Due work by interface: what one interface waits for, a breaker or its places, never holds up another's.
//!
//! While a breaker is open its queue is not looked at: what is due stays where it is, however much that is. Clocks are
//! durations since the scheduler began.

use std::hash::Hash;
use std::ops::{Index, IndexMut};
use std::time::Duration;

use tokio::time::Instant;

use super::due_queue::{Admission, Begun, DueQueue, PollBounds, Reach};
use crate::model::feed::{Interface, PerInterface};
use crate::upstream::breaker::Readiness;

/// What is due of one app, by interface: each has places of its own for polls under way.
pub struct DueQueues<K> {
    queues: PerInterface<DueQueue<K>>,
    /// A poll has begun that is going to be the probe, unless somebody else is.
    probe_begun: bool,
    began: Instant,
}

impl<K> Index<Interface> for DueQueues<K> {
    type Output = DueQueue<K>;

    fn index(&self, interface: Interface) -> &DueQueue<K> {
        &self.queues[interface]
    }
}

impl<K> IndexMut<Interface> for DueQueues<K> {
    fn index_mut(&mut self, interface: Interface) -> &mut DueQueue<K> {
        &mut self.queues[interface]
    }
}

impl<K: Copy + Eq + Hash + Ord> DueQueues<K> {
    /// The bounds are those of each interface.
    pub fn new(bounds: PollBounds, began: Instant) -> DueQueues<K> {
        DueQueues { queues: PerInterface::new(|_| DueQueue::new(bounds)), probe_begun: false, began }
    }

    /// Takes what has been due longest of all that may begin: a poll of it begins.
    pub fn begin(&mut self, clock: Duration, readiness: impl Fn(Interface) -> Readiness) -> Option<(K, Reach)> {
        let due_first = |interface: Interface| {
            // Before the breakers, whose lock each question takes: in most rounds nothing is due.
            self[interface].next_due(Admission::Call).filter(|due| *due <= clock)?;
            let entry = self.entry(readiness(interface))?;
            Some((self[interface].due(clock, entry)?, interface, entry))
        };
        let (_, interface, entry) = Interface::ALL.into_iter().filter_map(due_first).min_by_key(|(due, ..)| *due)?;
        self.probe_begun |= entry != Admission::Call;
        self[interface].begin(clock, entry)
    }

    /// As what a poll may begin now.
    fn entry(&self, readiness: Readiness) -> Option<Admission> {
        match readiness {
            Readiness::Closed => Some(Admission::Call),
            Readiness::Probe => (!self.probe_begun).then_some(Admission::Probe),
            Readiness::Check => (!self.probe_begun).then_some(Admission::Check),
            Readiness::At(_) | Readiness::AfterProbe => None,
        }
    }

    /// When the next poll may begin: nothing where only the end of a poll or a change of the breakers can tell.
    pub fn next_begin(&self, readiness: impl Fn(Interface) -> Readiness) -> Option<Duration> {
        let begins = |interface: Interface| {
            let queue = &self[interface];
            let due = queue.next_due(Admission::Call)?;
            match readiness(interface) {
                Readiness::At(until) => Some(due.max(until.saturating_duration_since(self.began))),
                readiness => queue.next_due(self.entry(readiness)?),
            }
        };
        Interface::ALL.into_iter().filter_map(begins).min()
    }

    /// A poll that had begun has ended.
    pub fn ended(&mut self, interface: Interface, key: K) -> Begun {
        // Whichever poll it was: should the probe still be on its way, the breaker turns away a second one.
        self.probe_begun = false;
        self[interface].ended(key)
    }

    /// A breaker has changed: the probe that has begun is under way by now, or not needed any more.
    pub fn breakers_changed(&mut self) {
        self.probe_begun = false;
    }

    pub fn polls(&self) -> usize {
        self.queues.values().map(DueQueue::polls).sum()
    }

    /// The one whose polls have come to nothing longest, and since when it is due.
    pub fn latest(&self) -> Option<(Duration, K)> {
        self.queues.values().filter_map(DueQueue::latest).min()
    }

    /// How many have been due for more than a minute, and were not polled to the end since.
    pub fn overdue(&self, clock: Duration) -> usize {
        self.queues.values().map(|queue| queue.overdue(clock)).sum()
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

    fn queues(polls_max: usize) -> DueQueues<u32> {
        let mut queues = DueQueues::new(PollBounds { polls: polls_max, to_the_end: 1 }, Instant::now());
        (0..3).for_each(|key| queues[GetRelation].put(key, SECOND));
        (10..13).for_each(|key| queues[GetOrder].put(key, 2 * SECOND));
        queues
    }

    fn all(queues: &mut DueQueues<u32>, readiness: impl Fn(Interface) -> Readiness) -> Vec<u32> {
        std::iter::from_fn(|| queues.begin(9 * SECOND, &readiness)).map(|(key, _)| key).collect()
    }

    #[test]
    fn what_is_due_longest_begins_first_over_all_interfaces() {
        assert_eq!(queues(9).next_begin(closed), Some(SECOND));
        assert_eq!(all(&mut queues(9), closed), [0, 1, 2, 10, 11, 12]);
        assert_eq!(queues(9).begin(SECOND / 2, closed), None);
    }

    #[test]
    fn an_interface_without_room_leaves_the_other_its_own() {
        let mut queues = queues(2);
        assert_eq!(all(&mut queues, closed), [0, 1, 10, 11]);
        queues.ended(GetOrder, 10);
        assert_eq!(all(&mut queues, closed), [12]);
    }

    #[test]
    fn behind_an_open_breaker_one_probe_begins_and_the_other_interface_goes_on() {
        let mut queues = queues(9);
        let half = |interface| if interface == GetRelation { Readiness::Probe } else { Readiness::Closed };
        assert_eq!(all(&mut queues, half), [0, 10, 11, 12]);
        assert_eq!(queues.next_begin(half), None, "one probe has begun");
        queues.breakers_changed();
        assert_eq!(all(&mut queues, |_| Readiness::AfterProbe), [0; 0]);
        queues.ended(GetRelation, 0);
        assert_eq!(all(&mut queues, half), [1]);
    }

    #[test]
    fn of_an_app_that_is_probed_the_interface_that_has_waited_longest_sends_the_probe() {
        let mut queues = queues(9);
        assert_eq!(all(&mut queues, |_| Readiness::Probe), [0]);
        // It told nothing, and stands behind the others now.
        queues.ended(GetRelation, 0);
        queues[GetRelation].put(0, 5 * SECOND);
        assert_eq!(all(&mut queues, |_| Readiness::Probe), [1]);
    }

    #[test]
    fn an_interface_whose_probes_are_refused_leaves_the_next_one_to_the_other_whatever_else_waits_in_it() {
        let mut queues = DueQueues::new(PollBounds { polls: 9, to_the_end: 1 }, Instant::now());
        [99, 10, 11].into_iter().for_each(|key| queues[GetOrder].put(key, SECOND));
        let begun = std::iter::from_fn(|| queues.begin(SECOND, closed)).count();
        assert_eq!(begun, 3);
        let doubtful = queues.ended(GetOrder, 99);
        queues[GetOrder].put_doubtful(99, SECOND, doubtful);
        for key in [10, 11] {
            let begun = queues.ended(GetOrder, key);
            queues[GetOrder].put_late(key, 5 * SECOND, begun);
        }
        queues[GetRelation].put(0, 3 * SECOND);
        assert_eq!(queues.begin(300 * SECOND, |_| Readiness::Probe), Some((0, Reach::OnePage)));
        queues.ended(GetRelation, 0);
        queues[GetRelation].put(0, 300 * SECOND);
        for (probe, clock) in [(10, 600), (11, 900), (0, 1200)] {
            let clock = clock * SECOND;
            assert_eq!(queues.begin(clock, |_| Readiness::Probe), Some((probe, Reach::OnePage)));
            if probe != 0 {
                let begun = queues.ended(GetOrder, probe);
                queues[GetOrder].put_late(probe, clock, begun);
            }
        }
    }

    #[test]
    fn a_check_is_made_by_somebody_who_was_not_refused() {
        let mut queues = queues(9);
        let check = |interface| if interface == GetOrder { Readiness::Check } else { Readiness::AfterProbe };
        for key in [10, 11, 12] {
            assert_eq!(all(&mut queues, check), [key]);
            let begun = queues.ended(GetOrder, key);
            queues[GetOrder].put_doubtful(key, 9 * SECOND, begun);
        }
        assert_eq!((all(&mut queues, check), queues.next_begin(check)), (vec![], None));
        queues[GetOrder].put(13, 20 * SECOND);
        assert_eq!(queues.next_begin(check), Some(20 * SECOND));
        assert_eq!(all(&mut queues, |_| Readiness::Probe), [0], "that is due longer");
    }

    /// Looking at each of them each time would take days.
    #[test]
    fn entries_behind_an_open_breaker_cost_nothing_to_keep_waiting_however_many_they_are() {
        let began = Instant::now();
        let mut queues = DueQueues::new(PollBounds { polls: 9, to_the_end: 1 }, began);
        (0..150_000).for_each(|key| queues[GetRelation].put(key, SECOND));
        let open = |_| Readiness::At(began + 300 * SECOND);
        for tick in 0..100_000 {
            assert_eq!(queues.begin(SECOND + tick * SECOND / 1000, open), None);
            assert_eq!(queues.next_begin(open), Some(300 * SECOND));
        }
        assert_eq!(queues.overdue(3600 * SECOND), 150_000);
        assert_eq!(queues.begin(301 * SECOND, |_| Readiness::Probe), Some((0, Reach::OnePage)));
    }
}
