//! The records of days: those of the state, to and from bytes, and what the ledger is told.
//!
//! In each partition of the state, beside what [`super::state_record`] lists:
//!
//! | key | value |
//! |---|---|
//! | `days` | version, the first day that is counted |
//! | `day/<app>/<feed>/<n>` | version, published, dead letters, duplicates, since, closed (1 or 0) and when, how the ledger was told |
//!
//! Days are numbered from 1970 on. Numbers are big-endian.

use std::sync::Arc;

use super::feed::Feed;
use super::promoter::AppId;
use super::shard::Shard;
use super::state_record::UnreadableState;
use super::time::{Day, UnixMillis};

const VERSION: u8 = 1;
/// Under which the first day stands that is counted.
pub(crate) const BEGUN_KEY: &str = "days";
/// What the keys of days begin with.
pub(crate) const DAY_PREFIX: &str = "day/";

/// A record of a shard's days.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DayRecord {
    pub shard: Shard,
    pub content: DayContent,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DayContent {
    /// The first day that is counted.
    Begun(Day),
    Counted(CountedDay),
}

/// Which day of which feed of which app.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DayKey {
    pub app: Arc<str>,
    pub feed: Feed,
    pub day: Day,
}

/// What a shard knows of a day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CountedDay {
    pub key: DayKey,
    pub status: DayStatus,
    /// How many promoters' cursors there were. It is told, and not kept.
    pub promoters: u64,
}

/// What was counted of one day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DayCounts {
    /// Events that its topic holds.
    pub published: u64,
    /// Of rows that were met on this day and could not be read or published.
    pub dead_letters: u64,
    /// How often facts were shown that were published before; it may be more.
    pub duplicates: u64,
}

impl DayCounts {
    /// Whether it has to be written: facts that are shown again are not.
    pub(super) fn is_news(self) -> bool {
        self.published > 0 || self.dead_letters > 0
    }
}

impl std::ops::AddAssign for DayCounts {
    fn add_assign(&mut self, other: DayCounts) {
        self.published += other.published;
        self.dead_letters += other.dead_letters;
        self.duplicates += other.duplicates;
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DayStatus {
    pub counts: DayCounts,
    /// The first day that the record speaks for: nothing was published of those before its own.
    pub since: Day,
    /// Nothing where it is open.
    pub closed_at: Option<UnixMillis>,
    pub told: DayTold,
}

/// What the ledger knows of a day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DayTold {
    #[default]
    Never,
    /// All of it.
    All,
    /// Something else, or nothing though it was closed: there was no ledger then.
    Stale,
}

impl DayTold {
    /// With a change of the day. An open day is told only where it was closed before.
    pub(super) fn changed(self, is_closed: bool, tells: bool) -> DayTold {
        match (self, is_closed, tells) {
            (DayTold::Never, false, _) => DayTold::Never,
            (_, _, true) => DayTold::All,
            (_, _, false) => DayTold::Stale,
        }
    }
}

impl CountedDay {
    /// Whether it is to stand in the ledger.
    pub fn is_told(&self) -> bool {
        self.status.told == DayTold::All
    }

    /// Under which it stands in the ledger.
    pub fn ledger_key(&self, shard: Shard) -> String {
        let DayKey { app, feed, day } = &self.key;
        format!("{app}/{feed}/{day}/{shard}")
    }
}

impl DayContent {
    /// Under which it stands in the state.
    pub fn key(&self) -> String {
        match self {
            DayContent::Begun(_) => BEGUN_KEY.to_owned(),
            DayContent::Counted(CountedDay { key: DayKey { app, feed, day }, .. }) => {
                format!("{DAY_PREFIX}{app}/{feed}/{}", day.number())
            }
        }
    }

    /// As it stands in the state.
    pub fn value(&self) -> Vec<u8> {
        match self {
            DayContent::Begun(day) => [&[VERSION], &day.number().to_be_bytes()[..]].concat(),
            DayContent::Counted(CountedDay { status, .. }) => {
                let DayStatus { counts, since, closed_at, told } = status;
                let DayCounts { published, dead_letters, duplicates } = counts;
                let mut bytes = Vec::with_capacity(39);
                bytes.push(VERSION);
                for count in [published, dead_letters, duplicates] {
                    bytes.extend(count.to_be_bytes());
                }
                bytes.extend(since.number().to_be_bytes());
                bytes.push(u8::from(closed_at.is_some()));
                bytes.extend(closed_at.unwrap_or_default().0.to_be_bytes());
                bytes.push(match told {
                    DayTold::Never => 0,
                    DayTold::All => 1,
                    DayTold::Stale => 2,
                });
                bytes
            }
        }
    }

    /// Whether the key is that of such a record.
    pub fn is_key(key: &[u8]) -> bool {
        key == BEGUN_KEY.as_bytes() || key.starts_with(DAY_PREFIX.as_bytes())
    }

