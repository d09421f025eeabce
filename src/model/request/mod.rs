//! Requests as records of a topic, and how far a partition of that topic is answered.
//!
//! A request topic is answered out of order: the offset that comes next says what has been read, and what of the records
//! before it has no answer yet is the *metadata* that is committed with it ([`answered_offsets`]), app by app
//! ([`offset_tracker`]).

pub mod record;

pub(crate) mod offset_tracker;

pub(crate) mod schema_bucket;

pub(crate) mod log_fingerprints;

pub(crate) mod answered_offsets;
