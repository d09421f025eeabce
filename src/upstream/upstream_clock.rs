//! What the upstream's `Date` headers tell about its clock.
//!
//! "Now" is the earlier of two clocks, so a `Date` that is wrong holds everything back. One that stands still (a cache,
//! a frozen machine) would hold it back for ever: a `Date` is believed only as long as it moves along with the clock of
//! this host that can't be set. A leap looks the same at first (this host slept, or the upstream's clock was set), and so
//! do several hosts behind one address whose clocks differ. So a departure only raises a doubt, during which what holds
//! back further counts, and what follows decides:
//!
//! ```text
//! believed ──departs──> doubted ──misses by more than APART_MAX where the doubt began──> refused
//!     ^                    │                                                                │
//!     └── moves along for PROOF, or goes on as before the doubt ────────────────────────────┘
//! ```
//!
//! A refusal that comes late delays facts for as long; one that comes too early, beside a clock of this host that is ahead,
//! would lose them.

use parking_lot::Mutex;
use std::time::Duration;

use tokio::time::Instant;

use crate::model::promoter::AppId;
use crate::model::time::{UnixMillis, UnixTime};

use super::transport::Transport;

/// How far a `Date` may depart, in seconds, from where it should have moved: hosts behind one address differ by a few.
const DEPARTURE_MAX: i64 = 30;
/// How far, in seconds, a `Date` in doubt may come to lie from where it should have moved since the doubt began.
const APART_MAX: i64 = 300;
/// A `Date` that has moved along for so long is that of a clock. Longer than [`DEPARTURE_MAX`], or one that stands still would pass.
const PROOF: Duration = Duration::from_secs(60);
/// From this skew on, in seconds, it is said.
const SKEW_SAID: i64 = 61;
/// Down to this skew, in seconds, it is not said to be over.
const SKEW_OVER: i64 = 30;

/// One moment on both of this host's clocks.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// What can be set, and may be wrong.
    pub wall: UnixTime,
    /// What only runs.
    pub running: Instant,
}

impl Moment {
    pub fn now<T: Transport>(transport: &T) -> Moment {
        Moment { wall: transport.now().as_seconds(), running: Instant::now() }
    }
}

/// The upstream's clock as one app hears it.
pub struct UpstreamClock {
    app: AppId,
    heard: Mutex<Heard>,
}

impl UpstreamClock {
    pub fn new(app: AppId) -> UpstreamClock {
        UpstreamClock { app, heard: Mutex::default() }
    }

    /// Takes the `Date` of an answer to a call. Gives how far "now" lies behind the wall clock by this answer alone, in
    /// seconds: never above 0, and 0 where the `Date` is not believed.
    pub fn note(&self, sent: Moment, received: Moment, date: UnixTime) -> i64 {
        let mut heard = self.heard.lock();
        heard.take(sent, received, date);
        heard.news().into_iter().flatten().for_each(|news| news.say(&self.app));
        match heard.belief {
            Belief::Refused => 0,
            Belief::Believed | Belief::Doubted => date.0.saturating_sub(received.wall.0).min(0),
        }
    }

    /// How far the upstream's clock is ahead of the local one; nothing before the first answer, and where it is not believed.
    pub fn skew_seconds(&self) -> Option<i64> {
        self.heard.lock().believed_skew()
    }

    /// The earlier of the two clocks, when the local one shows `local`.
    pub fn earlier(&self, local: UnixTime) -> UnixTime {
        local.plus(self.skew_seconds().unwrap_or(0).min(0))
    }

