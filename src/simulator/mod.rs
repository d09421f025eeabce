//! The simulated upstream.

pub mod faults;
pub mod options;

mod details;
mod exchange;
mod limits;
mod listener;
mod material;
mod pages;
mod promoters;
mod question;
mod registry;
mod reply;
mod rows;
mod seed;
mod selection;
mod server;
mod start_id;
mod stats;
mod tokens;
mod transport;
mod truth;
mod world;

pub use exchange::{Delivery, SimRequest, SimResponse};
pub use options::Options;
pub use pages::Receipt;
pub use server::{SharedWorld, serve, wall_clock};
pub use stats::{Settlement, TruthPosition};
pub use transport::SimulatedTransport;
pub use truth::{Shown, ShownContent};
pub use world::World;

#[cfg(test)]
mod tests;
