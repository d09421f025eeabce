//! `simulate`: the simulated upstream as an HTTP server.

use std::net::SocketAddr;

use anyhow::Context;
use clap::Args;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::{Failure, signals, stdout};
use crate::clock;
use crate::simulator::{self, SharedWorld, World, serve};

#[derive(Clone, Debug, Args)]
pub struct SimulateOptions {
    /// Where to listen; port 0 takes a free one. The address is printed once it listens.
    #[arg(long, value_name = "ADDRESS")]
    pub listen: SocketAddr,

    #[command(flatten)]
    pub world: simulator::WorldOptions,
}

/// Serves until SIGTERM or SIGINT. Writes one line to stdout once it listens: `listening on http://<address>`.
///
/// # Errors
/// [`Failure`] where the options are wrong, or nothing can listen on the address.
pub fn run(options: &SimulateOptions) -> Result<(), Failure> {
    Ok(super::runtime()?.block_on(simulate(options))?)
}

/// # Errors
/// Where the apps are not as they may be, the address can't be listened on, or serving fails.
async fn simulate(options: &SimulateOptions) -> anyhow::Result<()> {
    let stop = CancellationToken::new();
    signals::cancel_on_signal(stop.clone())?;
    // There is nothing to be read again.
    let _hangups = signals::hangups()?;
    let world = World::new(&options.world, clock::now()).context("--app")?;
    let listener = TcpListener::bind(options.listen).await;
    let listener = listener.with_context(|| format!("can't listen on {}", options.listen))?;
    let address = listener.local_addr().context("the listener has no address")?;
    stdout::print(&format!("listening on http://{address}\n"))?;
    serve(listener, SharedWorld::new(world), stop).await
}
