//! What a reading of the state topic brings: the state, the fences, and what does not belong there. Each partition is judged
//! and given out by itself, when it was read whole.
//!
//! Of each key only the last record counts, as after compaction. So whatever somebody has written into the topic is
//! healed by a tombstone under its key.
//!
//! | record | is |
//! |---|---|
//! | a key of no record of the connector | skipped, and told |
//! | a key of the connector in a partition where nobody looks for it | skipped, and told |
//! | a key of the connector with a value that can't be read | a reason to stop: what it knew may be published twice |
//! | a day's key ([`super::day_record`]) with a value that can't be read | a reason to stop: its count would be too low |
//! | a key of the other pipeline (`answered/…`) | skipped |

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use super::day_record::DayContent;
use super::fence::{Conflict, Fence, FoundFence};
use super::promoter::Promoter;
use super::request::answered_offsets::ANSWERED_PREFIX;
use super::shard::Shard;
use super::shares::ledger::{LEDGER_KEY, NOTED_KEY};
use super::state::{REGISTRY_READ_KEY, State};
use super::state_record::{StateKey, StateValue, UnreadableState};

/// How many records of a partition that don't belong there are kept apart. A topic with more of them is something else.
pub const STRAYS_MAX: usize = 1000;
/// How many more are noted, so that tombstones heal them too.
const MORE_STRAYS_MAX: usize = 100_000;

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

/// What is wrong with a record that doesn't belong there.
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

/// What was read of the state topic so far: the state of partitions, whose they are, and what does not belong there. Of the
/// latter no more is held than [`STRAYS_MAX`] records of each partition, and hashes of the keys of others.
pub struct StateContent {
    states: HashMap<Shard, State>,
    /// By partition and connector, with the place of each.
    fences: BTreeMap<(i32, String), (StatePlace, FoundFence)>,
    /// By partition and connector: those whose last record is a tombstone.
    fences_taken_away: BTreeSet<(i32, String)>,
    /// By partition and key.
    strays: BTreeMap<i32, HashMap<Vec<u8>, Stray>>,
    /// By partition: hashes of the keys that are not kept, up to as many as are noted; behind that nothing heals.
    more_strays: HashMap<i32, HashSet<u64>>,
    /// The partition that a promoter belongs to.
    home: Box<dyn Fn(&Promoter) -> Shard + Send>,
    kept: KeptContent,
}

/// What a reading is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum KeptContent {
    /// Everything.
    States,
    /// Whether everything could be used: the fences, and what is wrong.
    Faults,
    /// The fences alone.
    Fences,
}

impl StateContent {
    /// Of partitions whose state is wanted; `home` tells the one that a promoter belongs to.
    pub fn new(home: impl Fn(&Promoter) -> Shard + Send + 'static) -> StateContent {
        StateContent {
            states: HashMap::new(),
            fences: BTreeMap::new(),
            fences_taken_away: BTreeSet::new(),
            strays: BTreeMap::new(),
            more_strays: HashMap::new(),
            home: Box::new(home),
            kept: KeptContent::States,
        }
    }

    /// Of partitions that somebody else owns.
    pub fn fences_only() -> StateContent {
        StateContent { kept: KeptContent::Fences, ..StateContent::new(|_| Shard(0)) }
    }

    /// Of partitions of which is only asked whether their owner could use them: however much they hold, little is held of it.
    pub fn faults_only(home: impl Fn(&Promoter) -> Shard + Send + 'static) -> StateContent {
        StateContent { kept: KeptContent::Faults, ..StateContent::new(home) }
    }

