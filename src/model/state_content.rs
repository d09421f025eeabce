//! What a reading of the state topic brings: the state, the fences, and what does not belong there.
//!
//! Of each key only the last record counts, as after compaction. So whatever somebody has written into the topic is
//! healed by a tombstone under its key.
//!
//! | record | is |
//! |---|---|
//! | a key of no record of the connector | skipped, and told |
//! | a key of the connector in a partition where nobody looks for it | skipped, and told |
//! | a key of the connector with a value that can't be read | a reason to stop: what it knew may be published twice |
//! | a key of the other pipeline (`answered/…`) | skipped |

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use super::fence::{Conflict, Fence, FoundFence};
use super::promoter::Promoter;
use super::state::State;
use super::state_record::{StateKey, StateValue, UnreadableState};

/// How many records of a partition that don't belong there are kept apart. A topic with more of them is something else.
pub const STRAYS_MAX: usize = 1000;
/// How many more are noted, so that tombstones heal them too.
const MORE_STRAYS_MAX: usize = 100_000;

/// How far the requests for material are answered: records of the pipeline that answers them.
const OTHER_PIPELINE: &[u8] = b"answered/";

/// Where a record stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StatePlace {
    pub partition: i32,
    pub offset: i64,
}

/// A record that doesn't belong there, the last one under its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stray {
    pub place: StatePlace,
    pub fault: StrayFault,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StrayFault {
    #[error("the key is not one of a state record")]
    Key,
    #[error("the promoter belongs to partition {0}")]
    Partition(i32),
    #[error(transparent)]
    Value(UnreadableState),
}

/// Why the topic can't be used, and the place of the record that says so.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    #[error("partition {} offset {}: {conflict}", place.partition, place.offset)]
    Conflict { place: StatePlace, conflict: Conflict },
    #[error(
        "the record at partition {} offset {} can't be used: {fault}. Somebody else has written it; a tombstone under its \
         key takes it away, and with it what the connector knew under that key",
        place.partition,
        place.offset
    )]
    Damaged { place: StatePlace, fault: UnreadableState },
    #[error("more than {STRAYS_MAX} records of a partition are not the connector's; is it the right topic?")]
    NotTheState,
}

pub struct StateContent {
    state: State,
    /// By partition and connector, with the place of each.
    fences: BTreeMap<(i32, String), (StatePlace, FoundFence)>,
    /// By partition and connector: those whose last record is a tombstone.
    fences_taken_away: BTreeSet<(i32, String)>,
    /// By partition and key.
    strays: BTreeMap<i32, HashMap<Vec<u8>, Stray>>,
    /// Hashes of the keys that are not kept, up to as many as are noted; behind that nothing heals.
    more_strays: HashSet<u64>,
    /// The partition that a promoter belongs to.
    home: Box<dyn Fn(&Promoter) -> i32 + Send>,
    /// Whether only the fences are wanted.
    fences_only: bool,
}

impl StateContent {
    /// Of partitions whose state is wanted; `home` tells the one that a promoter belongs to.
    pub fn new(home: impl Fn(&Promoter) -> i32 + Send + 'static) -> StateContent {
        StateContent {
            state: State::default(),
            fences: BTreeMap::new(),
            fences_taken_away: BTreeSet::new(),
            strays: BTreeMap::new(),
            more_strays: HashSet::new(),
            home: Box::new(home),
            fences_only: false,
        }
    }

    /// Of partitions that somebody else owns.
    pub fn fences_only() -> StateContent {
        StateContent { fences_only: true, ..StateContent::new(|_| 0) }
    }

    /// Takes a record; those of one partition come in their order.
    pub fn take(&mut self, place: StatePlace, key: &[u8], value: Option<&[u8]>) {
        if let Some(connector) = Fence::connector_of(key) {
            self.take_fence(place, connector, key, value);
        } else if !self.fences_only && !key.starts_with(OTHER_PIPELINE) {
            self.take_state(place, key, value);
        }
    }

    fn take_fence(&mut self, place: StatePlace, connector: &str, key: &[u8], value: Option<&[u8]>) {
        let slot = (place.partition, connector.to_owned());
        self.heal(place, key);
        self.fences_taken_away.remove(&slot);
        match value.map(Fence::decode) {
            None => {
                self.fences.remove(&slot);
                self.fences_taken_away.insert(slot);
            }
            Some(Ok(found)) => drop(self.fences.insert(slot, (place, found))),
            Some(Err(_)) => self.stray(place, key, StrayFault::Value(UnreadableState::Value)),
        }
    }

    fn take_state(&mut self, place: StatePlace, key: &[u8], value: Option<&[u8]>) {
        self.heal(place, key);
        let decoded = match StateKey::decode(key) {
            Ok(decoded) => decoded,
            Err(_) if value.is_none() => return,
            Err(_) => return self.stray(place, key, StrayFault::Key),
        };
        let home = (self.home)(decoded.promoter());
        if home != place.partition {
            if value.is_some() {
                self.stray(place, key, StrayFault::Partition(home));
            }
            return;
        }
        match value.map(|value| StateValue::decode(&decoded, value)).transpose() {
            Ok(value) => self.state.restore(decoded, value),
            Err(fault) => self.stray(place, key, StrayFault::Value(fault)),
        }
    }

