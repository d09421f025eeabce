//! Who owns what: the instances of one connector share out partitions as members of a consumer group.

mod member;

pub mod membership;

mod duplicate_instance;

pub(super) mod joining;
