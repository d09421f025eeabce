//! What is told of a day: app by app and feed by feed whether it is complete, and if not, what is missing.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::cli::times::in_beijing;
use crate::model::feed::Feed;
use crate::model::promoter::Promoter;
use crate::model::time::{Day, UnixMillis, UnixTime};

/// What one shard has told of a day, or of a later one that speaks for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardDay {
    pub app: String,
    pub feed: Feed,
    pub day: Day,
    pub since: Day,
    pub shard: i32,
    pub closed_at: Option<UnixMillis>,
    pub published: u64,
    pub dead_letters: u64,
    pub duplicates: u64,
}

/// Whose cursor stands on the day or before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    pub promoter: Promoter,
    pub kind: HolderKind,
    pub complete_before: Option<UnixTime>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum HolderKind {
    /// It is polled, and has not come so far.
    Behind,
    Paused,
    /// It is named, and was not polled yet.
    NotBegun,
    /// The feed was polled, and is not polled for it any more.
    NotPolled,
    /// Nobody names it any more, which is noted within a minute.
    Unnamed,
}

/// What is known of one feed of one app.
#[derive(Debug, Default)]
pub struct FeedOfApp {
    /// The shards that have promoters who began by that day, each with the first day that it counts.
    pub expected: BTreeMap<i32, Option<Day>>,
    pub holders: Vec<Holder>,
    /// By shard: the first record that speaks for the day.
    told: BTreeMap<i32, ShardDay>,
}

impl FeedOfApp {
    /// Takes what a shard has told of a day. That of the earliest counts, which is the day itself or the next one that was told.
    pub fn add(&mut self, told: ShardDay) {
        match self.told.get(&told.shard) {
            Some(known) if known.day <= told.day => {}
            _ => drop(self.told.insert(told.shard, told)),
        }
    }
}

#[derive(Debug, Serialize)]
pub struct DayReport {
    connector: String,
    as_of: String,
    day: String,
    complete: bool,
    feeds: Vec<FeedDay>,
}

/// A feed of one app on that day.
#[derive(Debug, Serialize)]
struct FeedDay {
    app_id: String,
    feed: &'static str,
    complete: bool,
    /// Published, met as dead letters, and shown again.
    shown: u64,
    published: u64,
    duplicates: u64,
    dead_letters: u64,
    /// Of the shard that has closed it last, where all have.
    closed_at: Option<String>,
    /// Shards with promoters that began by that day.
    shards: usize,
    /// Those of them that have not closed it.
    open_shards: Vec<i32>,
    /// Those of them that count only later days.
    uncounted_shards: Vec<i32>,
    behind: usize,
    paused: usize,
    not_begun: usize,
    not_polled: usize,
    unnamed: usize,
    /// Some of these, the one that is furthest behind first.
    held_up_by: Vec<HolderRow>,
}

#[derive(Debug, Serialize)]
struct HolderRow {
    promoter: String,
    why: HolderKind,
    complete_before: Option<String>,
}

impl DayReport {
    /// Names `worst` of those by whom each feed is held up.
    pub fn of(
        connector: &str,
        day: Day,
        now: UnixMillis,
        feeds: BTreeMap<(String, Feed), FeedOfApp>,
        worst: usize,
    ) -> DayReport {
        let feeds: Vec<FeedDay> =
            feeds.into_iter().map(|((app, feed), known)| FeedDay::of(app, feed, day, known, worst)).collect();
        DayReport {
            connector: connector.to_owned(),
            as_of: now.rfc3339(),
            day: day.to_string(),
            // Where nobody is polled nothing is known of any day.
            complete: !feeds.is_empty() && feeds.iter().all(|feed| feed.complete),
            feeds,
        }
    }

    pub fn is_complete(&self) -> bool {
        self.complete
    }

    /// For people.
    pub fn text(&self) -> String {
        let DayReport { connector, day, complete, feeds, .. } = self;
        let verdict = if *complete { "complete" } else { "not complete" };
        let mut text = format!("{connector}: {day} is {verdict}\n\n");
        if feeds.is_empty() {
            text += "nobody is polled\n";
            return text;
        }
        let width = feeds.iter().map(|feed| feed.app_id.len()).max().unwrap_or(0).max("app".len());
        text += &format!("{:width$}  feed      published  dead letters       shown  closed\n", "app");
        for feed in feeds {
            let FeedDay { app_id, feed: name, published, dead_letters, shown, complete, .. } = feed;
            let closed = feed.closed_at.clone().unwrap_or_else(|| feed.missing());
            // What is not told yet is no zero.
            let [published, dead_letters, shown] = [published, dead_letters, shown].map(|count| match count {
                0 if *shown == 0 && !complete => "-".to_owned(),
                count => count.to_string(),
            });
            text += &format!("{app_id:width$}  {name:8} {published:>10}  {dead_letters:>12}  {shown:>10}  {closed}\n");
        }
        for FeedDay { app_id, feed, held_up_by, .. } in feeds.iter().filter(|feed| !feed.held_up_by.is_empty()) {
            text += &format!("\n{app_id} {feed} is held up by\n");
            for HolderRow { promoter, why, complete_before } in held_up_by {
                let since = complete_before.as_ref().map_or_else(String::new, |time| format!(", complete to {time}"));
                text += &format!("{promoter}  {}{since}\n", why.in_words());
            }
        }
        text
    }
}

