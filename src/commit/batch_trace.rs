//! What a batch tells to the traces of the polls whose pages it makes durable; nothing where none of these is told.

use tokio::time::Instant;

use super::log::CommitError;
use crate::model::batch::Batch;
use crate::model::disposition::RowCounts;
use crate::model::shard::AssignedShard;
use crate::model::shards::WriteShards;
use crate::telemetry::traces::{Span, SpanClock, SpanName, TracedPoll};

/// Pages of a batch that are told; a batch may have thousands.
const WRITES_MAX: usize = 64;

/// The pages in a batch that grows whose polls are told.
#[derive(Default)]
pub(super) struct BatchTrace(Vec<TracedWrite>);

struct TracedWrite {
    poll: TracedPoll,
    rows: RowCounts,
    shards: WriteShards,
}

/// Of a batch on its way into the log.
pub(super) struct CommitTrace {
    writes: Vec<TracedWrite>,
    clock: SpanClock,
    records: usize,
}

impl BatchTrace {
    /// A page was planned into the batch. One that brought nothing new has nothing in it.
    pub fn take(&mut self, poll: Option<TracedPoll>, rows: RowCounts, shards: &WriteShards) {
        let is_new = rows.published + rows.dead_lettered > 0;
        if let Some(poll) = poll.filter(|_| is_new && self.0.len() < WRITES_MAX) {
            self.0.push(TracedWrite { poll, rows, shards: shards.clone() });
        }
    }

    /// What was planned of these shards is not in the batch any more.
    pub fn lose(&mut self, lost: &[AssignedShard]) {
        self.0.retain(|write| !write.is_of(lost));
    }

    /// The batch is committed from now on.
    pub fn begin(&mut self, batch: &Batch) -> Option<CommitTrace> {
        let writes = std::mem::take(&mut self.0);
        (!writes.is_empty()).then(|| CommitTrace { writes, clock: SpanClock::start(), records: batch.records() })
    }
}

impl TracedWrite {
    fn is_of(&self, lost: &[AssignedShard]) -> bool {
        self.shards.iter().any(|shard| lost.contains(shard))
    }
}

impl CommitTrace {
    /// All of it is durable but what was `lost`; or it has failed, and whether a part of it is durable is not told.
    pub fn end(self, lost: &[AssignedShard], error: Option<&CommitError>) {
        let (began, ended) = (self.clock.began(), self.clock.time(Instant::now()));
        for write in self.writes {
            let failure = if write.is_of(lost) { Some("shards_lost") } else { error.map(failure) };
            let TracedWrite { poll: TracedPoll { traces, context }, rows, .. } = write;
            let fields = vec![
                ("records", self.records.into()),
                ("published", rows.published.into()),
                ("dead_lettered", rows.dead_lettered.into()),
                ("duplicates", rows.duplicates.into()),
            ];
            let (name, parent, context) = (SpanName::Batch, Some(context.span), context.beside());
            traces.put(Span { context, parent, name, began, ended, fields, failure });
        }
    }
}

fn failure(error: &CommitError) -> &'static str {
    match error {
        CommitError::NothingWritten(_) => "nothing_written",
        CommitError::TooSlow(_) => "too_slow",
        CommitError::ShardsLost(_) => "shards_lost",
        CommitError::Reopen(_) => "reopen",
        CommitError::Stop(_) => "stop",
    }
}
