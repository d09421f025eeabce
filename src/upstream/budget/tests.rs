//! The budget of an instance that has all of it.

use super::*;

mod fleet;

const NOON: UnixTime = UnixTime(1_668_614_400 + 12 * 3600);

async fn call(budget: &Budget, now: UnixTime) {
    let Ok(call) = budget.acquire(CallQueue::First, || now, || Ok::<_, ()>(())).await else {
        unreachable!("it may go on")
    };
    call.sends(now);
}

async fn times_of(budget: &Budget, calls: usize) -> Vec<Duration> {
    let start = Instant::now();
    let mut times = Vec::new();
    for _ in 0..calls {
        call(budget, NOON).await;
        times.push(start.elapsed());
    }
    times
}

#[tokio::test(start_paused = true)]
async fn no_rolling_minute_holds_more_than_its_budget() {
    for per_minute in [1, 2, 3, 59, 60, 61, 119, 120, 121, 600, 5000] {
        let budget = Budget::new(BudgetSettings { per_minute, per_day: 0 });
        // A pause first fills the burst, then calls come as fast as they may.
        tokio::time::advance(Duration::from_secs(300)).await;
        let times = times_of(&budget, per_minute as usize * 3).await;
        // Times ascend, so a minute holds too many where it holds the one behind as many as it may.
        for (begin, one_too_many) in times.iter().zip(&times[per_minute as usize..]) {
            let between = *one_too_many - *begin;
            assert!(between >= Duration::from_secs(60), "more than {per_minute} in {between:?} from {begin:?}");
        }
        let rate = times.len() as f64 / times.last().unwrap().as_secs_f64() * 60.0;
        assert!(rate > f64::from(per_minute) * 0.49, "only {rate} of {per_minute} a minute");
    }
}

#[tokio::test(start_paused = true)]
async fn no_limit_waits_for_nothing() {
    let budget = Budget::new(BudgetSettings::default());
    assert_eq!(times_of(&budget, 1000).await.last(), Some(&Duration::ZERO));
}

const HOUR: Duration = Duration::from_secs(3600);

fn per_day(calls: u32) -> Budget {
    Budget::new(BudgetSettings { per_minute: 0, per_day: calls })
}

/// How many calls may be made at once.
fn at_once(budget: &Budget, now: UnixTime) -> usize {
    let calls = std::iter::from_fn(|| budget.take(now).ok());
    calls.take(5000).map(|call| call.sends(now)).count()
}

