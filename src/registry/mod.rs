//! The registry of promoters: who is polled, as the configuration, the records of the registry topic and discovery together
//! say. Plain data and plain functions: what reads the topic and the files calls them.
//!
//! ```text
//!   configuration ──ConfiguredPromoter──┐
//!   promoter.registry ──PromoterRecord──┼─> SourceUpdate ─> PromoterTable::apply ─> TableChange
//!                 └────DiscoveredPromoter┘
//! ```

pub mod tags;

pub mod record;

pub mod discovered;

pub mod event;

pub mod compacted_events;

mod packed_start;

mod packed_map;

pub mod table;

pub mod configured;

pub mod removed;

pub mod discovery;