    /// Forgets what stood under `key` before.
    fn heal(&mut self, place: StatePlace, key: &[u8]) {
        if let Some(strays) = self.strays.get_mut(&place.partition) {
            strays.remove(key);
        }
        if !self.more_strays.is_empty() && self.more_strays.len() < MORE_STRAYS_MAX {
            self.more_strays.remove(&hash(place.partition, key));
        }
    }

    fn stray(&mut self, place: StatePlace, key: &[u8], fault: StrayFault) {
        let strays = self.strays.entry(place.partition).or_default();
        if strays.len() < STRAYS_MAX {
            strays.insert(key.to_owned(), Stray { place, fault });
        } else if self.more_strays.len() < MORE_STRAYS_MAX {
            self.more_strays.insert(hash(place.partition, key));
        }
    }

    /// The fences of `connector`, one for each partition that has one.
    pub fn fences_of(&self, connector: &str) -> impl Iterator<Item = (i32, &FoundFence)> {
        let of_it = move |((_, name), _): &(&(i32, String), &(StatePlace, FoundFence))| name == connector;
        self.fences.iter().filter(of_it).map(|((partition, _), (_, found))| (*partition, found))
    }

    /// Whether somebody took the fence of `connector` away from `partition`, which is no sign that the state was emptied.
    pub fn is_fence_taken_away(&self, partition: i32, connector: &str) -> bool {
        self.fences_taken_away.contains(&(partition, connector.to_owned()))
    }

    /// Whether an owner that leaves the fence `own` may use what was read.
    pub fn check(&self, own: &Fence) -> Result<(), Unusable> {
        for (place, earlier) in self.fences.values() {
            own.check(earlier).map_err(|conflict| Unusable::Conflict { place: *place, conflict })?;
        }
        let damaged = self.strays.values().flat_map(HashMap::values).filter_map(|stray| match &stray.fault {
            StrayFault::Value(fault) => Some((stray.place, fault)),
            StrayFault::Key | StrayFault::Partition(_) => None,
        });
        if let Some((place, fault)) = damaged.min_by_key(|(place, _)| *place) {
            return Err(Unusable::Damaged { place, fault: fault.clone() });
        }
        if self.more_strays.is_empty() { Ok(()) } else { Err(Unusable::NotTheState) }
    }

    /// The state, when all of it was read, and the records that were skipped, in their order.
    pub fn finish(self) -> (State, Vec<Stray>) {
        let StateContent { mut state, strays, .. } = self;
        state.restored();
        let mut strays: Vec<Stray> = strays.into_values().flat_map(HashMap::into_values).collect();
        strays.sort_by_key(|stray| stray.place);
        (state, strays)
    }
}

