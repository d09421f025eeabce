//! Which promoters are parked: each of them is named once, and once more when it answers again.

use std::collections::HashMap;

use crate::model::feed::{Feed, PerFeed};
use crate::model::promoter::Promoter;

/// The promoters of one app with a permanent error: no more than are polled.
#[derive(Debug, Default)]
pub struct ParkedPromoters {
    /// Which of a promoter's feeds are.
    feeds: HashMap<Promoter, PerFeed<bool>>,
}

impl ParkedPromoters {
    /// True where none of the promoter's feeds was parked before.
    pub fn park(&mut self, promoter: &Promoter, feed: Feed) -> bool {
        match self.feeds.get_mut(promoter) {
            Some(feeds) => {
                feeds[feed] = true;
                false
            }
            None => {
                let feeds = PerFeed::new(|one| one == feed);
                self.feeds.insert(promoter.clone(), feeds);
                true
            }
        }
    }

    /// The feed was answered. True where it was the last of the promoter's that were parked.
    pub fn answered(&mut self, promoter: &Promoter, feed: Feed) -> bool {
        let Some(feeds) = self.feeds.get_mut(promoter) else { return false };
        feeds[feed] = false;
        let over = !feeds.values().any(|is_parked| *is_parked);
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
        assert!(!parked.answered(&promoter, Feed::Touches));
        assert!(parked.park(&promoter, Feed::Touches));
        assert!(!parked.park(&promoter, Feed::Orders));
        assert!(!parked.park(&promoter, Feed::Touches));
        assert_eq!(parked.promoters(), 1);
        assert!(!parked.answered(&promoter, Feed::Touches));
        assert!(!parked.answered(&promoter, Feed::Refunds));
        assert!(parked.answered(&promoter, Feed::Orders));
        assert_eq!(parked.promoters(), 0);
    }
}
