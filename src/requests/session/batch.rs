//! The batches of a session: the answers that are gathered, each with how far its partition is answered, in one transaction.

use std::collections::BTreeSet;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use tracing::Instrument;

use super::AnsweringSession;
use crate::commit::attempts::attempts;
use crate::commit::log::CommitError;
use crate::model::request::record::{RequestAnswer, RequestRecord};
use crate::requests::log::{AnswerBatch, AnswerLog};
use crate::requests::memory_quota::QuotaOwner;
use crate::telemetry::pipeline;

/// An answer that no transaction holds yet.
pub(super) struct UncommittedAnswer {
    pub record: Arc<RequestRecord>,
    pub owner: QuotaOwner,
    pub answer: RequestAnswer,
}

/// How the transaction of a batch ended.
pub(super) struct AnswersOutcome {
    batch: Arc<AnswerBatch>,
    /// Of each answer of the batch, in its order.
    owners: Vec<QuotaOwner>,
    result: Result<(), CommitError>,
}

impl AnsweringSession {
    /// All that is gathered, as one transaction. Tried again as long as it is certain that nothing was written.
    pub(super) fn commit<L: AnswerLog>(
        &mut self,
        mut log: L,
    ) -> Pin<Box<dyn Future<Output = (L, AnswersOutcome)> + Send>> {
        let (batch, owners) = self.next_batch();
        let records = batch.answers.len();
        let span = tracing::info_span!("commit", pipeline = pipeline::REQUESTS, records);
        let executor = self.executor.clone();
        let committing = async move {
            // What is too slow is not split here, for its offsets speak for all of the answers: the next session gathers fewer
            // at once.
            let result = attempts(&mut log, batch.clone(), records, records > 1).await;
            executor.at_once.learn(&result, records);
            (log, AnswersOutcome { batch, owners, result })
        };
        Box::pin(committing.instrument(span))
    }

    /// The answers that are gathered, and in the same batch what their partitions say of what is answered: they are one
    /// fact.
    fn next_batch(&mut self) -> (Arc<AnswerBatch>, Vec<QuotaOwner>) {
        let (mut answers, mut owners) = (Vec::new(), Vec::new());
        // Their memory is freed once they are durable, and not here: until then they count as held.
        for UncommittedAnswer { record, owner, answer } in std::mem::take(&mut self.gathered) {
            answers.push((record, answer));
            owners.push(owner);
        }
        let touched: BTreeSet<i32> = answers.iter().map(|(record, _)| record.location.partition).collect();
        let (mut offset_records, mut positions) = (Vec::new(), Vec::new());
        for number in touched {
            let Some(partition) = self.partitions.get_mut(&number) else { continue };
            positions.push((number, partition.first()));
            offset_records.extend(partition.take_records());
        }
        // The next calls may begin now, and not when the transaction has ended.
        self.permits.clear();
        (Arc::new(AnswerBatch { answers, offset_records, positions }), owners)
    }

    /// Counts what became durable, and frees its memory. What did not is read again by the next session.
    ///
    /// # Errors
    /// Where the batch did not become durable, or nobody knows.
    pub(super) fn conclude(
        &mut self,
        AnswersOutcome { batch, owners, result }: AnswersOutcome,
    ) -> Result<(), CommitError> {
        result?;
        self.totals.add(&batch);
        for ((record, _), owner) in batch.answers.iter().zip(&owners) {
            self.quotas.release(owner, record.bytes());
        }
        self.look_back();
        Ok(())
    }
}
