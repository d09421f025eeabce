//! One shard's partition as it is followed: what stands in it, up to where it ended when it was asked, and what comes later.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use crate::registry::compacted_events::CompactedEvents;
use crate::registry::event::{EventBurst, RegistryEvent};

/// How many later events wait for whoever takes them; behind that many the partition is read no further.
pub(super) const LATER_MAX: usize = 1000;
/// Likewise of the raw bytes of what can't be read.
const LATER_RAW_BYTES_MAX: usize = 1024 * 1024;
/// Events that come this much apart are given out apart, each with its own time. Times of facts are whole seconds.
const BURST_MAX: Duration = Duration::from_secs(1);

pub(super) struct FollowedShard {
    /// The least offset that may come.
    next: i64,
    /// Until what stands there is read.
    reading: Option<InitialReading>,
    later: VecDeque<EventBurst>,
    later_count: usize,
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
        FollowedShard { next: beginning, reading, later: VecDeque::new(), later_count: 0, later_raw_bytes: 0 }
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
        self.later_count < LATER_MAX && self.later_raw_bytes < LATER_RAW_BYTES_MAX
    }

    /// Takes the event of the record at `offset`.
    pub fn take(&mut self, offset: i64, event: RegistryEvent) {
        self.next = offset + 1;
        match &mut self.reading {
            Some(reading) => reading.events.take(event),
            None => {
                self.later_count += 1;
                self.later_raw_bytes += event.raw_bytes();
                self.came_later(event);
            }
        }
    }

    fn came_later(&mut self, event: RegistryEvent) {
        match self.later.back_mut() {
            Some(burst) if burst.received.elapsed() < BURST_MAX => burst.events.push(event),
            _ => self.later.push_back(EventBurst { received: Instant::now(), events: vec![event] }),
        }
    }

    pub fn has_later(&self) -> bool {
        !self.later.is_empty()
    }

    /// The first of what has come and was not asked for yet.
    pub fn later(&mut self) -> Option<EventBurst> {
        let burst = self.later.pop_front()?;
        self.later_count -= burst.events.len();
        self.later_raw_bytes -= burst.events.iter().map(RegistryEvent::raw_bytes).sum::<usize>();
        Some(burst)
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
        let later = shard.later().map(|burst| burst.events);
        assert_eq!((shard.next(), later, shard.has_later()), (8, Some(vec![said(7)]), false));
    }

    #[tokio::test(start_paused = true)]
    async fn what_comes_at_other_times_is_given_out_apart_with_the_time_when_it_came() {
        let (mut shard, began) = (FollowedShard::new(0, 0), Instant::now());
        shard.finished_at(0);
        for (offset, millis) in [(0, 0), (1, 999), (2, 1000), (3, 60_000)] {
            tokio::time::sleep_until(began + Duration::from_millis(millis)).await;
            shard.take(offset, said(offset));
        }
        let mut bursts = std::iter::from_fn(|| shard.later()).map(|burst| {
            let offsets = burst.events.len();
            ((burst.received - began).as_millis(), offsets)
        });
        assert_eq!(bursts.by_ref().collect::<Vec<_>>(), [(0, 2), (1000, 1), (60_000, 1)]);
        assert!(!shard.has_later());
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
