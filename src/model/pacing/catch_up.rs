//! Which feeds of a backfill wait for others, so that all of them go through time together.
//!
//! Events carry the time of their fact. Were one promoter's history read to its end while another's has just begun, whoever
//! counts by windows of that time would take the second one's events for late, and leave them out. So the cursors that are
//! far behind form a group, one for each feed of an app, and none of them is moved further ahead of the slowest than the
//! spread, but over a time that holds nothing ([`scope_bound`](crate::model::scope_bound)): with that nobody is ahead of anybody.
//!
//! 1. A feed joins when its cursor lies more than the spread behind what is settled ([`settled`](crate::model::scope::settled)),
//!    and leaves when it has come to there. Who keeps up with the present is no member, and waits for nobody.
//! 2. A member reads on as far as the spread ahead of the slowest *other* one, and waits where that is less than a step. So the
//!    slowest itself may overtake the others by a spread, and who is alone reads as he likes.
//! 3. Only who makes progress is waited for: neither who is parked, nor one of whom two polls in a row have not moved the cursor,
//!    until it moves. One poll is not enough: what fails everybody's at once would let go of everybody at once.
//! 4. Nobody waits for ever. The slowest that makes progress has others that are no slower, so it may read a whole spread,
//!    which is no less than a step: it is never held back. It is polled until its cursor has moved, or until it makes no
//!    progress; either way those that wait are looked at again. Where nobody makes progress each may read on by a spread.

use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;
use std::time::Duration;

use crate::model::feed::{Feed, PulledBy};
use crate::model::time::UnixTime;

/// After so many polls in a row that have not moved its cursor a feed is not waited for.
const IN_VAIN_MAX: u8 = 2;
const DAY: i64 = 24 * 3600;

/// The group of one feed. Each change of it costs no more than a search in an ordered set, however many the members are.
#[derive(Debug)]
pub struct CatchUp<K> {
    /// How far one cursor may run ahead of the slowest, in seconds.
    spread: i64,
    /// The least that a pull is made for, in seconds: those that wait would else ask again with each small step of the slowest.
    step: i64,
    members: HashMap<K, Member>,
    /// The cursors of those that make progress.
    moving: BTreeSet<(UnixTime, K)>,
    /// The cursors of those that wait.
    held_back: BTreeSet<(UnixTime, K)>,
}

#[derive(Clone, Copy, Debug)]
struct Member {
    cursor: UnixTime,
    /// Polls in a row that have not moved it.
    in_vain: u8,
}

impl<K: Copy + Ord + Hash> CatchUp<K> {
    /// The group of `feed`.
    pub fn new(feed: Feed, spread: Duration) -> CatchUp<K> {
        let (least, spread) = (least_spread(feed), group_spread(feed, spread));
        let (members, moving, held_back) = (HashMap::new(), BTreeSet::new(), BTreeSet::new());
        CatchUp { spread, step: (spread / 2).max(least), members, moving, held_back }
    }

    /// A feed stands at `cursor`. It joins if that is far behind what is `settled`; nothing is of a feed without stretches.
    pub fn meet(&mut self, key: K, cursor: UnixTime, settled: Option<UnixTime>) {
        if is_beyond(self.spread, cursor, settled) && !self.members.contains_key(&key) {
            self.members.insert(key, Member { cursor, in_vain: 0 });
            self.moving.insert((cursor, key));
        }
    }

    /// Until when the next pull of a feed may read, be it a member or not. Nothing where it has to wait until
    /// [`CatchUp::let_go`] gives it.
    pub fn bound(&mut self, key: K) -> Option<UnixTime> {
        let Some(Member { cursor, .. }) = self.members.get(&key).copied() else { return Some(UnixTime::MAX) };
        let bound = self.bound_at(key, cursor);
        if self.may_begin(cursor, bound) {
            return Some(bound);
        }
        self.held_back.insert((cursor, key));
        None
    }

    fn bound_at(&self, key: K, cursor: UnixTime) -> UnixTime {
        if self.members.len() <= 1 {
            return UnixTime::MAX;
        }
        let slowest_other = self.moving.iter().find(|(_, other)| *other != key);
        slowest_other.map_or(cursor, |(cursor, _)| *cursor).plus(self.spread)
    }

    fn may_begin(&self, cursor: UnixTime, bound: UnixTime) -> bool {
        cursor.plus(self.step) <= bound
    }

    /// A pull was read to its end, and has left the cursor there.
    pub fn read(&mut self, key: K, cursor: UnixTime, settled: Option<UnixTime>) {
        if settled.is_none_or(|settled| cursor >= settled) {
            self.leave(key);
            return;
        }
        match self.members.get_mut(&key) {
            Some(member) if member.cursor < cursor => {
                self.moving.remove(&(member.cursor, key));
                *member = Member { cursor, in_vain: 0 };
                self.moving.insert((cursor, key));
            }
            _ => self.in_vain(key),
        }
    }

    /// A poll has not moved the cursor.
    pub fn in_vain(&mut self, key: K) {
        let Some(member) = self.members.get_mut(&key) else { return };
        member.in_vain = member.in_vain.saturating_add(1);
        if member.in_vain >= IN_VAIN_MAX {
            self.stand_still(key);
        }
    }

    /// Nothing is expected of it for long.
    pub fn stand_still(&mut self, key: K) {
        if let Some(Member { cursor, .. }) = self.members.get(&key) {
            self.moving.remove(&(*cursor, key));
        }
    }

    /// A feed is polled no more, or has caught up. True where it waited.
    pub fn leave(&mut self, key: K) -> bool {
        let Some(Member { cursor, .. }) = self.members.remove(&key) else { return false };
        self.moving.remove(&(cursor, key));
        self.held_back.remove(&(cursor, key))
    }

    /// One that has waited, and need not wait any more.
    pub fn let_go(&mut self) -> Option<K> {
        // Of all that wait it has the most room: what bounds it bounds them as well, or lies behind it.
        let (cursor, key) = self.held_back.first().copied()?;
        if !self.may_begin(cursor, self.bound_at(key, cursor)) {
            return None;
        }
        self.held_back.pop_first();
        Some(key)
    }

    pub fn members(&self) -> usize {
        self.members.len()
    }

    pub fn held_back(&self) -> usize {
        self.held_back.len()
    }
}

/// Whether one that stands at `cursor` is to join the group of `feed`, where so long a spread is set.
pub(crate) fn is_far_behind(feed: Feed, spread: Duration, cursor: UnixTime, settled: Option<UnixTime>) -> bool {
    is_beyond(group_spread(feed, spread), cursor, settled)
}

/// In seconds, rounded down. Orders are read by days, so they are at least a day apart.
fn group_spread(feed: Feed, spread: Duration) -> i64 {
    i64::try_from(spread.as_secs()).unwrap_or(i64::MAX).max(least_spread(feed))
}

fn is_beyond(spread: i64, cursor: UnixTime, settled: Option<UnixTime>) -> bool {
    settled.is_some_and(|settled| cursor.plus(spread) < settled)
}

/// In seconds.
fn least_spread(feed: Feed) -> i64 {
    match feed.pulled_by() {
        PulledBy::Window | PulledBy::Promoter => 1,
        PulledBy::Day => DAY,
    }
}

#[cfg(test)]
mod tests;
