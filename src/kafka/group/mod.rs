//! Who owns what: the instances of one connector share out partitions as members of a consumer group.
//!
//! Partition *p* of `promoter.registry` is owned by the group's member that it is assigned to; its owner polls the
//! promoters of *p* and writes partition *p* of `promoter.state`. In the same way, in a group of their own, the members
//! share the partitions of the request topic, whose owner answers what stands in them.
//!
//! # What an owner may write
//!
//! Each callback of librdkafka leaves a [snapshot](snapshot::MembershipSnapshot): the partitions that this process
//! owns, and the metadata that says which member it is, in which generation of its group. Whatever is written for a
//! partition goes in a transaction with offsets under the metadata of a snapshot that has it. The broker takes these
//! only if that generation is the group's and that member is in it. It does not look whether the member owns the
//! partitions: with current metadata it was seen to take offsets of a partition that somebody else owned. So everything
//! rests on this: **a snapshot of a generation has no partition that the same generation has given to another member**.
//!
//! The assignor is cooperative-sticky. At each joining every member says what it owns, and whoever computes the
//! assignment of the new generation gives what one member says it owns to no other: it is taken away from its owner in
//! this generation, and given on in a later one, for which that owner has to join again. librdkafka lets a member join
//! again after the callback that takes the partitions away has been answered. Therefore:
//!
//! - *A partition that stays* is this member's in the new generation, and goes on under its metadata. It keeps its number.
//! - *A partition that is taken away* is given to nobody in the generation that takes it away. So it stays in the snapshots of
//!   that generation, and is used as before: the callback is answered at once, and nobody is told until the group moves on.
//!   From that moment on what is written under the older metadata is refused, and the next callback brings a snapshot without
//!   it. So it stands still for no longer than its next owner takes to read it. (What was under way of it then is lost, and
//!   asked for again by that one: a few polls, where ending them first would have had everybody wait for the slowest.)
//! - *A partition that is handed over*, since this process is told to stop, is one that is taken away: the member joins again as
//!   one that wants none ([`member`]), which begins the generation that gives it on. Until then the group has given it to nobody
//!   else, and takes what is written for it.
//! - *A partition that comes* was nobody's: its last owner has answered, or is no member any more, and what that one
//!   writes is refused.
//!
//! The metadata is taken in the callback and never asked for later. There librdkafka waits for the answer; it can lose
//! the membership meanwhile, but not take up another one. Outside, a member that was thrown out joins again in
//! librdkafka's background, and would be told the metadata of a generation in which it no longer owns what it writes.
//!
//! What was said at the joining counts only if it was heard. The group goes on without a member that does not join
//! within `max.poll.interval.ms`, and keeps one of a fixed name for its session, with what that one said last, which
//! may lack what it was given since. Such a generation can give its partitions to others, and the member may come back
//! without having noticed. With the defaults that can't happen ([`timeouts`] says why). Where the settings leave it
//! possible, what is owned carries over only from a generation to the very next one, which this member has joined
//! itself: after a gap everything counts as newly assigned, as it does after a loss or under another id, and is read
//! again by whoever writes it. That costs something where the gap is only a joining that was broken off by the next
//! one, and so is not done by default.
//!
//! When the membership is lost (the session is over, the broker knows the member or its generation no more, another
//! process has taken its place), there is no snapshot until librdkafka has joined again, and nobody is waited for: the
//! broker refuses what is under way. Metadata without a generation, as that of a consumer outside of any group, is
//! never used: the broker checks nothing then.

pub(super) mod member_id;

pub mod snapshot;

mod owned_partitions;

pub(super) mod refusal;

pub(crate) mod timeouts;

pub(crate) mod observer;

mod shared_membership;

pub mod changes;

pub(super) mod callbacks;

mod assignment;

pub(super) mod group_members;

mod duplicate_instance;

mod standby;

mod unowned;

mod table_watch;

mod partition_count;

mod foreign_members;

pub(crate) mod partition_owners;

pub mod member;

pub(crate) mod membership;

pub(super) mod whole_assignment;

#[cfg(test)]
mod tests;
