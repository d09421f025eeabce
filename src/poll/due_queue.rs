//! The due work of one interface.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::time::Duration;

use super::minute_counts::MinuteCounts;
use super::schedule::Schedule;

/// How far a poll may read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Where there are further pages, it ends behind the first one it reads, and waits until it may read on.
    OnePage,
    ToTheEnd,
}

/// As what a poll's first call passes the breakers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// As any number do.
    Call,
    /// It decides for all.
    Probe,
    /// As a probe, which those may not be that were refused.
    Check,
}

/// Where something waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum WaitingIn {
    Schedule,
    Further,
    Doubtful,
}

/// Bounds of a queue.
#[derive(Clone, Copy, Debug)]
pub struct PollBounds {
    /// Polls at once.
    pub polls: usize,
    /// Of these, such as read to the end. Few, so that each is read soon: many at once would share the budget, and what a
    /// day's end or a hold interrupts would be much.
    pub to_the_end: usize,
}

/// A poll that has begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Begun {
    pub due: Duration,
    pub reach: Reach,
    pub entry: Admission,
}

pub struct DueQueue<K> {
    schedule: Schedule<K>,
    /// Those whose last answer opened their breaker, or that had none while the upstream seemed dead; since when they wait.
    doubtful: VecDeque<(Duration, K)>,
    /// Those that have further pages to read, and when they were due.
    further: VecDeque<(Duration, K)>,
    begun: HashMap<K, Begun>,
    /// How many of those that have begun read to the end.
    to_the_end: usize,
    /// Since when those are due that began and came to nothing, where the schedule tells when they are tried again.
    late: HashMap<K, Duration>,
    /// Of all of these.
    dues: MinuteCounts,
    bounds: PollBounds,
}

impl<K: Copy + Eq + Hash + Ord> DueQueue<K> {
    pub fn new(bounds: PollBounds) -> DueQueue<K> {
        DueQueue {
            schedule: Schedule::new(),
            doubtful: VecDeque::new(),
            further: VecDeque::new(),
            begun: HashMap::new(),
            late: HashMap::new(),
            to_the_end: 0,
            dues: MinuteCounts::default(),
            bounds,
        }
    }

    pub fn put(&mut self, key: K, due: Duration) {
        self.dues.add(seconds(due));
        self.schedule.put(key, due);
    }

    /// Puts back one whose poll came to nothing. It stays due since it was, whenever it is tried again.
    pub fn put_late(&mut self, key: K, again: Duration, begun: Begun) {
        self.is_late(key, begun);
        self.schedule.put(key, again);
    }

    /// Puts back, at `clock`, one whose question was refused in a way that holds others too, or not answered while the
    /// upstream seems dead. It begins as soon as its breaker lets it, but becomes the probe only where nobody else is due: or
    /// a few who are always refused would keep all others waiting.
    pub fn put_doubtful(&mut self, key: K, clock: Duration, begun: Begun) {
        self.is_late(key, begun);
        self.doubtful.push_back((clock, key));
    }

    fn is_late(&mut self, key: K, begun: Begun) {
        self.dues.add(seconds(begun.due));
        self.late.insert(key, begun.due);
    }

    /// Puts back one that has further pages, behind those that wait for the same; one that was interrupted while it read
    /// them goes on before them.
    pub fn put_further(&mut self, key: K, begun: Begun) {
        self.dues.add(seconds(begun.due));
        match begun.reach {
            Reach::OnePage => self.further.push_back((begun.due, key)),
            Reach::ToTheEnd => self.further.push_front((begun.due, key)),
        }
    }

    /// Puts back, at `clock`, one that has further pages, and was refused in a way that holds others too. As the probe it
    /// leaves the next one to the others: whose pages are read on always comes first, and would be refused each time.
    pub fn put_refused(&mut self, key: K, clock: Duration, begun: Begun) {
        match begun.entry {
            Admission::Call => self.put_further(key, begun),
            Admission::Probe | Admission::Check => self.put_doubtful(key, clock, begun),
        }
    }

