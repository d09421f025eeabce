//! Sends spans to the collector, in calls of some hundred, and says what becomes of them.
//!
//! A call that fails is not made again: while a collector is away the latest spans are worth more than the oldest, and what it may
//! have taken all the same is not to come twice.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::mpsc::Receiver;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use url::Url;

use super::TraceOrigin;
use super::collector::{Collector, RejectedSpans};
use super::span::Span;
use crate::model::parts::in_parts;
use crate::text;

/// In one call.
const SPANS_MAX: usize = 512;
/// How long a call waits for more, from its first span on. So there are no more calls of a collector that is away, either.
const LINGER: Duration = Duration::from_secs(1);
/// The least time between two counts of dropped spans.
const SAY_EVERY: Duration = Duration::from_secs(60);
/// Of what the collector says.
const REASON_CHARS_MAX: usize = 300;

pub(super) struct Exporter {
    collector: Collector,
    address: String,
    /// Since they were last said.
    dropped: Arc<AtomicU64>,
    /// Why the latest of them were dropped that the collector had refused.
    refusal: Option<String>,
    answers: bool,
    said: Option<Instant>,
}

impl Exporter {
    /// # Errors
    /// As [`Collector::new`].
    pub fn new(address: &Url, origin: &TraceOrigin, dropped: Arc<AtomicU64>) -> anyhow::Result<Exporter> {
        let collector = Collector::new(address, origin)?;
        Ok(Exporter { collector, address: address.to_string(), dropped, refusal: None, answers: true, said: None })
    }

    /// Until `ending` is cancelled, or nobody is left who puts spans in; and then until everything was sent that waits.
    pub async fn run(mut self, mut spans: Receiver<Span>, ending: &CancellationToken) {
        let mut next = Vec::new();
        loop {
            // What was gathered by then is in `next`, and nothing else is lost where the wait is given up.
            let is_told = ending.run_until_cancelled(gather(&mut spans, &mut next)).await.is_none();
            let is_ending = is_told || spans.is_closed();
            if is_ending {
                spans.close();
                while let Some(span) = spans.recv().await {
                    next.push(span);
                }
            }
            // At the end these may be more than one call takes.
            for spans in in_parts(std::mem::take(&mut next), SPANS_MAX) {
                self.export(spans).await;
            }
            self.say_dropped(is_ending);
            if is_ending {
                return;
            }
        }
    }

    async fn export(&mut self, spans: Vec<Span>) {
        let count = spans.len() as u64;
        match self.collector.export(spans).await {
            Ok(refused) => {
                self.answered();
                if let Some(RejectedSpans { spans, reason }) = refused {
                    self.dropped.fetch_add(spans, Ordering::Relaxed);
                    self.refusal = Some(text::bounded(&reason, REASON_CHARS_MAX).to_owned());
                }
            }
            Err(error) => {
                self.dropped.fetch_add(count, Ordering::Relaxed);
                // Once, however long it is away.
                if std::mem::take(&mut self.answers) {
                    let error = error.to_string();
                    let (collector, error) = (&self.address, text::bounded(&error, REASON_CHARS_MAX));
                    tracing::warn!(collector, error, "the collector of traces does not answer: what it misses is lost");
                }
            }
        }
    }

    fn answered(&mut self) {
        if !self.answers {
            self.answers = true;
            let dropped = self.dropped.swap(0, Ordering::Relaxed);
            tracing::info!(collector = self.address, dropped, "the collector of traces answers again");
        }
    }

    /// While the collector is away that is left to its return, or to the end.
    fn say_dropped(&mut self, is_ending: bool) {
        let is_time = self.answers && self.said.is_none_or(|said| said.elapsed() >= SAY_EVERY);
        if !is_time && !is_ending {
            return;
        }
        let dropped = self.dropped.swap(0, Ordering::Relaxed);
        if dropped > 0 {
            let error = self.refusal.take();
            tracing::warn!(spans = dropped, error, "spans of traces were dropped");
            self.said = Some(Instant::now());
        }
    }
}

/// Waits for the next spans, some time for the first, and [`LINGER`] for those behind it. May be dropped and called again.
async fn gather(spans: &mut Receiver<Span>, next: &mut Vec<Span>) {
    // No longer than a count may have to wait.
    let Ok(Some(first)) = timeout(SAY_EVERY, spans.recv()).await else { return };
    next.push(first);
    let more = async {
        while next.len() < SPANS_MAX
            && let Some(span) = spans.recv().await
        {
            next.push(span);
        }
    };
    // What did not come within it goes with the next call.
    let _ = timeout(LINGER, more).await;
}
