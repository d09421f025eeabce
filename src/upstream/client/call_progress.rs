//! How far a call has come, from one attempt to the next.

use crate::retry::Attempts;
use crate::upstream::breaker::Pass;
use crate::upstream::budget::CallPermit;
use crate::upstream::error::Cause;
use crate::upstream::hosts::Host;
use crate::upstream::token::AccessToken;

/// How far a call has come.
pub(super) struct CallProgress<'a> {
    pub pass: Pass<'a>,
    pub attempts: Attempts,
    pub host: Host,
    /// What the next one may spend, where its interface has a budget.
    pub budgeted: Option<CallPermit<'a>>,
    /// Why the latest attempt that may be repeated failed.
    pub failed: Option<Cause>,
    /// The token that was refused: it is not sent again.
    pub rejected: Option<AccessToken>,
}
