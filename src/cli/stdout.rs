//! Reports and data on standard output.

use std::io::{self, ErrorKind, Write};

use anyhow::Context;

/// Writes `text` at once. A reader that has gone away has read enough: that is no failure.
///
/// # Errors
/// Where it can't be written for another reason.
pub fn print(text: &str) -> anyhow::Result<()> {
    let mut stdout = io::stdout();
    let printed = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
    unless_closed(printed).context("standard output can't be written to")
}

/// Whether what failed was only that nobody reads standard output any more.
pub fn is_closed(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == ErrorKind::BrokenPipe)
}

fn unless_closed(printed: io::Result<()>) -> io::Result<()> {
    match printed {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        printed => printed,
    }
}
