//! What a `Date` shows, how long it is believed, and what is said of it.

use super::*;

const LOCAL: UnixTime = UnixTime(1000);

fn clock() -> UpstreamClock {
    UpstreamClock::new(AppId::new("wx1").unwrap())
}

/// What both clocks of this host show `running` seconds after the test began, when the wall clock is `ahead`.
fn moment(began: Instant, running: u64, ahead: i64) -> Moment {
    Moment {
        wall: UnixTime(1_700_000_000 + running.cast_signed() + ahead),
        running: began + Duration::from_secs(running),
    }
}

fn clocks_after(sent: i64, received: i64, date: i64) -> (i64, i64) {
    let clock = clock();
    let began = Instant::now();
    let moment = |wall| Moment { wall: UnixTime(wall), running: began };
    clock.note(moment(sent), moment(received), UnixTime(date));
    (clock.earlier(LOCAL).0, clock.later(LOCAL).0)
}

/// The skews believed after answers at these seconds, each with a `Date` that is that far ahead of the true time,
/// on a host whose wall clock is `wall_ahead`.
fn skews(wall_ahead: i64, answers: &[(u64, i64)]) -> Vec<Option<i64>> {
    let (clock, began) = (clock(), Instant::now());
    let skew_after = |(at, ahead): &(u64, i64)| {
        let moment = moment(began, *at, wall_ahead);
        clock.note(moment, moment, moment.wall.minus(wall_ahead).plus(*ahead));
        clock.skew_seconds()
    };
    answers.iter().map(skew_after).collect()
}

#[test]
fn a_date_within_the_exchange_shows_no_skew() {
    assert_eq!(clocks_after(100, 115, 100), (1000, 1000));
    assert_eq!(clocks_after(100, 115, 115), (1000, 1000));
}

#[test]
fn a_date_outside_shows_the_least_that_explains_it() {
    assert_eq!(clocks_after(100, 115, 90), (990, 1000));
    assert_eq!(clocks_after(100, 115, 120), (1000, 1005));
}

#[test]
fn a_local_clock_that_is_ahead_of_every_upstream_is_set_back() {
    let after = |skews: &[i64]| set_back(UnixMillis(100_000), skews.iter().copied()).0;
    assert_eq!(after(&[]), 100_000);
    assert_eq!(after(&[-7, -8]), 93_000);
    assert_eq!(after(&[-7, 0]), 100_000);
    assert_eq!(after(&[20]), 100_000);
}

#[test]
fn before_the_first_answer_the_local_clock_is_all_there_is() {
    let clock = clock();
    assert_eq!((clock.skew_seconds(), clock.earlier(LOCAL), clock.later(LOCAL)), (None, LOCAL, LOCAL));
}

#[test]
fn a_local_clock_that_is_set_back_during_an_exchange_breaks_nothing() {
    assert_eq!(clocks_after(115, 100, 107), (1000, 1007));
}

#[test]
fn a_date_that_moves_along_is_believed_however_far_it_is_off() {
    let day = 24 * 3600;
    assert_eq!(skews(0, &[(0, -day), (50, -day), (100, -day + 2), (90_000, -day + 20)]).last(), Some(&Some(-day + 20)));
    assert_eq!(skews(3600, &[(0, 0), (1, 0), (900, 0), (1800, 0)]), [Some(-3600); 4]);
}

#[test]
fn a_date_that_stands_still_is_soon_not_believed() {
    let still: Vec<_> = (0..50).map(|turn: u64| (turn * 10, -(turn.cast_signed() * 10))).collect();
    let believed = skews(0, &still);
    assert_eq!(believed[3], Some(-30));
    assert_eq!((believed[35], &believed[36..]), (Some(-350), &[None; 14][..]));
    let rarely: Vec<_> = (0..4).map(|turn: u64| (turn * 900, -(turn.cast_signed() * 900))).collect();
    assert_eq!(skews(0, &rarely)[2..], [None; 2]);
}

#[test]
fn a_date_that_leaps_once_is_doubted_and_then_believed() {
    // This host slept for an hour: its running clock did not.
    let awake = skews(0, &[(0, 0), (100, 0), (101, 3600), (130, 3600), (162, 3600)]);
    assert_eq!(awake, [Some(0), Some(0), Some(0), Some(0), Some(3600)]);
    let set_back = skews(0, &[(0, 0), (100, -3600), (130, -3600), (162, -3600)]);
    assert_eq!(set_back, [Some(0), Some(-3600), Some(-3600), Some(-3600)]);
}

#[test]
fn a_date_that_moves_again_is_believed_again() {
    assert_eq!(
        skews(0, &[(0, 0), (100, -100), (500, -500), (501, 40), (502, 40), (570, 40)]),
        [Some(0), Some(-100), None, Some(40), Some(40), Some(40)]
    );
}

