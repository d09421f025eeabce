//! How a poll has ended: read, or why not, and what the next one has to do otherwise.

use crate::commit::queue::Closed;
use crate::model::pacing::{Failed, PollRemedy, Pulled};
use crate::model::pages::PagesFault;
use crate::model::per::one_value_for_each;
use crate::model::pull::Pull;
use crate::upstream::error::{CallError, Cause};

/// Why a poll ended without reading its scope to the end. What it had read is in the queue all the same; the cursor
/// has not moved.
#[derive(Debug, thiserror::Error)]
pub enum PollError {
    #[error(transparent)]
    Call(#[from] CallError),
    #[error(transparent)]
    Pages(#[from] PagesFault),
    /// The session is over.
    #[error(transparent)]
    Closed(#[from] Closed),
}

/// How a poll ended that did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Polled {
    /// The scope was read to its end.
    End(Pulled),
    /// There are further pages, which it was not to read.
    GoesOn,
}

/// How a poll ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PollEnd {
    /// What it asked was read to its end.
    Complete,
    Failed,
    /// Its promoter can't be polled.
    Parked,
    /// A breaker is open. The metric `polls_total` calls that *held*.
    BreakerOpen,
}

one_value_for_each! {
    /// One value for each way in which a poll ends.
    PerPollEnd of PollEnd { complete: Complete, failed: Failed, parked: Parked, held: BreakerOpen }
}

impl PollEnd {
    pub fn name(self) -> &'static str {
        match self {
            PollEnd::Complete => "complete",
            PollEnd::Failed => "failed",
            PollEnd::Parked => "parked",
            PollEnd::BreakerOpen => "held",
        }
    }

    /// Of a poll that failed; nothing of one that was told to end.
    pub fn of(error: &PollError) -> Option<PollEnd> {
        match error {
            PollError::Call(CallError::ParkPromoter(_)) => Some(PollEnd::Parked),
            PollError::Call(CallError::BreakerOpen { .. }) => Some(PollEnd::BreakerOpen),
            PollError::Call(CallError::Cancelled) | PollError::Closed(_) => None,
            PollError::Call(_) | PollError::Pages(_) => Some(PollEnd::Failed),
        }
    }
}

impl PollError {
    /// What the end of `pull` tells of its request.
    pub fn failed(&self, pull: &Pull) -> Failed {
        // How long a start_id lives is not documented: the refusal of an old one says nothing about the scope.
        let remedy = if pull.is_resuming() { PollRemedy::Time } else { self.remedy() };
        Failed { scope: pull.scope(), as_of: pull.as_of(), remedy }
    }

    /// The upstream's own, where it gave one.
    pub fn errcode(&self) -> Option<i64> {
        match self {
            PollError::Call(
                CallError::ParkPromoter(cause)
                | CallError::RefuseRequest(cause)
                | CallError::TryLater(cause)
                | CallError::BreakerOpen { cause, .. }
                | CallError::Exhausted { cause, .. }
                | CallError::Unforeseen(cause)
                | CallError::ClientFault(cause)
                | CallError::Unreadable(cause),
            ) => cause.errcode,
            PollError::Call(CallError::Cancelled) | PollError::Pages(_) | PollError::Closed(_) => None,
        }
    }

    fn remedy(&self) -> PollRemedy {
        match self {
            PollError::Pages(_)
            | PollError::Call(CallError::RefuseRequest(_) | CallError::Unforeseen(_) | CallError::Unreadable(_)) => {
                PollRemedy::SmallerRequest
            }
            PollError::Call(CallError::Exhausted { cause: Cause { errcode: None, .. }, .. }) => PollRemedy::Doubtful,
            PollError::Call(CallError::Exhausted { .. } | CallError::TryLater(_)) => PollRemedy::Patience,
            PollError::Closed(_)
            | PollError::Call(
                CallError::ParkPromoter(_)
                | CallError::BreakerOpen { .. }
                | CallError::ClientFault(_)
                | CallError::Cancelled,
            ) => PollRemedy::Time,
        }
    }

    /// The cause in one word; nothing where the poll has not failed, but waits or is cancelled.
    pub fn cause(&self) -> Option<&'static str> {
        match self {
            PollError::Pages(_) => Some("pages"),
            PollError::Call(error) => match error {
                CallError::ParkPromoter(_) => Some("parked"),
                CallError::RefuseRequest(_) => Some("refused"),
                CallError::TryLater(_) => Some("later"),
                CallError::Exhausted { .. } => Some("exhausted"),
                CallError::Unforeseen(_) => Some("undocumented"),
                CallError::ClientFault(_) => Some("client_fault"),
                CallError::Unreadable(_) => Some("unreadable"),
                CallError::BreakerOpen { .. } | CallError::Cancelled => None,
            },
            PollError::Closed(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::pull::tests::pull;
    use crate::model::time::UnixMillis;

    fn after_a_page(mut pull: Pull, start_id: &str) -> Pull {
        pull.take_page(vec![], Some(1000), Some(start_id.into()), UnixMillis(0)).step.unwrap();
        pull
    }

    #[test]
    fn a_refused_request_is_made_smaller_but_not_when_its_start_id_may_be_too_old() {
        let cause = || Cause { errcode: None, text: String::new() };
        let refused = PollError::from(CallError::Unforeseen(cause()));
        let exhausted = PollError::from(CallError::Exhausted { attempts: 8, cause: cause() });
        let pull = pull();
        assert_eq!(refused.failed(&pull).remedy, PollRemedy::SmallerRequest);
        assert_eq!(exhausted.failed(&pull).remedy, PollRemedy::Doubtful);
        let pull = after_a_page(pull, "x");
        assert_eq!(refused.failed(&pull).remedy, PollRemedy::SmallerRequest);
        let pull = pull.suspended().unwrap();
        assert_eq!(refused.failed(&pull).remedy, PollRemedy::Time);
        assert_eq!(refused.failed(&after_a_page(pull, "y")).remedy, PollRemedy::SmallerRequest);
    }
}
