//! Asking a feed of a promoter again from an earlier time on.
//!
//! A rewind moves a cursor back, and nothing else: the polls then ask again from there, as they would have asked the first time.
//!
//! # Why it acts exactly once
//!
//! A rewind is a record of the registry, which every owner of the promoter's shard reads anew. So each has a name of its own
//! ([`RewindId`]), and the state holds, for each feed of each promoter, the name of the last one that was met. That is written in
//! the transaction that moves the cursor: either both are durable, or the rewind is met again. One that is met a second
//! time, after a restart, a rebalance, or when the registry is read from its beginning, is known by its name.
//!
//! 1. *Met, but of no effect, is met all the same.* One whose time the cursor has not passed, or whose feed has no cursor, is noted
//!    like any other. Were it not, the cursor would be moved back by it whenever it has passed that time, however much later.
//! 2. *The first cursor comes behind it.* Whoever takes a shard up has its rewinds met before the first cursors are asked for. So a
//!    promoter that is forgotten, and named again, begins where its `start_from` says, and not where an old rewind says; and
//!    therefore what is noted outlives whatever else is known of the promoter.
//! 3. *A pull that was planned before moves nothing.* The polls of the promoter end before the rewind goes into the queue in which
//!    their pages are, and begin again behind it, by the cursor that it has left. Nor would a page of an earlier pull count: it
//!    tells the cursor that it was built on ([`Advance::from`](super::page_facts::Advance::from)), which is another one now.
//!
//! # Why nothing is published twice
//!
//! What is at or after the cursor is remembered, as far back as the cursor of the last record stands; what lay before may be
//! forgotten. A cursor that goes back behind that would have the forgotten facts published again. So what the memory may
//! have forgotten is kept beside it ([`MaybeForgotten`]), and facts of these times that it does not know are left alone, as what
//! lies behind the cursor is. It is reckoned from the memory at the very moment at which the cursor moves, not when the rewind
//! was asked for: however far the cursor has come meanwhile, nothing comes twice.
//!
//! Facts before the first start of touches and of orders are none of these: nobody has published them. A rewind to a time before that
//! brings them, which is how a `start_from` acts that was changed later. Of refunds this is not so: orders may have met them since an
//! earlier start ([`published_since`]). And whoever was forgotten (`registry.forget`) and is back is new: what was published before
//! that is known to nobody.
//!
//! Where it is asked to publish again, only the facts before its own time are left alone. Those that are remembered under the cursor of
//! the last record or later are recognised all the same. A row that can't be read has no time, so in a rewind it may become a
//! dead letter again.
//!
//! # Why all of it comes again that is asked for
//!
//! What has passed may be in the memory still, which forgets in its own time, and in the topic, which is compacted in its own. So a
//! rewind that publishes again forgets what lies before the cursor of the last record, and says up to when in a record of its own
//! ([`StateKey::Forgotten`](super::state_record::StateKey::Forgotten)): whoever reads the topic forgets the same where that
//! record stands, of what came before it and of nothing that came behind it. Only the next one that publishes again overwrites it, and
//! forgets as much at least: what the first one has published again until then may come once more.

use std::fmt;

use super::feed::{Feed, PulledBy};
use super::page_facts::listed_until;
use super::time::{Day, UnixTime};

/// Tells one rewind from every other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RewindId(pub u128);

/// What is asked for of one feed of one promoter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rewind {
    pub id: RewindId,
    /// From then on the facts are asked for again; of orders those of the whole day.
    pub to: UnixTime,
    /// Whether facts are published again that may be published and forgotten.
    pub republish: bool,
}

/// Facts that may have been published and are not remembered: those that happened at `from` or later, and would be remembered under
/// a time before `until`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MaybeForgotten {
    pub from: UnixTime,
    pub until: UnixTime,
}

/// How many of them are kept of one feed. There are several only where a rewind to before the first start is overtaken by another.
pub const MAYBE_FORGOTTEN_MAX: usize = 16;

/// The last rewind that was met of a feed, as the state holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetRewind {
    pub id: RewindId,
    /// Until the cursor has passed them; [`MAYBE_FORGOTTEN_MAX`] at most.
    pub maybe_forgotten: Vec<MaybeForgotten>,
}

impl fmt::Display for RewindId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl RewindId {
    /// Reads what is shown: 32 digits, in either case.
    pub fn from_hex(text: &str) -> Option<RewindId> {
        let is_hex = text.len() == 32 && text.bytes().all(|digit| digit.is_ascii_hexdigit());
        u128::from_str_radix(text, 16).ok().filter(|_| is_hex).map(RewindId)
    }
}

impl MaybeForgotten {
    pub fn holds(&self, time: UnixTime, remembered: UnixTime) -> bool {
        time >= self.from && remembered < self.until
    }

    fn is_empty(&self) -> bool {
        // Nothing is remembered under a time before its own.
        self.until <= self.from
    }

    fn covers(&self, other: &MaybeForgotten) -> bool {
        self.from <= other.from && other.until <= self.until
    }
}

/// Adds facts to those that may be forgotten, and leaves out what others say already.
pub(super) fn add_maybe_forgotten(all: &mut Vec<MaybeForgotten>, added: MaybeForgotten) {
    if added.is_empty() || all.iter().any(|known| known.covers(&added)) {
        return;
    }
    all.retain(|known| !added.covers(known));
    all.push(added);
}

/// What is left of them where facts from `to` on are to be published again.
pub(super) fn cut_to(all: &mut Vec<MaybeForgotten>, feed: Feed, to: UnixTime) {
    let until = remembered_from(feed, to);
    all.iter_mut().for_each(|known| known.until = known.until.min(until));
    all.retain(|known| !known.is_empty());
}

/// From when on facts of a polled `feed` may be published that began at `start`. Refunds may have been met by orders before they were
/// polled, and published from an earlier start than their own.
pub fn published_since(feed: Feed, start: UnixTime) -> UnixTime {
    match feed.pulled_by() {
        PulledBy::Window | PulledBy::Day => start,
        PulledBy::Promoter => UnixTime(0),
    }
}

/// Under which times the facts of `feed` are remembered that happened at `time`, or of orders on its day: this and later ones.
fn remembered_from(feed: Feed, time: UnixTime) -> UnixTime {
    match feed.pulled_by() {
        PulledBy::Window | PulledBy::Promoter => time,
        PulledBy::Day => listed_until(time),
    }
}

/// From when on every fact of `feed` that happened is remembered where it was published, if all are that are remembered under
/// `remembered` and later.
pub fn known_since(feed: Feed, remembered: UnixTime) -> UnixTime {
    match feed.pulled_by() {
        PulledBy::Window | PulledBy::Promoter => remembered,
        PulledBy::Day => {
            // The least day whose facts are remembered under that time or later.
            let day = Day::in_beijing(remembered.minus(1)).previous();
            day.beijing_start()
        }
    }
}
