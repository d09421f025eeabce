//! What survives a crash of those that write a log in memory: its topics.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::commit::log::{CommitError, LogError, OpenError};
use crate::model::batch::{Batch, Event, ShardRecord};
use crate::model::day_record::{CountedDay, DayContent, DayCounts, DayKey, DayRecord};
use crate::model::days::standing;
use crate::model::dead_letter::{DeadLetter, DeadLetterSource};
use crate::model::feed::Feed;
use crate::model::promoter::Promoter;
use crate::model::shard::{AssignedShard, Shard};
use crate::model::shares::ledger::{LEDGER_KEY, NOTED_KEY};
use crate::model::shares::note::ShareNote;
use crate::model::state::State;
use crate::model::state_record::{StateKey, StateValue};
use crate::model::time::{Day, UnixTime};

/// Of the registry and the state that the log stands for.
pub const PARTITIONS: i32 = 3;

/// What survives a crash: the topics as a `read_committed` consumer sees them.
#[derive(Default)]
pub struct DurableTopics {
    pub events: Vec<Event>,
    pub dead_letters: Vec<DeadLetter>,
    /// The state topic after compaction, in bytes, so that its codec takes part.
    pub state: HashMap<String, Vec<u8>>,
    /// Whose the shards are, and how far their registry is read; not restored.
    pub shard_records: HashMap<(Shard, String), Option<Vec<u8>>>,
    /// The days of each shard as its state has them.
    pub days: HashMap<(Shard, String), Vec<u8>>,
    /// The ledger after compaction.
    pub ledger: HashMap<(Shard, DayKey), CountedDay>,
    /// What the topics hold of each day: what the ledger is compared with.
    pub by_day: HashMap<(Shard, DayKey), DayCounts>,
    pub commits: u64,
    /// Whoever opened last of each instance; an earlier one is refused.
    pub(super) epochs: HashMap<String, u64>,
    /// What was noted of the shares of each shard last.
    pub(super) notes: HashMap<Shard, ShareNote>,
    /// The state of each shard as it was below the fence of its latest owner.
    fenced: HashMap<Shard, FencedShard>,
}

/// A shard as it was below a fence.
struct FencedShard {
    fence: AssignedShard,
    state: HashMap<String, Vec<u8>>,
    days: HashMap<String, Vec<u8>>,
}

/// A poisoned lock means that a test has failed already; its content is still whole.
pub(super) fn whole(durable: &Mutex<DurableTopics>) -> MutexGuard<'_, DurableTopics> {
    durable.lock().unwrap_or_else(PoisonError::into_inner)
}

impl DurableTopics {
    /// # Errors
    /// [`CommitError::Reopen`] where the instance has opened again since `epoch`, and [`CommitError::Stop`] where the batch has
    /// records of a shard that it does not tell.
    pub(super) fn write(&mut self, batch: &Batch, instance: &str, epoch: u64) -> Result<(), CommitError> {
        if self.epochs.get(instance) != Some(&epoch) {
            return Err(CommitError::Reopen("fenced".into()));
        }
        if let Some(shard) = untold_shard(batch) {
            return Err(CommitError::Stop(format!("a batch has records of {shard:?} and does not tell it").into()));
        }
        let is_fence = |record: &&ShardRecord| ![LEDGER_KEY, NOTED_KEY].contains(&record.key.as_str());
        for fence in batch.shard_records.iter().filter(is_fence) {
            let shard = fence.assigned.shard;
            let below = self.state.iter().filter(|(key, _)| shard_of(key) == Some(shard));
            let state = below.map(|(key, value)| (key.clone(), value.clone())).collect();
            let days = self.days.iter().filter(|((of, _), _)| *of == shard);
            let days = days.map(|((_, key), value)| (key.clone(), value.clone())).collect();
            self.fenced.insert(shard, FencedShard { fence: fence.assigned, state, days });
        }
        self.events.extend(batch.events.iter().cloned());
        self.dead_letters.extend(batch.dead_letters.iter().cloned());
        for ShardRecord { assigned, key, value } in &batch.shard_records {
            self.shard_records.insert((assigned.shard, key.clone()), value.clone());
        }
        for record in &batch.state {
            let key = record.key.encode();
            match &record.value {
                Some(value) => self.state.insert(key, value.encode()),
                None => self.state.remove(&key),
            };
        }
        self.write_days(batch);
        self.commits += 1;
        match self.forged_day(batch) {
            Some(why) => Err(CommitError::Stop(why.into())),
            None => Ok(()),
        }
    }

