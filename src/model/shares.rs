//! Which part of each budget is which partition's, so that calls are made where they are needed and never more than there are.
//!
//! A budget of calls of an app is divided into [`WHOLE`] parts. Each partition of the registry has some of them, and whoever owns the
//! partition makes as many calls. At first each has as many as any other. The owner of one partition
//! ([`Shard::DIVIDING`](super::shard::Shard::DIVIDING)), the divider, moves parts to where they are needed:
//!
//! ```text
//!  owner of p ──── note of p: what p needs, and which division it is in force by ────> divider
//!  divider ─────── ledger: what each partition may have, durable ── then its note: the division ────> every owner
//! ```
//!
//! Notes stand beside the offsets of the partitions in the group, and are written in transactions that Kafka refuses to whoever
//! is not the partition's owner any more. The [ledger](ledger::ShareLedger) is a record of the divider's shard in the state.
//!
//! # Why all partitions together never have more than the whole
//!
//! Let `granted(p)` be what the latest division gives to `p`, and `outstanding(p)` what its owner may have in force: the most that any
//! division has given to it since the last one that its owner is known to go by. The ledger holds both.
//!
//! 1. A ledger whose `outstanding` come to more than the whole is never made: a division gives to those that get more only
//!    what no `outstanding` has. One who gets less keeps his `outstanding` with it.
//! 2. A division is told when its ledger is durable, and not before. Its writer was the owner of the divider's shard then, as of every
//!    record of the state; so a divider that was replaced without knowing it has told nothing that its successor's ledger does not hold. For
//!    whoever owns that shard next reads its ledger behind the fence, as all of the state.
//! 3. `outstanding(p)` falls to `granted(p)` where the note of `p` says that the owner of `p` goes by this very division. He lowers what he
//!    calls before he notes it. A later owner of `p` has read that division or a later one: his reading began when `p` was
//!    assigned to him, so after the note of his predecessor, who had read it from the same offsets. Of a reading that began before, nothing
//!    is taken. While he has read none, he has [`least`](least) parts, which every division gives to everybody.
//! 4. Who owns all partitions has all, whatever is noted: nobody else has any.
//!
//! So what is in force for `p` is `outstanding(p)` at most at any time, and all of it together no more than the whole. That also holds between
//! the transaction of a division and its note, and where that note is never written: only who is given less learns it late.
//!
//! What does not hold up safety holds up nothing else, either: a partition that stands still keeps what it has had, and the others move what is
//! theirs.
//!
//! # Beside a version that knows nothing of this
//!
//! Its notes have no such part, and it calls as if its partitions had equal parts. So nobody goes by a division any more who
//! sees such a note: each has an equal part at most until there is none left. What was moved away from a partition before one of that version
//! took it over is called twice until the others have looked at the notes again, some seconds. In the state it tells the ledger once, as a
//! stray record.

pub mod divider;
pub mod held;
pub mod ledger;
pub mod note;
pub mod wanted;

#[cfg(test)]
mod tests;

/// All parts of a budget.
pub const WHOLE: u16 = u16::MAX;
/// Every partition keeps this part of what an equal one would be: so a promoter that comes to an empty partition is polled at once.
const LEAST_PART: u16 = 50;

/// The parts of each of so many partitions that have the same; a few are left over.
pub fn equal(partitions: usize) -> u16 {
    u16::try_from(usize::from(WHOLE) / partitions.max(1)).unwrap_or(WHOLE)
}

/// What no division leaves a partition without, of so many.
pub fn least(partitions: usize) -> u16 {
    equal(partitions) / LEAST_PART
}
