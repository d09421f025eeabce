//! The backfills of one app: which of its feeds wait for slower ones.
//!
//! They are those of one instance, over all its shards: of the cursors of others it knows nothing.

use std::time::Duration;

use super::feed_slots::{SlotNumber, feed_of};
use super::outcome::PollError;
use crate::model::feed::{Feed, Interface, PerFeed};
use crate::model::pacing::PollSettings;
use crate::model::pacing::catch_up::CatchUp;
use crate::model::scope::settled;
use crate::model::time::UnixTime;
use crate::upstream::error::CallError;

pub(super) struct CatchingUp {
    groups: PerFeed<CatchUp<SlotNumber>>,
}

impl CatchingUp {
    /// Cursors keep within `spread` of each other, which is rounded down to seconds.
    pub fn new(spread: Duration) -> CatchingUp {
        CatchingUp { groups: PerFeed::new(|feed| CatchUp::new(feed, spread)) }
    }

    pub fn add(&mut self, slot: SlotNumber, complete_before: UnixTime, settings: PollSettings, now: UnixTime) {
        let feed = feed_of(slot);
        self.groups[feed].meet(slot, complete_before, settled(feed, settings.lateness, now));
    }

    /// Until when the next pull of a feed may read; nothing where it has to wait until [`CatchingUp::let_go`] gives it.
    pub fn bound(
        &mut self,
        slot: SlotNumber,
        complete_before: UnixTime,
        settings: PollSettings,
        now: UnixTime,
    ) -> Option<UnixTime> {
        self.add(slot, complete_before, settings, now);
        self.groups[feed_of(slot)].bound(slot)
    }

    /// A pull was read to its end, which has moved the cursor to `complete_before` or left it there. It began at `as_of`.
    pub fn read(&mut self, slot: SlotNumber, complete_before: UnixTime, settings: PollSettings, as_of: UnixTime) {
        let feed = feed_of(slot);
        self.groups[feed].read(slot, complete_before, settled(feed, settings.lateness, as_of));
    }

    pub fn failed(&mut self, slot: SlotNumber, error: &PollError) {
        let group = &mut self.groups[feed_of(slot)];
        match error {
            // Of the feed itself that says nothing: an open breaker holds up the whole group.
            PollError::Closed(_)
            | PollError::Call(CallError::Cancelled | CallError::BreakerOpen { by_response: false, .. }) => {}
            PollError::Call(CallError::ParkPromoter(_)) => group.stand_still(slot),
            PollError::Pages(_) | PollError::Call(_) => group.in_vain(slot),
        }
    }

    /// A feed is polled no more. True where it waited, so that no queue has it.
    pub fn leave(&mut self, slot: SlotNumber) -> bool {
        self.groups[feed_of(slot)].leave(slot)
    }

    /// One that need not wait any more, and the interface that it is polled by.
    pub fn let_go(&mut self) -> Option<(SlotNumber, Interface)> {
        Feed::ALL.into_iter().find_map(|feed| Some((self.groups[feed].let_go()?, feed.interface())))
    }

    /// How many feeds are far behind.
    pub fn feeds(&self) -> usize {
        self.groups.values().map(CatchUp::members).sum()
    }

    /// How many of them wait.
    pub fn held_back(&self) -> usize {
        self.groups.values().map(CatchUp::held_back).sum()
    }
}
