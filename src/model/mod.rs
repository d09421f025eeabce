//! The rules of the business: plain data and plain functions.
//!
//! Nothing in this directory does I/O, reads a clock, or is async. Time is an argument. The modules stand in
//! the order in which the data flows through them.

pub(crate) mod per;

pub(crate) mod parts;

pub mod time;

pub(crate) mod duration;

pub mod promoter;

pub mod shard;

pub mod quota_share;

pub mod feed;

pub(crate) mod feed_set;

pub mod cursor;

pub mod scope;
mod scope_bound;

pub mod row;

pub mod fact;

pub mod dead_letter;

pub mod page_facts;

pub(crate) mod pages;

pub mod pull;

pub mod state_record;

pub mod batch;

pub mod day_record;

pub mod days;

mod chunks;

mod feed_memory;

mod feed_state;

mod known_promoters;

mod refund;

pub mod refusal;

mod unknown;

pub mod disposition;

mod page_dedup;

pub mod removal;

pub mod rewind;

pub mod state;

pub(crate) mod queued_write;

pub(crate) mod shards;

pub mod fence;

pub(crate) mod state_content;

pub(crate) mod roster;

pub mod shares;

pub(crate) mod configuration_digest;

pub mod pacing;

pub mod material;

pub mod request;

pub(crate) mod age;
