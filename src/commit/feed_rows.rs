//! What became of rows, by whose they were.

use crate::model::disposition::RowCounts;
use crate::model::feed::Feed;
use crate::model::promoter::Promoter;

/// The rows of some writes, by app and feed.
#[derive(Clone, Debug, Default)]
pub(super) struct FeedRows {
    /// Each with one of the app's promoters. They are few: as many as the apps have feeds.
    of_feeds: Vec<(Promoter, Feed, RowCounts)>,
    /// Of none: what the registry says.
    others: RowCounts,
}

impl FeedRows {
    /// Of one write.
    pub fn of_write(of: Option<(Promoter, Feed)>, counts: RowCounts) -> FeedRows {
        match of {
            Some((promoter, feed)) => {
                FeedRows { of_feeds: vec![(promoter, feed, counts)], others: RowCounts::default() }
            }
            None => FeedRows { of_feeds: Vec::new(), others: counts },
        }
    }

    pub fn add(&mut self, other: FeedRows) {
        self.others += other.others;
        for (promoter, feed, counts) in other.of_feeds {
            let is_same =
                |(one, of, _): &&mut (Promoter, Feed, RowCounts)| *of == feed && one.app_id() == promoter.app_id();
            match self.of_feeds.iter_mut().find(is_same) {
                Some((.., sum)) => *sum += counts,
                None => self.of_feeds.push((promoter, feed, counts)),
            }
        }
    }

    pub fn total(&self) -> RowCounts {
        let mut total = self.others;
        self.of_feeds.iter().for_each(|(.., counts)| total += *counts);
        total
    }

    /// By app and feed.
    pub fn of_feeds(&self) -> impl Iterator<Item = (&str, Feed, RowCounts)> {
        self.of_feeds.iter().map(|(promoter, feed, counts)| (promoter.app_id(), *feed, *counts))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_added_up_by_app_and_feed() {
        let write = |key: &str, feed| {
            let counts = RowCounts { published: 1, ..RowCounts::default() };
            FeedRows::of_write(Some((Promoter::from_key(key).unwrap(), feed)), counts)
        };
        let mut rows = FeedRows::of_write(None, RowCounts { dead_lettered: 1, ..RowCounts::default() });
        let writes =
            [("wx1/a", Feed::Orders), ("wx2/a", Feed::Orders), ("wx1/b", Feed::Orders), ("wx1/b", Feed::Touches)];
        writes.into_iter().for_each(|(key, feed)| rows.add(write(key, feed)));
        let published: Vec<_> = rows.of_feeds().map(|(app, feed, counts)| (app, feed, counts.published)).collect();
        assert_eq!(published, [("wx1", Feed::Orders, 2), ("wx2", Feed::Orders, 1), ("wx1", Feed::Touches, 1)]);
        assert_eq!((rows.total().published, rows.total().dead_lettered), (4, 1));
    }
}
