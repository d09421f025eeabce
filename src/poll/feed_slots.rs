//! The feeds that a scheduler polls: each in a slot whose number the queues know, and found by its promoter.
//!
//! There may be millions of them, so a slot holds nothing that many have in common: settings stand once for all that have the
//! same.

use std::collections::HashSet;
use std::hash::BuildHasher;
use std::ops::{Index, IndexMut};

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use smallvec::SmallVec;

use super::blocks::Blocks;
use super::freshness::FeedStanding;
use super::polled_feeds::{FeedSettings, PolledFeed};
use crate::model::feed::Feed;
use crate::model::pacing::intervals::RateClass;
use crate::model::pacing::{Pacing, PollSettings};
use crate::model::promoter::Promoter;
use crate::model::pull::Pull;
use crate::model::time::UnixTime;

/// The number of a slot.
pub(super) type SlotNumber = u32;

/// The slots of one promoter, one for each feed.
pub(super) type PromoterSlots = SmallVec<[SlotNumber; 3]>;

/// A feed that is given up keeps its slot, which nobody else can take, until the queues have let go of it too.
#[derive(Default)]
pub(super) struct FeedSlots {
    slots: Blocks<FeedSlot>,
    /// Those that feeds have. They are settings of an app's three feeds, so there are few.
    settings: Vec<FeedSettings>,
    /// The first slot of each promoter, by the hash of his key, which stands in the slot itself: a map would hold it once more.
    by_promoter: HashTable<SlotNumber>,
    polled: usize,
    hasher: RandomState,
    given_up: HashSet<SlotNumber>,
}

/// One feed of one promoter.
pub(super) struct FeedSlot {
    pub promoter: Promoter,
    pub pacing: Pacing,
    pub feed: Feed,
    /// Where the queue of its interface counts it.
    pub class: RateClass,
    pub standing: FeedStanding,
    /// Where its settings stand.
    settings: u8,
    /// The promoter's next slot, or [`LAST`].
    next: SlotNumber,
}

/// No slot has this number.
const LAST: SlotNumber = SlotNumber::MAX;

impl FeedSlots {
    pub fn insert(&mut self, feed: PolledFeed, class: RateClass, standing: FeedStanding) -> SlotNumber {
        let PolledFeed { promoter, feed, settings, pacing } = feed;
        let (hash, settings) = (self.hasher.hash_one(&promoter), self.settings_number(settings));
        let slot = self.slots.insert(FeedSlot { promoter, pacing, feed, class, standing, settings, next: LAST });
        let (slots, hasher) = (&self.slots, &self.hasher);
        let entry = self.by_promoter.entry(
            hash,
            |first| slots[*first].promoter == slots[slot].promoter,
            |first| hasher.hash_one(&slots[*first].promoter),
        );
        let mut next = LAST;
        entry.and_modify(|first| next = std::mem::replace(first, slot)).or_insert(slot);
        self.slots[slot].next = next;
        self.polled += 1;
        slot
    }

    fn settings_number(&mut self, settings: FeedSettings) -> u8 {
        let known = self.settings.iter().position(|known| *known == settings);
        let number = known.unwrap_or_else(|| {
            self.settings.push(settings);
            self.settings.len() - 1
        });
        u8::try_from(number).expect("they are settings of an app's three feeds")
    }

    pub fn settings(&self, slot: SlotNumber) -> PollSettings {
        self.settings_of(&self.slots[slot]).poll
    }

    fn settings_of(&self, slot: &FeedSlot) -> FeedSettings {
        self.settings[usize::from(slot.settings)]
    }

    /// As [`FeedSettings::begin_pull`] says.
    pub fn begin_pull(&self, slot: SlotNumber, now: UnixTime, bound: UnixTime) -> Pull {
        let slot = &self.slots[slot];
        self.settings_of(slot).begin_pull(&slot.promoter, slot.feed, &slot.pacing, now, bound)
    }

    /// Gives up all feeds of a promoter.
    pub fn give_up(&mut self, promoter: &Promoter) -> PromoterSlots {
        let given_up = self.of(promoter);
        let hash = self.hasher.hash_one(promoter);
        if let Ok(first) = self.by_promoter.find_entry(hash, |first| self.slots[*first].promoter == *promoter) {
            first.remove();
        }
        self.polled -= given_up.len();
        self.given_up.extend(&given_up);
        given_up
    }