    /// Takes a record; those of one partition come in their order.
    pub fn take(&mut self, place: StatePlace, key: &[u8], value: Option<&[u8]>) {
        if let Some(connector) = Fence::connector_of(key) {
            self.take_fence(place, connector, key, value);
        } else if self.kept == KeptContent::Fences || key.starts_with(ANSWERED_PREFIX.as_bytes()) {
            // Somebody else's.
        } else if key == REGISTRY_READ_KEY.as_bytes() {
            self.take_registry_read(place, value);
        } else if key == LEDGER_KEY.as_bytes() {
            self.take_ledger(place, value);
        } else if DayContent::is_key(key) {
            self.take_day(place, key, value);
        } else if key == NOTED_KEY.as_bytes() {
            // The note stands beside the offset.
        } else {
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

    fn take_registry_read(&mut self, place: StatePlace, value: Option<&[u8]>) {
        if self.kept == KeptContent::States {
            self.states.entry(Shard(place.partition)).or_default().restore_registry_read(value);
        }
    }

    fn take_ledger(&mut self, place: StatePlace, value: Option<&[u8]>) {
        if self.kept == KeptContent::States {
            self.states.entry(Shard(place.partition)).or_default().restore_ledger(value);
        }
    }

    /// A day that is lost is one whose count is too low from then on, so one that can't be read is a reason to stop. A tombstone
    /// heals it: then it is counted anew.
    fn take_day(&mut self, place: StatePlace, key: &[u8], value: Option<&[u8]>) {
        self.heal(place, key);
        match value.map(|value| DayContent::decode(key, value)) {
            Some(Ok(record)) if self.kept == KeptContent::States => {
                self.states.entry(Shard(place.partition)).or_default().restore_day(record);
            }
            Some(Err(UnreadableState::Key)) => self.stray(place, key, StrayFault::Key),
            Some(Err(fault)) => self.stray(place, key, StrayFault::Value(fault)),
            None if self.kept == KeptContent::States => {
                self.states.entry(Shard(place.partition)).or_default().forget_day(key);
            }
            Some(Ok(_)) | None => {}
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
        if home.0 != place.partition {
            if value.is_some() {
                self.stray(place, key, StrayFault::Partition(home.0));
            }
            return;
        }
        match value.map(|value| StateValue::decode(&decoded, value)).transpose() {
            Ok(value) if self.kept == KeptContent::States => {
                self.states.entry(home).or_default().restore(decoded, value);
            }
            Ok(_) => {}
            Err(fault) => self.stray(place, key, StrayFault::Value(fault)),
        }
    }

    /// Forgets what stood under `key` before.
    fn heal(&mut self, place: StatePlace, key: &[u8]) {
        if let Some(strays) = self.strays.get_mut(&place.partition) {
            strays.remove(key);
        }
        if let Some(more) = self.more_strays.get_mut(&place.partition).filter(|more| more.len() < MORE_STRAYS_MAX) {
            more.remove(&hash(key));
        }
    }

    fn stray(&mut self, place: StatePlace, key: &[u8], fault: StrayFault) {
        let strays = self.strays.entry(place.partition).or_default();
        if strays.len() < STRAYS_MAX {
            strays.insert(key.to_owned(), Stray { place, fault });
            return;
        }
        let more = self.more_strays.entry(place.partition).or_default();
        if more.len() < MORE_STRAYS_MAX {
            more.insert(hash(key));
        }
    }

    /// The fences of `connector`, one for each partition that has one.
    pub fn fences_of(&self, connector: &str) -> impl Iterator<Item = (i32, &FoundFence)> {
        let of_it = move |((_, name), _): &(&(i32, String), &(StatePlace, FoundFence))| name == connector;
        self.fences.iter().filter(of_it).map(|((partition, _), (_, found))| (*partition, found))
    }

    /// The fence of `connector` in `partition`.
    pub fn fence_of(&self, connector: &str, partition: i32) -> Option<&FoundFence> {
        self.fences.get(&(partition, connector.to_owned())).map(|(_, found)| found)
    }

    /// All fences.
    pub fn fences(&self) -> impl Iterator<Item = &FoundFence> {
        self.fences.values().map(|(_, found)| found)
    }

    /// The connectors that have a fence somewhere, but for `own_name`.
    pub fn names_but(&self, own_name: &str) -> BTreeSet<String> {
        self.fences.keys().map(|(_, name)| name).filter(|name| *name != own_name).cloned().collect()
    }

    /// Whether somebody took the fence of `connector` away from `partition`, which is no sign that the state was emptied.
    pub fn is_fence_taken_away(&self, partition: i32, connector: &str) -> bool {
        self.fences_taken_away.contains(&(partition, connector.to_owned()))
    }

    /// Whether an owner that leaves the fence `own` may use what was read of `partition`.
    ///
    /// # Errors
    /// [`Unusable`]: a fence that contradicts it, a damaged record, or more strays than a partition of the state has.
    pub fn check(&self, own: &Fence, partition: i32) -> Result<(), Unusable> {
        self.check_by(partition, |earlier| own.check(earlier))
    }

    /// As [`check`](Self::check), of an owner that takes over what other connectors have left.
    ///
    /// # Errors
    /// As [`check`](Self::check), but for their names.
    pub fn check_adopted(&self, own: &Fence, partition: i32) -> Result<(), Unusable> {
        self.check_by(partition, |earlier| own.check_layout(earlier))
    }

    /// # Errors
    /// As [`check`](Self::check), by what `check_fence` says of each fence.
    fn check_by(
        &self,
        partition: i32,
        check_fence: impl Fn(&FoundFence) -> Result<(), Conflict>,
    ) -> Result<(), Unusable> {
        let is_there = |((at, _), _): &(&(i32, String), &(StatePlace, FoundFence))| *at == partition;
        for (_, (place, earlier)) in self.fences.iter().filter(is_there) {
            check_fence(earlier).map_err(|conflict| Unusable::Conflict { place: *place, conflict })?;
        }
        let strays = self.strays.get(&partition).into_iter().flat_map(HashMap::values);
        let damaged = strays.filter_map(|stray| match &stray.fault {
            StrayFault::Value(fault) => Some((stray.place, fault)),
            StrayFault::Key | StrayFault::Partition(_) => None,
        });
        if let Some((place, fault)) = damaged.min_by_key(|(place, _)| *place) {
            return Err(Unusable::Damaged { place, fault: fault.clone() });
        }
        let has_more = self.more_strays.get(&partition).is_some_and(|more| !more.is_empty());
        if has_more { Err(Unusable::NotTheState) } else { Ok(()) }
    }

    /// Gives up what is known of `partition`, all of which was read: its state, and the records that were skipped, in their
    /// order.
    pub fn finish(&mut self, partition: i32) -> (State, Vec<Stray>) {
        let mut state = self.states.remove(&Shard(partition)).unwrap_or_default();
        state.restored();
        let mut strays: Vec<Stray> = self.strays.remove(&partition).unwrap_or_default().into_values().collect();
        strays.sort_by_key(|stray| stray.place);
        (state, strays)
    }
}

fn hash(key: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests;
