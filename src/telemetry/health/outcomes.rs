//! How transactions and sessions end, as they are counted.

use crate::model::per::one_value_for_each;

/// How a transaction ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransactionOutcome {
    Committed,
    /// It is certain that nothing was written.
    Aborted,
    /// Nobody knows; the next opening finds out.
    Unknown,
    /// An older generation wrote it, or a producer whose transactional id another has taken: the brokers refuse it.
    Fenced,
}

one_value_for_each! {
    /// One value for each outcome of a transaction.
    PerTransactionOutcome of TransactionOutcome {
        committed: Committed, aborted: Aborted, unknown: Unknown, fenced: Fenced
    }
}

impl TransactionOutcome {
    pub fn name(self) -> &'static str {
        match self {
            TransactionOutcome::Committed => "committed",
            TransactionOutcome::Aborted => "aborted",
            TransactionOutcome::Unknown => "unknown",
            TransactionOutcome::Fenced => "fenced",
        }
    }
}

/// Why a session ended, or did not begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionEnd {
    /// The log could not be opened.
    NotOpened,
    /// It was told to stop.
    Stopped,
    /// What was owned was to be given back.
    Revoked,
    /// The log has to be opened again.
    Reopened,
    /// Only an operator can help.
    Failed,
}

one_value_for_each! {
    /// One value for each end of a session.
    PerSessionEnd of SessionEnd {
        not_opened: NotOpened, stopped: Stopped, revoked: Revoked, reopened: Reopened, failed: Failed
    }
}

impl SessionEnd {
    pub fn name(self) -> &'static str {
        match self {
            SessionEnd::NotOpened => "not_opened",
            SessionEnd::Stopped => "stopped",
            SessionEnd::Revoked => "revoked",
            SessionEnd::Reopened => "reopened",
            SessionEnd::Failed => "failed",
        }
    }
}
