//! How fresh an app's feeds are, over all promoters: kept as polls end, so that whoever looks walks over nobody.
//!
//! It follows from polls that were read to their end, and never from facts: a promoter to whom nothing comes is as fresh as his
//! last poll.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::model::feed::{Feed, PerFeed};
use crate::model::pacing::{Pacing, PollSettings, Pulled};
use crate::model::time::{PackedTime, UnixTime};

/// How much longer than was promised a poll may take to come about, in seconds, before its feed is late.
const LATE_AFTER: i64 = 60;

/// How one feed of one promoter stands. Five bytes, for there may be millions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FeedStanding {
    /// Up to when it is read.
    ReadTo(PackedTime),
    /// Where the cursor stands of one that has a past to read first.
    Backfilling(PackedTime),
    /// Its promoter can't be polled.
    Parked,
}

/// How a feed stands, in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FeedCondition {
    OnTime,
    /// Read longer ago than was promised.
    Late,
    Backfilling,
    Parked,
}

impl FeedCondition {
    pub const ALL: [FeedCondition; 4] =
        [FeedCondition::OnTime, FeedCondition::Late, FeedCondition::Backfilling, FeedCondition::Parked];

    pub fn name(self) -> &'static str {
        match self {
            FeedCondition::OnTime => "on_time",
            FeedCondition::Late => "late",
            FeedCondition::Backfilling => "backfilling",
            FeedCondition::Parked => "parked",
        }
    }

    pub fn from_name(name: &str) -> Option<FeedCondition> {
        FeedCondition::ALL.into_iter().find(|state| state.name() == name)
    }
}

impl FeedStanding {
    /// Of a feed that nobody here has polled to the present yet.
    pub fn before_first_poll(feed: Feed, settings: PollSettings, pacing: &Pacing, now: UnixTime) -> FeedStanding {
        match pacing.is_backfilling(feed, settings, now) {
            true => FeedStanding::Backfilling(pacing.complete_before().into()),
            false => FeedStanding::ReadTo(pacing.read_before(feed, settings, now).into()),
        }
    }

    /// The same of a feed that begins at `now`: however long ago its start is, nobody was to read it before.
    pub fn begun(self, now: UnixTime) -> FeedStanding {
        match self {
            FeedStanding::ReadTo(_) => FeedStanding::ReadTo(now.into()),
            FeedStanding::Backfilling(_) | FeedStanding::Parked => self,
        }
    }

    /// Of a feed one of whose pulls was read to its end, which its `pacing` knows already.
    pub fn after(self, pulled: &Pulled, feed: Feed, settings: PollSettings, pacing: &Pacing) -> FeedStanding {
        match self {
            _ if pulled.reaches_present() => FeedStanding::ReadTo(pulled.as_of.into()),
            FeedStanding::Backfilling(_) => FeedStanding::Backfilling(pacing.complete_before().into()),
            // A pull that stops short of the present, as one of an earlier day, tells nothing of it.
            FeedStanding::ReadTo(_) => self,
            FeedStanding::Parked => FeedStanding::before_first_poll(feed, settings, pacing, pulled.as_of),
        }
    }
}

impl FeedStanding {
    /// As of `now`, where it was to be polled at `promised`.
    pub fn state(self, promised: Duration, now: UnixTime) -> FeedCondition {
        match self {
            FeedStanding::ReadTo(at) if at < late_before(promised, now) => FeedCondition::Late,
            FeedStanding::ReadTo(_) => FeedCondition::OnTime,
            FeedStanding::Backfilling(_) => FeedCondition::Backfilling,
            FeedStanding::Parked => FeedCondition::Parked,
        }
    }

    /// Up to when it is read, where that is known.
    pub fn read_to(self) -> Option<UnixTime> {
        match self {
            FeedStanding::ReadTo(at) => Some(at.into()),
            FeedStanding::Backfilling(_) | FeedStanding::Parked => None,
        }
    }
}

