//! Whatever happens to a tracker, step by step: each request has one answer.

use proptest::prelude::*;

use super::*;

/// How many requests are in memory at most.
const HELD_MAX: usize = 3;

/// What happens to a tracker, step by step.
#[derive(Clone, Debug)]
enum TrackerStep {
    /// The next request comes, with a deadline or without.
    Comes(Option<i64>),
    CommittedAnswer(usize),
    /// So many of the parked are read again.
    FetchRange(i64),
    /// Time passes, and the parked up to some offset are looked through.
    Swept(i64, prop::sample::Index),
    Restart,
}

fn step() -> impl Strategy<Value = TrackerStep> {
    prop_oneof![
        4 => prop::option::of(0..200i64).prop_map(TrackerStep::Comes),
        3 => (0..3usize).prop_map(TrackerStep::CommittedAnswer),
        2 => (1..6i64).prop_map(TrackerStep::FetchRange),
        2 => (0..40i64, any::<prop::sample::Index>()).prop_map(|(time, to)| TrackerStep::Swept(time, to)),
        1 => Just(TrackerStep::Restart),
    ]
}

/// A tracker, and what is true of the requests that it tells of.
#[derive(Default)]
struct Followed {
    tracker: OffsetTracker,
    /// Of each request, by its offset.
    deadlines: Vec<Option<i64>>,
    now: i64,
    /// In memory.
    held: Vec<i64>,
    answered: BTreeSet<i64>,
}

impl Followed {
    fn end(&self) -> i64 {
        i64::try_from(self.deadlines.len()).unwrap()
    }

    fn deadline(&self, offset: i64) -> Option<UnixMillis> {
        self.deadlines[usize::try_from(offset).unwrap()].map(UnixMillis)
    }

    fn is_unanswered(&self, offset: i64) -> bool {
        self.tracker.is_unanswered(offset, self.deadline(offset))
    }

    fn follow(&mut self, step: TrackerStep) {
        match step {
            TrackerStep::Comes(deadline) => self.comes(deadline),
            TrackerStep::CommittedAnswer(which) => self.commit_answer(which),
            TrackerStep::FetchRange(count) => self.fetch_range(count),
            TrackerStep::Swept(time, to) => self.sweep(time, to),
            TrackerStep::Restart => {
                self.held.clear();
                self.tracker = self.tracker.record().map(|record| OffsetTracker::resume(&record)).unwrap_or_default();
            }
        }
    }

    fn comes(&mut self, deadline: Option<i64>) {
        let offset = self.end();
        self.deadlines.push(deadline);
        if self.held.len() < HELD_MAX && self.tracker.parked_from().is_none() && self.tracker.has_room() {
            self.begin(offset);
        } else {
            self.tracker.park(offset, self.deadline(offset));
        }
    }

    fn begin(&mut self, offset: i64) {
        self.tracker.begin(offset);
        self.held.push(offset);
    }

    fn commit_answer(&mut self, which: usize) {
        if !self.held.is_empty() {
            let offset = self.held.swap_remove(which % self.held.len());
            self.note_answered(offset);
            self.tracker.answer(offset);
        }
    }

    fn note_answered(&mut self, offset: i64) {
        assert!(self.answered.insert(offset), "{offset} is answered twice");
    }

    fn fetch_range(&mut self, count: i64) {
        let Some(from) = self.tracker.parked_from() else { return };
        let mut to = (from + count).min(self.end());
        for offset in from..to {
            if !self.is_unanswered(offset) {
                continue;
            }
            if self.held.len() == HELD_MAX {
                to = offset;
                break;
            }
            self.begin(offset);
        }
        self.tracker.read_again(from..to, self.end());
    }

    fn sweep(&mut self, time: i64, to: prop::sample::Index) {
        self.now += time;
        let Some(from) = self.tracker.parked_from() else { return };
        let parked = usize::try_from(self.end() - from).unwrap().max(1);
        let to = from + i64::try_from(to.index(parked)).unwrap();
        for offset in from..to {
            let has_passed = self.deadline(offset).is_some_and(|deadline| deadline.0 <= self.now);
            if has_passed && self.is_unanswered(offset) {
                self.note_answered(offset);
            }
        }
        self.tracker.expire(from, to, UnixMillis(self.now));
    }
}

proptest! {
    /// With room for three in memory, whatever is answered and whenever it starts anew.
    #[test]
    fn each_request_is_answered_once(steps in prop::collection::vec(step(), 0..200)) {
        let mut followed = Followed::default();
        steps.into_iter().for_each(|step| followed.follow(step));
        followed.follow(TrackerStep::Restart);
        for _ in 0..300 {
            followed.follow(TrackerStep::FetchRange(HELD_MAX as i64));
            followed.follow(TrackerStep::CommittedAnswer(0));
        }
        prop_assert_eq!((0..followed.end()).collect::<BTreeSet<_>>(), followed.answered);
    }
}
