//! The budgets of many instances together, whatever moves between them and whoever ends.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

const SHARDS: usize = 12;
const TICK: Duration = Duration::from_millis(50);
/// So late the upstream counts calls, in the worst case.
const COUNTED_LATE: Duration = Duration::from_secs(30);

/// One process, which calls whenever it may.
struct Caller {
    minute: MinuteBudget,
    day: DayBudget,
    shards: BTreeSet<usize>,
    /// When it was told the quota last.
    asked: Option<Duration>,
}

impl Caller {
    fn start(settings: BudgetSettings, clock: Duration) -> Caller {
        let (minute, day) = (MinuteBudget::new(settings.per_minute), DayBudget::new(settings.per_day));
        let mut caller = Caller { minute, day, shards: BTreeSet::new(), asked: None };
        caller.own(BTreeSet::new(), clock);
        caller
    }

    fn own(&mut self, shards: BTreeSet<usize>, clock: Duration) {
        let taken_over = shards.difference(&self.shards).count();
        let share = Share::of_parts(shards.len(), SHARDS);
        self.minute.set_share(share, taken_over.try_into().unwrap(), clock);
        self.day.set_share(share, clock);
        self.shards = shards;
    }

    fn may_call(&mut self, now: UnixTime, clock: Duration) -> bool {
        let may = self.minute.ready(clock).max(self.day.ready(now, clock)) <= clock;
        if may {
            self.minute.take(clock);
            self.day.take(clock);
            self.minute.count(clock);
            self.day.count(now, clock);
        }
        may
    }

    fn asks(&self, clock: Duration) -> bool {
        let settled = self.day.settled();
        self.asked.is_none_or(|asked| clock >= asked + HOUR || (asked < settled && settled <= clock))
    }

    fn is_told(&mut self, quota: DailyQuota, now: UnixTime, clock: Duration) {
        self.day.quota_reported(quota, self.minute.latest(clock), now, clock);
        self.asked = Some(clock);
    }
}

#[derive(Clone, Copy, Debug)]
enum Move {
    /// So many shards go to another instance.
    Shards(usize),
    /// The instance ends, and all of them go.
    Kill,
    /// It ends, and comes back with the same.
    Restart,
}

/// What happens at some time: to whom, in whose favour, and for how long nobody has the shards meanwhile.
type Event = (Duration, Move, usize, usize, Duration);

struct Instances {
    settings: BudgetSettings,
    /// The quota of the day, where the upstream tells it.
    limit: Option<u64>,
    callers: Vec<Caller>,
    /// On their way: since then, for whom.
    moving: Vec<(Duration, usize, BTreeSet<usize>)>,
    calls: Vec<Duration>,
}

impl Instances {
    fn new(settings: BudgetSettings, callers: usize) -> Instances {
        let mut instances =
            Instances { settings, limit: None, callers: Vec::new(), moving: Vec::new(), calls: Vec::new() };
        for number in 0..callers {
            let mut caller = Caller::start(settings, Duration::ZERO);
            caller.own((0..SHARDS).filter(|shard| shard % callers == number).collect(), Duration::ZERO);
            instances.callers.push(caller);
        }
        instances
    }

    fn run(&mut self, mut events: Vec<Event>, tick: Duration, until: Duration, now: impl Fn(Duration) -> UnixTime) {
        events.sort_by_key(|event| std::cmp::Reverse(event.0));
        let mut clock = Duration::ZERO;
        while clock < until {
            while events.last().is_some_and(|(at, ..)| *at <= clock) {
                self.happens(events.pop().unwrap(), clock);
            }
            self.arrive(clock);
            self.tell(now(clock), clock);
            for caller in &mut self.callers {
                while caller.may_call(now(clock), clock) {
                    self.calls.push(clock);
                }
            }
            clock += tick;
        }
    }

    fn happens(&mut self, (_, what, from, to, gap): Event, clock: Duration) {
        let (from, to) = (from % self.callers.len(), to % self.callers.len());
        let mut left = self.callers[from].shards.clone();
        let moved: BTreeSet<usize> = match what {
            Move::Shards(count) => left.iter().copied().take(count).collect(),
            Move::Kill | Move::Restart => left.clone(),
        };
        left.retain(|shard| !moved.contains(shard));
        match what {
            Move::Shards(_) => self.callers[from].own(left, clock),
            Move::Kill | Move::Restart => self.callers[from] = Caller::start(self.settings, clock),
        }
        let to = if matches!(what, Move::Restart) { from } else { to };
        self.moving.push((clock + gap, to, moved));
    }

    fn arrive(&mut self, clock: Duration) {
        for (_, to, moved) in self.moving.extract_if(.., |(at, ..)| *at <= clock) {
            let shards = self.callers[to].shards.union(&moved).copied().collect();
            self.callers[to].own(shards, clock);
        }
    }

