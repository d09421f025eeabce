use std::time::Duration;

use tokio::time::Instant;

use super::*;

const NOON: UnixTime = UnixTime(1_668_614_400 + 12 * 3600);

async fn take(budget: &Budget, now: UnixTime) -> Result<(), DaySpent> {
    budget.turn(Turn::First, || budget.left(now)).await?;
    budget.count(now)
}

async fn times_of(budget: &Budget, calls: usize) -> Vec<Duration> {
    let start = Instant::now();
    let mut times = Vec::new();
    for _ in 0..calls {
        take(budget, NOON).await.unwrap();
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

fn two_a_day() -> Budget {
    Budget::new(BudgetSettings { per_minute: 0, per_day: 2 })
}

#[test]
fn a_day_that_is_spent_lasts_until_midnight_in_beijing() {
    let budget = two_a_day();
    let midnight = Day::in_beijing(NOON).beijing_end();
    assert_eq!([budget.count(NOON), budget.count(NOON)], [Ok(()), Ok(())]);
    assert_eq!(budget.count(NOON), Err(DaySpent { until: midnight }));
    assert_eq!(budget.left(midnight.minus(1)), Err(DaySpent { until: midnight }));
    assert_eq!(budget.count(midnight), Ok(()));
}

#[test]
fn a_clock_that_is_set_back_does_not_open_a_spent_day_again() {
    let budget = two_a_day();
    assert_eq!([budget.count(NOON), budget.count(NOON)], [Ok(()), Ok(())]);
    assert!(budget.left(NOON.minus(24 * 3600)).is_err());
}

#[test]
fn a_clock_that_was_behind_once_does_not_open_a_spent_day_again() {
    let budget = two_a_day();
    assert_eq!([budget.count(NOON), budget.count(NOON)], [Ok(()), Ok(())]);
    assert!(budget.left(NOON.minus(24 * 3600)).is_err());
    assert!(budget.left(NOON).is_err());
    assert!(budget.left(NOON.plus(24 * 3600)).is_ok());
}

#[test]
fn a_clock_that_was_ahead_once_holds_no_later_day() {
    let budget = Budget::new(BudgetSettings { per_minute: 0, per_day: 1000 });
    budget.count(NOON.plus(365 * 86_400)).unwrap();
    for day in 0..20 {
        let now = NOON.plus(day * 86_400);
        assert!((0..100).all(|_| budget.count(now).is_ok()), "day {day}");
    }
}

#[test]
fn waiting_for_a_call_that_is_never_made_costs_no_day() {
    let budget = two_a_day();
    assert!((0..100).all(|_| budget.left(NOON).is_ok()));
}

#[tokio::test(start_paused = true)]
async fn the_last_call_of_a_day_goes_to_one_of_those_who_wait_for_it() {
    let budget = Budget::new(BudgetSettings { per_minute: 1, per_day: 2 });
    take(&budget, NOON).await.unwrap();
    let (first, second) = tokio::join!(take(&budget, NOON), take(&budget, NOON));
    assert!(first.is_ok() && second.is_err());
}

#[tokio::test(start_paused = true)]
async fn what_begins_and_what_goes_on_take_turns() {
    let budget = Budget::new(BudgetSettings { per_minute: 60, per_day: 0 });
    let turns = SyncMutex::new(Vec::new());
    let wait = |turn| {
        let (budget, turns) = (&budget, &turns);
        async move {
            budget.turn(turn, || Ok::<_, ()>(())).await.unwrap();
            turns.lock().push(turn);
        }
    };
    let begin = futures_util::future::join_all((0..50).map(|_| wait(Turn::First)));
    let go_on = futures_util::future::join_all((0..5).map(|_| wait(Turn::Further)));
    tokio::join!(begin, go_on);
    let turns = turns.into_inner();
    let further = turns.iter().take(12).filter(|turn| **turn == Turn::Further).count();
    assert_eq!(further, 5, "{turns:?}");
}

#[tokio::test(start_paused = true)]
async fn those_who_would_not_call_any_more_leave_the_queue_at_once() {
    let budget = Budget::new(BudgetSettings { per_minute: 1, per_day: 0 });
    take(&budget, NOON).await.unwrap();
    let open = std::sync::atomic::AtomicBool::new(false);
    let check = || if open.load(std::sync::atomic::Ordering::Relaxed) { Err(()) } else { Ok(()) };
    let waiting = futures_util::future::join_all((0..50).map(|_| budget.turn(Turn::First, check)));
    let opening = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        open.store(true, std::sync::atomic::Ordering::Relaxed);
    };
    let began = Instant::now();
    let (ended, ()) = tokio::join!(waiting, opening);
    assert!(ended.iter().all(Result::is_err));
    // The first one sleeps until its turn comes; nobody behind it does.
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

#[test]
fn a_quota_that_is_spent_tells_how_many_calls_a_day_bears_and_each_day_a_few_more_are_tried() {
    let budget = Budget::new(BudgetSettings { per_minute: 0, per_day: 0 });
    (0..500).for_each(|_| budget.count(NOON).unwrap());
    let evening = NOON.plus(6 * 3600);
    // Counted for a third of the day so far.
    assert_eq!(budget.quota_spent(evening), Some(1500.0));
    assert_eq!((budget.quota_spent(evening), budget.rates(evening).day), (None, None));
    let midnight = Day::in_beijing(NOON).beijing_end();
    let a_day = |now| budget.rates(now).day.unwrap() * 86_400.0;
    assert!((a_day(midnight) - 1500.0).abs() < 1.0);
    assert!((a_day(midnight.plus(86_400)) - 1650.0).abs() < 1.0);
    let spent = budget.quota_spent(midnight.plus(86_400));
    assert_eq!(spent, None, "a few calls tell nothing");
}

#[test]
fn a_day_is_spent_evenly_over_what_is_left_of_it() {
    let budget = Budget::new(BudgetSettings { per_minute: 0, per_day: 1000 });
    (0..200).for_each(|_| budget.count(NOON).unwrap());
    assert_eq!(budget.rates(NOON).day, Some(800.0 / (12.0 * 3600.0)));
    (0..800).for_each(|_| budget.count(NOON).unwrap());
    assert_eq!(budget.rates(NOON).day, None, "the day's end tells when the next one may be made");
}
