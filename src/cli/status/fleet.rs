//! What the cursors of all promoters come to, app by app and feed by feed.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use serde::Serialize;

use super::cursors::CompleteBefore;
use crate::changes::registry_view::RegistryView;
use crate::cli::times::{age, in_beijing};
use crate::model::feed::Feed;
use crate::model::promoter::Promoter;
use crate::model::time::UnixTime;

#[derive(Debug, Serialize)]
pub struct FleetStatus {
    connector: String,
    as_of: String,
    /// Of the state.
    partitions: i32,
    feeds: Vec<FeedCompleteness>,
    /// The one that is behind most first.
    behind_most: Vec<BehindRow>,
    #[serde(skip)]
    now: UnixTime,
}

/// A feed of one app.
#[derive(Debug, Serialize)]
struct FeedCompleteness {
    app_id: String,
    feed: &'static str,
    /// Those who are polled, or will be.
    promoters: usize,
    paused: usize,
    /// Of those who are polled: nobody has begun with them yet.
    not_begun: usize,
    /// Everybody's facts are published up to this time.
    complete_before: Option<Time>,
    /// Those of 95 of 100 are.
    complete_before_p95: Option<Time>,
}

#[derive(Debug, Serialize)]
struct BehindRow {
    /// Its key.
    promoter: String,
    feed: &'static str,
    complete_before: Time,
}

/// Shown as RFC 3339.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Time(UnixTime);

impl Serialize for Time {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// What is counted of a feed of an app.
#[derive(Default)]
struct Counted {
    paused: usize,
    not_begun: usize,
    complete_before: Vec<UnixTime>,
}

impl FleetStatus {
    /// Names `worst` of those who are behind most.
    pub fn of(view: &RegistryView, cursors: &CompleteBefore, now: UnixTime, worst: usize) -> FleetStatus {
        let mut counted: BTreeMap<(&str, Feed), Counted> = BTreeMap::new();
        let mut behind_most = BinaryHeap::new();
        for (promoter, merged) in view.table.iter().filter(|(promoter, _)| view.is_of_configured_app(promoter)) {
            for feed in view.feeds(promoter, &merged).value.iter() {
                let counted = counted.entry((promoter.app_id(), feed)).or_default();
                let complete_before = cursors.get(promoter).and_then(|cursors| cursors[feed]);
                match (merged.is_paused.value, complete_before) {
                    (true, _) => counted.paused += 1,
                    (false, None) => counted.not_begun += 1,
                    (false, Some(time)) => {
                        counted.complete_before.push(time);
                        behind_most.push((time, promoter, feed));
                        if behind_most.len() > worst {
                            behind_most.pop();
                        }
                    }
                }
            }
        }
        let behind = |(time, promoter, feed): (UnixTime, &Promoter, Feed)| BehindRow {
            promoter: promoter.key().to_owned(),
            feed: feed.name(),
            complete_before: Time(time),
        };
        FleetStatus {
            connector: view.settings.kafka.name.clone(),
            as_of: now.to_string(),
            partitions: view.partitions,
            feeds: counted.into_iter().map(|((app, feed), counted)| counted.status(app, feed)).collect(),
            behind_most: behind_most.into_sorted_vec().into_iter().map(behind).collect(),
            now,
        }
    }

    /// For people.
    pub fn text(&self) -> String {
        let FleetStatus { connector, partitions, now, .. } = self;
        let mut text = format!("{connector}, {partitions} partitions, as of {}\n\n", in_beijing(now.as_millis()));
        let width = self.feeds.iter().map(|feed| feed.app_id.len()).max().unwrap_or(0).max("app".len());
        text += &format!(
            "{:width$}  feed     promoters   paused  not begun  all complete to         95 of 100 to\n",
            "app"
        );
        for feed in &self.feeds {
            let FeedCompleteness { app_id, feed, promoters, paused, not_begun, complete_before, complete_before_p95 } =
                feed;
            let (all, most) = (shown(*complete_before), shown(*complete_before_p95));
            text +=
                &format!("{app_id:width$}  {feed:8} {promoters:>9} {paused:>8} {not_begun:>10}  {all:22}  {most}\n");
        }
        if !self.behind_most.is_empty() {
            text += "\nbehind most\n";
        }
        for BehindRow { promoter, feed, complete_before } in &self.behind_most {
            let (since, age) = (shown(Some(*complete_before)), age(complete_before.0, *now));
            text += &format!("{promoter}  {feed}  complete to {since} ({age} ago)\n");
        }
        text += "\nA feed that is up to date lies its lateness behind, and one in which nothing happens an hour more: its cursor is\n\
                 written once an hour. Orders are complete day by day.\n";
        text
    }
}

impl Counted {
    fn status(mut self, app: &str, feed: Feed) -> FeedCompleteness {
        self.complete_before.sort_unstable_by_key(|time| Reverse(*time));
        // Of those with the latest times first, the one behind which 5 of 100 lie.
        let nearly_last = (self.complete_before.len() * 95).div_ceil(100).checked_sub(1);
        FeedCompleteness {
            app_id: app.to_owned(),
            feed: feed.name(),
            promoters: self.complete_before.len() + self.not_begun,
            paused: self.paused,
            not_begun: self.not_begun,
            complete_before: self.complete_before.last().copied().map(Time),
            complete_before_p95: nearly_last.and_then(|index| self.complete_before.get(index)).copied().map(Time),
        }
    }
}

fn shown(time: Option<Time>) -> String {
    time.map_or_else(|| "-".to_owned(), |Time(time)| in_beijing(time.as_millis()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_of_a_feed_and_the_last_but_five_of_a_hundred_are_told() {
        let complete =
            |count: i64| Counted { complete_before: (0..count).map(UnixTime).collect(), ..Counted::default() };
        for (count, all, most) in
            [(100, Some(0), Some(5)), (1, Some(0), Some(0)), (0, None, None), (20, Some(0), Some(1))]
        {
            let status = complete(count).status("wx1", Feed::Touches);
            let time = |time: Option<i64>| time.map(|time| Time(UnixTime(time)));
            assert_eq!((status.complete_before, status.complete_before_p95), (time(all), time(most)), "{count}");
        }
    }
}
