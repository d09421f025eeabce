//! Why the process ends before its time: said in the log's own form, as its last line.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::fmt::Display;
use std::io::{self, Write};
use std::panic::PanicHookInfo;
use std::time::Duration;
use std::{panic, process, thread};

use super::log;

/// How long the last words may take in all; then the process ends without them.
const LAST_WORDS_MAX: Duration = Duration::from_secs(3);

/// Makes a panic, in whatever thread, the end of the process, with exit code 1.
///
/// A part that has panicked is gone, or half done: what waits for it would wait for ever, while the rest looks alive. Whoever
/// starts the process again gets a whole one, and recovery is start-up.
pub fn exit_on_panic() {
    panic::set_hook(Box::new(|panic| {
        // Should saying it get stuck in what the panic has left behind, the end comes all the same.
        let _ = thread::Builder::new().spawn(|| {
            thread::sleep(LAST_WORDS_MAX);
            process::exit(1);
        });
        give_up(&described(panic), 1);
        process::exit(1);
    }));
}

fn described(panic: &PanicHookInfo) -> String {
    let words = panic.payload_as_str().unwrap_or("without words");
    let thread = thread::current().name().unwrap_or("without a name").to_owned();
    let place = panic.location().map(ToString::to_string).unwrap_or_default();
    let backtrace = Backtrace::capture();
    let reason = format!("a defect of this program: thread {thread} panicked at {place}: {words}");
    match backtrace.status() {
        BacktraceStatus::Captured => format!("{reason}\n{backtrace}"),
        _ => reason,
    }
}

/// Says that the process ends with `exit_code`, and why: as the log's last line, or plainly where no log has begun.
pub fn give_up(reason: &dyn Display, exit_code: u8) {
    if !log::is_started() {
        return say(reason);
    }
    tracing::error!(%reason, exit_code, "giving up");
    log::flush();
}

/// Writes a line to stderr. That nobody reads there is no reason to fail, nor could anybody be told.
pub fn say(line: &dyn Display) {
    let _ = writeln!(io::stderr(), "{line}");
}
