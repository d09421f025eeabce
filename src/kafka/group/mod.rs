//! Who owns what: the instances of one connector share out partitions as members of a consumer group.

mod member_id;

pub(super) mod assignment;

mod shared_membership;

mod callbacks;

pub mod member;

mod duplicate_instance;

pub(super) mod membership;
