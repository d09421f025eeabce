//! The feeds that a scheduler polls: each in a slot whose number the queues know, and found by its promoter.

use std::collections::HashSet;
use std::hash::BuildHasher;
use std::ops::{Index, IndexMut};

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use slab::Slab;
use smallvec::SmallVec;

use super::freshness::FeedStanding;
use super::polled_feeds::PolledFeed;
use crate::model::pacing::intervals::RateClass;
use crate::model::promoter::Promoter;

/// The slots of one promoter, one for each feed.
pub(super) type PromoterSlots = SmallVec<[usize; 3]>;

/// A feed that is given up keeps its slot, which nobody else can take, until the queues have let go of it too.
#[derive(Default)]
pub(super) struct FeedSlots {
    slots: Slab<Slot>,
    /// The slots by the hash of their promoter, which stands in the slot itself: a map would hold it once more.
    by_promoter: HashTable<usize>,
    hasher: RandomState,
    given_up: HashSet<usize>,
}

struct Slot {
    feed: PolledFeed,
    /// Where the queue of its interface counts it.
    class: RateClass,
    standing: FeedStanding,
}

impl FeedSlots {
    pub fn insert(&mut self, feed: PolledFeed, class: RateClass, standing: FeedStanding) -> usize {
        let hash = self.hasher.hash_one(&feed.promoter);
        let slot = self.slots.insert(Slot { feed, class, standing });
        let (slots, hasher) = (&self.slots, &self.hasher);
        self.by_promoter.insert_unique(hash, slot, |slot| hasher.hash_one(&slots[*slot].feed.promoter));
        slot
    }

    pub fn class(&self, slot: usize) -> RateClass {
        self.slots[slot].class
    }

    pub fn set_class(&mut self, slot: usize, class: RateClass) {
        self.slots[slot].class = class;
    }

    pub fn standing(&self, slot: usize) -> FeedStanding {
        self.slots[slot].standing
    }

    /// Gives the one before.
    pub fn set_standing(&mut self, slot: usize, standing: FeedStanding) -> FeedStanding {
        std::mem::replace(&mut self.slots[slot].standing, standing)
    }

    /// Gives up all feeds of a promoter.
    pub fn give_up(&mut self, promoter: &Promoter) -> PromoterSlots {
        let hash = self.hasher.hash_one(promoter);
        let mut given_up = PromoterSlots::new();
        while let Ok(entry) = self.by_promoter.find_entry(hash, |slot| self.slots[*slot].feed.promoter == *promoter) {
            given_up.push(entry.remove().0);
        }
        self.given_up.extend(&given_up);
        given_up
    }

    /// Of one promoter.
    pub fn of(&self, promoter: &Promoter) -> PromoterSlots {
        let hash = self.hasher.hash_one(promoter);
        self.by_promoter.iter_hash(hash).copied().filter(|slot| self.slots[*slot].feed.promoter == *promoter).collect()
    }

    /// Those that are polled, in the order of their slots, from one on.
    pub fn polled_from(&self, from: usize) -> impl Iterator<Item = usize> {
        (from..self.slots.capacity()).filter(|slot| self.slots.contains(*slot) && !self.is_given_up(*slot))
    }

    pub fn is_given_up(&self, slot: usize) -> bool {
        self.given_up.contains(&slot)
    }

    /// Frees the slot of a feed that was given up: no queue knows it any more.
    pub fn free(&mut self, slot: usize) {
        if self.given_up.remove(&slot) {
            self.slots.remove(slot);
        }
    }

    /// How many are polled.
    pub fn len(&self) -> usize {
        self.by_promoter.len()
    }
}

impl Index<usize> for FeedSlots {
    type Output = PolledFeed;

    fn index(&self, slot: usize) -> &PolledFeed {
        &self.slots[slot].feed
    }
}

impl IndexMut<usize> for FeedSlots {
    fn index_mut(&mut self, slot: usize) -> &mut PolledFeed {
        &mut self.slots[slot].feed
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::model::cursor::Cursor;
    use crate::model::feed::Feed;
    use crate::model::pacing::intervals::{IntervalBounds, Intervals};
    use crate::model::pacing::{Pacing, PollSettings};
    use crate::model::time::UnixTime;

    fn feed(key: &str, feed: Feed) -> PolledFeed {
        let minute = Duration::from_secs(60);
        let settings = PollSettings { every: minute, idle_every: minute, lateness: 600 };
        let pacing = Pacing::new(Cursor::begin(feed, UnixTime(0)));
        PolledFeed { promoter: Promoter::from_key(key).unwrap(), feed, settings, refunds_lateness: None, pacing }
    }

    #[test]
    fn a_slot_that_is_given_up_is_nobody_elses_before_it_is_free() {
        let mut slots = FeedSlots::default();
        let minute = Duration::from_secs(60);
        let class = Intervals::default().join(IntervalBounds { every: minute, idle_every: minute });
        let all: Vec<usize> = ["wx1/a", "wx1/b"]
            .into_iter()
            .flat_map(|key| Feed::ALL.map(|of| feed(key, of)))
            .map(|feed| slots.insert(feed, class, FeedStanding::Parked))
            .collect();
        let promoter = Promoter::from_key("wx1/a").unwrap();
        let mut given_up = slots.give_up(&promoter);
        given_up.sort_unstable();
        assert_eq!(given_up.as_slice(), &all[..3]);
        assert_eq!((slots.len(), slots.give_up(&promoter).len()), (3, 0));
        let again = slots.insert(feed("wx1/a", Feed::Touches), class, FeedStanding::Parked);
        assert!(!all.contains(&again) && slots.is_given_up(all[0]) && !slots.is_given_up(again));
        slots.free(all[0]);
        slots.free(again);
        assert_eq!(slots[again].promoter, promoter, "it was not given up");
        assert_eq!(slots.insert(feed("wx1/c", Feed::Touches), class, FeedStanding::Parked), all[0]);
    }
}
