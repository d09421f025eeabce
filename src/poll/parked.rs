//! Which promoters are parked: each of them is named once, and once more when it answers again.

use std::collections::HashMap;

use crate::model::feed::{Feed, PerFeed};
use crate::model::promoter::Promoter;
use crate::model::time::UnixTime;

/// The promoters of one app with a permanent error: no more than are polled.
#[derive(Debug, Default)]
pub struct ParkedPromoters {
    /// Which of a promoter's feeds are.
    feeds: HashMap<Promoter, PerFeed<Option<ParkedFeed>>>,
}

/// Why a feed is parked. Small, and without a text of the upstream's, which the log has: there may be a million of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParkedFeed {
    /// 0 where there was none.
    errcode: i32,
    /// In Unix seconds, until 2106.
    refused_at: u32,
}

impl ParkedFeed {
    /// With the upstream's code, where it gave one.
    pub fn new(errcode: Option<i64>, refused_at: UnixTime) -> ParkedFeed {
        let errcode = errcode.and_then(|errcode| i32::try_from(errcode).ok()).unwrap_or(0);
        ParkedFeed { errcode, refused_at: u32::try_from(refused_at.0.max(0)).unwrap_or(u32::MAX) }
    }

    pub fn errcode(self) -> Option<i32> {
        (self.errcode != 0).then_some(self.errcode)
    }

    /// When it was refused last.
    pub fn refused_at(self) -> UnixTime {
        UnixTime(i64::from(self.refused_at))
    }
}

impl ParkedPromoters {
    /// True where none of the promoter's feeds was parked before.
    pub fn park(&mut self, promoter: &Promoter, feed: Feed, parked: ParkedFeed) -> bool {
        match self.feeds.get_mut(promoter) {
            Some(feeds) => {
                feeds[feed] = Some(parked);
                false
            }
            None => {
                let feeds = PerFeed::new(|one| (one == feed).then_some(parked));
                self.feeds.insert(promoter.clone(), feeds);
                true
            }
        }
    }

    /// Why the feed is parked; nothing where it is not.
    pub fn parked(&self, promoter: &Promoter, feed: Feed) -> Option<ParkedFeed> {
        self.feeds.get(promoter)?[feed]
    }

    /// The feed was answered. True where it was the last of the promoter's that were parked.
    pub fn answered(&mut self, promoter: &Promoter, feed: Feed) -> bool {
        let Some(feeds) = self.feeds.get_mut(promoter) else { return false };
        feeds[feed] = None;
        let over = !feeds.values().any(Option::is_some);
        if over {
            self.feeds.remove(promoter);
        }
        over
    }

    /// The promoter is not polled any more.
    pub fn forget(&mut self, promoter: &Promoter) {
        self.feeds.remove(promoter);
    }

    pub fn promoters(&self) -> usize {
        self.feeds.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::promoter::AppId;

    #[test]
    fn a_promoter_is_parked_with_its_first_feed_and_back_with_its_last() {
        let promoter = Promoter::new(&AppId::new("wx1").unwrap(), "oP").unwrap();
        let mut parked = ParkedPromoters::default();
        let refused = |at| ParkedFeed::new(Some(103_006), UnixTime(at));
        assert!(!parked.answered(&promoter, Feed::Touches));
        assert!(parked.park(&promoter, Feed::Touches, refused(1)));
        assert!(!parked.park(&promoter, Feed::Orders, refused(2)));
        assert!(!parked.park(&promoter, Feed::Touches, refused(3)));
        assert_eq!(parked.parked(&promoter, Feed::Touches), Some(refused(3)), "the last refusal is told");
        assert_eq!(parked.promoters(), 1);
        assert!(!parked.answered(&promoter, Feed::Touches));
        assert!(!parked.answered(&promoter, Feed::Refunds));
        assert_eq!(parked.parked(&promoter, Feed::Touches), None);
        assert!(parked.answered(&promoter, Feed::Orders));
        assert_eq!(parked.promoters(), 0);
    }

    #[test]
    fn a_parked_feed_takes_twelve_bytes_and_keeps_what_it_is_given() {
        assert_eq!(size_of::<Option<ParkedFeed>>(), 12);
        let parked = ParkedFeed::new(Some(103_006), UnixTime(1_668_657_600));
        assert_eq!((parked.errcode(), parked.refused_at()), (Some(103_006), UnixTime(1_668_657_600)));
        assert_eq!(ParkedFeed::new(None, UnixTime(0)).errcode(), None);
    }
}
