//! Which breaker opens after which answer, and for how long.

use std::time::Duration;

use crate::upstream::error::{CallKind, OpenReason, Reaction};
use crate::upstream::token::KEPT_AT_LEAST;

/// How long what the upstream refuses is left alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BreakerSettings {
    /// After 45011, unless the answer asks for more.
    pub too_fast: Duration,
    /// An app with wrong credentials, an interface without quota. Nothing that the upstream asks for lasts longer.
    pub stopped: Duration,
    /// An upstream that gives no answers at all.
    pub unanswered: Duration,
}

impl BreakerSettings {
    /// How long nothing is asked, counted from the answer. At least a second, or a clock that is off would make it a busy
    /// loop.
    pub(super) fn pause(&self, reason: OpenReason) -> Duration {
        let pause = match reason {
            OpenReason::Stopped(_) => self.stopped,
            OpenReason::TokenRejected => KEPT_AT_LEAST,
            // A clock that is wrong today must not stop anything for longer than it is wrong.
            OpenReason::QuotaSpent { day_left } => day_left.min(self.stopped),
            OpenReason::TooFast { retry_after } => retry_after.unwrap_or_default().min(self.stopped).max(self.too_fast),
            OpenReason::RetryAfter(retry_after) => retry_after.min(self.stopped),
            OpenReason::Unanswered | OpenReason::NoToken => self.unanswered,
        };
        pause.max(Duration::from_secs(1))
    }

    /// How long until the next probe where one has told nothing. By then midnight has passed.
    pub(super) fn pause_again(&self, reason: OpenReason) -> Duration {
        match reason {
            OpenReason::QuotaSpent { .. } => self.stopped,
            _ => self.pause(reason),
        }
    }
}

/// What an answer tells about who was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// App and interface are served, whatever became of this call.
    Served,
    /// Nothing: another call has to tell.
    Nothing,
    /// No call can be made.
    App(OpenReason),
    /// No call can be made: so this one was told, which may be so for its interface or its promoter alone.
    AppSuspected(OpenReason),
    Interface(OpenReason),
}

/// `retry_after` is the answer's `Retry-After`, `day_left` the time until midnight in Beijing.
pub fn evidence(reaction: Reaction, call: CallKind, retry_after: Option<Duration>, day_left: Duration) -> Evidence {
    // Every interface needs the token, so what stops its fetch stops the app.
    let opened = |reason| match call {
        CallKind::Token => Evidence::App(reason),
        CallKind::Data(_) => Evidence::Interface(reason),
    };
    match (reaction, call) {
        (Reaction::StopApp(reason), CallKind::Token) => Evidence::App(OpenReason::Stopped(reason)),
        (Reaction::StopApp(reason), CallKind::Data(_)) => Evidence::AppSuspected(OpenReason::Stopped(reason)),
        (Reaction::QuotaSpent, _) => opened(OpenReason::QuotaSpent { day_left }),
        (Reaction::TooFast, _) => opened(OpenReason::TooFast { retry_after }),
        (Reaction::RetryBusy | Reaction::RetryTransport | Reaction::RejectToken, _) => Evidence::Nothing,
        (
            Reaction::Read
            | Reaction::NoData
            | Reaction::ParkPromoter
            | Reaction::RefuseRequest
            | Reaction::TryLater
            | Reaction::ClientFault
            | Reaction::Unforeseen,
            _,
        ) => match call {
            CallKind::Data(_) => Evidence::Served,
            CallKind::Token => Evidence::App(OpenReason::NoToken),
        },
    }
}