#[test]
fn of_hosts_whose_clocks_differ_the_earliest_counts_and_one_stray_date_is_forgotten() {
    let alternating: Vec<_> = (0..200).map(|turn: u64| (turn * 60, -40 * (turn % 2).cast_signed())).collect();
    let believed = skews(3600, &alternating);
    assert!(believed.iter().all(|skew| matches!(skew, Some(-3640 | -3600))), "{believed:?}");
    let three: Vec<_> = (0..200).map(|turn: u64| (turn * 60, -40 * (turn % 3).cast_signed())).collect();
    let believed = skews(3600, &three);
    assert!(believed.iter().all(|skew| skew.is_some_and(|skew| (-3680..=-3600).contains(&skew))), "{believed:?}");
    let outlier = skews(3600, &[(0, 0), (60, 0), (120, -86_400), (180, 0), (240, 0)]);
    assert_eq!(outlier, [Some(-3600), Some(-3600), Some(-90_000), Some(-3600), Some(-3600)]);
}

/// What is said after answers as those of [`skews`].
fn said(answers: &[(u64, i64)]) -> Vec<ClockNotice> {
    let (mut dates, began) = (DateTracker::default(), Instant::now());
    let news_after = |(at, ahead): &(u64, i64)| {
        let moment = moment(began, *at, 0);
        dates.take(moment, moment, moment.wall.plus(*ahead));
        dates.news()
    };
    answers.iter().flat_map(news_after).flatten().collect()
}

#[test]
fn a_skew_is_said_once_and_once_that_it_is_over() {
    assert_eq!(said(&[(0, 60), (100, 60), (200, -60)]), []);
    let ahead = [(0, 28_800), (100, 28_800), (200, 28_805)];
    assert_eq!(said(&ahead), [ClockNotice::Differ(28_800)]);
    // Corrected: a leap, believed once it is proven.
    assert_eq!(
        said(&[&ahead[..], &[(300, 0), (361, 0), (500, 0)]].concat()),
        [ClockNotice::Differ(28_800), ClockNotice::Agree]
    );
    assert_eq!(
        said(&[(0, -90), (100, -70), (200, -45), (300, -70), (400, -45), (500, -20)]),
        [ClockNotice::Differ(-90), ClockNotice::Agree]
    );
}

#[test]
fn a_date_that_stands_still_is_said_once_and_once_that_it_moves() {
    let still = [(0, 0), (35, -35), (70, -70), (200, -200), (400, -400)];
    assert_eq!(said(&still), [ClockNotice::Differ(-70), ClockNotice::Refused]);
    let moves = [&still[..], &[(401, 0), (465, 0), (530, 0)]].concat();
    assert_eq!(said(&moves), [ClockNotice::Differ(-70), ClockNotice::Refused, ClockNotice::BelievedAgain]);
}

#[test]
fn an_answer_that_is_not_believed_holds_nothing_back() {
    let (clock, began) = (clock(), Instant::now());
    let behind = |at| {
        let moment = moment(began, at, 0);
        clock.note(moment, moment, UnixTime(1_700_000_000))
    };
    assert_eq!([0, 10, 50, 90, 400].map(behind), [0, -10, -50, -90, 0]);
}

#[test]
fn the_upstream_s_clock_goes_on_while_the_local_one_leaps() {
    let (clock, began) = (clock(), Instant::now());
    assert_eq!(clock.at(began), None);
    let heard = moment(began, 0, 0);
    clock.note(heard, heard, heard.wall);
    // The wall clock plays no part: only what has run since.
    assert_eq!(clock.at(began + Duration::from_secs(7)), Some(heard.wall.plus(7)));
    let stands = |at| clock.note(moment(began, at, 0), moment(began, at, 0), heard.wall);
    for at in 1..600 {
        stands(at);
    }
    assert_eq!(clock.at(began + Duration::from_secs(601)), None, "a date that stands still is no clock");
}

#[test]
fn now_does_not_follow_a_local_clock_that_leaps_ahead_before_the_next_answer_tells() {
    let (clock, began) = (clock(), Instant::now());
    assert_eq!(clock.now(moment(began, 0, 0)), moment(began, 0, 0).wall);
    let first = moment(began, 0, 0);
    clock.note(first, first, first.wall.minus(5));
    let now_at = |running, ahead| clock.now(moment(began, running, ahead)).0 - first.wall.0;
    assert_eq!([now_at(10, 0), now_at(10, 3600), now_at(10, -60)], [5, 5, -55]);
    let next = moment(began, 20, 3600);
    clock.note(next, next, first.wall.plus(15));
    assert_eq!(now_at(30, 3600), 25);
}
