//! The way of the log's lines to their reader: a queue with a bound, and a thread of its own that writes.
//!
//! Nobody else may ever wait for whoever reads the log. A pipe that nobody reads blocks its writer, which is this thread
//! alone; a pipe whose reader has gone away refuses each line, and that is no reason to end. What finds no room, or can't be
//! written, is dropped and counted, and the count is said as soon as lines flow again.
//!
//! (tracing-appender's queue is bounded in lines of any length, and its guard prints to standard output when the writer is
//! blocked at the end: where both go into one pipe, that waits for ever or panics.)

use std::cell::Cell;
use std::io::{self, ErrorKind, Write};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use tracing_subscriber::fmt::MakeWriter;

/// What a waiting line costs beside its bytes.
const LINE_OVERHEAD: usize = 64;
/// The least time between two counts of dropped lines, while lines go on to be dropped.
const SAY_EVERY: Duration = Duration::from_secs(1);
/// How long a reader that takes nothing at the moment is left alone, where its end of the pipe does not block.
const TAKES_NOTHING_PAUSE: Duration = Duration::from_millis(10);

thread_local! {
    /// Whether this is the thread that writes. What it says itself, the count of the dropped, always finds room: at most one
    /// such line waits for each line that was written.
    static WRITES: Cell<bool> = const { Cell::new(false) };
}

/// The entrance of the queue. Putting a line there neither blocks nor fails.
#[derive(Debug)]
pub struct LogQueue {
    queue: Sender<Vec<u8>>,
    shared: Arc<QueueState>,
}

#[derive(Debug)]
struct QueueState {
    progress: Mutex<QueueLoad>,
    settled: Condvar,
}

#[derive(Debug, Default)]
struct QueueLoad {
    /// What waits, and what is being written.
    queued_bytes: usize,
    bytes_max: usize,
    /// Since they were last said.
    dropped: u64,
    /// Since the process began.
    dropped_in_all: u64,
}

impl QueueLoad {
    fn drop_line(&mut self) {
        self.dropped += 1;
        self.dropped_in_all += 1;
    }
}

impl LogQueue {
    /// LogQueue of at most `bytes_max` in all wait for `out`. `say` logs how many were dropped, on the thread that writes.
    ///
    /// # Errors
    /// Where there is no thread to be had.
    pub fn start(
        out: impl Write + Send + 'static,
        bytes_max: usize,
        say: impl Fn(u64) + Send + 'static,
    ) -> io::Result<LogQueue> {
        let (queue, lines) = mpsc::channel();
        let progress = Mutex::new(QueueLoad { bytes_max, ..QueueLoad::default() });
        let shared = Arc::new(QueueState { progress, settled: Condvar::new() });
        let writer = LogWriter { out, shared: shared.clone(), say, said: None, flows: false };
        thread::Builder::new().name("log".into()).spawn(move || writer.run(&lines))?;
        Ok(LogQueue { queue, shared })
    }

    /// How many lines were dropped since it began.
    pub fn dropped_in_all(&self) -> u64 {
        self.shared.progress.lock().dropped_in_all
    }

    /// Waits until every line is written or dropped; false where some still wait after `bound`.
    pub fn flush(&self, bound: Duration) -> bool {
        let waits = |progress: &mut QueueLoad| progress.queued_bytes > 0;
        let mut progress = self.shared.progress.lock();
        !self.shared.settled.wait_while_for(&mut progress, waits, bound).timed_out()
    }

    fn put(&self, line: &[u8]) {
        let mut progress = self.shared.progress.lock();
        let bytes = progress.queued_bytes + cost(line);
        if bytes > progress.bytes_max && !WRITES.get() {
            progress.drop_line();
            return;
        }
        // Still under the lock: a line must not be written, and its bytes taken off, before they are counted.
        match self.queue.send(line.to_vec()) {
            Ok(()) => progress.queued_bytes = bytes,
            Err(_) => progress.drop_line(),
        }
    }
}

/// The subscriber writes each event at once and whole, with its line end.
impl Write for &LogQueue {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.put(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for &'static LogQueue {
    type Writer = &'static LogQueue;

    fn make_writer(&self) -> &'static LogQueue {
        self
    }
}

impl QueueState {
    /// A line has left the queue.
    fn settle(&self, line: &[u8], written: bool) {
        let mut progress = self.progress.lock();
        progress.queued_bytes -= cost(line);
        if !written {
            progress.drop_line();
        }
        drop(progress);
        self.settled.notify_all();
    }
}

fn cost(line: &[u8]) -> usize {
    line.len() + LINE_OVERHEAD
}

/// The thread that writes.
struct LogWriter<W, S> {
    out: W,
    shared: Arc<QueueState>,
    say: S,
    /// When lines were last said to have been dropped.
    said: Option<Instant>,
    /// Whether the latest line was written.
    flows: bool,
}

impl<W: Write, S: Fn(u64)> LogWriter<W, S> {
    /// Until the entrance of the queue is gone and it is empty.
    fn run(mut self, lines: &Receiver<Vec<u8>>) {
        WRITES.set(true);
        loop {
            match self.next(lines) {
                Ok(line) => self.write(&line),
                Err(RecvTimeoutError::Timeout) => self.say_dropped(),
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// The next line. Where a count is still to be said, that is not left to a line that may never come.
    ///
    /// # Errors
    /// [`RecvTimeoutError::Timeout`] where it is time to say the count, and [`RecvTimeoutError::Disconnected`] where no line
    /// comes any more.
    fn next(&self, lines: &Receiver<Vec<u8>>) -> Result<Vec<u8>, RecvTimeoutError> {
        match self.said {
            Some(said) if self.flows && self.shared.progress.lock().dropped > 0 => {
                lines.recv_timeout(SAY_EVERY.saturating_sub(said.elapsed()))
            }
            _ => lines.recv().map_err(|_| RecvTimeoutError::Disconnected),
        }
    }

    fn write(&mut self, line: &[u8]) {
        self.flows = write_whole(&mut self.out, line).is_ok();
        if self.flows {
            // Before the line is settled: whoever flushes waits for the count, too.
            self.say_dropped();
        }
        self.shared.settle(line, self.flows);
    }

    fn say_dropped(&mut self) {
        if self.said.is_some_and(|said| said.elapsed() < SAY_EVERY) {
            return;
        }
        let dropped = std::mem::take(&mut self.shared.progress.lock().dropped);
        if dropped > 0 {
            (self.say)(dropped);
            self.said = Some(Instant::now());
        }
    }
}

/// # Errors
/// That of `out`, but for those that pass when the same is written again; [`ErrorKind::WriteZero`] where it takes nothing.
fn write_whole(out: &mut impl Write, mut line: &[u8]) -> io::Result<()> {
    while !line.is_empty() {
        match out.write(line) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(bytes) => line = &line[bytes..],
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            // Another program that shares the terminal or pipe may have made it so.
            Err(error) if error.kind() == ErrorKind::WouldBlock => thread::sleep(TAKES_NOTHING_PAUSE),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