impl FeedDay {
    fn of(app: String, feed: Feed, day: Day, known: FeedOfApp, worst: usize) -> FeedDay {
        let FeedOfApp { expected, mut holders, told } = known;
        let is_closed = |shard: &i32| told.get(shard).is_some_and(|told| told.closed_at.is_some());
        let is_uncounted = |begun: &Option<Day>| begun.is_none_or(|begun| begun > day);
        let uncounted_shards: Vec<i32> =
            expected.iter().filter(|(_, begun)| is_uncounted(begun)).map(|(shard, _)| *shard).collect();
        let is_counted = |shard: &i32| !uncounted_shards.contains(shard);
        // One that has told of it counts whoever its promoters are now.
        let all = expected.keys().chain(told.keys().filter(|shard| !expected.contains_key(shard)));
        let open_shards: Vec<i32> =
            all.clone().filter(|shard| is_counted(shard) && !is_closed(shard)).copied().collect();
        let own = || told.values().filter(|told| told.day == day);
        let sum = |count: fn(&ShardDay) -> u64| own().map(count).sum::<u64>();
        let (published, dead_letters) = (sum(|told| told.published), sum(|told| told.dead_letters));
        let duplicates = sum(|told| told.duplicates);
        let complete = open_shards.is_empty() && uncounted_shards.is_empty() && holders.is_empty();
        let closed_at = told.values().filter_map(|told| told.closed_at).max().filter(|_| complete);
        let of_kind = |kind: HolderKind| holders.iter().filter(|holder| holder.kind == kind).count();
        let (behind, paused, not_begun, not_polled, unnamed) = (
            of_kind(HolderKind::Behind),
            of_kind(HolderKind::Paused),
            of_kind(HolderKind::NotBegun),
            of_kind(HolderKind::NotPolled),
            of_kind(HolderKind::Unnamed),
        );
        let shards = all.count();
        holders
            .sort_by(|one, other| (one.complete_before, &one.promoter).cmp(&(other.complete_before, &other.promoter)));
        FeedDay {
            app_id: app,
            feed: feed.name(),
            complete,
            shown: published + dead_letters + duplicates,
            published,
            duplicates,
            dead_letters,
            closed_at: closed_at.map(in_beijing),
            shards,
            open_shards,
            uncounted_shards,
            behind,
            paused,
            not_begun,
            not_polled,
            unnamed,
            held_up_by: holders.into_iter().take(worst).map(HolderRow::from).collect(),
        }
    }

    /// Why it is not complete.
    fn missing(&self) -> String {
        let counted = [
            (self.behind, "behind"),
            (self.paused, "paused"),
            (self.not_begun, "not begun"),
            (self.not_polled, "not polled any more"),
            (self.unnamed, "named by nobody"),
        ];
        let mut told: Vec<String> =
            counted.into_iter().filter(|(count, _)| *count > 0).map(|(count, why)| format!("{count} {why}")).collect();
        if !self.uncounted_shards.is_empty() {
            told.push(format!("{} of {} shards count later days only", self.uncounted_shards.len(), self.shards));
        }
        if !self.open_shards.is_empty() {
            told.push(format!("{} of {} shards have not closed it", self.open_shards.len(), self.shards));
        }
        if told.is_empty() { "nobody was polled then".to_owned() } else { format!("no: {}", told.join(", ")) }
    }
}

impl From<Holder> for HolderRow {
    fn from(Holder { promoter, kind, complete_before }: Holder) -> HolderRow {
        let complete_before = complete_before.map(|time| in_beijing(time.as_millis()));
        HolderRow { promoter: promoter.key().to_owned(), why: kind, complete_before }
    }
}

