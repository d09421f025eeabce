//! The promoters of a shard, with what is known of their feeds.
//!
//! There may be a million of them. The places of a hash table are up to twice as many as its entries, so they hold no more than
//! where each promoter is; and a promoter's key is the one of whoever has asked for it, which all that poll it share.

use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use super::feed::PerFeed;
use super::feed_state::FeedState;
use super::promoter::Promoter;

/// What is known of a promoter's feeds. One that is absent was never begun.
pub(super) type FeedStates = PerFeed<Option<FeedState>>;

/// A map by promoters. Its hash is keyed, for others name the promoters.
#[derive(Debug, Default)]
pub(super) struct KnownPromoters {
    table: HashTable<Box<PromoterEntry>>,
    hasher: RandomState,
}

#[derive(Debug)]
struct PromoterEntry {
    promoter: Promoter,
    feeds: FeedStates,
}

impl KnownPromoters {
    pub fn get(&self, promoter: &Promoter) -> Option<&FeedStates> {
        let known = self.table.find(self.hasher.hash_one(promoter), |known| known.promoter == *promoter)?;
        Some(&known.feeds)
    }

    pub fn get_mut(&mut self, promoter: &Promoter) -> Option<&mut FeedStates> {
        let known = self.table.find_mut(self.hasher.hash_one(promoter), |known| known.promoter == *promoter)?;
        Some(&mut known.feeds)
    }

    /// Of a promoter whom others hold, too: from here on they share the key.
    pub fn share(&mut self, promoter: &Promoter) -> Option<&FeedStates> {
        let known = self.table.find_mut(self.hasher.hash_one(promoter), |known| known.promoter == *promoter)?;
        known.promoter = promoter.clone();
        Some(&known.feeds)
    }

    /// The promoter's feeds; none of them is begun where nothing was known.
    pub fn entry(&mut self, promoter: &Promoter) -> &mut FeedStates {
        let KnownPromoters { table, hasher } = self;
        let hash = hasher.hash_one(promoter);
        let entry = table.entry(hash, |known| known.promoter == *promoter, |known| hasher.hash_one(&known.promoter));
        let unknown = || Box::new(PromoterEntry { promoter: promoter.clone(), feeds: FeedStates::default() });
        &mut entry.or_insert_with(unknown).into_mut().feeds
    }

    /// Drops what is known of a promoter, and gives it.
    pub fn remove(&mut self, promoter: &Promoter) -> Option<FeedStates> {
        let hash = self.hasher.hash_one(promoter);
        let known = self.table.find_entry(hash, |known| known.promoter == *promoter).ok()?;
        let (known, _) = known.remove();
        Some(known.feeds)
    }

    /// All of whom something is known, in no order.
    pub fn keys(&self) -> impl Iterator<Item = &Promoter> {
        self.table.iter().map(|known| &known.promoter)
    }

    /// Of all promoters, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (&Promoter, &FeedStates)> {
        self.table.iter().map(|known| (&known.promoter, &known.feeds))
    }

    /// Keeps those promoters of whom `is_known` says so.
    pub fn retain(&mut self, mut is_known: impl FnMut(&mut FeedStates) -> bool) {
        self.table.retain(|known| is_known(&mut known.feeds));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::cursor::Cursor;
    use crate::model::feed::Feed;
    use crate::model::time::UnixTime;

    #[test]
    fn promoters_are_told_apart_however_many_there_are() {
        let promoter = |number: i64| Promoter::from_key(&format!("wx1/o{number}")).unwrap();
        let begun = |number: i64| FeedState::new(Cursor::begin(Feed::Touches, UnixTime(number)));
        let mut known = KnownPromoters::default();
        (0..1000).for_each(|number| known.entry(&promoter(number)).touches = Some(begun(number)));
        known.retain(|feeds| feeds.touches.as_ref().is_some_and(|state| state.cursor().start.0 % 2 == 0));
        let start = |feeds: Option<&FeedStates>| Some(feeds?.touches.as_ref()?.cursor().start.0);
        for number in 0..1000 {
            let expected = (number % 2 == 0).then_some(number);
            assert_eq!(start(known.get(&promoter(number))), expected);
            assert_eq!(start(known.share(&promoter(number))), expected);
        }
        assert_eq!(known.iter().count(), 500);
        let removed = known.remove(&promoter(4));
        assert_eq!((start(removed.as_ref()), start(known.get(&promoter(4)))), (Some(4), None));
        assert!(known.remove(&promoter(5)).is_none() && known.keys().count() == 499);
    }
}
