//! What open breakers keep from being called, in the few words that people and alerts go by: those of the metrics `app_stopped`
//! and `interface_held`.

use crate::model::feed::Interface;
use crate::upstream::breaker::OpenBreaker;
use crate::upstream::error::{OpenReason, StopReason};

/// A breaker that stops an app: nothing can be called for it until somebody has done something. Named by its reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AppStop {
    Credentials,
    Ip,
    NotOpened,
    Token,
}

impl AppStop {
    pub const ALL: [AppStop; 4] = [AppStop::Credentials, AppStop::Ip, AppStop::NotOpened, AppStop::Token];

    pub fn name(self) -> &'static str {
        match self {
            AppStop::Credentials => "credentials",
            AppStop::Ip => "ip",
            AppStop::NotOpened => "not_opened",
            AppStop::Token => "token",
        }
    }
}

/// A breaker that holds an interface: it is not called for a while. Named by its reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InterfaceHold {
    Quota,
    TooFast,
    RetryAfter,
    Transport,
    /// It alone is told what stops an app.
    Stopped,
}

impl InterfaceHold {
    pub const ALL: [InterfaceHold; 5] = [
        InterfaceHold::Quota,
        InterfaceHold::TooFast,
        InterfaceHold::RetryAfter,
        InterfaceHold::Transport,
        InterfaceHold::Stopped,
    ];

    pub fn name(self) -> &'static str {
        match self {
            InterfaceHold::Quota => "quota",
            InterfaceHold::TooFast => "too_fast",
            InterfaceHold::RetryAfter => "retry_after",
            InterfaceHold::Transport => "transport",
            InterfaceHold::Stopped => "stopped",
        }
    }
}

/// What an open breaker stands for.
pub enum BreakerMeaning {
    AppStopped(AppStop),
    InterfaceHeld(InterfaceHold),
}

/// What an app's or an interface's breaker stands for. An interface by itself is held by what would stop an app.
pub fn classify(breaker: &OpenBreaker) -> BreakerMeaning {
    let stop = match breaker.reason {
        OpenReason::Stopped(StopReason::Credentials) => AppStop::Credentials,
        OpenReason::Stopped(StopReason::IpNotAllowed) => AppStop::Ip,
        OpenReason::Stopped(StopReason::NotOpened) => AppStop::NotOpened,
        OpenReason::Stopped(StopReason::TokensRejected) | OpenReason::TokenRejected | OpenReason::NoToken => {
            AppStop::Token
        }
        OpenReason::QuotaSpent { .. } => return BreakerMeaning::InterfaceHeld(InterfaceHold::Quota),
        OpenReason::TooFast { .. } => return BreakerMeaning::InterfaceHeld(InterfaceHold::TooFast),
        OpenReason::RetryAfter(_) => return BreakerMeaning::InterfaceHeld(InterfaceHold::RetryAfter),
        OpenReason::Unanswered => return BreakerMeaning::InterfaceHeld(InterfaceHold::Transport),
    };
    if breaker.interface.is_some() {
        BreakerMeaning::InterfaceHeld(InterfaceHold::Stopped)
    } else {
        BreakerMeaning::AppStopped(stop)
    }
}

/// Why the app is stopped, where its own breaker says so.
pub fn stops(open: &[OpenBreaker]) -> Option<AppStop> {
    open.iter().find_map(|breaker| match classify(breaker) {
        BreakerMeaning::AppStopped(stop) => Some(stop),
        BreakerMeaning::InterfaceHeld(_) => None,
    })
}

/// Why an interface is held, by itself or with all of the app's.
pub fn holds(open: &[OpenBreaker], interface: Interface) -> Vec<InterfaceHold> {
    let of_it = |breaker: &&OpenBreaker| breaker.interface.is_none_or(|one| one == interface);
    let hold = |breaker: &OpenBreaker| match classify(breaker) {
        BreakerMeaning::InterfaceHeld(hold) => Some(hold),
        BreakerMeaning::AppStopped(_) => None,
    };
    open.iter().filter(of_it).filter_map(hold).collect()
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;
    use crate::upstream::error::Cause;

    fn open(interface: Option<Interface>, reason: OpenReason) -> OpenBreaker {
        let cause = Cause { errcode: None, text: String::new() };
        OpenBreaker { interface, reason, cause, since: Instant::now(), next_probe: None }
    }

    #[test]
    fn what_stops_an_app_holds_no_interface_and_what_holds_an_app_holds_all_of_them() {
        let stopped = [open(None, OpenReason::Stopped(StopReason::IpNotAllowed))];
        assert_eq!((stops(&stopped), holds(&stopped, Interface::GetOrder)), (Some(AppStop::Ip), vec![]));
        let silent = [open(None, OpenReason::Unanswered)];
        assert_eq!(stops(&silent), None);
        assert!(Interface::ALL.into_iter().all(|interface| holds(&silent, interface) == [InterfaceHold::Transport]));
    }

    #[test]
    fn an_interface_is_held_by_itself() {
        let open = [
            open(Some(Interface::GetOrder), OpenReason::TooFast { retry_after: None }),
            open(Some(Interface::GetRelation), OpenReason::Stopped(StopReason::NotOpened)),
        ];
        assert_eq!(stops(&open), None);
        assert_eq!(holds(&open, Interface::GetOrder), [InterfaceHold::TooFast]);
        assert_eq!(holds(&open, Interface::GetRelation), [InterfaceHold::Stopped]);
        assert_eq!(holds(&open, Interface::GetShareMaterial), []);
    }
}
