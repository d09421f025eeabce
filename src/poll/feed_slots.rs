//! The feeds that a scheduler polls: each in a slot whose number the queues know, and found by its promoter.
//!
//! There may be millions of them, so nothing stands twice that many have in common: a promoter once for his feeds, and settings
//! once for all that have the same.

use std::collections::HashSet;
use std::hash::BuildHasher;
use std::ops::{Index, IndexMut};
use std::time::Duration;

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use smallvec::SmallVec;

use super::blocks::Blocks;
use super::freshness::FeedStanding;
use super::polled_feeds::{FeedSettings, PolledFeed};
use crate::model::feed::{Feed, PerFeed};
use crate::model::pacing::intervals::RateClass;
use crate::model::pacing::{Pacing, PollSettings};
use crate::model::promoter::Promoter;
use crate::model::pull::Pull;
use crate::model::time::UnixTime;

/// The number of a slot: that of its promoter, and behind it the feed.
pub(super) type SlotNumber = u32;

const FEEDS: u32 = Feed::ALL.len() as u32;

/// The slots of one promoter, one for each feed.
pub(super) type PromoterSlots = SmallVec<[SlotNumber; Feed::ALL.len()]>;

/// The feed that has a slot of that number.
pub(super) fn feed_of(slot: SlotNumber) -> Feed {
    Feed::ALL[slot as usize % Feed::ALL.len()]
}

/// A feed that is given up keeps its slot, which nobody else can take, until the queues have let go of it too.
#[derive(Default)]
pub(super) struct FeedSlots {
    promoters: Blocks<PromoterFeeds>,
    /// Those that feeds have.
    settings: Vec<FeedSettings>,
    /// The number of each promoter that is polled, by the hash of his key, which stands with his feeds: a map would hold it once
    /// more.
    by_promoter: HashTable<u32>,
    polled: usize,
    hasher: RandomState,
    given_up: HashSet<SlotNumber>,
}

/// A promoter whose feeds are polled, or were given up.
struct PromoterFeeds {
    promoter: Promoter,
    feeds: PerFeed<Option<FeedSlot>>,
}

/// One feed of one promoter.
pub(super) struct FeedSlot {
    pub pacing: Pacing,
    /// Where the queue of its interface counts it.
    pub class: RateClass,
    pub standing: FeedStanding,
    /// Where its settings stand.
    settings: u8,
}

impl FeedSlots {
    /// # Panics
    /// Where the promoter's feed is polled already, or there are more than 256 settings in all.
    pub fn insert(&mut self, feed: PolledFeed, class: RateClass, standing: FeedStanding) -> SlotNumber {
        let PolledFeed { promoter, feed, settings, pacing, begins: _ } = feed;
        let settings = self.settings_number(settings);
        let number = self.number(&promoter).unwrap_or_else(|| self.insert_promoter(promoter));
        let slot = FeedSlot { pacing, class, standing, settings };
        let before = self.promoters[number].feeds[feed].replace(slot);
        assert!(before.is_none(), "nobody adds a feed that is polled already");
        self.polled += 1;
        slot_number(number, feed)
    }

    fn insert_promoter(&mut self, promoter: Promoter) -> u32 {
        let hash = self.hasher.hash_one(&promoter);
        let number = self.promoters.insert(PromoterFeeds { promoter, feeds: PerFeed::default() });
        let (promoters, hasher) = (&self.promoters, &self.hasher);
        self.by_promoter.insert_unique(hash, number, |number| hasher.hash_one(&promoters[*number].promoter));
        number
    }

    /// That of a promoter who is polled.
    fn number(&self, promoter: &Promoter) -> Option<u32> {
        let hash = self.hasher.hash_one(promoter);
        self.by_promoter.find(hash, |number| self.promoters[*number].promoter == *promoter).copied()
    }

    pub fn promoter(&self, slot: SlotNumber) -> &Promoter {
        &self.promoters[promoter_number(slot)].promoter
    }

    fn settings_number(&mut self, settings: FeedSettings) -> u8 {
        let known = self.settings.iter().position(|known| *known == settings);
        let number = known.unwrap_or_else(|| {
            self.settings.push(settings);
            self.settings.len() - 1
        });
        u8::try_from(number).expect("there are 256 settings at most, as `insert` demands")
    }

    pub fn settings(&self, slot: SlotNumber) -> PollSettings {
        self.settings_of(&self[slot]).poll
    }

    fn settings_of(&self, slot: &FeedSlot) -> FeedSettings {
        self.settings[usize::from(slot.settings)]
    }

    /// As [`FeedSettings::begin_pull`] says.
    pub fn begin_pull(&self, slot: SlotNumber, now: (UnixTime, Duration), bound: UnixTime) -> Pull {
        let settings = self.settings_of(&self[slot]);
        settings.begin_pull(self.promoter(slot), feed_of(slot), &self[slot].pacing, now, bound)
    }

    /// Gives up all feeds of a promoter.
    pub fn give_up(&mut self, promoter: &Promoter) -> PromoterSlots {
        let given_up = self.of(promoter);
        let hash = self.hasher.hash_one(promoter);
        let is_his = |number: &u32| self.promoters[*number].promoter == *promoter;
        if let Ok(found) = self.by_promoter.find_entry(hash, is_his) {
            found.remove();
        }
        self.polled -= given_up.len();
        self.given_up.extend(&given_up);
        given_up
    }