/// Who was read before that is late.
fn late_before(promised: Duration, now: UnixTime) -> PackedTime {
    let promised = i64::try_from(promised.as_secs()).unwrap_or(i64::MAX);
    now.minus(promised.saturating_add(LATE_AFTER)).into()
}

/// Of one app, by feed.
#[derive(Debug, Default)]
pub(super) struct Freshness(PerFeed<FeedFreshness>);

/// How many stand where. Few times are different, however many feeds there are: all have had their turn within an interval.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct FeedFreshness {
    read_to: BTreeMap<PackedTime, usize>,
    backfilling: BTreeMap<PackedTime, usize>,
    parked: usize,
}

/// How fresh one feed of an app is, over all promoters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FreshnessFigures {
    pub on_time: usize,
    /// Read longer ago than was promised.
    pub late: usize,
    pub backfilling: usize,
    pub parked: usize,
    /// Up to when the one is read that was read longest ago, of those on time and late.
    pub oldest: Option<UnixTime>,
    /// The same of the others: nineteen in twenty were read later.
    pub p95: Option<UnixTime>,
    /// The oldest cursor of those that have a past to read.
    pub backfill_from: Option<UnixTime>,
}

impl FreshnessFigures {
    /// How many stand so.
    pub fn count(&self, state: FeedCondition) -> usize {
        match state {
            FeedCondition::OnTime => self.on_time,
            FeedCondition::Late => self.late,
            FeedCondition::Backfilling => self.backfilling,
            FeedCondition::Parked => self.parked,
        }
    }
}

impl Freshness {
    /// A feed stands otherwise than before; nothing before it comes, and nothing after it has gone.
    pub fn stands(&mut self, feed: Feed, before: Option<FeedStanding>, after: Option<FeedStanding>) {
        let freshness = &mut self.0[feed];
        after.into_iter().for_each(|standing| freshness.enter(standing));
        before.into_iter().for_each(|standing| freshness.leave(standing));
    }

    /// As of `now`, where each promoter was to be polled at `promised`.
    pub fn figures(&self, feed: Feed, promised: Duration, now: UnixTime) -> FreshnessFigures {
        let FeedFreshness { read_to, backfilling, parked } = &self.0[feed];
        let late = read_to.range(..late_before(promised, now)).map(|(_, count)| count).sum();
        let of_both: usize = read_to.values().sum();
        let first = |counts: &BTreeMap<PackedTime, usize>| counts.keys().next().copied().map(UnixTime::from);
        FreshnessFigures {
            on_time: of_both - late,
            late,
            backfilling: backfilling.values().sum(),
            parked: *parked,
            oldest: first(read_to),
            p95: behind(read_to, of_both / 20),
            backfill_from: first(backfilling),
        }
    }
}

impl FeedFreshness {
    fn enter(&mut self, standing: FeedStanding) {
        match standing {
            FeedStanding::ReadTo(at) => *self.read_to.entry(at).or_default() += 1,
            FeedStanding::Backfilling(at) => *self.backfilling.entry(at).or_default() += 1,
            FeedStanding::Parked => self.parked += 1,
        }
    }

    fn leave(&mut self, standing: FeedStanding) {
        match standing {
            FeedStanding::ReadTo(at) => take_out(&mut self.read_to, at),
            FeedStanding::Backfilling(at) => take_out(&mut self.backfilling, at),
            FeedStanding::Parked => self.parked = self.parked.saturating_sub(1),
        }
    }
}

fn take_out(counts: &mut BTreeMap<PackedTime, usize>, at: PackedTime) {
    match counts.get_mut(&at) {
        Some(count) if *count > 1 => *count -= 1,
        _ => drop(counts.remove(&at)),
    }
}

