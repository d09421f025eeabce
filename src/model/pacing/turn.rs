//! What a pull has come to, and when the feed's next turn comes.

use std::time::Duration;

use super::intervals::Brought;
use crate::model::scope::{Completion, Scope};
use crate::model::time::UnixTime;

/// A pull that was read to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pulled {
    pub scope: Scope,
    /// What its end has completed.
    pub completion: Completion,
    /// "Now" when its first call was sent.
    pub as_of: UnixTime,
    pub pages: u32,
    pub rows: u64,
    /// How many different rows it has shown.
    pub shown: u64,
    /// How many of these the cursor does not pass: the next pull shows them again.
    pub kept: u64,
}

/// When a feed's next turn comes. Clocks are durations since some fixed moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PollTurn {
    /// Then, whatever comes to it: there is more to be read.
    At(Duration),
    /// As often as facts come, within bounds that are its own.
    Usual {
        /// From when on its interval is counted.
        since: Duration,
        earliest: Duration,
        latest: Duration,
    },
}

impl PollTurn {
    /// When it comes, where feeds with its rate are polled at `interval`.
    pub fn due(self, interval: Duration) -> Duration {
        match self {
            PollTurn::At(due) => due,
            PollTurn::Usual { since, earliest, latest } => (since + interval).min(latest).max(earliest),
        }
    }

    pub(super) fn usual(clock: Duration) -> PollTurn {
        PollTurn::Usual { since: clock, earliest: clock, latest: Duration::MAX }
    }
}

/// What follows from a pull that was read to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AfterPull {
    pub turn: PollTurn,
    /// What the feed's rate is learnt from, if anything.
    pub brought: Option<Brought>,
}

/// What can help a pull that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PollRemedy {
    /// The same request later: the upstream was not able to answer, whatever the request was.
    Time,
    /// The same request later, for so the upstream has answered it: it is busy. But it may be so for ever, with this one.
    Patience,
    /// A smaller request: this one was refused, or its answer was too much or made no sense.
    SmallerRequest,
    /// One or the other: nothing readable came back, from an upstream that is out of order, or because the answer is cut
    /// off or takes too long.
    Doubtful,
}

/// A pull that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failed {
    pub scope: Scope,
    /// "Now" when its first call was sent.
    pub as_of: UnixTime,
    pub remedy: PollRemedy,
}
