//! What stands in one partition of the registry, as its records are read one after the other.

use std::collections::HashMap;
use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use super::event::RegistryEvent;
use super::record::RegistryKey;
use super::registered_since::RegisteredSince;
use crate::model::promoter::Promoter;

/// What all dead letters may hold together, in bytes: those beyond it tell the length and the hash of theirs alone.
const RAW_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The last that was said under each key, with what tells since when that holds, and each record that can't be read.
///
/// A record that can't be read changes nothing, so it does not take the place of what was said before it under its key. And
/// it is kept when its key is written again: somebody has to be told of it.
#[derive(Default)]
pub struct CompactedEvents {
    events: Vec<RegistryEvent>,
    /// Where each key stands among the events.
    places: HashTable<usize>,
    /// By place, of promoters of whom more was said before: what their times are told by.
    earlier: HashMap<usize, EarlierRecords>,
    hasher: RandomState,
    raw_bytes: usize,
}

impl CompactedEvents {
    pub fn take(&mut self, event: RegistryEvent) {
        let CompactedEvents { events, places, earlier, hasher, raw_bytes } = self;
        let Some(key) = event.key() else {
            let event = event.cut_to(RAW_BYTES_MAX - *raw_bytes);
            *raw_bytes += event.raw_bytes();
            return events.push(event);
        };
        let hash = |key: Option<(&Promoter, RegistryKey)>| hasher.hash_one(key);
        let found = places.find(hash(Some(key)), |&place| events[place].key() == Some(key)).copied();
        match found {
            Some(place) => {
                let before = std::mem::replace(&mut events[place], event);
                EarlierRecords::keep(earlier, place, before, &events[place]);
            }
            None => {
                places.insert_unique(hash(Some(key)), events.len(), |&place| hash(events[place].key()));
                events.push(event);
            }
        }
    }

    pub fn into_events(self) -> Vec<RegistryEvent> {
        let CompactedEvents { events, mut earlier, .. } = self;
        if earlier.is_empty() {
            return events;
        }
        let with_earlier = events.into_iter().enumerate().flat_map(|(place, last)| {
            let EarlierRecords(records) = earlier.remove(&place).unwrap_or_default();
            records.into_iter().chain([last])
        });
        with_earlier.collect()
    }
}

/// What was said of a promoter before the last, since he was not registered: as few records as tell with the last one what all do.
///
/// What has been told of his times is all that a later record builds upon, so whatever comes then tells the same, too.
#[derive(Default)]
struct EarlierRecords(Vec<RegistryEvent>);

impl EarlierRecords {
    /// Keeps what is still to be told of `before`, whose place `last` has taken.
    fn keep(all: &mut HashMap<usize, EarlierRecords>, place: usize, before: RegistryEvent, last: &RegistryEvent) {
        if before.registering().is_none() || last.registering().is_none() {
            // A tombstone, or what is no record of a promoter's own.
            all.remove(&place);
            return;
        }
        let EarlierRecords(records) = all.entry(place).or_default();
        records.push(before);
        let told = since(records.iter().chain([last]));
        let mut index = 0;
        while index < records.len() {
            let (earlier, later) = (&records[..index], &records[index + 1..]);
            if since(earlier.iter().chain(later).chain([last])) == told {
                records.remove(index);
            } else {
                index += 1;
            }
        }
    }
}