    /// When the next poll is due that may begin as a call of that kind; nothing while there is no such work, or no room.
    pub fn next_due(&self, entry: Admission) -> Option<Duration> {
        if self.begun.len() >= self.bounds.polls {
            return None;
        }
        let doubtful = self.doubtful.front().map(|(since, _)| *since).filter(|_| entry != Admission::Check);
        let further = self.next_further().map(|(due, _)| due).filter(|_| entry != Admission::Check);
        self.schedule.next_due().into_iter().chain(doubtful).chain(further).min()
    }

    /// Since when that one is due that [`DueQueue::begin`] would take: by nothing else may queues be compared, or one wins with
    /// what it does not take, each time anew.
    pub fn due(&self, clock: Duration, entry: Admission) -> Option<Duration> {
        self.next(clock, entry).map(|(due, _)| due)
    }

    /// A poll begins of what is due at `clock`.
    pub fn begin(&mut self, clock: Duration, entry: Admission) -> Option<(K, Reach)> {
        let (due, waiting_in) = self.next(clock, entry)?;
        let (key, reach) = match waiting_in {
            WaitingIn::Further => (self.further.pop_front()?.1, Reach::ToTheEnd),
            WaitingIn::Doubtful => (self.doubtful.pop_front()?.1, Reach::OnePage),
            WaitingIn::Schedule => (self.schedule.take_due(clock)?, Reach::OnePage),
        };
        self.to_the_end += usize::from(reach == Reach::ToTheEnd);
        Some(self.begun(key, Begun { due, reach, entry }))
    }

    /// Which comes next, and since when it is due.
    fn next(&self, clock: Duration, entry: Admission) -> Option<(Duration, WaitingIn)> {
        if self.begun.len() >= self.bounds.polls {
            return None;
        }
        let scheduled = self.schedule.next_due().filter(|due| *due <= clock).map(|due| (due, WaitingIn::Schedule));
        let further = self.next_further().map(|(due, _)| (due, WaitingIn::Further));
        let doubtful = self.doubtful.front().map(|(since, _)| (*since, WaitingIn::Doubtful));
        match entry {
            Admission::Check => scheduled,
            Admission::Probe => further.or(scheduled).or(doubtful),
            Admission::Call => further.or(scheduled.into_iter().chain(doubtful).min_by_key(|(due, _)| *due)),
        }
    }

    fn begun(&mut self, key: K, begun: Begun) -> (K, Reach) {
        let due = self.late.remove(&key).unwrap_or(begun.due);
        self.begun.insert(key, Begun { due, ..begun });
        (key, begun.reach)
    }

    fn next_further(&self) -> Option<(Duration, K)> {
        self.further.front().copied().filter(|_| self.to_the_end < self.bounds.to_the_end)
    }

    /// A poll that had begun has ended.
    pub fn ended(&mut self, key: K) -> Begun {
        let begun = self.begun.remove(&key).expect("a poll ends once, and has begun before");
        self.dues.remove(seconds(begun.due));
        self.to_the_end -= usize::from(begun.reach == Reach::ToTheEnd);
        begun
    }

    /// One that waits is not wanted any more, and late no longer. It is let go of when its turn comes.
    pub fn give_up(&mut self, key: K) {
        self.late.remove(&key);
    }

    pub fn polls(&self) -> usize {
        self.begun.len()
    }

    /// The one whose polls have come to nothing longest, and since when it is due.
    pub fn latest(&self) -> Option<(Duration, K)> {
        self.late.iter().map(|(key, due)| (*due, *key)).min()
    }

    /// How many have been due for more than a minute, and were not polled to the end since.
    pub fn overdue(&self, clock: Duration) -> usize {
        self.dues.before(seconds(clock) - 60)
    }
}

