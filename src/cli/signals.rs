//! SIGTERM and SIGINT: the first asks for a stop in order, the second ends the process. SIGHUP ends no service.

use std::process;
use std::time::{Duration, Instant};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::telemetry::last_words;

/// Within this time of the first signal a second one is the same: who stops a process often tells its group as well, as a
/// terminal, a shell or `timeout` does.
const ONE_SIGNAL: Duration = Duration::from_millis(250);

/// Cancels `stop` at the first signal, and exits with 1 at the second.
///
/// # Errors
/// Where the system takes no handler for the signals.
pub fn cancel_on_signal(stop: CancellationToken) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::spawn(async move {
        let mut first: Option<Instant> = None;
        loop {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            let begun = *first.get_or_insert_with(Instant::now);
            if stop.is_cancelled() && begun.elapsed() > ONE_SIGNAL {
                last_words::give_up(&"a second signal came before the end in order", 1);
                process::exit(1);
            }
            stop.cancel();
        }
    });
    Ok(())
}

/// Keeps SIGHUP, which a terminal sends when it is closed, from ending the process, and tells of each: with it operators ask
/// daemons to read their configuration again.
///
/// # Errors
/// Where the system takes no handler for the signal.
pub fn hangups() -> anyhow::Result<Signal> {
    Ok(signal(SignalKind::hangup())?)
}