    /// In each committed state a record of a day says what the topics hold of it, and is not closed while a cursor stands on it.
    fn forged_day(&self, batch: &Batch) -> Option<String> {
        let touched = batch.days.iter().filter_map(|record| match &record.content {
            DayContent::Counted(day) => Some((record.shard, &day.key)),
            DayContent::Begun(_) => None,
        });
        for (shard, key) in touched {
            let at = (shard, key.clone());
            let Some(told) = self.ledger.get(&at) else { continue };
            let held = self.by_day.get(&at).copied().unwrap_or_default();
            let counts = told.status.counts;
            if (counts.published, counts.dead_letters) != (held.published, held.dead_letters) {
                return Some(format!("{at:?} is told to be {counts:?}, and the topics hold {held:?}"));
            }
            let standing = self.state.iter().filter_map(|(state_key, value)| {
                let state_key = StateKey::decode(state_key.as_bytes()).ok()?;
                let StateKey::Cursor(promoter, feed) = &state_key else { return None };
                let is_of =
                    *feed == key.feed && promoter.app_id() == &*key.app && Shard::of(promoter, PARTITIONS) == shard;
                let is_removed = self.state.contains_key(&StateKey::Removed(promoter.clone()).encode());
                match StateValue::decode(&state_key, value).ok()? {
                    StateValue::Cursor(cursor) if is_of && !is_removed => {
                        standing(*feed, cursor, cursor.complete_before)
                    }
                    _ => None,
                }
            });
            if let Some(least) = standing.min().filter(|least| told.status.closed_at.is_some() && *least <= key.day) {
                return Some(format!("{at:?} is closed, and a cursor stands on {least}"));
            }
        }
        None
    }

    fn write_days(&mut self, batch: &Batch) {
        for Event { promoter, fact, .. } in &batch.events {
            self.on_day(promoter, fact.memory, fact.time).published += 1;
        }
        for letter in &batch.dead_letters {
            if let (DeadLetterSource::Feed(feed), Some(promoter)) = (letter.source, &letter.promoter) {
                self.on_day(promoter, feed, letter.observed_at.as_seconds()).dead_letters += 1;
            }
        }
        for DayRecord { shard, content } in &batch.days {
            self.days.insert((*shard, content.key()), content.value());
            if let DayContent::Counted(day) = content
                && day.is_told()
            {
                self.ledger.insert((*shard, day.key.clone()), day.clone());
            }
        }
    }

    fn on_day(&mut self, promoter: &Promoter, feed: Feed, time: UnixTime) -> &mut DayCounts {
        let key = DayKey { app: promoter.app_id().into(), feed, day: Day::in_beijing(time) };
        self.by_day.entry((Shard::of(promoter, PARTITIONS), key)).or_default()
    }

    /// What stands below the fence of this shard, if it was written.
    ///
    /// # Errors
    /// [`OpenError::Stop`] where a record of it can't be read.
    pub(super) fn behind_fence(&self, assigned: AssignedShard) -> Result<Option<State>, OpenError> {
        let fenced = self.fenced.get(&assigned.shard).filter(|fenced| fenced.fence == assigned);
        let state = fenced.map(|fenced| restored(&fenced.state, &fenced.days)).transpose()?;
        // Nobody but the owner has written it since.
        let ledger = self.shard_records.get(&(assigned.shard, LEDGER_KEY.to_owned()));
        Ok(state.map(|mut state| {
            state.restore_ledger(ledger.and_then(Option::as_deref));
            state.tell_days(true);
            state
        }))
    }
}

/// A shard of which the batch has records though it does not tell it: nobody would notice that it is not owned any more.
fn untold_shard(batch: &Batch) -> Option<Shard> {
    let events = batch.events.iter().map(|event| &event.promoter);
    let promoters = events.chain(batch.state.iter().map(|record| record.key.promoter()));
    let of_promoters = promoters.map(|promoter| Shard::of(promoter, PARTITIONS));
    let of_days = batch.days.iter().map(|record| record.shard);
    let mut all = of_promoters.chain(batch.shard_records.iter().map(|record| record.assigned.shard)).chain(of_days);
    all.find(|shard| !batch.shards.iter().any(|told| told.shard == *shard))
}

fn shard_of(key: &str) -> Option<Shard> {
    StateKey::decode(key.as_bytes()).ok().map(|key| Shard::of(key.promoter(), PARTITIONS))
}

fn restored(records: &HashMap<String, Vec<u8>>, days: &HashMap<String, Vec<u8>>) -> Result<State, OpenError> {
    let mut state = State::default();
    for (key, value) in days {
        let stop = |error| OpenError::Stop(LogError::because(key, error));
        state.restore_day(DayContent::decode(key.as_bytes(), value).map_err(stop)?);
    }
    for (key, value) in records {
        let stop = |error| OpenError::Stop(LogError::because(key, error));
        let key = StateKey::decode(key.as_bytes()).map_err(stop)?;
        let value = StateValue::decode(&key, value).map_err(stop)?;
        state.restore(key, Some(value));
    }
    state.restored();
    Ok(state)
}
