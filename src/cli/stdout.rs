//! Reports and data on standard output.

use std::io::{self, ErrorKind, IsTerminal, Write};
use std::os::fd::AsFd;

use anyhow::Context;
use tokio::io::Interest;
use tokio::net::unix::pipe;

/// Writes `text` at once. A reader that has gone away has read enough: that is no failure.
///
/// # Errors
/// Where it can't be written for another reason.
pub fn print(text: &str) -> anyhow::Result<()> {
    let mut stdout = io::stdout();
    let printed = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
    unless_closed(printed).context("standard output can't be written to")
}

/// Whether what is printed may have colours: on a terminal, unless `NO_COLOR` says otherwise.
pub fn has_colours() -> bool {
    io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Returns when nobody reads standard output any more; never, where that can't be told, as of a file.
pub async fn closed() {
    let watched = io::stdout().as_fd().try_clone_to_owned().and_then(pipe::Sender::from_owned_fd_unchecked);
    // It is only watched: that it is in blocking mode, and stays so, is no matter.
    let Ok(watched) = watched else { return std::future::pending().await };
    if watched.ready(Interest::ERROR).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Whether what failed was only that nobody reads standard output any more.
pub fn is_closed(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == ErrorKind::BrokenPipe)
}

/// That nobody reads any further is no failure of whoever prints.
///
/// # Errors
/// Any other failure to print.
fn unless_closed(printed: io::Result<()>) -> io::Result<()> {
    match printed {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        printed => printed,
    }
}
