//! The registry of promoters: who is polled, as the configuration, the records of the registry topic and discovery together
//! say. Plain data and plain functions: what reads the topic and the files calls them.
//!
//! ```text
//!   configuration ──ConfiguredPromoter──┐
//!   promoter.registry ──PromoterRecord──┼─> SourceUpdate ─> PromoterTable::apply ─> TableChange
//!                 ├────DiscoveredPromoter┘
//!                 └─Rewind─> the polls of its app
//! ```

pub(crate) mod tags;

pub mod record;

pub(crate) mod discovered;

pub(crate) mod rewind;

pub mod event;

pub(crate) mod compacted_events;

mod packed_start;

pub(crate) mod registered_since;

mod packed_map;

pub mod table;

pub(crate) mod known;

pub(crate) mod configured;

pub(crate) mod removed;

pub(crate) mod discovery;