    /// Of one promoter, in the order of the feeds.
    pub fn of(&self, promoter: &Promoter) -> PromoterSlots {
        self.number(promoter).into_iter().flat_map(|number| self.slots_of(number)).collect()
    }

    fn slots_of(&self, number: u32) -> impl Iterator<Item = SlotNumber> {
        let feeds = Feed::ALL.into_iter().filter(move |feed| self.promoters[number].feeds[*feed].is_some());
        feeds.map(move |feed| slot_number(number, feed))
    }

    /// Those that are polled, in the order of their slots, from one on.
    pub fn polled_from(&self, from: SlotNumber) -> impl Iterator<Item = SlotNumber> {
        let slots = self.promoters.numbers_from(promoter_number(from)).flat_map(|number| self.slots_of(number));
        slots.filter(move |slot| *slot >= from && !self.is_given_up(*slot))
    }

    pub fn is_given_up(&self, slot: SlotNumber) -> bool {
        self.given_up.contains(&slot)
    }

    /// Frees the slot of a feed that was given up: no queue knows it any more.
    pub fn free(&mut self, slot: SlotNumber) {
        if !self.given_up.remove(&slot) {
            return;
        }
        let number = promoter_number(slot);
        let feeds = &mut self.promoters[number].feeds;
        feeds[feed_of(slot)] = None;
        if feeds.values().all(Option::is_none) {
            self.promoters.remove(number);
        }
    }

    /// How many are polled.
    pub fn len(&self) -> usize {
        self.polled
    }
}

fn slot_number(promoter: u32, feed: Feed) -> SlotNumber {
    promoter * FEEDS + feed as u32
}

fn promoter_number(slot: SlotNumber) -> u32 {
    slot / FEEDS
}

impl Index<SlotNumber> for FeedSlots {
    type Output = FeedSlot;

    fn index(&self, slot: SlotNumber) -> &FeedSlot {
        let feed = &self.promoters[promoter_number(slot)].feeds[feed_of(slot)];
        feed.as_ref().expect("only slots of feeds that are there are asked for")
    }
}

impl IndexMut<SlotNumber> for FeedSlots {
    fn index_mut(&mut self, slot: SlotNumber) -> &mut FeedSlot {
        let feed = &mut self.promoters[promoter_number(slot)].feeds[feed_of(slot)];
        feed.as_mut().expect("only slots of feeds that are there are asked for")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::cursor::Cursor;
    use crate::model::pacing::intervals::{IntervalBounds, Intervals};

    const MINUTE: Duration = Duration::from_secs(60);

    fn feed(key: &str, feed: Feed) -> PolledFeed {
        let poll = PollSettings { every: MINUTE, idle_every: MINUTE, lateness: feed as i64 };
        let settings = FeedSettings { poll, refunds_lateness: None };
        let pacing = Pacing::new(Cursor::begin(feed, UnixTime(0)));
        PolledFeed { promoter: Promoter::from_key(key).unwrap(), feed, settings, pacing, begins: false }
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
        slots.free(again);
        assert_eq!(slots.promoter(again), &promoter, "it was not given up");
        slots.free(all[0]);
        let other = slots.insert(feed("wx1/c", Feed::Touches), class, FeedStanding::Parked);
        assert!(!all.contains(&other) && slots.is_given_up(all[2]));
        all[1..3].iter().for_each(|slot| slots.free(*slot));
        assert_eq!(slots.insert(feed("wx1/d", Feed::Touches), class, FeedStanding::Parked), all[0]);
    }

    #[test]
    fn all_that_are_polled_are_gone_through_from_any_of_them_on() {
        let mut slots = FeedSlots::default();
        let class = Intervals::default().join(IntervalBounds { every: MINUTE, idle_every: MINUTE });
        let mut all = Vec::new();
        for (key, of) in
            [("wx1/a", Feed::Orders), ("wx1/b", Feed::Touches), ("wx1/b", Feed::Refunds), ("wx1/c", Feed::Orders)]
        {
            let slot = slots.insert(feed(key, of), class, FeedStanding::Parked);
            assert_eq!((feed_of(slot), slots.promoter(slot).key()), (of, key));
            all.push(slot);
        }
        slots.give_up(&Promoter::from_key("wx1/c").unwrap());
        for from in 0..3 {
            assert!(slots.polled_from(all[from]).eq(all[from..3].iter().copied()));
        }
    }

    #[test]
    fn a_feed_has_its_own_settings_however_many_have_the_same() {
        let mut slots = FeedSlots::default();
        let class = Intervals::default().join(IntervalBounds { every: MINUTE, idle_every: MINUTE });
        for key in ["wx1/a", "wx1/b"] {
            for of in Feed::ALL {
                let slot = slots.insert(feed(key, of), class, FeedStanding::Parked);
                assert_eq!((slots.settings(slot).lateness, feed_of(slot)), (of as i64, of));
            }
        }
        assert_eq!(slots.settings.len(), Feed::ALL.len());
    }

    #[test]
    fn a_promoter_with_three_feeds_takes_a_hundred_and_twenty_eight_bytes() {
        assert!(size_of::<Option<PromoterFeeds>>() <= 128, "{} bytes", size_of::<Option<PromoterFeeds>>());
    }
}
