//! What one feed remembers: the facts at or after its cursor that were published.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use super::chunks::Chunks;
use super::fact::FactId;
use super::feed::Feed;
use super::rewind::{self, MAYBE_FORGOTTEN_MAX, MaybeForgotten};
use super::state_record::Remembered;
use super::time::UnixTime;

/// Facts with the times by which they are forgotten, and the records of the topic that hold them. About 48 bytes for each fact.
#[derive(Debug, Default)]
pub(super) struct FeedMemory {
    /// Its hash is keyed, for users can choose what an id is made of.
    seen: HashMap<FactId, u32, RandomState>,
    chunks: Chunks,
    /// How many facts the chunks had that have passed since facts were forgotten last.
    passed: usize,
    /// What a cursor that went back meets and the memory may have forgotten.
    maybe_forgotten: Vec<MaybeForgotten>,
}

/// What has passed stays in the table until it is about that part of it: forgetting walks over the whole table, and so costs
/// each fact a few steps, however few pass at once.
const PASSED_PART: usize = 8;

impl FeedMemory {
    /// How many facts are remembered.
    pub fn facts(&self) -> usize {
        self.seen.len()
    }

    /// How many records of the topic hold them.
    #[cfg(any(test, debug_assertions, feature = "testing"))]
    pub fn chunks(&self) -> usize {
        self.chunks.len()
    }

    pub fn is_empty(&self) -> bool {
        self.seen.is_empty() && self.chunks.is_empty() && self.maybe_forgotten.is_empty()
    }

    /// The time by which the fact is forgotten.
    pub fn time(&self, id: FactId) -> Option<u32> {
        self.seen.get(&id).copied()
    }

    /// Takes a fact as known, for the longer of two times.
    pub fn remember(&mut self, fact: Remembered) {
        let time = self.seen.entry(fact.id).or_insert(fact.time);
        *time = (*time).max(fact.time);
    }

    /// Forgets a fact that lies before `horizon`, in Unix seconds, though no chunk holds it.
    pub fn forget_passed(&mut self, id: FactId, horizon: i64) {
        if self.time(id).is_some_and(|time| i64::from(time) < horizon) {
            self.seen.remove(&id);
        }
    }

    /// Whether it may have forgotten a fact that happened at `time` and would be remembered under `remembered`.
    pub fn may_have_forgotten(&self, time: UnixTime, remembered: UnixTime) -> bool {
        self.maybe_forgotten.iter().any(|forgotten| forgotten.holds(time, remembered))
    }

    /// The cursor of `feed` goes back, and meets what is `forgotten`; of that what happened at `republish_from` or later is to be
    /// published again. False, and nothing has changed, where there is no room to keep it in mind.
    pub fn rewind(&mut self, feed: Feed, forgotten: MaybeForgotten, republish_from: Option<UnixTime>) -> bool {
        let mut all = self.maybe_forgotten.clone();
        rewind::add_maybe_forgotten(&mut all, forgotten);
        if let Some(from) = republish_from {
            rewind::cut_to(&mut all, feed, from);
        }
        let has_room = all.len() <= MAYBE_FORGOTTEN_MAX;
        if has_room {
            self.maybe_forgotten = all;
        }
        has_room
    }

    /// What a cursor that has gone back may meet and it may have forgotten.
    pub fn maybe_forgotten(&self) -> &[MaybeForgotten] {
        &self.maybe_forgotten
    }

    /// Takes that from the topic.
    pub fn restore_maybe_forgotten(&mut self, maybe_forgotten: Vec<MaybeForgotten>) {
        self.maybe_forgotten = maybe_forgotten;
    }

    /// Adds a chunk of facts that are remembered, and gives its number.
    pub fn add_chunk(&mut self, facts: &[Remembered]) -> u64 {
        self.chunks.add(newest(facts), facts.len())
    }

    /// Drops the chunks that lie before `horizon`, in Unix seconds, and what they held. Gives their numbers.
    pub fn drop_passed(&mut self, horizon: i64) -> Vec<u64> {
        self.maybe_forgotten.retain(|forgotten| forgotten.until.0 > horizon);
        let mut numbers = Vec::new();
        while let Some(chunk) = self.chunks.take_passed(horizon) {
            self.passed += chunk.facts;
            numbers.push(chunk.number);
        }
        if self.passed > 0 && self.passed.saturating_mul(PASSED_PART) >= self.seen.len() {
            self.forget_before(horizon);
        }
        numbers
    }

    /// Forgets what lies before `horizon`, in Unix seconds. The table is then as small as its content allows: 21 bytes for each place, at
    /// least 7 of 16 taken, so 48 bytes a fact at most. That may copy the table, which walking it has read already.
    pub fn forget_before(&mut self, horizon: i64) {
        self.seen.retain(|_, time| i64::from(*time) >= horizon);
        self.seen.shrink_to_fit();
        self.passed = 0;
    }

    /// Takes a chunk of the topic, in place of the one with its number. One without facts is a tombstone. What it held stays until the
    /// end of the restore, where the cursor tells what has passed, or until a rewind's record tells it, should that cursor have gone
    /// back since: [`forget_before`](Self::forget_before).
    pub fn read_chunk(&mut self, number: u64, facts: &[Remembered]) {
        self.chunks.read(number, newest(facts), facts.len());
        facts.iter().for_each(|fact| self.remember(*fact));
    }

    /// The topic has been read to its end, where the cursor stands at `horizon`.
    pub fn restored(&mut self, horizon: i64) {
        self.chunks.restored();
        self.maybe_forgotten.retain(|forgotten| forgotten.until.0 > horizon);
        self.forget_before(horizon);
    }
}

fn newest(facts: &[Remembered]) -> u32 {
    facts.iter().map(|fact| fact.time).max().unwrap_or(0)
}
