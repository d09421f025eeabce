//! Who owns what: the instances of one connector share out partitions as members of a consumer group.
//!
//! Partition *p* of `promoter.registry` is owned by the group's member that it is assigned to; its owner polls the
//! promoters of *p* and writes partition *p* of `promoter.state`. In the same way, in a group of their own, the members
//! share the partitions of the request topic, whose owner answers what stands in them.

mod member_id;

pub mod snapshot;

mod owned_partitions;

mod waiting;

mod refusal;

mod shared_membership;

pub mod changes;

mod callbacks;

mod duplicate_instance;

pub mod member;

pub mod membership;

pub(super) mod whole_assignment;
