//! What of one app's requests in one partition is answered.
//!
//! Requests of other apps stand between them and are none of a tracker's business: so each app has its own first request
//! without an answer, and that of one whose upstream is away for days holds nobody else's. Of the requests behind the
//! first, those that are answered are noted one by one, [`SPAN`] at most. What is more than an app's room in memory is
//! *parked*: nothing is kept of it but the offset from which on the app's requests have to be read again.
//!
//! A deadline that passes while a request is parked is answered too, out of the order, and as many may be answered so as
//! are parked. They are not noted one by one, but by what they have in common: see [`Expired`].

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::schema_bucket::BucketNumber;
use crate::model::time::UnixMillis;

/// How many requests behind the first without an answer may be begun or answered: the record of a tracker stays small.
pub const SPAN: usize = 1024;
/// How many steps [`Expired`] may have. Each takes 16 bytes of the record.
const STEPS_MAX: usize = 256;

/// Of whose requests in one partition a tracker tells.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TrackerKey {
    /// Absent for what could be read when it came.
    pub bucket: Option<BucketNumber>,
    pub app: String,
}

impl TrackerKey {
    pub fn new(bucket: Option<BucketNumber>, app: &str) -> TrackerKey {
        TrackerKey { bucket, app: app.to_owned() }
    }
}

/// A tracker as it is kept on the state topic: what is committed beside the offset that is read next.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrackerRecord {
    /// The offset of the first request without an answer.
    pub first: i64,
    /// Behind it, and answered.
    pub answered: BTreeSet<i64>,
    pub expired: Expired,
}

impl TrackerRecord {
    /// What stands at `end` or behind it is another log's.
    pub fn cut(&mut self, end: i64) {
        self.answered.split_off(&end);
        self.expired.0.split_off(&end);
    }
}

/// Which of one app's requests in one partition are answered, begun, or parked, by their offsets. It holds no request, only
/// numbers: [`SPAN`] offsets and [`STEPS_MAX`] steps at most, however many requests wait. [`record`](Self::record) is what of
/// it is committed with the answers, and [`resume`](Self::resume) goes on from there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OffsetTracker {
    /// In memory, without an answer.
    open: BTreeSet<i64>,
    /// Answered, behind the first without an answer.
    answered: BTreeSet<i64>,
    parked: Option<Parked>,
    /// The first that was read again and could not be read, for its schema is not known now: nobody knows whose it is.
    doubtful: Option<i64>,
    expired: Expired,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Parked {
    /// From this offset on the app's requests are not in memory.
    from: i64,
    /// None of their deadlines passes before; absent where none has any.
    earliest: Option<UnixMillis>,
}

impl OffsetTracker {
    /// Goes on where `record` was written: everything without an answer is read again.
    pub fn resume(record: &TrackerRecord) -> OffsetTracker {
        // Their deadlines are not known yet.
        let parked = Some(Parked { from: record.first, earliest: Some(UnixMillis(i64::MIN)) });
        let (answered, expired) = (record.answered.clone(), record.expired.clone());
        OffsetTracker { parked, answered, expired, ..OffsetTracker::default() }
    }

    /// Nothing where every request is answered.
    pub fn record(&self) -> Option<TrackerRecord> {
        let (answered, expired) = (self.answered.clone(), self.expired.clone());
        Some(TrackerRecord { first: self.first()?, answered, expired })
    }

    /// The offset of the first request without an answer.
    pub fn first(&self) -> Option<i64> {
        let parked = self.parked.as_ref().map(|parked| parked.from);
        self.open.first().copied().into_iter().chain(parked).chain(self.doubtful).min()
    }

    /// From where on requests have to be read again.
    pub fn parked_from(&self) -> Option<i64> {
        self.parked.as_ref().map(|parked| parked.from)
    }

    /// Whether one more may be begun, or noted as answered.
    pub fn has_room(&self) -> bool {
        self.open.len() + self.answered.len() < SPAN
    }

    /// The same of one that is read again. The first without an answer always may: what is noted behind it waits for it.
    pub fn has_room_for(&self, offset: i64) -> bool {
        self.first() == Some(offset) || self.has_room()
    }

    /// Whether any of what is parked may be begun.
    pub fn may_catch_up(&self) -> bool {
        self.parked_from().is_some_and(|from| self.has_room_for(from))
    }

    pub fn begin(&mut self, offset: i64) {
        self.open.insert(offset);
    }

    /// One that was begun has its answer.
    pub fn answer(&mut self, offset: i64) {
        if self.open.remove(&offset) {
            self.answered.insert(offset);
        }
        self.prune();
    }

    /// Notes a request that is answered without having been begun. False where there is no room for the note.
    pub fn answer_at_once(&mut self, offset: i64) -> bool {
        let has_room = self.first().is_none() || self.has_room_for(offset);
        if has_room {
            self.note(offset);
        }
        has_room
    }

    /// Notes that a request is answered, whether there is room for it or not.
    pub fn note(&mut self, offset: i64) {
        self.answered.insert(offset);
        self.prune();
    }

    /// The request, and all that follow, are to be read again.
    pub fn park(&mut self, offset: i64, deadline: Option<UnixMillis>) {
        self.parked.get_or_insert(Parked { from: offset, earliest: None });
        self.note_deadline(deadline);
    }

    pub fn note_deadline(&mut self, deadline: Option<UnixMillis>) {
        if let (Some(parked), Some(deadline)) = (&mut self.parked, deadline) {
            parked.earliest = Some(parked.earliest.map_or(deadline, |earliest| earliest.min(deadline)));
        }
    }

