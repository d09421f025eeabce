//! Whom an instance polls, short enough to be compared with others: a promoter that only one of two instances knows is
//! polled only while that one owns its partition.
//!
//! A roster is a set of pairs of a promoter and a feed. Its sketch is, for each of some buckets, the exclusive or of the
//! hashes that fall into it. Of two rosters that differ in a few pairs, most of these are alone in their bucket: the
//! exclusive or of the two sketches then *is* that pair's hash, and whoever knows the pair can name it.

use std::collections::BTreeSet;
use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use super::feed::Feed;
use super::promoter::Promoter;

const BUCKETS: usize = 16;
const HASH_BYTES: usize = 8;
/// Begins a note, so that another form can follow one day.
const VERSION: &str = "1";
/// How many promoters a difference names.
pub const NAMED_MAX: usize = 10;

type Visit = dyn Fn(&mut dyn FnMut(&Promoter, Feed)) + Send + Sync;

/// Which feeds of which promoters one instance polls, with the sketch by which it is compared with another's.
#[derive(Clone)]
pub struct Roster {
    /// Goes through all pairs: a list of its own would be as long as the configuration.
    each: Arc<Visit>,
    sketch: Sketch,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Sketch {
    pairs: u64,
    buckets: [u64; BUCKETS],
}

/// How the roster of another instance differs from the own.
#[derive(Debug, PartialEq, Eq)]
pub struct Difference {
    pub instance: String,
    /// Promoters that have a feed here and not there, as far as they can be told, [`NAMED_MAX`] at most.
    pub unknown_there: Vec<Promoter>,
    /// Of all promoters.
    pub feeds_here: u64,
    pub feeds_there: u64,
}

impl Roster {
    /// `each` goes through what is polled, each pair once.
    pub fn new(each: impl Fn(&mut dyn FnMut(&Promoter, Feed)) + Send + Sync + 'static) -> Roster {
        let mut sketch = Sketch::default();
        each(&mut |promoter, feed| sketch.add(hash(promoter, feed)));
        Roster { each: Arc::new(each), sketch }
    }

    /// A text of less than 400 bytes that says what `instance` polls. The name holds no white space.
    pub fn note(&self, instance: &str) -> String {
        let bytes: Vec<u8> = self.sketch.buckets.iter().flat_map(|bucket| bucket.to_be_bytes()).collect();
        format!("{VERSION} {instance} {} {}", self.sketch.pairs, BASE64_STANDARD.encode(bytes))
    }

    /// The instance that has written `note`; nothing where the text is no note.
    pub fn instance_of(note: &str) -> Option<&str> {
        read_note(note).map(|(instance, _)| instance)
    }

    /// How the roster in `note` differs; nothing where it doesn't, or the text is no note.
    pub fn difference(&self, note: &str) -> Option<Difference> {
        let (instance, theirs) = read_note(note)?;
        if theirs == self.sketch {
            return None;
        }
        let apart: Vec<u64> =
            self.sketch.buckets.iter().zip(theirs.buckets).map(|(ours, theirs)| ours ^ theirs).collect();
        let mut unknown_there = BTreeSet::new();
        (self.each)(&mut |promoter, feed| {
            let hash = hash(promoter, feed);
            if apart[bucket_of(hash)] == hash && unknown_there.len() < NAMED_MAX {
                unknown_there.insert(promoter.clone());
            }
        });
        Some(Difference {
            instance: instance.to_owned(),
            unknown_there: unknown_there.into_iter().collect(),
            feeds_here: self.sketch.pairs,
            feeds_there: theirs.pairs,
        })
    }
}

impl Sketch {
    fn add(&mut self, hash: u64) {
        self.pairs += 1;
        self.buckets[bucket_of(hash)] ^= hash;
    }
}

fn read_note(note: &str) -> Option<(&str, Sketch)> {
    let mut parts = note.split(' ');
    let (VERSION, instance, pairs, buckets) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?) else {
        return None;
    };
    let bytes = BASE64_STANDARD.decode(buckets).ok()?;
    let (hashes, []) = bytes.as_chunks::<HASH_BYTES>() else { return None };
    let hashes: Vec<u64> = hashes.iter().map(|bytes| u64::from_be_bytes(*bytes)).collect();
    Some((instance, Sketch { pairs: pairs.parse().ok()?, buckets: hashes.try_into().ok()? }))
}

fn hash(promoter: &Promoter, feed: Feed) -> u64 {
    let hash = blake3::hash(format!("{promoter}/{feed}").as_bytes());
    let (first, _) = hash.as_bytes().split_first_chunk::<HASH_BYTES>().expect("a hash has 32 bytes");
    u64::from_be_bytes(*first)
}

/// By the upper bits: the whole hash is what tells a pair in its bucket.
fn bucket_of(hash: u64) -> usize {
    (hash >> (u64::BITS - BUCKETS.ilog2())) as usize
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn promoter(number: usize) -> Promoter {
        Promoter::from_key(&format!("wx1/o{number}")).unwrap()
    }

    fn roster(promoters: impl IntoIterator<Item = usize>, feeds: &'static [Feed]) -> Roster {
        let promoters: Vec<Promoter> = promoters.into_iter().map(promoter).collect();
        Roster::new(move |visit| {
            for promoter in &promoters {
                feeds.iter().for_each(|feed| visit(promoter, *feed));
            }
        })
    }

    #[test]
    fn the_same_promoters_in_another_order_are_the_same_roster() {
        let note = roster((0..100).rev(), &Feed::ALL).note("two");
        assert!(note.len() < 400, "{}", note.len());
        assert_eq!(roster(0..100, &Feed::ALL).difference(&note), None);
    }

    #[test]
    fn a_promoter_that_only_one_knows_is_named_by_it_and_counted_by_the_other() {
        let (fewer, more) = (roster(0..999, &Feed::ALL), roster(0..1000, &Feed::ALL));
        let difference = more.difference(&fewer.note("two")).unwrap();
        assert_eq!((difference.instance.as_str(), difference.unknown_there), ("two", vec![promoter(999)]));
        let difference = fewer.difference(&more.note("one")).unwrap();
        assert_eq!((difference.instance.as_str(), difference.unknown_there), ("one", vec![]));
        assert_eq!((difference.feeds_here, difference.feeds_there), (2997, 3000));
    }

    #[test]
    fn a_feed_that_only_one_polls_is_a_difference() {
        let (fewer, more) = (roster(0..2, &[Feed::Touches]), roster(0..2, &[Feed::Touches, Feed::Orders]));
        assert_eq!(more.difference(&fewer.note("two")).unwrap().unknown_there, [promoter(0), promoter(1)]);
    }

    #[test]
    fn what_others_have_noted_is_no_roster() {
        for note in ["", "noted", "2 one 3 AAAA", "1 one x AAAA", "1 one 3 AAAA", "1 one 3 ?"] {
            assert_eq!(roster(0..3, &Feed::ALL).difference(note), None, "{note}");
        }
    }

    proptest! {
        #[test]
        fn only_promoters_that_the_other_does_not_know_are_named(
            ours in proptest::collection::btree_set(0..60_usize, 0..40),
            theirs in proptest::collection::btree_set(0..60_usize, 0..40),
        ) {
            let difference = roster(ours.clone(), &Feed::ALL).difference(&roster(theirs.clone(), &Feed::ALL).note("two"));
            prop_assert_eq!(difference.is_none(), ours == theirs);
            for named in difference.into_iter().flat_map(|difference| difference.unknown_there) {
                prop_assert!(ours.difference(&theirs).any(|number| promoter(*number) == named));
            }
        }
    }
}