impl HolderKind {
    fn in_words(self) -> &'static str {
        match self {
            HolderKind::Behind => "behind",
            HolderKind::Paused => "paused",
            HolderKind::NotBegun => "not begun",
            HolderKind::NotPolled => "not polled any more",
            HolderKind::Unnamed => "named by nobody any more",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i32 = 20_000;

    fn day(number: i32) -> Day {
        Day::numbered(number)
    }

    /// What `shard` tells of a day that it speaks for from `since` on.
    fn told(shard: i32, on: i32, since: i32, closed: bool) -> ShardDay {
        let closed_at = closed.then_some(UnixMillis(1_700_000_000_000 + i64::from(shard)));
        let (app, feed) = ("wx1".to_owned(), Feed::Touches);
        ShardDay {
            app,
            feed,
            day: day(on),
            since: day(since),
            shard,
            closed_at,
            published: 5,
            dead_letters: 1,
            duplicates: 7,
        }
    }

    fn known(expected: &[i32], all: Vec<ShardDay>) -> FeedOfApp {
        let expected = expected.iter().map(|shard| (*shard, Some(day(0)))).collect();
        let mut known = FeedOfApp { expected, ..FeedOfApp::default() };
        all.into_iter().for_each(|told| known.add(told));
        known
    }

    fn judged(known: FeedOfApp) -> FeedDay {
        FeedDay::of("wx1".into(), Feed::Touches, day(DAY), known, 10)
    }

    #[test]
    fn a_day_is_complete_when_every_shard_with_promoters_has_closed_it() {
        let whole = judged(known(&[0, 2], vec![told(0, DAY, DAY, true), told(2, DAY, DAY, true)]));
        assert!(whole.complete && whole.closed_at.is_some());
        assert_eq!((whole.published, whole.dead_letters, whole.shown), (10, 2, 26));
        let missing = judged(known(&[0, 1, 2], vec![told(0, DAY, DAY, true), told(2, DAY, DAY, true)]));
        assert_eq!((missing.complete, missing.open_shards), (false, vec![1]));
        let open_again = judged(known(&[0], vec![told(0, DAY, DAY, false)]));
        assert_eq!((open_again.complete, open_again.closed_at.is_none(), open_again.published), (false, true, 5));
    }

    #[test]
    fn an_empty_day_stands_as_the_next_record_says_and_counts_nothing() {
        let empty = judged(known(&[0], vec![told(0, DAY + 3, DAY - 1, true), told(0, DAY + 9, DAY + 4, false)]));
        assert_eq!((empty.complete, empty.published, empty.shown), (true, 0, 0));
        let empty = judged(known(&[0], vec![told(0, DAY + 3, DAY - 1, false)]));
        assert!(!empty.complete);
    }

    #[test]
    fn whoever_stands_before_its_end_holds_it_up_and_is_told() {
        let holder = |key: &str, kind, at| {
            let promoter = Promoter::from_key(key).unwrap();
            Holder { promoter, kind, complete_before: Some(UnixTime(at)) }
        };
        let mut held = known(&[0], vec![told(0, DAY, DAY, true)]);
        held.holders = vec![holder("wx1/b", HolderKind::Paused, 9), holder("wx1/a", HolderKind::Behind, 5)];
        let held = judged(held);
        assert!(!held.complete && held.closed_at.is_none());
        assert_eq!(held.missing(), "no: 1 behind, 1 paused");
        let first: Vec<&str> = held.held_up_by.iter().map(|row| row.promoter.as_str()).collect();
        assert_eq!(first, ["wx1/a", "wx1/b"]);
    }

    #[test]
    fn where_nobody_is_polled_no_day_is_complete() {
        let report = DayReport::of("promoters", day(DAY), UnixMillis(0), BTreeMap::new(), 10);
        assert!(!report.is_complete() && report.text().contains("nobody is polled"));
    }

    #[test]
    fn what_no_shard_has_told_yet_is_no_zero() {
        let text = |known: FeedOfApp| {
            let feeds = BTreeMap::from([(("wx1".to_owned(), Feed::Touches), known)]);
            DayReport::of("promoters", day(DAY), UnixMillis(0), feeds, 10).text()
        };
        let open = text(known(&[0], vec![]));
        assert!(open.contains("wx1  touches           -             -           -  no: "), "{open}");
        let empty = text(known(&[0], vec![told(0, DAY + 3, DAY - 1, true)]));
        assert!(empty.contains("wx1  touches           0             0           0  2023-"), "{empty}");
    }

    #[test]
    fn a_shard_that_counts_later_days_only_tells_nothing_of_this_one() {
        let mut late = known(&[0], vec![]);
        late.expected.insert(1, Some(day(DAY + 1)));
        late.expected.insert(2, None);
        let late = judged(late);
        assert_eq!((late.complete, late.uncounted_shards, late.open_shards), (false, vec![1, 2], vec![0]));
    }
}
