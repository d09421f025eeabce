//! One run: a rule polls a fleet, and what comes of that is counted.

use std::collections::VecDeque;
use std::time::Duration;

use super::fleet::Fleet;
use super::rules::Rule;

/// From a call to its answer.
const LATENCY: Duration = Duration::from_millis(50);
/// Delays are counted by the second.
const DELAYS: usize = 4000;

pub struct Figures {
    /// Of all facts, in seconds.
    pub mean_delay: f64,
    /// Of the facts of those who are active: 95 of 100 were delayed less.
    pub active_p95: f64,
    /// The longest time from one poll of a promoter to the next, in seconds.
    pub longest_gap: f64,
    /// Which part of the budget was used.
    pub used: f64,
    /// The seconds with the fewest and with the most calls, as parts of the budget of a second.
    pub least_second: f64,
    pub most_second: f64,
}

struct Counts {
    from: f64,
    facts: u64,
    delays: f64,
    active: Vec<u64>,
    longest_gap: f64,
    by_second: Vec<u32>,
}

struct PollUnderWay {
    ends: Duration,
    promoter: u32,
    facts: u64,
    covered: Duration,
}

/// Polls until `end`, and counts what comes from `from` on, in seconds.
pub fn run(rule: &mut dyn Rule, fleet: &mut Fleet, per_minute: u32, from: u64, end: u64) -> Figures {
    let mut counts = Counts::new(from, end);
    let mut polled = vec![Duration::ZERO; fleet.rates().count()];
    let mut under_way: VecDeque<PollUnderWay> = VecDeque::new();
    let mut clock = Duration::ZERO;
    while clock.as_secs() < end {
        while let Some(poll) = under_way.front().filter(|poll| poll.ends <= clock) {
            rule.ended(poll.promoter, poll.facts, poll.covered, clock);
            under_way.pop_front();
        }
        while let Some(promoter) = rule.begin(clock) {
            let number = promoter as usize;
            let is_active = fleet.is_active(number);
            let facts = fleet.take_facts(number, clock.as_secs_f64(), |time| counts.fact(time, clock, is_active));
            let covered = clock - std::mem::replace(&mut polled[number], clock);
            counts.call(clock, covered);
            under_way.push_back(PollUnderWay { ends: clock + LATENCY, promoter, facts, covered });
        }
        let ends = under_way.front().map(|poll| poll.ends);
        clock = ends.into_iter().chain(rule.next_begin()).min().unwrap().max(clock);
    }
    counts.figures(f64::from(per_minute) / 60.0)
}

impl Counts {
    fn new(from: u64, end: u64) -> Counts {
        let by_second = vec![0; (end - from) as usize];
        Counts { from: from as f64, facts: 0, delays: 0.0, active: vec![0; DELAYS], longest_gap: 0.0, by_second }
    }

    fn fact(&mut self, time: f64, clock: Duration, is_active: bool) {
        if time < self.from {
            return;
        }
        let delay = clock.as_secs_f64() - time;
        self.facts += 1;
        self.delays += delay;
        self.active[(delay as usize).min(DELAYS - 1)] += u64::from(is_active);
    }

    fn call(&mut self, clock: Duration, gap: Duration) {
        let Some(second) = (clock.as_secs_f64() - self.from).floor().to_usize() else { return };
        self.longest_gap = self.longest_gap.max(gap.as_secs_f64());
        if let Some(calls) = self.by_second.get_mut(second) {
            *calls += 1;
        }
    }

    fn figures(self, calls_a_second: f64) -> Figures {
        let part = |calls: u32| f64::from(calls) / calls_a_second;
        let calls: u64 = self.by_second.iter().copied().map(u64::from).sum();
        Figures {
            mean_delay: self.delays / self.facts as f64,
            active_p95: percentile(&self.active, 0.95),
            longest_gap: self.longest_gap,
            used: calls as f64 / calls_a_second / self.by_second.len() as f64,
            least_second: part(*self.by_second.iter().min().unwrap()),
            most_second: part(*self.by_second.iter().max().unwrap()),
        }
    }
}

fn percentile(counts: &[u64], part: f64) -> f64 {
    let wanted = (counts.iter().sum::<u64>() as f64 * part).ceil() as u64;
    let mut sum = 0;
    let reached = counts.iter().position(|count| {
        sum += count;
        sum >= wanted
    });
    reached.unwrap() as f64 + 1.0
}

trait ToUsize {
    fn to_usize(self) -> Option<usize>;
}

impl ToUsize for f64 {
    fn to_usize(self) -> Option<usize> {
        (self >= 0.0).then_some(self as usize)
    }
}