/// The time of the one behind the first so many.
fn behind(counts: &BTreeMap<PackedTime, usize>, first: usize) -> Option<UnixTime> {
    let mut passed = 0;
    counts.iter().find_map(|(at, count)| {
        passed += count;
        (passed > first).then_some((*at).into())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::cursor::Cursor;
    use FeedStanding::Parked;

    const MINUTE: Duration = Duration::from_secs(60);

    fn read_to(at: i64) -> FeedStanding {
        FeedStanding::ReadTo(UnixTime(at).into())
    }

    fn backfilling(at: i64) -> FeedStanding {
        FeedStanding::Backfilling(UnixTime(at).into())
    }

    fn figures(freshness: &Freshness, now: i64) -> FreshnessFigures {
        freshness.figures(Feed::Touches, MINUTE, UnixTime(now))
    }

    #[test]
    fn who_was_read_longer_ago_than_promised_is_late_and_the_others_of_the_past_and_parked_stand_apart() {
        let mut freshness = Freshness::default();
        for standing in [read_to(1000), read_to(1001), backfilling(5), backfilling(9), Parked] {
            freshness.stands(Feed::Touches, None, Some(standing));
        }
        let now = figures(&freshness, 1121);
        assert_eq!((now.on_time, now.late, now.backfilling, now.parked), (1, 1, 2, 1));
        assert_eq!((now.oldest, now.backfill_from), (Some(UnixTime(1000)), Some(UnixTime(5))));
        freshness.stands(Feed::Touches, Some(read_to(1000)), Some(read_to(1120)));
        freshness.stands(Feed::Touches, Some(backfilling(5)), Some(Parked));
        freshness.stands(Feed::Touches, Some(Parked), None);
        let then = figures(&freshness, 1121);
        assert_eq!((then.on_time, then.late, then.backfilling, then.parked), (2, 0, 1, 1));
        assert_eq!((then.oldest, then.backfill_from), (Some(UnixTime(1001)), Some(UnixTime(9))));
        assert_eq!(freshness.figures(Feed::Orders, MINUTE, UnixTime(1121)), FreshnessFigures::default());
    }

    #[test]
    fn a_feed_that_begins_is_late_from_then_on_and_not_since_its_start() {
        let (start, now) = (UnixTime(1_668_657_600), UnixTime(1_668_657_600 + 2 * 3600));
        let settings = PollSettings { every: MINUTE, idle_every: MINUTE, lateness: 600 };
        let pacing = Pacing::new(Cursor::begin(Feed::Touches, start));
        let found = FeedStanding::before_first_poll(Feed::Touches, settings, &pacing, now);
        assert_eq!(found.state(MINUTE, now), FeedCondition::Late, "others have polled it before");
        let begun = found.begun(now);
        assert_eq!(begun.state(MINUTE, now.plus(120)), FeedCondition::OnTime);
        assert_eq!(begun.state(MINUTE, now.plus(121)), FeedCondition::Late);
        assert_eq!(backfilling(5).begun(now), backfilling(5));
    }

    #[test]
    fn nineteen_in_twenty_are_read_later_than_their_figure_tells() {
        let mut freshness = Freshness::default();
        (1000..1100).for_each(|at| freshness.stands(Feed::Touches, None, Some(read_to(at))));
        assert_eq!(figures(&freshness, 1100).p95, Some(UnixTime(1005)));
    }

    /// A walk over all of them for each look would take minutes.
    #[test]
    fn a_million_feeds_are_looked_at_as_quickly_as_few() {
        let mut freshness = Freshness::default();
        let standing = |number: i64| read_to(1_000_000 + number % 900);
        (0..1_000_000).for_each(|number| freshness.stands(Feed::Touches, None, Some(standing(number))));
        for look in 0..1000 {
            let now = figures(&freshness, 1_000_899 + look);
            assert_eq!((now.on_time + now.late, now.oldest), (1_000_000, Some(UnixTime(1_000_000))));
        }
        (0..1_000_000).for_each(|number| freshness.stands(Feed::Touches, Some(standing(number)), None));
        assert_eq!(figures(&freshness, 0), FreshnessFigures::default());
    }
}