    /// The later of the two clocks, when the local one shows `local`.
    pub fn later(&self, local: UnixTime) -> UnixTime {
        local.plus(self.skew_seconds().unwrap_or(0).max(0))
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Belief {
    #[default]
    Believed,
    Doubted,
    Refused,
}

/// A `Date`, and when it was received.
type Anchor = (Instant, UnixTime);

#[derive(Clone, Copy, Debug)]
struct Doubt {
    /// The anchor that was departed from.
    before: Anchor,
    /// The departure.
    began: Anchor,
}

#[derive(Debug, Default)]
struct Heard {
    belief: Belief,
    /// What later ones are held against.
    anchor: Option<Anchor>,
    /// While it is not believed.
    doubt: Option<Doubt>,
    /// How far ahead of the wall clock, in seconds.
    skew: Option<i64>,
    said_skew: bool,
    said_refused: bool,
}

impl Heard {
    fn take(&mut self, sent: Moment, received: Moment, date: UnixTime) {
        let here = (received.running, date);
        let misses = |anchor: Anchor| departure(anchor, sent, received, date);
        let was = self.belief;
        match self.anchor.filter(|anchor| misses(*anchor) > DEPARTURE_MAX) {
            Some(anchor) => {
                (self.belief, self.doubt) = match self.doubt {
                    None => (Belief::Doubted, Some(Doubt { before: anchor, began: here })),
                    Some(doubt) if misses(doubt.before) <= DEPARTURE_MAX => (Belief::Believed, None),
                    Some(doubt) if misses(doubt.began) <= APART_MAX => (Belief::Doubted, Some(doubt)),
                    Some(doubt) => (Belief::Refused, Some(doubt)),
                };
                self.anchor = Some(here);
            }
            None if self.anchor.is_none_or(|(at, _)| received.running.duration_since(at) >= PROOF) => {
                (self.belief, self.doubt, self.anchor) = (Belief::Believed, None, Some(here));
            }
            None => {}
        }
        let skew = least_skew(sent.wall, received.wall, date);
        self.skew = match (self.belief, self.skew) {
            // Until it is decided, what holds back further counts: a doubt must not lose anything.
            (Belief::Doubted, Some(before)) if was != Belief::Refused => Some(before.min(skew)),
            _ => Some(skew),
        };
    }

    fn believed_skew(&self) -> Option<i64> {
        self.skew.filter(|_| self.belief != Belief::Refused)
    }

    /// What is to be said: what is wrong with the clocks, once, and once that it is over.
    fn news(&mut self) -> [Option<ClockNotice>; 2] {
        let belief = match self.belief {
            Belief::Refused if !std::mem::replace(&mut self.said_refused, true) => Some(ClockNotice::Refused),
            Belief::Believed if std::mem::take(&mut self.said_refused) => Some(ClockNotice::BelievedAgain),
            _ => None,
        };
        let Some(skew) = self.believed_skew() else {
            self.said_skew = false;
            return [belief, None];
        };
        let differ = match skew.abs() {
            SKEW_SAID.. if !std::mem::replace(&mut self.said_skew, true) => Some(ClockNotice::Differ(skew)),
            ..=SKEW_OVER if std::mem::take(&mut self.said_skew) => Some(ClockNotice::Agree),
            _ => None,
        };
        [belief, differ]
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ClockNotice {
    Refused,
    BelievedAgain,
    /// The upstream's clock is that many seconds ahead.
    Differ(i64),
    Agree,
}

impl ClockNotice {
    fn say(self, app: &AppId) {
        match self {
            ClockNotice::Refused => tracing::warn!(
                %app,
                "the upstream's date does not move with time and is not believed: now is this host's alone"
            ),
            ClockNotice::BelievedAgain => tracing::info!(%app, "the upstream's date is believed again"),
            ClockNotice::Differ(upstream_ahead_seconds) => {
                let follows = match upstream_ahead_seconds < 0 {
                    true => "the upstream's clock counts; should it be the wrong one, facts come that late",
                    false => "this host's clock counts, so facts come that late",
                };
                tracing::warn!(%app, upstream_ahead_seconds, follows, "the clocks of this host and the upstream differ");
            }
            ClockNotice::Agree => tracing::info!(%app, "the clocks of this host and the upstream agree again"),
        }
    }
}

/// By how many seconds `date` misses where the anchor's `Date` should have moved. It was written somewhere between the
/// sending and the receipt.
fn departure((at, anchor): Anchor, sent: Moment, received: Moment, date: UnixTime) -> i64 {
    let since = |moment: Moment| seconds(moment.running.saturating_duration_since(at));
    let (earliest, latest) = (anchor.plus(since(sent)), anchor.plus(since(received)));
    earliest.0.saturating_sub(date.0).max(date.0.saturating_sub(latest.0)).max(0)
}

fn seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}

/// Of all the skews that an exchange allows the smallest is taken, so that a slow answer does not look like a slow clock.
fn least_skew(sent: UnixTime, received: UnixTime, date: UnixTime) -> i64 {
    let (least, most) = (date.0.saturating_sub(received.0), date.0.saturating_sub(sent.0));
    0.clamp(least, most.max(least))
}

/// The local clock, set back as far as every upstream that has answered shows it to be ahead. One upstream whose own
/// clock is behind sets nothing back for the others.
pub fn set_back(local: UnixMillis, skews_seconds: impl Iterator<Item = i64>) -> UnixMillis {
    let back = skews_seconds.max().unwrap_or(0).min(0);
    UnixMillis(local.0.saturating_add(back.saturating_mul(1000)))
}

#[cfg(test)]
mod tests {
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
        assert_eq!(
            skews(0, &[(0, -day), (50, -day), (100, -day + 2), (90_000, -day + 20)]).last(),
            Some(&Some(-day + 20))
        );
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
        let stray = skews(3600, &[(0, 0), (60, 0), (120, -86_400), (180, 0), (240, 0)]);
        assert_eq!(stray, [Some(-3600), Some(-3600), Some(-90_000), Some(-3600), Some(-3600)]);
    }

    /// What is said after answers as those of [`skews`].
    fn said(answers: &[(u64, i64)]) -> Vec<ClockNotice> {
        let (mut heard, began) = (Heard::default(), Instant::now());
        let news_after = |(at, ahead): &(u64, i64)| {
            let moment = moment(began, *at, 0);
            heard.take(moment, moment, moment.wall.plus(*ahead));
            heard.news()
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
}