    /// Notes one that is read again and can't be read now. What stands behind it goes on, as far as there is room to note
    /// that it is answered.
    pub fn doubt(&mut self, offset: i64) {
        if !self.answered.contains(&offset) {
            self.doubtful = Some(self.doubtful.map_or(offset, |first| first.min(offset)));
        }
    }

    /// What could not be read may be readable now: it is read again, and so is all that follows.
    pub fn reconsider(&mut self) {
        if let Some(first) = self.doubtful.take() {
            self.park(first, None);
            self.parked.iter_mut().for_each(|parked| parked.from = parked.from.min(first));
        }
        // Nobody knows what deadlines such requests have.
        self.note_deadline(Some(UnixMillis(i64::MIN)));
    }

    /// Whether a parked request that is read again still needs an answer.
    pub fn is_unanswered(&self, offset: i64, deadline: Option<UnixMillis>) -> bool {
        self.parked_from().is_some_and(|from| from <= offset)
            && !self.open.contains(&offset)
            && !self.answered.contains(&offset)
            && !deadline.is_some_and(|deadline| self.expired.covers(offset, deadline))
    }

    /// What is parked has been read again from one offset to before another; nothing is parked any more once that is the
    /// partition's `end`. What was [reconsidered](Self::reconsider) meanwhile may stand before.
    pub fn read_again(&mut self, piece: Range<i64>, end: i64) {
        if let Some(parked) = self.parked.as_mut().filter(|parked| piece.start <= parked.from) {
            parked.from = parked.from.max(piece.end);
        }
        self.parked.take_if(|parked| parked.from >= end);
        self.prune();
    }

    /// Whether a deadline of a parked request may have passed, and may be answered now: a clock that was set back must
    /// not tell that what is answered is not.
    pub fn may_have_expired(&self, now: UnixMillis) -> bool {
        let earliest = self.parked.as_ref().and_then(|parked| parked.earliest);
        earliest.is_some_and(|earliest| earliest <= now)
            && self.has_room_for_step()
            && self.expired.0.values().all(|time| *time <= now.0)
    }

    /// Whether there is room for another step of what is answered as expired.
    pub fn has_room_for_step(&self) -> bool {
        self.expired.0.len() < STEPS_MAX
    }

    /// From now on only deadlines that are noted are known.
    pub fn forget_deadlines(&mut self) {
        if let Some(parked) = &mut self.parked {
            parked.earliest = None;
        }
    }

    /// Every parked request from `from` to before `to` whose deadline is not after `time` is answered.
    ///
    /// Those in memory are not parked, and answered by themselves. They stand before all that are parked, unless some were
    /// [reconsidered](Self::reconsider); these are noted one by one ([`expire_one`](Self::expire_one)).
    pub fn expire(&mut self, from: i64, to: i64, time: UnixMillis) {
        let Some(parked) = self.parked_from() else { return };
        let behind_open = self.open.last().map_or(parked, |last| last.saturating_add(1));
        self.expired.set(from.max(parked).max(behind_open), to, time);
        self.prune();
    }

    /// Notes one parked request that is answered because its deadline has passed, where [`expire`](Self::expire) does not.
    /// False where there is no room for the note.
    pub fn expire_one(&mut self, offset: i64) -> bool {
        let is_noted_with_others = self.open.last().is_none_or(|last| *last < offset);
        is_noted_with_others || self.answer_at_once(offset)
    }

    /// Forgets what the first request without an answer says by itself.
    fn prune(&mut self) {
        match self.first() {
            Some(first) => {
                self.answered = self.answered.split_off(&first);
                self.expired.forget_before(first);
            }
            None => {
                self.answered.clear();
                self.expired.0.clear();
            }
        }
    }
}

/// Before any deadline.
const NEVER: i64 = i64::MIN;

/// Up to which deadline the requests are answered as expired, in steps: from an offset on, up to the next step, every
/// request whose deadline is not after the step's time. The log itself says which these are, so nothing need be noted of
/// them one by one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expired(BTreeMap<i64, i64>);

impl Expired {
    /// Offsets with their times, in order.
    pub fn steps(&self) -> impl ExactSizeIterator<Item = (i64, i64)> {
        self.0.iter().map(|(offset, time)| (*offset, *time))
    }

    pub fn of(steps: impl IntoIterator<Item = (i64, i64)>) -> Expired {
        Expired(steps.into_iter().collect())
    }

    fn time_at(&self, offset: i64) -> i64 {
        self.0.range(..=offset).next_back().map_or(NEVER, |(_, time)| *time)
    }

    fn covers(&self, offset: i64, deadline: UnixMillis) -> bool {
        let time = self.time_at(offset);
        time != NEVER && deadline.0 <= time
    }

    fn set(&mut self, from: i64, to: i64, time: UnixMillis) {
        if from >= to {
            return;
        }
        let behind = self.time_at(to);
        self.0.retain(|offset, _| !(from..=to).contains(offset));
        self.0.extend([(from, time.0), (to, behind)]);
        let mut last = NEVER;
        self.0.retain(|_, time| std::mem::replace(&mut last, *time) != *time);
    }

    fn forget_before(&mut self, offset: i64) {
        let time = self.time_at(offset);
        self.0 = self.0.split_off(&offset);
        if time != NEVER {
            self.0.insert(offset, time);
        }
    }
}

#[cfg(test)]
mod tests;
