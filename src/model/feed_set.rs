//! Some of the feeds, or none of them.

use std::fmt;

use super::feed::Feed;

/// A set in one byte: a registry holds one for each promoter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct FeedSet(u8);

/// A word where the name of a feed belongs.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is none of the feeds {feeds}", feeds = Feed::ALL.map(Feed::name).join(", "))]
pub struct UnknownFeed(String);

/// How many characters of such a word are kept.
const WORD_CHARS_MAX: usize = 40;

impl FeedSet {
    /// Of their names, in any case.
    ///
    /// # Errors
    /// With the first word that names none.
    pub fn from_words<'a>(words: impl IntoIterator<Item = &'a str>) -> Result<FeedSet, UnknownFeed> {
        let feed = |word: &str| {
            let known = Feed::from_name(&word.trim().to_ascii_lowercase());
            known.ok_or_else(|| UnknownFeed(crate::text::bounded(word, WORD_CHARS_MAX).to_owned()))
        };
        words.into_iter().map(feed).collect()
    }

    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub fn contains(self, feed: Feed) -> bool {
        self.0 & bit(feed) != 0
    }

    /// Whether a record with it asks for the feed: one that names none asks for all.
    pub fn asks_for(self, feed: Feed) -> bool {
        self.is_empty() || self.contains(feed)
    }

    /// Whether facts of the feed are published for who asks for these: orders meet refunds, too.
    pub fn brings(self, feed: Feed) -> bool {
        self.asks_for(feed) || (feed == Feed::Refunds && self.contains(Feed::Orders))
    }

    /// In the order of [`Feed::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Feed> {
        Feed::ALL.into_iter().filter(move |feed| self.contains(*feed))
    }
}

fn bit(feed: Feed) -> u8 {
    1 << feed as u8
}

impl FromIterator<Feed> for FeedSet {
    fn from_iter<I: IntoIterator<Item = Feed>>(feeds: I) -> FeedSet {
        FeedSet(feeds.into_iter().fold(0, |bits, feed| bits | bit(feed)))
    }
}

impl fmt::Display for FeedSet {
    /// Joined by `;`, as in a promoters_file.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, feed) in self.iter().enumerate() {
            let separator = if index == 0 { "" } else { ";" };
            write!(f, "{separator}{feed}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_holds_the_feeds_that_were_named_in_whatever_case_and_order() {
        let feeds = FeedSet::from_words(["REFUNDS", " touches", "refunds"]).unwrap();
        assert!(feeds.iter().eq([Feed::Touches, Feed::Refunds]));
        assert_eq!(feeds.to_string(), "touches;refunds");
        assert!(!feeds.contains(Feed::Orders) && !feeds.is_empty() && FeedSet::default().is_empty());
        assert_eq!(Feed::ALL.into_iter().collect::<FeedSet>().to_string(), "touches;orders;refunds");
    }

    #[test]
    fn a_word_that_is_no_feed_is_named_in_part() {
        let error = FeedSet::from_words(["touches", &"ö".repeat(50)]).unwrap_err();
        let told = error.to_string();
        assert_eq!(told, format!("{:?} is none of the feeds touches, orders, refunds", "ö".repeat(WORD_CHARS_MAX)));
    }
}
