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
/// A `Date` that has moved along for so long is that of a clock. Longer than [`DEPARTURE_MAX`], or one that stands
/// still would pass.
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
    pub fn now(transport: &dyn Transport) -> Moment {
        Moment { wall: transport.now().as_seconds(), running: Instant::now() }
    }
}

/// The upstream's clock as one app hears it.
pub struct UpstreamClock {
    app: AppId,
    dates: Mutex<DateTracker>,
}

impl UpstreamClock {
    pub fn new(app: AppId) -> UpstreamClock {
        UpstreamClock { app, dates: Mutex::default() }
    }

    /// Takes the `Date` of an answer to a call. Gives how far "now" lies behind the wall clock by this answer alone, in
    /// seconds: never above 0, and 0 where the `Date` is not believed.
    pub fn note(&self, sent: Moment, received: Moment, date: UnixTime) -> i64 {
        let mut dates = self.dates.lock();
        dates.take(sent, received, date);
        dates.news().into_iter().flatten().for_each(|news| news.say(&self.app));
        match dates.belief {
            Belief::Refused => 0,
            Belief::Believed | Belief::Doubted => date.0.saturating_sub(received.wall.0).min(0),
        }
    }

    /// How far the upstream's clock is ahead of the local one; nothing before the first answer, and where it is not believed.
    pub fn skew_seconds(&self) -> Option<i64> {
        self.dates.lock().believed_skew()
    }

    /// What the upstream's clock shows at `at`, by the clock of this host that only runs since the last answer: whatever the
    /// local one was set to meanwhile. Nothing where it is not known, or not believed.
    pub fn at(&self, at: Instant) -> Option<UnixTime> {
        let dates = self.dates.lock();
        let (received, date) = dates.latest.filter(|_| dates.belief != Belief::Refused)?;
        Some(date.plus(seconds(at.saturating_duration_since(received))))
    }

    /// The earlier of the two clocks at `moment`, and no later than what that was at the last answer and has run since: a local
    /// clock that has leapt ahead meanwhile would count until the next one.
    pub fn now(&self, moment: Moment) -> UnixTime {
        let last = self.dates.lock().now;
        let run_on = last.map(|(at, now)| now.plus(seconds(moment.running.saturating_duration_since(at))));
        let earlier = self.earlier(moment.wall);
        run_on.map_or(earlier, |run_on| run_on.min(earlier))
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
struct DateTracker {
    belief: Belief,
    /// What later ones are held against.
    anchor: Option<Anchor>,
    /// The last one, whatever is believed of it.
    latest: Option<Anchor>,
    /// What the earlier of the two clocks showed at the last one, as far as it is believed.
    now: Option<Anchor>,
    /// While it is not believed.
    doubt: Option<Doubt>,
    /// How far ahead of the wall clock, in seconds.
    skew: Option<i64>,
    said_skew: bool,
    said_refused: bool,
}

impl DateTracker {
    fn take(&mut self, sent: Moment, received: Moment, date: UnixTime) {
        let here = (received.running, date);
        self.latest = Some(here);
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
            // It moves along, but has not done so for long enough to prove anything.
            None => {}
        }
        let skew = least_skew(sent.wall, received.wall, date);
        self.skew = match (self.belief, self.skew) {
            // Until it is decided, what holds back further counts: a doubt must not lose anything.
            (Belief::Doubted, Some(before)) if was != Belief::Refused => Some(before.min(skew)),
            _ => Some(skew),
        };
        self.now = self.believed_skew().map(|skew| (received.running, received.wall.plus(skew.min(0))));
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
mod tests;
