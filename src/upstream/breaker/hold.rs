//! Which hold follows from which answer, and for how long.

use std::fmt;
use std::time::Duration;

use crate::upstream::error::{Call, Reaction, StopReason};
use crate::upstream::token::KEPT_AT_LEAST;

/// How long what the upstream refuses is left alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HoldSettings {
    /// After 45011, unless the answer asks for more.
    pub too_fast: Duration,
    /// An app with wrong credentials, an interface without quota. Nothing that the upstream asks for holds longer.
    pub stopped: Duration,
    /// An upstream that gives no answers at all.
    pub unanswered: Duration,
}

/// Why a breaker is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    /// The app's operator has to do something.
    Stopped(StopReason),
    /// The token was rejected, and so was the next one, or the next one is the same. Its source may have another any moment;
    /// until it is asked again nobody sends the one that is known to be refused.
    TokenRejected,
    /// The token's source refuses it in a way that nobody foresaw: without it no call can be made.
    NoToken,
    /// 45009. `day_left` is the time until midnight in Beijing: the quota may be raised before, so it is tried before.
    QuotaSpent { day_left: Duration },
    /// The configured calls of the day are made.
    DailyBudget { day_left: Duration },
    /// 45011, with the answer's `Retry-After`.
    TooFast { asked: Option<Duration> },
    /// No answer but a `Retry-After` that is too long to be waited for by one call.
    RetryAfter(Duration),
    /// Call after call brought nothing readable.
    Unanswered,
}

impl Hold {
    pub fn name(self) -> &'static str {
        match self {
            Hold::Stopped(reason) => reason.name(),
            Hold::TokenRejected => "token_rejected",
            Hold::NoToken => "no_token",
            Hold::QuotaSpent { .. } => "quota_spent",
            Hold::DailyBudget { .. } => "daily_budget",
            Hold::TooFast { .. } => "too_fast",
            Hold::RetryAfter(_) => "retry_after",
            Hold::Unanswered => "unanswered",
        }
    }
}

impl fmt::Display for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl HoldSettings {
    /// How long nothing is asked, counted from the answer. At least a second, or a clock that is off would make it a busy
    /// loop.
    pub(super) fn pause(&self, hold: Hold) -> Duration {
        let pause = match hold {
            Hold::Stopped(_) => self.stopped,
            Hold::TokenRejected => KEPT_AT_LEAST,
            // A clock that is wrong today must not hold anything for longer than it is wrong. Looking at the day's budget
            // again costs no call.
            Hold::QuotaSpent { day_left } | Hold::DailyBudget { day_left } => day_left.min(self.stopped),
            Hold::TooFast { asked } => asked.unwrap_or_default().min(self.stopped).max(self.too_fast),
            Hold::RetryAfter(asked) => asked.min(self.stopped),
            Hold::Unanswered | Hold::NoToken => self.unanswered,
        };
        pause.max(Duration::from_secs(1))
    }

    /// How long until the next probe where one has told nothing. By then midnight has passed.
    pub(super) fn pause_again(&self, hold: Hold) -> Duration {
        match hold {
            Hold::QuotaSpent { .. } | Hold::DailyBudget { .. } => self.stopped,
            _ => self.pause(hold),
        }
    }
}

/// What an answer tells about who was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// App and interface are served, whatever became of this call.
    Served,
    /// Nothing: another call has to tell.
    Nothing,
    /// No call can be made.
    App(Hold),
    /// No call can be made: so this one was told, which may be so for its interface or its promoter alone.
    Accusation(Hold),
    Interface(Hold),
}

/// `asked` is the answer's `Retry-After`, `day_left` the time until midnight in Beijing.
pub fn news(reaction: Reaction, call: Call, asked: Option<Duration>, day_left: Duration) -> News {
    // Every interface needs the token, so what holds its fetch holds the app.
    let held = |hold| match call {
        Call::Token => News::App(hold),
        Call::Data(_) => News::Interface(hold),
    };
    match (reaction, call) {
        (Reaction::StopApp(reason), Call::Token) => News::App(Hold::Stopped(reason)),
        (Reaction::StopApp(reason), Call::Data(_)) => News::Accusation(Hold::Stopped(reason)),
        (Reaction::QuotaSpent, _) => held(Hold::QuotaSpent { day_left }),
        (Reaction::TooFast, _) => held(Hold::TooFast { asked }),
        (Reaction::RetryBusy | Reaction::RetryTransport | Reaction::RejectToken, _) => News::Nothing,
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
            Call::Data(_) => News::Served,
            Call::Token => News::App(Hold::NoToken),
        },
    }
}
