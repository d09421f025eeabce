//! Traces of polls, for a collector that takes OTLP over gRPC, where `log.otlp` names one.
//!
//! A trace is one poll. Its first span is the poll, with its app, promoter and feed; below that stands one for each page that was
//! asked for, and one for each batch that made durable what a page brought. An app and a promoter have no spans of their own: such a
//! span would end with the process, and have millions below it.
//!
//! Spans are made of what a poll knows when it ends, and not of what is logged meanwhile: so nothing leaves the process but the fields that
//! are named in `poll::poll_trace` and `commit::batch_trace` (a library may log an address, and addresses of calls have tokens in
//! them); whether a poll is told can be decided when it is known what it came to; and where nobody wants traces, none is begun.
//!
//! What there may be of them is bounded at each step:
//!
//! | step | bound |
//! |---|---|
//! | polls that brought rows; polls that failed | [`Allowance`]: so many a second of each, however many promoters there are |
//! | spans of a poll, and of a batch | `PAGES_MAX` of the one, `WRITES_MAX` of the other |
//! | spans that wait | [`QUEUE_SPANS_MAX`]; those that find no room are dropped, and counted |
//! | a call of the collector | `SPANS_MAX` spans, `ANSWER_MAX` for its answer; what it does not take is dropped, and counted |
//! | the end of the process | [`FLUSH_MAX`] |

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self as blocking, RecvTimeoutError};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;

use anyhow::Context;
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use url::Url;

use allowance::Allowance;
use exporter::Exporter;
pub use span::{Span, SpanClock, SpanContext, SpanName, Value};

mod allowance;
mod collector;
mod exporter;
mod span;

/// Some hundred bytes each.
const QUEUE_SPANS_MAX: usize = 4096;
/// How long the end of the process waits for the collector to take what waits.
const FLUSH_MAX: Duration = Duration::from_secs(3);
/// Traces a second, of polls that brought something, and of such that failed: either finds its context whatever there is of the other.
const TRACES_PER_SECOND: u32 = 10;
/// As many may come at once, after a quiet time.
const TRACES_AT_ONCE: u32 = 50;

/// Once they are wanted.
static TRACES: OnceLock<Traces> = OnceLock::new();

/// Whose spans they are.
#[derive(Clone, Debug)]
pub struct TraceOrigin {
    /// The connector's name.
    pub service: String,
    pub instance_id: String,
}

/// Why a poll is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Occasion {
    /// A page of it has rows.
    Rows,
    Failure,
}

/// The way of spans to the collector. Nothing here waits, and nothing fails.
pub struct Traces {
    spans: mpsc::Sender<Span>,
    dropped: Arc<AtomicU64>,
    with_rows: Allowance,
    failed: Allowance,
    ending: CancellationToken,
    /// Closed once everything was sent that waited at the end.
    ended: Mutex<blocking::Receiver<()>>,
}

impl Traces {
    /// Sends to the collector at `address`, from a thread of its own. Whether it answers is seen with the first spans.
    ///
    /// # Errors
    /// Where there is no thread to be had, or the address is none that can be asked.
    pub fn begin(address: &Url, origin: &TraceOrigin) -> anyhow::Result<Traces> {
        let (traces, spans, ended) = Traces::into_queue(QUEUE_SPANS_MAX);
        let exporter = Exporter::new(address, origin, traces.dropped.clone())?;
        let ending = traces.ending.clone();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let send = move || {
            runtime.block_on(exporter.run(spans, &ending));
            drop(ended);
        };
        thread::Builder::new().name("traces".into()).spawn(send).context("there is no thread for traces")?;
        Ok(traces)
    }

    /// With the other end of its queue, and what says that nobody reads there any more.
    fn into_queue(spans_max: usize) -> (Traces, mpsc::Receiver<Span>, blocking::Sender<()>) {
        let (spans, queue) = mpsc::channel(spans_max);
        let (end, ended) = blocking::channel();
        let traces = Traces {
            spans,
            dropped: Arc::default(),
            with_rows: Allowance::new(TRACES_PER_SECOND, TRACES_AT_ONCE),
            failed: Allowance::new(TRACES_PER_SECOND, TRACES_AT_ONCE),
            ending: CancellationToken::new(),
            ended: Mutex::new(ended),
        };
        (traces, queue, end)
    }

    /// A trace for a poll, where there may be one more of its kind.
    pub(crate) fn admit(&'static self, occasion: Occasion) -> Option<TracedPoll> {
        let allowance = match occasion {
            Occasion::Rows => &self.with_rows,
            Occasion::Failure => &self.failed,
        };
        allowance.take().then(|| TracedPoll { traces: self, context: SpanContext::of_trace() })
    }

    /// Hands a span on, or drops it.
    pub fn put(&self, span: Span) {
        if self.spans.try_send(span).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Sends what waits, and ends; false where that was not done after `bound`. What is put later is dropped.
    pub fn end(&self, bound: Duration) -> bool {
        self.ending.cancel();
        self.ended.lock().recv_timeout(bound) == Err(RecvTimeoutError::Disconnected)
    }

    /// What is put into them, for a test.
    #[cfg(test)]
    pub(crate) fn captured() -> (&'static Traces, mpsc::Receiver<Span>) {
        let (traces, spans, _) = Traces::into_queue(QUEUE_SPANS_MAX);
        (Box::leak(Box::new(traces)), spans)
    }
}

/// A poll that is told, for whoever tells more of it.
#[derive(Clone, Copy)]
pub(crate) struct TracedPoll {
    pub traces: &'static Traces,
    /// Of the poll's own span.
    pub context: SpanContext,
}

/// Has polls traced, from now on to the end of the process.
///
/// # Errors
/// As [`Traces::begin`].
pub fn start(address: &Url, origin: &TraceOrigin) -> anyhow::Result<()> {
    let traces = Traces::begin(address, origin)?;
    TRACES.set(traces).map_err(|_| anyhow::anyhow!("traces have begun already"))
}

/// Where traces go; nothing where none are wanted.
pub(crate) fn traces() -> Option<&'static Traces> {
    TRACES.get()
}

/// Gives the collector a moment to take what waits for it; none is sent after that.
pub fn flush() {
    if let Some(traces) = TRACES.get() {
        traces.end(FLUSH_MAX);
    }
}
