//! When a feed's next turn comes, and what it asks.
//!
//! What stands here is only a matter of pace: it lives in memory, starts anew with each session, and nothing is lost
//! or published twice by getting it wrong. How often a feed is polled follows from how often facts come to it
//! ([`fact_rate`]) and from what the calls of all feeds may come to ([`intervals`]). A backfill goes in slices without a pause
//! between them. What fails is asked for less, where a smaller request could have been answered.

use std::time::Duration;

use super::cursor::Cursor;
use super::feed::{Feed, PulledBy};
use super::scope::{Scope, first_day_not_closing};
use super::scope_bound::{HistoryBound, ScopeBound, WindowBound};
use super::time::{Day, PackedTime, UnixTime};
use fact_rate::FactRate;
use intervals::{Brought, IntervalBounds};
use open_days::{OpenDays, OpenRange};
use seen::Seen;
use windows::Windows;

pub use turn::{AfterPull, Failed, PollRemedy, PollTurn, Pulled};

pub(crate) mod backfill_cost;
pub(crate) mod call_pace;
pub(crate) mod catch_up;
pub mod fact_rate;
pub(crate) mod fleet_cost;
mod freshness;
pub mod intervals;
mod open_days;
mod seen;
mod turn;
mod windows;

/// How often one feed is polled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PollSettings {
    /// From one turn to the next while something happens.
    pub every: Duration,
    /// The longest that this stretches to while nothing does; of orders also the pace of open days before today.
    pub idle_every: Duration,
    /// How long after it happened a fact may come to be shown, in seconds; an order after the end of its day.
    pub lateness: i64,
}

/// Those of a feed that never asked for one.
static NO_DAYS: OpenDays = OpenDays::none();

/// After so many pulls in a row that the upstream has put off, the request may be what is wrong.
const PUT_OFF_MAX: u8 = 3;

/// The pace of one feed of one promoter. Clocks are durations since some fixed moment.
#[derive(Clone, Debug)]
pub struct Pacing {
    /// Where the feed's cursor stands.
    complete_before: PackedTime,
    pub rate: FactRate,
    /// How many pulls in a row the upstream has put off.
    put_off: u8,
    /// Whether its windows are [`Windows::LONGEST`], as those of nearly all feeds soon are.
    has_longest_windows: bool,
    seen: Option<Seen>,
    progress: Option<Box<Progress>>,
}

/// What the pulls of a feed leave for the next one to ask. Apart, for there may be millions of feeds that need none: refunds are
/// always asked for as a whole, and windows are mostly the longest.
#[derive(Clone, Debug)]
enum Progress {
    Windows(Windows),
    Days(OpenDays),
}

impl PollSettings {
    pub fn bounds(self) -> IntervalBounds {
        IntervalBounds { every: self.every, idle_every: self.idle_every.max(self.every) }
    }
}

impl Pacing {
    pub fn new(cursor: Cursor) -> Pacing {
        Pacing {
            complete_before: cursor.complete_before.into(),
            rate: FactRate::default(),
            put_off: 0,
            has_longest_windows: false,
            seen: None,
            progress: None,
        }
    }

    /// Where the feed's cursor stands.
    pub fn complete_before(&self) -> UnixTime {
        self.complete_before.into()
    }

    fn windows(&self) -> Windows {
        match self.progress.as_deref() {
            Some(Progress::Windows(windows)) => *windows,
            Some(Progress::Days(_)) | None if self.has_longest_windows => Windows::LONGEST,
            Some(Progress::Days(_)) | None => Windows::new(),
        }
    }

    fn change_windows<R>(&mut self, change: impl FnOnce(&mut Windows) -> R) -> R {
        let mut windows = self.windows();
        let told = change(&mut windows);
        self.has_longest_windows = windows == Windows::LONGEST;
        self.progress = (!self.has_longest_windows).then(|| Box::new(Progress::Windows(windows)));
        told
    }

    fn days(&self) -> &OpenDays {
        match self.progress.as_deref() {
            Some(Progress::Days(days)) => days,
            Some(Progress::Windows(_)) | None => &NO_DAYS,
        }
    }

    fn change_days(&mut self, change: impl FnOnce(&mut OpenDays)) {
        let progress = self.progress.get_or_insert_with(|| Box::new(Progress::Days(OpenDays::none())));
        if let Progress::Days(days) = &mut **progress {
            change(days);
        }
    }

    /// What to ask now.
    pub fn scope(&self, feed: Feed, settings: PollSettings, now: UnixTime) -> Scope {
        match feed.pulled_by() {
            PulledBy::Window => {
                let (begin, end) = self.windows().next(self.complete_before(), settings.lateness, now);
                Scope::Window { feed, begin, end }
            }
            PulledBy::Promoter => Scope::Refunds,
            PulledBy::Day => self.days().next(self.open(settings, now), settings.lateness, now),
        }
    }

    /// The same, where nothing may be taken that happened at `bound` or later. What reaches beyond it has to keep to it.
    pub fn bounded_scope(
        &self,
        feed: Feed,
        settings: PollSettings,
        now: UnixTime,
        bound: UnixTime,
    ) -> (Scope, Option<ScopeBound>) {
        let scope = self.scope(feed, settings, now);
        match scope {
            Scope::Window { begin, end, .. } if begin < bound && bound < end => {
                let less = Scope::Window { feed, begin, end: bound };
                (scope, Some(ScopeBound::Window(WindowBound { before: bound, less })))
            }
            Scope::History { until } if bound < until.beijing_start() => {
                (scope, Some(ScopeBound::Orders(HistoryBound::new(bound))))
            }
            Scope::Day { .. } => (self.days().next_day(self.open(settings, now).until(bound)), None),
            Scope::Window { .. } | Scope::History { .. } | Scope::Refunds => (scope, None),
        }
    }