#[tokio::test(start_paused = true)]
async fn calls_of_a_day_are_earned_as_it_passes_and_kept_until_its_end() {
    let budget = per_day(2400);
    assert_eq!(at_once(&budget, NOON), 0, "what was spent before this process began is not known");
    tokio::time::advance(HOUR / 2).await;
    assert_eq!((at_once(&budget, NOON.plus(1800)), at_once(&budget, NOON.plus(1800))), (50, 0));
    tokio::time::advance(3 * HOUR).await;
    assert_eq!(at_once(&budget, NOON.plus(12_600)), 300);
    tokio::time::advance(3 * HOUR).await;
    let midnight = Day::in_beijing(NOON).beijing_end();
    assert_eq!(at_once(&budget, midnight), 0, "the next day begins with nothing");
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_set_to_and_fro_earns_no_call() {
    let budget = per_day(2400);
    at_once(&budget, NOON);
    for hour in 0..100 {
        tokio::time::advance(HOUR / 100).await;
        at_once(&budget, NOON.plus(hour % 2 * 86_400));
    }
    assert!(at_once(&budget, NOON) <= 1);
    tokio::time::advance(HOUR).await;
    assert_eq!(at_once(&budget, NOON), 100, "and holds no later one");
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_set_to_and_fro_tells_nothing_of_others() {
    let budget = per_day(2400);
    at_once(&budget, NOON);
    tokio::time::advance(HOUR / 10).await;
    assert!(at_once(&budget, NOON) > 1);
    let used = |used| DailyQuota { limit: 2400, used };
    assert!(budget.quota_reported(used(10), NOON).is_none());
    at_once(&budget, NOON.plus(86_400));
    tokio::time::advance(HOUR).await;
    at_once(&budget, NOON.plus(86_400));
    assert!(budget.take(NOON).is_err(), "the day has begun again, and nothing of it is counted");
    tokio::time::advance(HOUR).await;
    assert!(budget.quota_reported(used(2000), NOON).is_none());
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_never_sent_costs_no_day() {
    let budget = per_day(24);
    at_once(&budget, NOON);
    tokio::time::advance(HOUR).await;
    for _ in 0..100 {
        assert!(budget.take(NOON).is_ok());
    }
    assert_eq!(at_once(&budget, NOON), 1);
}

#[tokio::test(start_paused = true)]
async fn what_begins_and_what_goes_on_get_permits_alternately() {
    let budget = Budget::new(BudgetSettings { per_minute: 60, per_day: 0 });
    let permits = SyncMutex::new(Vec::new());
    let wait = |queue| {
        let (budget, permits) = (&budget, &permits);
        async move {
            let _call = budget.acquire(queue, || NOON, || Ok::<_, ()>(())).await.ok();
            permits.lock().push(queue);
        }
    };
    let begin = futures_util::future::join_all((0..50).map(|_| wait(CallQueue::First)));
    let go_on = futures_util::future::join_all((0..5).map(|_| wait(CallQueue::Further)));
    tokio::join!(begin, go_on);
    let permits = permits.into_inner();
    let further = permits.iter().take(12).filter(|queue| **queue == CallQueue::Further).count();
    assert_eq!(further, 5, "{permits:?}");
}

#[tokio::test(start_paused = true)]
async fn those_who_would_not_call_any_more_leave_the_queue_at_once() {
    let budget = Budget::new(BudgetSettings { per_minute: 1, per_day: 0 });
    call(&budget, NOON).await;
    let open = std::sync::atomic::AtomicBool::new(false);
    let check = || if open.load(std::sync::atomic::Ordering::Relaxed) { Err(()) } else { Ok(()) };
    let waiting = futures_util::future::join_all((0..50).map(|_| budget.acquire(CallQueue::First, || NOON, check)));
    let opening = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        open.store(true, std::sync::atomic::Ordering::Relaxed);
    };
    let began = Instant::now();
    let (ended, ()) = tokio::join!(waiting, opening);
    assert!(ended.iter().all(Result::is_err));
    // The first one sleeps until it gets its permit; nobody behind it does.
    assert!(began.elapsed() <= Duration::from_secs(61));
}

#[tokio::test(start_paused = true)]
async fn where_few_calls_were_wanted_too_fast_takes_half_at_most() {
    let budget = Budget::new(BudgetSettings { per_minute: 5000, per_day: 0 });
    let full = budget.rates(NOON).minute.unwrap();
    times_of(&budget, 100).await;
    let slower = budget.too_fast().unwrap();
    assert!((slower / full - 0.5).abs() < 0.01, "{slower} of {full}");
}

#[tokio::test(start_paused = true)]
async fn calls_that_are_too_fast_come_at_the_pace_that_was_borne_and_slowly_faster_again() {
    let budget = Budget::new(BudgetSettings { per_minute: 200, per_day: 0 });
    let full = budget.rates(NOON).minute.unwrap();
    times_of(&budget, 100).await;
    let slower = budget.too_fast().unwrap();
    assert!((slower * 60.0 - 95.0).abs() < 1.0, "{slower}");
    assert_eq!(budget.too_fast(), None, "the answers to calls that were under way tell nothing new");
    let times = times_of(&budget, 50).await;
    let rate = 49.0 / (times[49] - times[0]).as_secs_f64();
    assert!((rate / slower - 1.0).abs() < 0.2, "{rate} beside {slower}");
    let after = async |hours: u64| {
        tokio::time::advance(Duration::from_secs(3600 * hours)).await;
        budget.rates(NOON).minute.unwrap() / slower
    };
    let later = [after(1).await, after(3).await, after(20).await];
    assert!((1.04..1.07).contains(&later[0]) && (1.6..2.0).contains(&later[1]), "{later:?}");
    assert_eq!(budget.rates(NOON).minute.unwrap(), full);
}

#[tokio::test(start_paused = true)]
async fn a_quota_that_is_spent_tells_how_many_calls_a_day_bears_and_each_day_a_few_more_are_tried() {
    let budget = Budget::new(BudgetSettings::default());
    for _ in 0..500 {
        call(&budget, NOON).await;
    }
    tokio::time::advance(6 * HOUR).await;
    let evening = NOON.plus(6 * 3600);
    // Counted for a third of the day so far.
    assert_eq!(budget.quota_spent(evening), Some(1500.0));
    assert_eq!((budget.quota_spent(evening), budget.rates(evening).day), (None, None));
    let midnight = Day::in_beijing(NOON).beijing_end();
    let a_day = |now| budget.rates(now).day.unwrap() * 86_400.0 / 0.98;
    assert!((a_day(midnight) - 1500.0).abs() < 1.0);
    assert!((a_day(midnight.plus(86_400)) - 1650.0).abs() < 1.0);
    let spent = budget.quota_spent(midnight.plus(86_400));
    assert_eq!(spent, None, "a few calls tell nothing");
}

#[tokio::test(start_paused = true)]
async fn what_a_half_of_the_calls_was_spent_of_tells_the_whole() {
    let budget = Budget::new(BudgetSettings::default());
    budget.set_share(Share::of_parts(1, 2), 1);
    for _ in 0..500 {
        call(&budget, NOON).await;
    }
    tokio::time::advance(6 * HOUR).await;
    assert_eq!(budget.quota_spent(NOON.plus(6 * 3600)), Some(3000.0));
}

#[tokio::test(start_paused = true)]
async fn a_day_is_spent_evenly_over_what_is_left_of_it() {
    let budget = per_day(86_400);
    at_once(&budget, NOON);
    tokio::time::advance(2 * HOUR).await;
    let now = NOON.plus(2 * 3600);
    let CallRates { day, day_at_once, .. } = budget.rates(now);
    assert!((day.unwrap() - 0.98 * (1.0 + 7200.0 / 36_000.0)).abs() < 1e-6, "{day:?}");
    assert!((day_at_once - 7200.0).abs() < 1e-6, "{day_at_once}");
}

/// A process that was told twice, with a minute between: at the beginning, and once that counts.
async fn read_twice(limit: u64, used: u64) -> Budget {
    let budget = Budget::new(BudgetSettings::default());
    budget.quota_reported(DailyQuota { limit, used }, NOON);
    assert_eq!(at_once(&budget, NOON), 0, "what was called just before is not counted yet");
    tokio::time::advance(MINUTE).await;
    budget.quota_reported(DailyQuota { limit, used }, NOON.plus(60));
    budget
}

const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test(start_paused = true)]
async fn what_nobody_has_called_of_the_day_so_far_may_be_called_at_once_and_never_again() {
    let budget = read_twice(2400, 200).await;
    // Half of the day has brought 1200, and the minute nearly two.
    assert_eq!(at_once(&budget, NOON.plus(60)), 1001);
    tokio::time::advance(HOUR).await;
    let later = NOON.plus(3660);
    budget.quota_reported(DailyQuota { limit: 2400, used: 1201 }, later);
    assert_eq!(at_once(&budget, later), 100);
    for used in [1201, 2399] {
        assert!(at_once(&read_twice(2400, used).await, NOON.plus(60)) <= 1, "after a restart");
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_upstream_may_not_have_counted_yet_is_taken_for_called() {
    let budget = read_twice(2400, 200).await;
    let _taken: Vec<_> = std::iter::from_fn(|| budget.take(NOON.plus(60)).ok()).take(400).collect();
    for _ in 0..300 {
        call(&budget, NOON.plus(60)).await;
    }
    budget.quota_reported(DailyQuota { limit: 2400, used: 200 }, NOON.plus(60));
    assert_eq!(at_once(&budget, NOON.plus(60)), 301);
}

#[tokio::test(start_paused = true)]
async fn just_before_midnight_it_may_be_another_day_of_which_is_told() {
    let budget = Budget::new(BudgetSettings::default());
    tokio::time::advance(MINUTE).await;
    let late = Day::in_beijing(NOON).beijing_end().plus(-600);
    budget.quota_reported(DailyQuota { limit: 2400, used: 0 }, late);
    assert_eq!(at_once(&budget, late), 0);
}

#[tokio::test(start_paused = true)]
async fn a_share_that_gets_less_takes_what_was_kept_of_it_along() {
    let budget = read_twice(2400, 0).await;
    budget.set_share(Share::of_parts(1, 4), 0);
    budget.set_share(Share::of_parts(1, 2), 1);
    assert_eq!(at_once(&budget, NOON.plus(60)), 300);
}

#[tokio::test(start_paused = true)]
async fn what_another_instance_has_kept_and_calls_at_once_is_nobody_elses() {
    let budget = Budget::new(BudgetSettings::default());
    budget.set_share(Share::of_parts(1, 2), 0);
    let used_in_an_hour = async |used: u64, hour: i64| {
        tokio::time::advance(HOUR).await;
        budget.quota_reported(DailyQuota { limit: 1_000_000, used }, NOON.plus(hour * 3600))
    };
    assert_eq!(used_in_an_hour(0, 0).await, None);
    assert_eq!(used_in_an_hour(240_000, 1).await, None, "of 250,000");
    assert!(used_in_an_hour(900_000, 2).await.is_some());
}

/// What is told of a quota of 10,000 at noon, and an hour later.
async fn told_twice(used: [u64; 2]) -> Budget {
    let budget = Budget::new(BudgetSettings::default());
    budget.quota_reported(DailyQuota { limit: 10_000, used: used[0] }, NOON);
    tokio::time::advance(HOUR).await;
    budget.quota_reported(DailyQuota { limit: 10_000, used: used[1] }, NOON.plus(3600));
    budget
}

#[tokio::test(start_paused = true)]
async fn a_quota_ends_early_where_others_go_on_to_call_more_than_is_left() {
    let one = NOON.plus(3600);
    // Others call 2000 an hour, and 7000 are left: the day goes on for eleven hours.
    let budget = told_twice([1000, 3000]).await;
    let ends_in = budget.ends_in(one).unwrap();
    assert!((12_000..=12_600).contains(&ends_in.as_secs()), "{ends_in:?}");
    tokio::time::advance(HOUR).await;
    let later = budget.ends_in(one.plus(3600)).unwrap();
    assert!((8_400..=9_000).contains(&later.as_secs()), "{later:?}");
    assert_eq!(budget.ends_in(one.plus(86_400)), None, "another day has its own quota");
    assert_eq!(told_twice([1000, 1300]).await.ends_in(one), None, "there is enough for all");
    assert_eq!(told_twice([3000, 3000]).await.ends_in(one), None, "nobody else calls");
    assert_eq!(told_twice([5000, 10_000]).await.ends_in(one), None, "it has ended");
}

#[tokio::test(start_paused = true)]
async fn what_the_upstream_has_told_of_the_day_is_known_until_the_day_ends() {
    let budget = told_twice([1000, 3000]).await;
    let told = |now| budget.usage(now).told;
    assert_eq!(told(NOON.plus(3600)), Some(DailyQuota { limit: 10_000, used: 3000 }));
    assert_eq!(told(NOON.plus(86_400)), None);
}

#[test]
fn the_limit_that_is_known_is_the_lesser_of_what_is_configured_and_what_was_told() {
    let told = Some(DailyQuota { limit: 10_000, used: 3000 });
    for (limit, told, known) in [
        (0, None, None),
        (500, None, Some(500)),
        (0, told, Some(10_000)),
        (500, told, Some(500)),
        (20_000, told, Some(10_000)),
    ] {
        assert_eq!(DayUsage { limit, spent: 0, told }.known_limit(), known);
    }
}

#[tokio::test(start_paused = true)]
async fn the_next_call_has_to_wait_until_it_is_earned() {
    let budget = per_day(24);
    let wait = budget.next_call_in(NOON);
    assert!(wait > HOUR - MINUTE && wait <= HOUR, "{wait:?}");
    tokio::time::advance(HOUR).await;
    assert_eq!(budget.next_call_in(NOON.plus(3600)), Duration::ZERO);
    assert_eq!(Budget::new(BudgetSettings::default()).next_call_in(NOON), Duration::ZERO);
}