    /// Of one promoter, in the order in which they came.
    pub fn of(&self, promoter: &Promoter) -> PromoterSlots {
        let hash = self.hasher.hash_one(promoter);
        let first = self.by_promoter.find(hash, |first| self.slots[*first].promoter == *promoter).copied();
        let is_slot = |slot: SlotNumber| (slot != LAST).then_some(slot);
        let mut slots: PromoterSlots = std::iter::successors(first, |slot| is_slot(self.slots[*slot].next)).collect();
        // The latest stands first.
        slots.reverse();
        slots
    }

    /// Those that are polled, in the order of their slots, from one on.
    pub fn polled_from(&self, from: SlotNumber) -> impl Iterator<Item = SlotNumber> {
        self.slots.numbers_from(from).filter(|slot| !self.is_given_up(*slot))
    }

    pub fn is_given_up(&self, slot: SlotNumber) -> bool {
        self.given_up.contains(&slot)
    }

    /// Frees the slot of a feed that was given up: no queue knows it any more.
    pub fn free(&mut self, slot: SlotNumber) {
        if self.given_up.remove(&slot) {
            self.slots.remove(slot);
        }
    }

    /// How many are polled.
    pub fn len(&self) -> usize {
        self.polled
    }
}

impl Index<SlotNumber> for FeedSlots {
    type Output = FeedSlot;

    fn index(&self, slot: SlotNumber) -> &FeedSlot {
        &self.slots[slot]
    }
}

impl IndexMut<SlotNumber> for FeedSlots {
    fn index_mut(&mut self, slot: SlotNumber) -> &mut FeedSlot {
        &mut self.slots[slot]
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::model::cursor::Cursor;
    use crate::model::pacing::intervals::{IntervalBounds, Intervals};

    const MINUTE: Duration = Duration::from_secs(60);

    fn feed(key: &str, feed: Feed) -> PolledFeed {
        let poll = PollSettings { every: MINUTE, idle_every: MINUTE, lateness: feed as i64 };
        let settings = FeedSettings { poll, refunds_lateness: None };
        let pacing = Pacing::new(Cursor::begin(feed, UnixTime(0)));
        PolledFeed { promoter: Promoter::from_key(key).unwrap(), feed, settings, pacing }
    }

    #[test]
    fn a_slot_that_is_given_up_is_nobody_elses_before_it_is_free() {
        let mut slots = FeedSlots::default();
        let class = Intervals::default().join(IntervalBounds { every: MINUTE, idle_every: MINUTE });
        let all: Vec<SlotNumber> = ["wx1/a", "wx1/b"]
            .into_iter()
            .flat_map(|key| Feed::ALL.map(|of| feed(key, of)))
            .map(|feed| slots.insert(feed, class, FeedStanding::Parked))
            .collect();
        let promoter = Promoter::from_key("wx1/a").unwrap();
        let given_up = slots.give_up(&promoter);
        assert_eq!(given_up.as_slice(), &all[..3]);
        assert_eq!((slots.len(), slots.give_up(&promoter).len()), (3, 0));
        let again = slots.insert(feed("wx1/a", Feed::Touches), class, FeedStanding::Parked);
        assert!(!all.contains(&again) && slots.is_given_up(all[0]) && !slots.is_given_up(again));
        slots.free(all[0]);
        slots.free(again);
        assert_eq!(slots[again].promoter, promoter, "it was not given up");
        assert_eq!(slots.insert(feed("wx1/c", Feed::Touches), class, FeedStanding::Parked), all[0]);
    }

    #[test]
    fn a_feed_has_its_own_settings_however_many_have_the_same() {
        let mut slots = FeedSlots::default();
        let class = Intervals::default().join(IntervalBounds { every: MINUTE, idle_every: MINUTE });
        for key in ["wx1/a", "wx1/b"] {
            for of in Feed::ALL {
                let slot = slots.insert(feed(key, of), class, FeedStanding::Parked);
                assert_eq!((slots.settings(slot).lateness, slots[slot].feed), (of as i64, of));
            }
        }
        assert_eq!(slots.settings.len(), Feed::ALL.len());
    }

    #[test]
    fn a_feed_takes_sixty_four_bytes() {
        assert!(size_of::<Option<FeedSlot>>() <= 64, "{} bytes", size_of::<Option<FeedSlot>>());
    }
}
