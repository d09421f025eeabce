//! The seeded world: it answers what the upstream would answer at a given time, and remembers what it showed.
//!
//! Each file adds to [`state::World`] what it is about: [`interfaces`] finds what a request calls, [`credentials`] and
//! [`data`] answer it, [`delivery`] sends the answer on its way and notes what arrived, [`settlement`] and [`shown_facts`]
//! tell how much was shown, and what.

mod call_counts;
mod credentials;
mod data;
mod delivery;
mod interfaces;
mod material;
mod paths;
mod picture;
mod registry;
mod reply;
pub(in crate::simulator) mod settlement;
pub(in crate::simulator) mod shared;
pub(in crate::simulator) mod shown_facts;
pub(in crate::simulator) mod state;
