//! The due work of one interface.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::time::Duration;

use super::call_budget::{CallBudget, CallFor};
use super::first_turns::FirstTurns;
use super::minute_counts::MinuteCounts;
use super::polled_feeds::FirstRank;
use super::schedule::Schedule;
use super::usual_turns::{MayCome, NextTurn, UsualTurns};
use crate::model::pacing::PollTurn;
use crate::model::pacing::fact_rate::FactRate;
use crate::model::pacing::intervals::{Brought, IntervalBounds, Intervals, RateClass, Shortage};
use crate::upstream::budget::CallRates;

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
#[derive(Clone, Copy, Debug, PartialEq)]
enum WaitingIn {
    First,
    Schedule,
    Usual(NextTurn),
    Further,
    Doubtful,
}

/// Bounds of a queue.
#[derive(Clone, Copy, Debug)]
pub struct PollBounds {
    /// Polls at once.
    pub polls: usize,
    /// Of these, such as read to the end. Few, so that each is read soon: many at once would share the budget, and what a
    /// day's end or an open breaker interrupts would be much.
    pub to_the_end: usize,
}

/// A poll that has begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Begun {
    pub due: Duration,
    pub reach: Reach,
    pub entry: Admission,
}

/// All that is due of one interface, each once: in the schedule, behind others, or with the poll that has begun.
///
/// Those that were never polled and those that were have every other turn while some of both are due. Where more is due than can be
/// polled, all who are polled have been due for long, and whoever comes new would be polled for the first time when they all have been:
/// in minutes or an hour, though somebody has just registered him, or wants a feed asked again. And behind a restart, when all are to be
/// polled for the first time, what they turn to next, such as today, would wait until the last of them has been.
pub struct DueQueue<K> {
    /// Those that were never polled.
    first: FirstTurns<K>,
    /// Whether the next turn is one of those, if both they and others are due.
    is_turn_of_first: bool,
    /// Those that come at a time of their own: slices of a backfill, what has failed, other days than today.
    schedule: Schedule<K>,
    /// Those that come as often as facts do.
    usual: UsualTurns<K>,
    intervals: Intervals,
    budget: CallBudget,
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
            first: FirstTurns::new(),
            is_turn_of_first: true,
            schedule: Schedule::new(),
            usual: UsualTurns::new(),
            intervals: Intervals::default(),
            budget: CallBudget::default(),
            doubtful: VecDeque::new(),
            further: VecDeque::new(),
            begun: HashMap::new(),
            late: HashMap::new(),
            to_the_end: 0,
            dues: MinuteCounts::default(),
            bounds,
        }
    }

    /// A feed joins those that share the budget.
    pub fn join(&mut self, bounds: IntervalBounds) -> RateClass {
        self.intervals.join(bounds)
    }

    /// Takes what a poll has brought, and gives the feed's class from then on.
    pub fn learn(&mut self, class: RateClass, rate: &mut FactRate, brought: Brought) -> RateClass {
        self.intervals.learn(class, rate, brought)
    }

    /// A feed is polled no more.
    pub fn leave(&mut self, class: RateClass) {
        self.intervals.leave(class);
    }

    /// Where the budget is less than all feeds need, however quiet they are.
    pub(crate) fn shortage(&self) -> Option<Shortage> {
        self.intervals.shortage()
    }

    /// How many calls may be made from now on.
    pub fn set_rates(&mut self, rates: CallRates, clock: Duration) {
        if self.budget.set(rates, clock) {
            self.intervals.spread(self.budget.for_usual_turns(clock), self.budget.intended_use());
        }
    }

    /// A poll has made so many calls, of which one was counted when it began.
    pub fn spent(&mut self, calls: u32, clock: Duration) {
        match calls.checked_sub(1) {
            Some(further) => self.budget.spend(further, CallFor::Other, clock),
            None => self.budget.give_back(),
        }
    }

    pub fn put(&mut self, key: K, due: Duration) {
        self.dues.add(seconds(due));
        self.schedule.put(key, due);
    }

    /// Puts in, at `clock`, one that was not polled yet; `clock` goes on.
    pub(crate) fn put_first(&mut self, key: K, rank: FirstRank, clock: Duration) {
        self.dues.add(seconds(clock));
        self.first.put(key, rank, clock);
    }

    /// Whether one more may be of the few.
    pub(crate) fn has_room_for_few(&self) -> bool {
        self.first.has_room_for_few()
    }

    /// The same for one of a few that came alone, and have never been polled in their lives.
    pub(crate) fn put_few(&mut self, key: K, clock: Duration) {
        self.dues.add(seconds(clock));
        self.first.put_few(key, clock);
    }

    /// Puts one back, at `clock`, to when its next turn comes.
    pub fn put_turn(&mut self, key: K, class: RateClass, turn: PollTurn, clock: Duration) {
        let due = turn.due(self.intervals.interval(class));
        // A line stands in the order in which its feeds were put, so only who is due by the usual interval from now on may join it.
        match turn {
            PollTurn::Usual { since, earliest, latest } if since == clock && (earliest..latest).contains(&due) => {
                self.usual.put(key, class, clock);
            }
            PollTurn::Usual { .. } | PollTurn::At(_) => self.put(key, due.max(clock)),
        }
    }

    /// Puts back one whose poll came to nothing. It stays due since it was, whenever it is tried again.
    pub(crate) fn put_late(&mut self, key: K, again: Duration, begun: Begun) {
        self.is_late(key, begun);
        self.schedule.put(key, again);
    }

    /// The same, to be tried again when its next turn comes.
    pub(crate) fn put_late_turn(&mut self, key: K, class: RateClass, turn: PollTurn, begun: Begun) {
        self.put_late(key, turn.due(self.intervals.interval(class)), begun);
    }

    /// Puts back, at `clock`, one whose request was refused in a way that opens a breaker, or not answered while the
    /// upstream seems dead. It begins as soon as its breaker lets it, but becomes the probe only where nobody else is due: or
    /// a few who are always refused would keep all others waiting.
    pub(crate) fn put_doubtful(&mut self, key: K, clock: Duration, begun: Begun) {
        self.is_late(key, begun);
        self.doubtful.push_back((clock, key));
    }

    fn is_late(&mut self, key: K, begun: Begun) {
        self.dues.add(seconds(begun.due));
        self.late.insert(key, begun.due);
    }

    /// Puts back one that has further pages, behind those that wait for the same; one that was interrupted while it read
    /// them goes on before them.
    pub(crate) fn put_further(&mut self, key: K, begun: Begun) {
        self.dues.add(seconds(begun.due));
        match begun.reach {
            Reach::OnePage => self.further.push_back((begun.due, key)),
            Reach::ToTheEnd => self.further.push_front((begun.due, key)),
        }
    }

    /// Puts back, at `clock`, one that has further pages, and was refused in a way that opens a breaker. As the probe it
    /// leaves the next one to the others: whose pages are read on always comes first, and would be refused each time.
    pub(crate) fn put_refused(&mut self, key: K, clock: Duration, begun: Begun) {
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
        let usual = self.usual.next_at(&self.intervals, self.may_come());
        let other = [self.first.next_due(), self.schedule.next_due(), doubtful, further].into_iter().flatten().min();
        let usual = usual.map(|due| due.max(self.budget.ready(CallFor::UsualTurn)));
        let other = other.map(|due| due.max(self.budget.ready(CallFor::Other)));
        usual.into_iter().chain(other).min()
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
            WaitingIn::First => (self.first.take()?, Reach::OnePage),
            WaitingIn::Schedule => (self.schedule.take_due(clock)?, Reach::OnePage),
            WaitingIn::Usual(turn) => (self.usual.take(turn)?, Reach::OnePage),
        };
        match waiting_in {
            WaitingIn::First => self.is_turn_of_first = false,
            WaitingIn::Schedule | WaitingIn::Usual(_) => self.is_turn_of_first = true,
            WaitingIn::Further | WaitingIn::Doubtful => {}
        }
        let made_for = match waiting_in {
            // While it waited its line counted it.
            WaitingIn::Usual(_) => {
                self.dues.add(seconds(due));
                CallFor::UsualTurn
            }
            WaitingIn::First | WaitingIn::Schedule | WaitingIn::Further | WaitingIn::Doubtful => CallFor::Other,
        };
        // Counted as it begins, and put right when it has ended: or all that are due at once would begin on the same call.
        self.budget.spend(1, made_for, clock);
        self.to_the_end += usize::from(reach == Reach::ToTheEnd);
        Some(self.begun(key, Begun { due, reach, entry }))
    }

    /// Which comes next, and since when it is due.
    fn next(&self, clock: Duration, entry: Admission) -> Option<(Duration, WaitingIn)> {
        // Where those that come beside usual turns may not begin, these may not either.
        if self.begun.len() >= self.bounds.polls || self.budget.ready(CallFor::Other) > clock {
            return None;
        }
        let turn = self.next_turn(clock);
        let further = self.next_further().map(|(due, _)| (due, WaitingIn::Further));
        let doubtful = self.doubtful.front().map(|(since, _)| (*since, WaitingIn::Doubtful));
        match entry {
            // Those that wait elsewhere may be the ones that were refused, and would only say it again.
            Admission::Check => turn,
            Admission::Probe => further.or(turn).or(doubtful),
            Admission::Call => further.or(turn.into_iter().chain(doubtful).min_by_key(|(due, _)| *due)),
        }
    }

    /// One of those that were never polled, or one of the others.
    fn next_turn(&self, clock: Duration) -> Option<(Duration, WaitingIn)> {
        let first = self.first.next_due().filter(|due| *due <= clock).map(|due| (due, WaitingIn::First));
        let polled = self.next_polled(clock);
        // What is left of the budget is not taken from them by those who may be polled before they are due.
        let is_due = polled.is_some_and(|(due, _)| due <= clock);
        if self.is_turn_of_first || !is_due { first.or(polled) } else { polled.or(first) }
    }

    /// Of those with a time of their own and those with a usual turn, the one who has waited longest in proportion to his
    /// interval; for the former that is the one of a feed of which nothing is known, from when they are due on.
    fn next_polled(&self, clock: Duration) -> Option<(Duration, WaitingIn)> {
        let scheduled = self.schedule.next_due().filter(|due| *due <= clock);
        let may_usual = self.budget.ready(CallFor::UsualTurn) <= clock;
        let usual = may_usual.then(|| self.usual.next(clock, &self.intervals, self.may_come())).flatten();
        let waited = |due: Duration| 1.0 + (clock - due).as_secs_f64() / self.intervals.mean_seconds();
        match (scheduled, usual) {
            (Some(due), Some(turn)) if turn.waited > waited(due) => Some((turn.due, WaitingIn::Usual(turn))),
            (Some(due), _) => Some((due, WaitingIn::Schedule)),
            (None, turn) => turn.map(|turn| (turn.due, WaitingIn::Usual(turn))),
        }
    }

    fn may_come(&self) -> MayCome {
        if self.intervals.spends() { MayCome::AfterEvery } else { MayCome::WhenDue }
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
        let usual = self.usual.due_before(clock.saturating_sub(Duration::from_secs(60)), &self.intervals);
        self.dues.before(seconds(clock) - 60) + usual
    }
}

fn seconds(clock: Duration) -> i64 {
    i64::try_from(clock.as_secs()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
