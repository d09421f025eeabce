//! A batch on its way into the log, and in parts where the log is too slow for the whole.
//!
//! # Why a batch may be split
//!
//! A batch is what some intakes have added to the state, one after the other. Had it been closed behind any of them, the
//! log would have been given what stands before that place, and then the rest. So the parts, committed in this order, are
//! a history that could have been without any split, whatever ends it in between: if only the first ones become
//! durable, the log holds what a batch that was closed there would have left, and the pages of the others are asked for
//! again. What must stay together (a page's events, dead letters, memory and cursor) comes from one intake, and
//! is never split. And only a batch of which nothing was written is: one whose outcome is unknown is never tried again.

use std::sync::Arc;

use crate::model::batch::{Batch, Size};
use crate::model::state::{Intake, State, Tally};

#[derive(Default)]
pub(super) struct Planned {
    pub batch: Arc<Batch>,
    /// Where each intake ends that led to something, with what it was counted as.
    ends: Vec<(Size, Tally)>,
}

impl Planned {
    /// Adds what `intake` leads to. Gives what it was counted as.
    pub fn take(&mut self, intake: Intake, state: &mut State) -> Tally {
        // Nobody shares a batch that still grows.
        let batch = Arc::make_mut(&mut self.batch);
        let tally = state.take(intake, batch);
        let size = batch.size();
        match self.ends.last_mut() {
            Some((end, sum)) if *end == size || *end == Size::default() => {
                *end = size;
                *sum += tally;
            }
            _ => self.ends.push((size, tally)),
        }
        tally
    }

    pub fn tally(&self) -> Tally {
        let mut sum = Tally::default();
        self.ends.iter().for_each(|(_, tally)| sum += *tally);
        sum
    }

    /// Whether it is more than one intake's.
    pub fn may_be_halved(&self) -> bool {
        self.ends.len() > 1
    }

    /// Two parts of about the same size, in the order in which they have to be committed.
    pub fn halved(mut self) -> [Planned; 2] {
        let half = self.batch.weight / 2;
        let last = self.ends.len().saturating_sub(2);
        let middle = self.ends.iter().position(|(end, _)| end.weight >= half).unwrap_or(last).min(last);
        let cut = self.ends[middle].0;
        let mut ends = self.ends.split_off(middle + 1);
        ends.iter_mut().for_each(|(end, _)| *end = end.behind(cut));
        let second = Arc::make_mut(&mut self.batch).split_off(cut);
        [self, Planned { batch: Arc::new(second), ends }]
    }
}
