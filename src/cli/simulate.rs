//! `simulate`: the simulated upstream as an HTTP server.

use std::net::SocketAddr;
use std::num::NonZeroU32;

use clap::Args;

#[derive(Clone, Debug, Args)]
pub struct Options {
    /// The address to serve at, such as 127.0.0.1:8090.
    #[arg(long, value_name = "ADDR")]
    pub listen: SocketAddr,

    /// The seed of the simulated world; the same seed gives the same world.
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,

    /// How many promoters the world has.
    #[arg(long, value_name = "N")]
    pub promoters: Option<NonZeroU32>,
}
