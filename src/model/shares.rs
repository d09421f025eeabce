//! Which part of each budget is which partition's, so that calls are made where they are needed and never more than there are.
//!
//! A budget of calls of an app is divided into [`WHOLE`] parts. Each partition of the registry has some of them, and whoever owns the
//! partition makes as many calls. At first each has as many as any other. The owner of one partition
//! ([`Shard::DIVIDING`](super::shard::Shard::DIVIDING)), the divider, moves parts to where they are needed:
//!
//! ```text
//!  owner of p ──── note of p: its generation, which division p goes by, what p needs ────> divider, and every owner
//!  divider ─────── ledger: what each partition may have, durable ── then its note: the division ────> every owner
//! ```
//!
//! Notes stand beside the offsets of the partitions in the group, and are written in transactions that Kafka refuses to whoever
//! is not the partition's owner any more. The [ledger](ledger::ShareLedger) is a record of the divider's shard in the state.
//!
//! # What an owner calls with
//!
//! | of a partition | it calls with |
//! |---|---|
//! | that goes by no division since it was assigned | the [`least`] parts, which every division leaves to everybody; an equal part once it is known that nobody has more than that |
//! | that goes by a division | its parts of that, but an equal part at most until the ceiling is lifted |
//! | and it owns all of them | all, for nobody else has any |
//!
//! It lifts its ceiling in a generation of the group in two steps. Where the notes of all partitions were written in that generation and go by
//! divisions of one ledger, it notes that it may have more than equal parts. Where the next reading still shows that, and its own notes of it, it has.
//! With the next generation, or a reading that does not show it any more, the ceiling is an equal part again.
//!
//! # Why all partitions together never have more than the whole
//!
//! *What a note proves.* It tells the generation under which it was written, and the broker took it only while that was the group's. So
//! a note of generation `g` is that of the partition's owner in `g`, however late it is read; within a generation only a process that takes the place of
//! another under its id follows on it. What an earlier owner left in an open transaction may become visible late, but tells
//! an earlier generation, and what an earlier process of this id left has ended when this one's log is open. And it never replaces a later note: Kafka keeps
//! that which was sent last, and not that whose transaction has ended last.
//!
//! *Equal parts.* An owner that hears of a new generation has equal parts at most, from within the callback that tells it. One with a partition that goes
//! by no division notes that, and then nobody lifts a ceiling in that generation. It gives this partition an equal part when it reads that: its own note, and
//! no note of another that may have more, all of its generation, or of a version that has equal parts in any. Of two who write first
//! and read then one at least reads what the other has written: so not both this one has taken an equal part without
//! a division, and another has lifted its ceiling. Before it gives that note up, it goes by a division. (Where somebody writes no note, whoever has not heard of the
//! generation is no member any more after two sessions.)
//!
//! *More than equal parts.* Let `granted(p)` be what the latest division gives to `p`, and `outstanding(p)` what its owner may have in force: the most
//! that any division has given to it since the last one that its owner is known to go by. The ledger holds both.
//!
//! 1. A ledger whose `outstanding` come to more than the whole is never made: a division gives to those that get more only
//!    what no `outstanding` has. One who gets less keeps his `outstanding` with it.
//! 2. A division is told when its ledger is durable, and not before. Its writer was the owner of the divider's shard then, as of every
//!    record of the state; so a divider that was replaced without knowing it has told nothing that its successor's ledger does not hold. For
//!    whoever owns that shard next reads its ledger behind the fence, as all of the state, and what was left open below it has ended then.
//! 3. `outstanding(p)` falls to `granted(p)` where the note of `p` says that it goes by this very division. Its owner lowers what he
//!    calls before he notes it. A later owner of `p` has read that division or a later one, or has the least parts, or equal ones as all have: his reading began
//!    when `p` was assigned to him, so after the note of his predecessor, who had read it from the same offsets. Of a reading that
//!    began before, nothing is taken. The divider's own partition goes by what he makes of the ledger, once he has that.
//!
//! So what is in force for `p` is `outstanding(p)` at most, where one that has the least parts is within it, or an equal part, and that
//! without a division only while all have no more. Either comes to no more than the whole.
//! That also holds between the transaction of a division and its note, and where that note is never written: only who is given less learns it late.
//!
//! *Where there is no ledger*, or one that can't be read, the divider's partition goes by no division, so nobody lifts a ceiling. When he has read
//! that all are of his generation and have equal parts at most, he begins one in which all have those. Its name is unlike any other's, and who goes
//! by another lifts no ceiling beside it.
//!
//! What does not hold up safety holds up nothing else, either: a partition that stands still keeps what it has had, and the others move what is
//! theirs, or have equal parts.
//!
//! # Beside a version that knows nothing of this
//!
//! Its notes have no such part, and it calls with equal parts of its partitions. In no generation in which it owns one does anybody lift a ceiling.
//! It is given its first one by a generation of which all others hear when it does: what lies between the two hearings, mostly
//! milliseconds, is the only time in which both may call with the same part; for each partition that it takes over it leaves one call out. In
//! the state it finds records that it does not know, tells them, and leaves them alone.

pub mod divider;
pub mod held;
pub mod ledger;
pub mod note;
pub mod wanted;

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
