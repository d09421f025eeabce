//! How far a long write has come, for whoever looks at a terminal.

use indicatif::{ProgressBar, ProgressDrawTarget};

/// Fewer records than these are written before anybody could look.
const RECORDS_MIN: usize = 2_000;

/// A bar on stderr, where that is a terminal and there is much to write. It is gone once this value is.
pub struct WriteProgress(ProgressBar);

impl WriteProgress {
    pub fn of(records: usize) -> WriteProgress {
        let target = if records < RECORDS_MIN { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
        WriteProgress(ProgressBar::with_draw_target(Some(records as u64), target))
    }

    pub fn written(&self, records: u64) {
        self.0.set_position(records);
    }
}

impl Drop for WriteProgress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