    /// Reads a record of the state whose key [is one](Self::is_key).
    ///
    /// # Errors
    /// [`UnreadableState::Key`] for another spelling of a key, [`UnreadableState::Version`] for what a newer version wrote, and
    /// [`UnreadableState::Value`] for what is damaged.
    pub fn decode(key: &[u8], value: &[u8]) -> Result<DayContent, UnreadableState> {
        let key = if key == BEGUN_KEY.as_bytes() { None } else { Some(DayKey::read(key).ok_or(UnreadableState::Key)?) };
        let (&version, rest) = value.split_first().ok_or(UnreadableState::Value)?;
        if version != VERSION {
            return Err(UnreadableState::Version(version));
        }
        let mut numbers = Numbers(rest);
        let content = match key {
            None => numbers.day().map(DayContent::Begun),
            Some(key) => {
                let status = numbers.status();
                // Nobody asks a record that was read how many there were.
                status.map(|status| DayContent::Counted(CountedDay { key, status, promoters: 0 }))
            }
        };
        content.filter(|_| numbers.0.is_empty()).ok_or(UnreadableState::Value)
    }
}

impl DayKey {
    /// Reads a key of the state. Other spellings of a number are other keys to Kafka.
    pub(super) fn read(key: &[u8]) -> Option<DayKey> {
        let text = std::str::from_utf8(key).ok()?;
        let (rest, number) = text.strip_prefix(DAY_PREFIX)?.rsplit_once('/')?;
        let (app, feed) = rest.rsplit_once('/')?;
        let day = Day::numbered(number.parse().ok()?);
        let app = AppId::new(app).ok()?;
        let key = DayKey { app: app.as_str().into(), feed: Feed::from_name(feed)?, day };
        (day.number().to_string() == number).then_some(key)
    }
}

/// What is left to be read of a value.
struct Numbers<'a>(&'a [u8]);

impl Numbers<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (number, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*number)
    }

    fn day(&mut self) -> Option<Day> {
        Some(Day::numbered(i32::from_be_bytes(self.take()?)))
    }

    fn status(&mut self) -> Option<DayStatus> {
        let mut count = || Some(u64::from_be_bytes(self.take()?));
        let counts = DayCounts { published: count()?, dead_letters: count()?, duplicates: count()? };
        let since = self.day()?;
        let [is_closed @ (0 | 1)] = self.take()? else { return None };
        let closed_at = UnixMillis(i64::from_be_bytes(self.take()?));
        let told = match self.take()? {
            [0] => DayTold::Never,
            [1] => DayTold::All,
            [2] => DayTold::Stale,
            _ => return None,
        };
        Some(DayStatus { counts, since, closed_at: (is_closed == 1).then_some(closed_at), told })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_record_is_read_back_as_it_was(
            numbers in any::<[u64; 3]>(), day in any::<i32>(), since in any::<i32>(),
            closed_at in proptest::option::of(any::<i64>()), told in 0..3usize, feed in 0..Feed::ALL.len(),
        ) {
            let [published, dead_letters, duplicates] = numbers;
            let status = DayStatus {
                counts: DayCounts { published, dead_letters, duplicates },
                since: Day::numbered(since),
                closed_at: closed_at.map(UnixMillis),
                told: [DayTold::Never, DayTold::All, DayTold::Stale][told],
            };
            let key = DayKey { app: "wx1".into(), feed: Feed::ALL[feed], day: Day::numbered(day) };
            for content in [DayContent::Counted(CountedDay { key, status, promoters: 0 }), DayContent::Begun(Day::numbered(day))] {
                let (key, value) = (content.key(), content.value());
                prop_assert!(DayContent::is_key(key.as_bytes()));
                prop_assert_eq!(DayContent::decode(key.as_bytes(), &value), Ok(content));
                let longer = [&value[..], &[0]].concat();
                prop_assert_eq!(DayContent::decode(key.as_bytes(), &longer), Err(UnreadableState::Value));
                let cut = &value[..value.len() - 1];
                prop_assert_eq!(DayContent::decode(key.as_bytes(), cut), Err(UnreadableState::Value));
            }
        }

        #[test]
        fn any_bytes_are_read_or_refused(key in any::<Vec<u8>>(), value in any::<Vec<u8>>()) {
            let _ = DayContent::decode(&key, &value);
            let _ = DayContent::decode(b"day/wx1/orders/20000", &value);
            let _ = DayContent::decode(BEGUN_KEY.as_bytes(), &value);
        }
    }

    #[test]
    fn a_key_in_another_spelling_is_none() {
        let value = DayContent::Begun(Day::numbered(1)).value();
        for key in
            ["day/wx1/orders/007", "day/wx1/orders/+7", "day/wx1/nothing/7", "day//orders/7", "day/wx1/orders", "day/"]
        {
            assert_eq!(DayContent::decode(key.as_bytes(), &value), Err(UnreadableState::Key), "{key}");
        }
        let newer = DayContent::decode(BEGUN_KEY.as_bytes(), &[2, 0, 0, 0, 0]);
        assert_eq!(newer, Err(UnreadableState::Version(2)));
    }

    #[test]
    fn an_open_day_is_told_only_where_it_was_closed_before() {
        assert_eq!(DayTold::Never.changed(false, true), DayTold::Never);
        assert_eq!(DayTold::Never.changed(true, true), DayTold::All);
        assert_eq!(DayTold::All.changed(false, true), DayTold::All);
        assert_eq!(DayTold::All.changed(false, false), DayTold::Stale, "the ledger is not there any more");
        assert_eq!(DayTold::Never.changed(true, false), DayTold::Stale);
        assert_eq!(DayTold::Stale.changed(false, true), DayTold::All);
    }
}