/// Since when a promoter is registered by all of these records.
fn since<'a>(records: impl Iterator<Item = &'a RegistryEvent>) -> Option<RegisteredSince> {
    let records = records.filter_map(RegistryEvent::registering);
    records.fold(None, |since, record| Some(RegisteredSince::by(since, record.updated_at, record.feeds)))
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::subsequence;

    use super::*;
    use crate::model::dead_letter::{DeadLetter, Origin};
    use crate::model::feed::Feed;
    use crate::model::time::UnixMillis;
    use crate::registry::discovered::DiscoveredPromoter;
    use crate::registry::record::{PromoterRecord, RegistryContent};
    use crate::registry::table::PromoterTable;

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
        let paused =
            || Some(PromoterRecord { paused: true, updated_at: UnixMillis(1000), ..PromoterRecord::default() });
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
        let expected = [
            said("o1", None),
            said("o2", registered()),
            said("o2", paused()),
            unreadable(2, 1),
            discovered("o1"),
            unreadable(5, 1),
        ];
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

    const TOUCHES: &[Feed] = &[Feed::Touches];
    const WITH_ORDERS: &[Feed] = &[Feed::Touches, Feed::Orders];
    const ALL: &[Feed] = &[];

    /// Since when each feed is asked for by records that were written at these seconds, with these feeds; nothing is a tombstone.
    fn times(records: &[Option<(i64, &[Feed])>]) -> [i64; 3] {
        let record = |(seconds, feeds): (i64, &[Feed])| PromoterRecord {
            feeds: feeds.iter().copied().collect(),
            updated_at: UnixMillis(seconds * 1000),
            ..PromoterRecord::default()
        };
        let events = || records.iter().map(|written| said("o1", written.map(record)));
        let times = |events: Vec<RegistryEvent>| {
            let mut table = PromoterTable::default();
            for event in events {
                let RegistryEvent::Said { promoter, content } = event else { unreachable!() };
                table.apply(&promoter, content.update().unwrap());
            }
            let merged = table.get(&Promoter::from_key("wx1/o1").unwrap())?;
            let since = merged.registered?;
            Some((Feed::ALL.map(|feed| since.of_feed(feed).0), since.updated_at()))
        };
        let whole = times(events().collect());
        assert_eq!(times(compacted(events())), whole, "as where each is read by itself");
        whole.map_or([0; 3], |(of_feeds, _)| of_feeds)
    }

    #[test]
    fn since_when_a_feed_is_asked_for_is_told_whatever_is_said_of_its_promoter_later() {
        let (touches, more) = (|at| Some((at, TOUCHES)), |at| Some((at, WITH_ORDERS)));
        let (orders, all) = (|at| Some((at, &[Feed::Orders][..])), |at| Some((at, ALL)));
        for (records, expected) in [
            (&[touches(5)][..], [5, 5, 5]),
            (&[touches(5), touches(9), touches(12)], [5, 12, 12]),
            (&[touches(5), more(9)], [5, 9, 9]),
            (&[touches(5), touches(7), more(9), more(12), more(15)], [5, 9, 9]),
            // Each feed has its own.
            (&[touches(5), more(9), all(12)], [5, 9, 9]),
            (&[touches(5), more(9), all(12), all(20)], [5, 9, 9]),
            // One that was not asked for in between had begun before.
            (&[touches(5), orders(9), touches(12), all(20), touches(30)], [5, 9, 9]),
            (&[all(5), touches(7), more(9)], [5, 5, 5]),
            // Orders meet refunds.
            (&[orders(5), all(9), all(12)], [9, 5, 5]),
            (&[touches(5), orders(9), all(12), touches(15)], [5, 9, 9]),
            (&[all(5), touches(3000), more(4000), touches(4500)], [5, 5, 5]),
            // A clock that was ahead, and what an old record says.
            (&[all(600), touches(5), touches(900)], [5, 600, 600]),
            (&[all(9000), touches(5), touches(9010)], [9000, 9000, 9000]),
            // The latest time is neither the first's nor the last's.
            (&[all(0), all(5400), all(-1200)], [-1200, -1200, -1200]),
            (&[all(0), all(50_000), all(-7200)], [0, 0, 0]),
            (&[touches(5), None, touches(9), touches(12)], [9, 12, 12]),
            (&[more(5), touches(6), None, touches(9), more(12)], [9, 12, 12]),
        ] {
            assert_eq!(times(records), expected, "{records:?}");
        }
    }

    #[test]
    fn of_what_was_said_of_a_promoter_no_more_is_kept_than_his_feeds_need() {
        let record = |number| {
            let feeds: &[Feed] = [&[Feed::Refunds], TOUCHES, &[Feed::Orders], ALL][number % 4usize];
            let (feeds, updated_at) = (feeds.iter().copied().collect(), UnixMillis(1000 * number as i64));
            said("o1", Some(PromoterRecord { feeds, updated_at, ..PromoterRecord::default() }))
        };
        assert_eq!(compacted((0..10_000).map(record)).len(), Feed::ALL.len() + 1, "and the last");
    }

    proptest! {
        #[test]
        fn what_is_kept_tells_the_same_times_as_all_records(
            chain in vec((prop::bool::weighted(0.9), -20_000..20_000_i64, subsequence(Feed::ALL.to_vec(), 0..=3)), 1..12)
        ) {
            let chain: Vec<_> = chain.iter().map(|(is_record, at, feeds)| is_record.then_some((*at, &feeds[..]))).collect();
            times(&chain);
        }
    }
}
