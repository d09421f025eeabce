//! `simulate`: the simulated upstream as an HTTP server.

use std::io::Write;
use std::net::SocketAddr;

use anyhow::Context;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::simulator::{Options, SharedWorld, World, serve, wall_clock};

/// Serves until SIGTERM or SIGINT. Writes one line to stdout once it listens: `listening on http://<address>`.
///
/// # Errors
/// When an app id can't be one, or the address can't be listened on.
pub async fn simulate(options: Options, listen: SocketAddr) -> anyhow::Result<()> {
    let shutdown = CancellationToken::new();
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let ask = shutdown.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        ask.cancel();
    });
    let world = World::new(&options, wall_clock()).context("--app")?;
    let listener = TcpListener::bind(listen).await.with_context(|| format!("can't listen on {listen}"))?;
    let address = listener.local_addr().context("the listener has no address")?;
    let mut stdout = std::io::stdout();
    writeln!(stdout, "listening on http://{address}").and_then(|()| stdout.flush()).context("stdout")?;
    serve(listener, SharedWorld::new(world), shutdown).await
}
