//! A batch on its way into the log, and in parts where the log is too slow for the whole.
//!
//! # Why a batch may be split
//!
//! A batch is what some writes have added to the state, one after the other. Had it been closed behind any of them, the
//! log would have been given what stands before that place, and then the rest. So the parts, committed in this order, are
//! a history that could have been without any split, whatever ends it in between: if only the first ones become
//! durable, the log holds what a batch that was closed there would have left, and the pages of the others are asked for
//! again. What must stay together (a page's events, dead letters, memory and cursor) comes from one write, and
//! is never split. And only a batch of which nothing was written is: one whose outcome is unknown is never tried again.

use std::sync::Arc;

use crate::model::batch::{Batch, BatchSize};
use crate::model::disposition::RowCounts;
use crate::model::state::{QueuedWrite, State};

/// A batch, and where in it each of its writes ends: it may be cut there.
#[derive(Default)]
pub(super) struct PlannedBatch {
    pub batch: Arc<Batch>,
    /// Where each write ends that led to something, with what it was counted as.
    ends: Vec<(BatchSize, RowCounts)>,
}

impl PlannedBatch {
    /// Adds what `write` leads to. Gives what it was counted as.
    pub fn take(&mut self, write: QueuedWrite, state: &mut State) -> RowCounts {
        // Nobody shares a batch that still grows.
        let batch = Arc::make_mut(&mut self.batch);
        let counts = state.take(write, batch);
        let size = batch.size();
        match self.ends.last_mut() {
            Some((end, sum)) if *end == size || *end == BatchSize::default() => {
                *end = size;
                *sum += counts;
            }
            _ => self.ends.push((size, counts)),
        }
        counts
    }

    pub fn counts(&self) -> RowCounts {
        let mut sum = RowCounts::default();
        self.ends.iter().for_each(|(_, counts)| sum += *counts);
        sum
    }

    /// Whether it is more than one write's.
    pub fn may_be_halved(&self) -> bool {
        self.ends.len() > 1
    }

    /// Two parts of about the same size, in the order in which they have to be committed.
    pub fn halved(mut self) -> [PlannedBatch; 2] {
        let half = self.batch.weight / 2;
        let last = self.ends.len().saturating_sub(2);
        let middle = self.ends.iter().position(|(end, _)| end.weight >= half).unwrap_or(last).min(last);
        let cut = self.ends[middle].0;
        let mut ends = self.ends.split_off(middle + 1);
        ends.iter_mut().for_each(|(end, _)| *end = end.behind(cut));
        let second = Arc::make_mut(&mut self.batch).split_off(cut);
        [self, PlannedBatch { batch: Arc::new(second), ends }]
    }
}
