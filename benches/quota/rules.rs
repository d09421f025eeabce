//! Rules of who is polled next: the connector's, and what it is measured against.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::time::Duration;

use promoter_connector::model::pacing::PollTurn;
use promoter_connector::model::pacing::fact_rate::FactRate;
use promoter_connector::model::pacing::intervals::{Brought, IntervalBounds, RateClass};
use promoter_connector::model::time::UnixTime;
use promoter_connector::poll::due_queue::{Admission, DueQueue, PollBounds};
use promoter_connector::upstream::budget::{Budget, BudgetSettings, CallRates};

/// Of every feed.
pub const BOUNDS: IntervalBounds =
    IntervalBounds { every: Duration::from_secs(60), idle_every: Duration::from_secs(900) };

/// Who is polled next. Clocks are durations since the start.
pub trait Rule {
    /// A poll of somebody begins, if anybody may be polled.
    fn begin(&mut self, clock: Duration) -> Option<u32>;
    /// When the next poll may begin; nothing where only the end of one can tell.
    fn next_begin(&mut self) -> Option<Duration>;
    /// A poll has ended that has brought so many facts of so long a time.
    fn ended(&mut self, promoter: u32, facts: u64, covered: Duration, clock: Duration);
}

/// The connector's own: its queue, with its budget.
pub struct ByFactRate {
    queue: DueQueue<u32>,
    budget: Budget,
    feeds: Vec<(RateClass, FactRate)>,
}

impl ByFactRate {
    pub fn new(promoters: u32, per_minute: u32) -> ByFactRate {
        let mut queue = DueQueue::new(PollBounds { polls: 1000, to_the_end: 1 });
        let feeds = (0..promoters).map(|promoter| {
            queue.put(promoter, Duration::ZERO);
            (queue.join(BOUNDS), FactRate::default())
        });
        let feeds = feeds.collect();
        ByFactRate { queue, budget: Budget::new(BudgetSettings { per_minute, per_day: 0 }), feeds }
    }
}

impl Rule for ByFactRate {
    fn begin(&mut self, clock: Duration) -> Option<u32> {
        let rates = self.budget.rates(UnixTime::EARLIEST);
        // The day has as many calls as its minutes.
        self.queue.set_rates(CallRates { day: rates.minute, day_at_once: f64::MAX, ..rates }, clock);
        self.queue.begin(clock, Admission::Call).map(|(promoter, _)| promoter)
    }

    fn next_begin(&mut self) -> Option<Duration> {
        self.queue.next_due(Admission::Call)
    }

    fn ended(&mut self, promoter: u32, facts: u64, covered: Duration, clock: Duration) {
        self.queue.ended(promoter);
        let (class, rate) = &mut self.feeds[promoter as usize];
        *class = self.queue.learn(*class, rate, Brought { facts, covered, calls: 1 });
        let turn = PollTurn::Usual { since: clock, earliest: clock, latest: Duration::MAX };
        self.queue.put_turn(promoter, *class, turn, clock);
    }
}

/// Calls come evenly, in the order in which they are due.
struct EvenCalls {
    spacing: Duration,
    next: Duration,
}

impl EvenCalls {
    fn new(per_minute: u32) -> EvenCalls {
        EvenCalls { spacing: Duration::from_secs(60) / per_minute, next: Duration::ZERO }
    }

    fn call(&mut self, clock: Duration) {
        self.next = self.next.max(clock) + self.spacing;
    }
}

/// Everybody in turn.
pub struct Even {
    calls: EvenCalls,
    line: VecDeque<(Duration, u32)>,
}

impl Even {
    pub fn new(promoters: u32, per_minute: u32) -> Even {
        let line = (0..promoters).map(|promoter| (Duration::ZERO, promoter)).collect();
        Even { calls: EvenCalls::new(per_minute), line }
    }
}

impl Rule for Even {
    fn begin(&mut self, clock: Duration) -> Option<u32> {
        let (due, promoter) = *self.line.front()?;
        if clock < due.max(self.calls.next) {
            return None;
        }
        self.calls.call(clock);
        self.line.pop_front();
        Some(promoter)
    }

    fn next_begin(&mut self) -> Option<Duration> {
        self.line.front().map(|(due, _)| self.calls.next.max(*due))
    }

    fn ended(&mut self, promoter: u32, _facts: u64, _covered: Duration, clock: Duration) {
        self.line.push_back((clock + BOUNDS.every, promoter));
    }
}

/// An interval that doubles where nothing came, and is the shortest again where something did; whoever is due longest comes
/// first.
pub struct Doubling {
    calls: EvenCalls,
    due: BinaryHeap<Reverse<(Duration, u32)>>,
    intervals: Vec<Duration>,
}

impl Doubling {
    pub fn new(promoters: u32, per_minute: u32) -> Doubling {
        let due = (0..promoters).map(|promoter| Reverse((Duration::ZERO, promoter))).collect();
        Doubling { calls: EvenCalls::new(per_minute), due, intervals: vec![BOUNDS.every; promoters as usize] }
    }
}

impl Rule for Doubling {
    fn begin(&mut self, clock: Duration) -> Option<u32> {
        let Reverse((due, promoter)) = *self.due.peek()?;
        if clock < due.max(self.calls.next) {
            return None;
        }
        self.calls.call(clock);
        self.due.pop();
        Some(promoter)
    }

    fn next_begin(&mut self) -> Option<Duration> {
        self.due.peek().map(|Reverse((due, _))| self.calls.next.max(*due))
    }

    fn ended(&mut self, promoter: u32, facts: u64, _covered: Duration, clock: Duration) {
        let interval = &mut self.intervals[promoter as usize];
        *interval = if facts == 0 { (*interval * 2).min(BOUNDS.idle_every) } else { BOUNDS.every };
        self.due.push(Reverse((clock + *interval, promoter)));
    }
}