fn hash(partition: i32, key: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    (partition, key).hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::model::cursor::Cursor;
    use crate::model::feed::Feed;
    use crate::model::fence::FORMAT;
    use crate::model::time::UnixTime;

    const HOME: i32 = 1;

    fn promoter() -> Promoter {
        Promoter::from_key("wx1/o1").unwrap()
    }

    fn fence(connector: &str) -> Fence {
        Fence {
            format: FORMAT,
            connector: connector.into(),
            partitions: 3,
            id_kinds: BTreeMap::new(),
            generation: 1,
            member: "m".into(),
            transactional_id: "t".into(),
            opening: 1,
            confirmed: true,
        }
    }

    /// Reads records of the promoter's partition, at offsets from 0 on.
    fn read(records: &[(&str, Option<&[u8]>)]) -> StateContent {
        let mut content = StateContent::new(|_| HOME);
        for (offset, (key, value)) in (0..).zip(records) {
            content.take(StatePlace { partition: HOME, offset }, key.as_bytes(), *value);
        }
        content
    }

    fn cursor() -> (String, Vec<u8>) {
        let key = StateKey::Cursor(promoter(), Feed::Touches);
        let value = StateValue::Cursor(Cursor::begin(Feed::Touches, UnixTime(5)));
        (key.encode(), value.encode())
    }

    fn knows_the_cursor(state: &State) -> bool {
        state.cursors(&promoter())[Feed::Touches].is_some()
    }

    #[test]
    fn a_stray_record_is_skipped_and_told_and_its_tombstone_heals() {
        let (key, value) = cursor();
        let content = read(&[("hello", Some(b"world")), (&key, Some(&value))]);
        assert_eq!(content.check(&fence("a")), Ok(()));
        let (state, strays) = content.finish();
        assert!(knows_the_cursor(&state));
        assert_eq!(strays, [Stray { place: StatePlace { partition: HOME, offset: 0 }, fault: StrayFault::Key }]);
        let (_, strays) = read(&[("hello", Some(b"world")), ("hello", None)]).finish();
        assert_eq!(strays, []);
    }

    #[test]
    fn a_record_in_the_partition_of_others_is_skipped_and_told() {
        let (key, value) = cursor();
        let mut content = StateContent::new(|_| HOME);
        content.take(StatePlace { partition: 2, offset: 9 }, key.as_bytes(), Some(&value));
        assert_eq!(content.check(&fence("a")), Ok(()));
        let (state, strays) = content.finish();
        assert!(!knows_the_cursor(&state));
        assert_eq!(strays[0].fault, StrayFault::Partition(HOME));
    }

    #[test]
    fn a_damaged_record_stops_until_its_tombstone_or_a_whole_one_follows() {
        let (key, value) = cursor();
        let damaged = [(key.as_str(), Some(b"\x01nonsense".as_slice()))];
        let Err(Unusable::Damaged { place, .. }) = read(&damaged).check(&fence("a")) else { panic!("it stops") };
        assert_eq!(place, StatePlace { partition: HOME, offset: 0 });
        for healing in [None, Some(value.as_slice())] {
            let content = read(&[damaged[0], (&key, healing)]);
            assert_eq!(content.check(&fence("a")), Ok(()));
            assert_eq!(knows_the_cursor(&content.finish().0), healing.is_some());
        }
    }

    #[test]
    fn records_of_the_pipeline_of_requests_are_left_to_it() {
        let (_, strays) = read(&[("answered/requests/3", Some(b"whatever"))]).finish();
        assert_eq!(strays, []);
    }

    #[test]
    fn a_fence_of_another_name_stops_and_its_tombstone_heals() {
        let (ours, theirs) = (fence("a"), fence("b"));
        let (our_value, their_value) = (ours.encode(), theirs.encode());
        let records = [("fence/a", Some(our_value.as_slice())), ("fence/b", Some(&their_value))];
        let content = read(&records);
        assert_eq!(content.fences_of("a").map(|(partition, _)| partition).collect::<Vec<_>>(), [HOME]);
        let conflict = Conflict::Name("b".into());
        let place = StatePlace { partition: HOME, offset: 1 };
        assert_eq!(content.check(&ours), Err(Unusable::Conflict { place, conflict }));
        assert_eq!(read(&[records[0], records[1], ("fence/b", None)]).check(&ours), Ok(()));
        let damaged = read(&[("fence/b", Some(b"{"))]);
        assert!(matches!(damaged.check(&ours), Err(Unusable::Damaged { .. })));
        assert_eq!(read(&[("fence/b", Some(b"{")), ("fence/b", None)]).check(&ours), Ok(()));
    }

    #[test]
    fn a_fence_that_was_taken_away_is_told_from_one_that_never_was() {
        let value = fence("a").encode();
        let [whole, damaged, taken_away] = [Some(value.as_slice()), Some(b"{".as_slice()), None];
        let is_taken_away = |values: &[Option<&[u8]>]| {
            let records: Vec<_> = values.iter().map(|value| ("fence/a", *value)).collect();
            read(&records).is_fence_taken_away(HOME, "a")
        };
        assert!(is_taken_away(&[damaged, taken_away]) && is_taken_away(&[whole, taken_away]));
        assert!(!is_taken_away(&[]) && !is_taken_away(&[whole]) && !is_taken_away(&[taken_away, whole]));
    }

    #[test]
    fn a_topic_of_something_else_is_told_and_takes_no_memory() {
        let mut content = StateContent::new(|_| HOME);
        for offset in 0..5000 {
            content.take(StatePlace { partition: HOME, offset }, format!("{offset}").as_bytes(), Some(b""));
        }
        assert_eq!(content.check(&fence("a")), Err(Unusable::NotTheState));
        assert_eq!(content.finish().1.len(), STRAYS_MAX);
    }

    #[test]
    fn however_many_strays_there_were_their_tombstones_heal() {
        let mut content = StateContent::new(|_| HOME);
        for (offset, value) in
            (0..5000).map(|offset| (offset, Some(b"".as_slice()))).chain((5000..10_000).map(|offset| (offset, None)))
        {
            content.take(StatePlace { partition: HOME, offset }, format!("{}", offset % 5000).as_bytes(), value);
        }
        assert_eq!(content.check(&fence("a")), Ok(()));
    }

    #[test]
    fn of_partitions_of_others_only_the_fences_are_kept() {
        let (key, value) = cursor();
        let mut content = StateContent::fences_only();
        content.take(StatePlace { partition: HOME, offset: 0 }, key.as_bytes(), Some(&value));
        content.take(StatePlace { partition: HOME, offset: 1 }, b"fence/b", Some(&fence("b").encode()));
        assert!(content.check(&fence("a")).is_err());
        let (state, strays) = content.finish();
        assert!(!knows_the_cursor(&state) && strays.is_empty());
    }
}