fn seconds(clock: Duration) -> i64 {
    i64::try_from(clock.as_secs()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use Reach::{OnePage, ToTheEnd};

    const SECOND: Duration = Duration::from_secs(1);

    fn queue() -> DueQueue<u32> {
        let mut queue = DueQueue::new(PollBounds { polls: 9, to_the_end: 2 });
        (0..5).for_each(|key| queue.put(key, SECOND));
        queue
    }

    fn begin(queue: &mut DueQueue<u32>) -> Option<(u32, Reach)> {
        queue.begin(9 * SECOND, Admission::Call)
    }

    #[test]
    fn one_that_was_not_answered_is_the_probe_only_where_nobody_else_is_due() {
        let mut queue = queue();
        let begun = Begun { due: SECOND / 4, reach: OnePage, entry: Admission::Call };
        (20..22).for_each(|key| queue.put_doubtful(key, SECOND / 2, begun));
        for probe in [0, 1, 2, 3, 4, 20] {
            assert_eq!(queue.begin(SECOND, Admission::Probe), Some((probe, OnePage)));
            queue.ended(probe);
        }
        queue.put(0, SECOND);
        assert_eq!(begin(&mut queue), Some((21, OnePage)), "it has waited longest");
    }

    #[test]
    fn few_read_further_pages_at_once_and_the_others_wait_in_turn() {
        let mut queue = queue();
        for key in 0..4 {
            assert_eq!(begin(&mut queue), Some((key, OnePage)));
        }
        for key in 0..4 {
            let begun = queue.ended(key);
            queue.put_further(key, begun);
        }
        assert_eq!([begin(&mut queue), begin(&mut queue)], [Some((0, ToTheEnd)), Some((1, ToTheEnd))]);
        // First pages of others go on meanwhile.
        assert_eq!([begin(&mut queue), begin(&mut queue)], [Some((4, OnePage)), None]);
        assert_eq!(queue.next_due(Admission::Call), None);
        queue.ended(1);
        assert_eq!(begin(&mut queue), Some((2, ToTheEnd)));
    }

    #[test]
    fn one_that_is_interrupted_while_it_reads_on_goes_on_first() {
        let mut queue = queue();
        let begun: Vec<_> = std::iter::from_fn(|| begin(&mut queue)).collect();
        for (key, _) in &begun[..3] {
            let begun = queue.ended(*key);
            queue.put_further(*key, begun);
        }
        assert_eq!(begin(&mut queue), Some((0, ToTheEnd)));
        let begun = queue.ended(0);
        queue.put_further(0, begun);
        assert_eq!([begin(&mut queue), begin(&mut queue)], [Some((0, ToTheEnd)), Some((1, ToTheEnd))]);
    }

    #[test]
    fn one_that_is_refused_as_the_probe_while_it_reads_on_leaves_the_next_one_to_another() {
        let mut queue = queue();
        let begun: Vec<_> = std::iter::from_fn(|| begin(&mut queue)).collect();
        for (key, _) in &begun[..3] {
            let begun = queue.ended(*key);
            queue.put_further(*key, begun);
        }
        queue.put(5, 2 * SECOND);
        let probes = [(0, ToTheEnd), (1, ToTheEnd), (2, ToTheEnd), (5, OnePage), (0, OnePage), (1, OnePage)];
        for probe in probes {
            assert_eq!(queue.begin(9 * SECOND, Admission::Probe), Some(probe));
            let begun = queue.ended(probe.0);
            queue.put_refused(probe.0, 9 * SECOND, begun);
        }
    }

    #[test]
    fn what_is_due_for_more_than_a_minute_and_not_polled_is_overdue() {
        let mut queue = queue();
        assert_eq!((queue.overdue(30 * SECOND), queue.overdue(180 * SECOND)), (0, 5));
        begin(&mut queue);
        assert_eq!((queue.overdue(180 * SECOND), queue.polls()), (5, 1), "it has only begun");
        let begun = queue.ended(0);
        assert_eq!((queue.overdue(180 * SECOND), queue.polls()), (4, 0));
        queue.put_further(0, begun);
        assert_eq!(queue.overdue(180 * SECOND), 5);
    }

    #[test]
    fn one_whose_polls_fail_is_due_since_it_was_however_often_it_is_tried() {
        let mut queue = DueQueue::new(PollBounds { polls: 9, to_the_end: 2 });
        queue.put(7, SECOND);
        for minute in 1..4 {
            let clock = minute * 60 * SECOND;
            assert_eq!(queue.begin(clock, Admission::Call), Some((7, OnePage)));
            let begun = queue.ended(7);
            queue.put_late(7, clock + 60 * SECOND, begun);
            assert_eq!((queue.overdue(clock + 60 * SECOND), queue.latest()), (1, Some((SECOND, 7))));
        }
        queue.begin(240 * SECOND, Admission::Call);
        queue.ended(7);
        queue.put(7, 300 * SECOND);
        assert_eq!((queue.overdue(330 * SECOND), queue.latest()), (0, None));
    }
}