    fn tell(&mut self, now: UnixTime, clock: Duration) {
        let Some(limit) = self.limit else { return };
        let used = self.calls.partition_point(|call| *call + COUNTED_LATE <= clock) as u64;
        let asking = self.callers.iter_mut().filter(|caller| caller.asks(clock));
        asking.for_each(|caller| caller.is_told(DailyQuota { limit, used }, now, clock));
    }

    fn most_in_a_minute(&self) -> usize {
        let within = |first: usize| self.calls[first..].partition_point(|call| *call < self.calls[first] + MINUTE);
        (0..self.calls.len()).map(within).max().unwrap_or_default()
    }
}

fn events(until: u64) -> impl Strategy<Value = Vec<Event>> {
    let what = prop_oneof![(1..SHARDS).prop_map(Move::Shards), Just(Move::Kill), Just(Move::Restart)];
    let gap = prop_oneof![Just(0), 0..5000_u64].prop_map(Duration::from_millis);
    let event = ((0..until).prop_map(Duration::from_millis), what, 0..8_usize, 0..8_usize, gap);
    proptest::collection::vec(event, 0..25)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_rolling_minute_holds_more_than_the_budget_over_all_instances(
        per_minute in prop_oneof![12..30_u32, 30..1000_u32],
        callers in 1..6_usize,
        events in events(240_000),
    ) {
        let mut instances = Instances::new(BudgetSettings { per_minute, per_day: 0 }, callers);
        instances.run(events, TICK, Duration::from_secs(240), |_| NOON);
        let most = instances.most_in_a_minute();
        prop_assert!(most <= per_minute as usize, "{} calls in a minute of {}", most, per_minute);
    }

    #[test]
    fn no_day_holds_more_than_the_budget_over_all_instances(
        per_day in 100..20_000_u32,
        callers in 1..6_usize,
        events in events(86_400_000),
    ) {
        let mut instances = Instances::new(BudgetSettings { per_minute: 0, per_day }, callers);
        let midnight = Day::in_beijing(NOON).beijing_start();
        let now = |clock: Duration| midnight.plus(i64::try_from(clock.as_secs()).unwrap());
        instances.run(events, Duration::from_secs(30), Duration::from_secs(86_399), now);
        prop_assert!(instances.calls.len() <= per_day as usize, "{} calls of {}", instances.calls.len(), per_day);
    }

    #[test]
    fn nor_does_it_where_the_upstream_tells_what_is_used(
        limit in 100..20_000_u32,
        per_day in prop_oneof![Just(0), 100..20_000_u32],
        callers in 1..6_usize,
        events in events(86_400_000),
        began in 0..80_000_u32,
    ) {
        let mut instances = Instances::new(BudgetSettings { per_minute: 0, per_day }, callers);
        instances.limit = Some(limit.into());
        let began = Duration::from_secs(began.into());
        let midnight = Day::in_beijing(NOON).beijing_start();
        let now = |clock: Duration| midnight.plus(i64::try_from((began + clock).as_secs()).unwrap());
        instances.run(events, Duration::from_secs(15), Duration::from_secs(86_399) - began, now);
        let most = if per_day == 0 { limit } else { limit.min(per_day) };
        prop_assert!(instances.calls.len() <= most as usize, "{} calls of {}", instances.calls.len(), most);
    }
}

#[test]
fn nearly_all_of_the_day_is_used_where_the_first_call_comes_at_noon_however_many_share_it() {
    for callers in [1, 3, 6] {
        let mut instances = Instances::new(BudgetSettings::default(), callers);
        instances.limit = Some(20_000);
        let now = |clock: Duration| NOON.plus(i64::try_from(clock.as_secs()).unwrap());
        instances.run(Vec::new(), Duration::from_secs(15), Duration::from_secs(43_199), now);
        let by_one = instances.calls.partition_point(|call| *call < HOUR);
        let all = instances.calls.len();
        assert!(
            (10_000..=11_000).contains(&by_one) && (19_000..=20_000).contains(&all),
            "{by_one}, {all} by {callers}"
        );
    }
}

#[test]
fn nearly_all_of_a_budget_is_used_however_many_share_it() {
    for (per_minute, callers) in [(120, 1), (120, 3), (240, 6), (5000, 3), (5000, 12)] {
        let per_day = per_minute * 1440;
        let mut instances = Instances::new(BudgetSettings { per_minute, per_day }, callers);
        let until = Duration::from_secs(300);
        instances.run(Vec::new(), Duration::from_millis(2), until, |clock| {
            NOON.plus(i64::try_from(clock.as_secs()).unwrap())
        });
        let used = instances.calls.len() as f64 / f64::from(per_minute * 5);
        assert!((0.95..=1.0).contains(&used), "{used} of {per_minute} by {callers}");
    }
}
