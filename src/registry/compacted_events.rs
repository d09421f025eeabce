//! What stands in one partition of the registry, as its records are read one after the other.

use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use super::event::RegistryEvent;
use super::record::RegistryKey;
use crate::model::promoter::Promoter;

/// What all dead letters may hold together, in bytes: those beyond it tell the length and the hash of theirs alone.
const RAW_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The last that was said under each key, and each record that can't be read.
///
/// A record that can't be read changes nothing, so it does not take the place of what was said before it under its key. And
/// it is kept when its key is written again: somebody has to be told of it.
#[derive(Default)]
pub struct CompactedEvents {
    events: Vec<RegistryEvent>,
    /// Where each key stands among the events.
    places: HashTable<usize>,
    hasher: RandomState,
    raw_bytes: usize,
}

impl CompactedEvents {
    pub fn take(&mut self, event: RegistryEvent) {
        let CompactedEvents { events, places, hasher, raw_bytes } = self;
        let Some(key) = event.key() else {
            let event = event.cut_to(RAW_BYTES_MAX - *raw_bytes);
            *raw_bytes += event.raw_bytes();
            return events.push(event);
        };
        let hash = |key: Option<(&Promoter, RegistryKey)>| hasher.hash_one(key);
        let found = places.find(hash(Some(key)), |&place| events[place].key() == Some(key)).copied();
        match found {
            Some(place) => events[place] = event,
            None => {
                places.insert_unique(hash(Some(key)), events.len(), |&place| hash(events[place].key()));
                events.push(event);
            }
        }
    }

    pub fn into_events(self) -> Vec<RegistryEvent> {
        self.events
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::dead_letter::{DeadLetter, Origin};
    use crate::model::time::UnixMillis;
    use crate::registry::discovered::DiscoveredPromoter;
    use crate::registry::record::{PromoterRecord, RegistryContent};

    fn said(id: &str, record: Option<PromoterRecord>) -> RegistryEvent {
        let promoter = Promoter::from_key(&format!("wx1/{id}")).unwrap();
        RegistryEvent::Said { promoter, content: RegistryContent::Record(record) }
    }

    fn discovered(id: &str) -> RegistryEvent {
        let promoter = Promoter::from_key(&format!("wx1/{id}")).unwrap();
        RegistryEvent::Said { promoter, content: RegistryContent::Discovery(Some(DiscoveredPromoter::default())) }
    }

    fn unreadable(offset: i64, bytes: usize) -> RegistryEvent {
        let origin = Origin { topic: "registry".into(), partition: 0, offset };
        let raw = vec![b'?'; bytes].into_boxed_slice();
        let letter = DeadLetter::of_registration(origin, None, "not_avro", "?".into(), raw, UnixMillis(0));
        RegistryEvent::Unreadable { offset, letter: Box::new(letter) }
    }

    fn compacted(events: impl IntoIterator<Item = RegistryEvent>) -> Vec<RegistryEvent> {
        let mut compacted = CompactedEvents::default();
        events.into_iter().for_each(|event| compacted.take(event));
        compacted.into_events()
    }

    #[test]
    fn of_what_was_said_of_a_promoter_the_last_counts_and_what_cannot_be_read_takes_no_place() {
        let paused = || Some(PromoterRecord { paused: true, ..PromoterRecord::default() });
        let registered = || Some(PromoterRecord::default());
        let events = [
            said("o1", registered()),
            said("o2", registered()),
            unreadable(2, 1),
            discovered("o1"),
            said("o1", None),
            said("o2", paused()),
            unreadable(5, 1),
        ];
        let expected = [said("o1", None), said("o2", paused()), unreadable(2, 1), discovered("o1"), unreadable(5, 1)];
        assert_eq!(compacted(events), expected);
    }

    #[test]
    fn promoters_are_told_apart_however_many_there_are() {
        let promoters = || (0..10_000).map(|number| said(&number.to_string(), None));
        assert_eq!(compacted(promoters().chain(promoters())).len(), 10_000);
    }

    #[test]
    fn what_cannot_be_read_is_bounded_in_bytes_and_no_record_is_left_out() {
        let letters = compacted((0..100).map(|offset| unreadable(offset, 512 * 1024)));
        assert_eq!(letters.iter().map(RegistryEvent::raw_bytes).sum::<usize>(), RAW_BYTES_MAX);
        assert_eq!(letters.len(), 100);
    }
}
