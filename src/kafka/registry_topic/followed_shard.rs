//! One shard's partition as it is followed: what stands in it, up to where it ended when it was asked, and what comes later.

use crate::registry::compacted_events::CompactedEvents;
use crate::registry::event::RegistryEvent;

/// How many later events wait for whoever takes them; behind that many the partition is read no further.
pub(super) const LATER_MAX: usize = 1000;
/// Likewise of the raw bytes of what can't be read.
const LATER_RAW_BYTES_MAX: usize = 1024 * 1024;

pub(super) struct FollowedShard {
    /// The least offset that may come.
    next: i64,
    /// Until what stands there is read.
    reading: Option<InitialReading>,
    later: Vec<RegistryEvent>,
    later_raw_bytes: usize,
}

struct InitialReading {
    events: CompactedEvents,
    /// The first offset that is no part of it.
    end: i64,
}

impl FollowedShard {
    /// Of a partition that begins at `beginning` and ends at `end`, as a read_committed client sees it.
    pub fn new(beginning: i64, end: i64) -> FollowedShard {
        let reading = Some(InitialReading { events: CompactedEvents::default(), end });
        FollowedShard { next: beginning, reading, later: Vec::new(), later_raw_bytes: 0 }
    }

    pub fn next(&self) -> i64 {
        self.next
    }

    /// From here on any offset may come. What has been read stays read.
    pub fn begin_anew(&mut self) {
        self.next = 0;
    }

    pub fn is_reading(&self) -> bool {
        self.reading.is_some()
    }

    /// What stands there, once everything below `position` has been taken or holds no record, and that is all of it.
    pub fn finished_at(&mut self, position: i64) -> Option<Vec<RegistryEvent>> {
        let finished = self.reading.take_if(|reading| position >= reading.end)?;
        Some(finished.events.into_events())
    }

    /// Whether an event may be taken.
    pub fn has_room(&self) -> bool {
        self.later.len() < LATER_MAX && self.later_raw_bytes < LATER_RAW_BYTES_MAX
    }

    /// Takes the event of the record at `offset`.
    pub fn take(&mut self, offset: i64, event: RegistryEvent) {
        self.next = offset + 1;
        match &mut self.reading {
            Some(reading) => reading.events.take(event),
            None => {
                self.later_raw_bytes += event.raw_bytes();
                self.later.push(event);
            }
        }
    }

    pub fn has_later(&self) -> bool {
        !self.later.is_empty()
    }

    /// What has come since it was asked last.
    pub fn later(&mut self) -> Vec<RegistryEvent> {
        self.later_raw_bytes = 0;
        std::mem::take(&mut self.later)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::promoter::Promoter;
    use crate::registry::record::RegistryContent;

    fn said(offset: i64) -> RegistryEvent {
        let promoter = Promoter::from_key(&format!("wx1/o{offset}")).unwrap();
        RegistryEvent::Said { promoter, content: RegistryContent::Record(None) }
    }

    #[test]
    fn what_stands_there_ends_where_it_ended_and_the_rest_comes_later() {
        let mut shard = FollowedShard::new(3, 6);
        assert!(shard.finished_at(shard.next()).is_none() && !shard.has_later());
        for offset in [3, 4] {
            shard.take(offset, said(offset));
            assert!(shard.finished_at(offset + 1).is_none());
        }
        // The record at 5 is gone, or was aborted.
        assert_eq!(shard.finished_at(7), Some(vec![said(3), said(4)]));
        assert!(!shard.is_reading() && shard.finished_at(8).is_none());
        shard.take(7, said(7));
        assert_eq!((shard.next(), shard.later(), shard.has_later()), (8, vec![said(7)], false));
    }

    #[test]
    fn an_empty_partition_is_read_at_once() {
        assert_eq!(FollowedShard::new(9, 9).finished_at(9), Some(Vec::new()));
    }

    #[test]
    fn what_comes_later_waits_in_a_bounded_room_and_what_stands_there_does_not() {
        let most = i64::try_from(LATER_MAX).unwrap();
        let mut shard = FollowedShard::new(0, 2 * most);
        (0..2 * most).for_each(|offset| shard.take(offset, said(offset)));
        assert!(shard.has_room());
        shard.finished_at(2 * most);
        (0..most).for_each(|offset| shard.take(2 * most + offset, said(offset)));
        assert!(!shard.has_room());
        shard.later();
        assert!(shard.has_room());
    }
}