    /// Whether all open days of orders have been read once a pull of `scope` is read to its end, since this pacing began.
    pub fn reads_the_rest(&self, scope: Scope, settings: PollSettings, now: UnixTime) -> bool {
        match scope {
            Scope::Day { day, .. } => self.days().are_read_but(day, self.open(settings, now)),
            Scope::History { .. } => true,
            Scope::Window { .. } | Scope::Refunds => false,
        }
    }

    /// When a pull has read to its end what one of `scope` at `now` reads, since this pacing began: what was shown by then is known.
    /// Nothing where none has. May be told earlier than it was.
    pub fn asked_before(&self, scope: Scope, now: UnixTime, clock: Duration) -> Option<UnixTime> {
        let present = self.seen?.to();
        match scope {
            Scope::Refunds => Some(present),
            // In a backfill each window begins where the last one has ended.
            Scope::Window { begin, .. } => (begin < present).then_some(present),
            // Today may be asked for in vain where another day is not.
            Scope::Day { day, .. } => {
                let ago = clock.saturating_sub(self.days().read_last(day)?);
                Some(now.minus(i64::try_from(ago.as_secs()).unwrap_or(i64::MAX)).min(present))
            }
            Scope::History { .. } => None,
        }
    }

    /// Takes what a pull brought, and tells when the next turn comes.
    pub fn after(&mut self, pulled: Pulled, settings: PollSettings, clock: Duration) -> AfterPull {
        self.put_off = 0;
        let brought = self.brought(pulled);
        let complete_before = self.complete_before().max(pulled.completion.reached);
        self.complete_before = complete_before.into();
        let turn = match pulled.scope {
            Scope::Window { begin, end, .. } => {
                let is_more = self.change_windows(|windows| windows.after(begin, end, pulled));
                if is_more { PollTurn::At(clock) } else { PollTurn::usual(clock) }
            }
            Scope::Refunds => {
                // It reads all of a promoter's refunds each time, so it stretches with what that costs.
                let cost = settings.every.saturating_mul(pulled.pages.max(1)).min(settings.idle_every);
                PollTurn::Usual { since: clock, earliest: clock + cost, latest: clock + settings.idle_every }
            }
            Scope::History { until } => {
                let is_whole = until >= first_day_not_closing(settings.lateness, pulled.as_of);
                self.change_days(|days| days.undated_read(is_whole, pulled.pages, complete_before));
                PollTurn::At(clock)
            }
            Scope::Day { day, .. } => {
                self.change_days(|days| days.read(day, pulled.completion.settles, complete_before, clock));
                self.days().turn(self.open(settings, pulled.as_of), clock)
            }
        };
        AfterPull { turn, brought }
    }

    /// What a pull shows that none before it had; nothing where it tells nothing of the present.
    fn brought(&mut self, Pulled { scope, as_of, pages, shown, kept, .. }: Pulled) -> Option<Brought> {
        let again = self.seen.map_or(0, |seen| u64::from(seen.again));
        let (from, to, before, again) = match scope {
            Scope::Window { begin, end, .. } => {
                // Of the latest facts that are read in parts, each shows others.
                let before = if begin > self.complete_before() { 0 } else { again };
                (begin, end.min(as_of), before, kept)
            }
            Scope::Day { day, .. } if day >= Day::in_beijing(as_of) => (day.beijing_start(), as_of, again, kept),
            // The first one shows a history.
            Scope::Refunds if self.seen.is_none() => (as_of, as_of, shown, shown),
            Scope::Refunds => (as_of, as_of, again, shown),
            Scope::Day { .. } | Scope::History { .. } => return None,
        };
        let from = self.seen.map_or(from, |seen| if scope == Scope::Refunds { seen.to() } else { seen.to().max(from) });
        self.seen = Some(Seen::new(to, again));
        let covered = Duration::from_secs(to.0.saturating_sub(from.0).max(0).cast_unsigned());
        Some(Brought { facts: shown.saturating_sub(before), covered, calls: pages })
    }

    /// Takes what a pull that failed tells of its request, and tells when the next turn comes: at the usual time.
    pub fn after_failure(&mut self, failed: Failed, clock: Duration) -> PollTurn {
        match (failed.scope, self.weighed(failed.remedy)) {
            // Windows soon grow again.
            (Scope::Window { begin, end, .. }, PollRemedy::SmallerRequest | PollRemedy::Doubtful) => {
                self.change_windows(|windows| windows.narrow(begin, end));
            }
            (Scope::History { .. }, PollRemedy::SmallerRequest) => self.change_days(OpenDays::undated_was_too_much),
            (Scope::History { .. }, PollRemedy::Doubtful) => self.change_days(OpenDays::undated_was_unanswered),
            (Scope::Day { day, .. }, _) => self.change_days(|days| days.failed(day, clock)),
            (Scope::Window { .. } | Scope::History { .. } | Scope::Refunds, _) => {}
        }
        PollTurn::usual(clock)
    }

    /// Who is told to be patient for the fourth time in a row asks for less.
    fn weighed(&mut self, remedy: PollRemedy) -> PollRemedy {
        if remedy != PollRemedy::Patience {
            return remedy;
        }
        self.put_off = self.put_off.saturating_add(1);
        if self.put_off > PUT_OFF_MAX { PollRemedy::Doubtful } else { PollRemedy::Time }
    }

    fn open(&self, settings: PollSettings, now: UnixTime) -> OpenRange {
        OpenRange::new(self.complete_before(), settings, now)
    }
}

#[cfg(test)]
mod tests;
