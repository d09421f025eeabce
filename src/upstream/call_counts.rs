//! What has become of an app's calls: how many were answered how, how long that took, and how long they had waited for their
//! budget.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::error::Reaction;
use crate::model::feed::{Interface, PerInterface};
use crate::model::per::one_value_for_each;
use crate::telemetry::buckets::{BucketCounts, QUICK};

/// How a call was answered: by what its answer asks its reader to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallClass {
    Ok,
    ParkPromoter,
    RefuseRequest,
    TryLater,
    Busy,
    Transport,
    TokenRejected,
    Stopped,
    QuotaSpent,
    TooFast,
    ClientFault,
    Unforeseen,
    /// The answer came, and can't be read.
    Unreadable,
}

one_value_for_each! {
    /// One value for each way in which a call is answered.
    PerCallClass of CallClass {
        ok: Ok,
        park_promoter: ParkPromoter,
        refuse_request: RefuseRequest,
        try_later: TryLater,
        busy: Busy,
        transport: Transport,
        token_rejected: TokenRejected,
        stopped: Stopped,
        quota_spent: QuotaSpent,
        too_fast: TooFast,
        client_fault: ClientFault,
        unforeseen: Unforeseen,
        unreadable: Unreadable
    }
}

impl CallClass {
    pub fn name(self) -> &'static str {
        match self {
            CallClass::Ok => "ok",
            CallClass::ParkPromoter => "park_promoter",
            CallClass::RefuseRequest => "refuse_request",
            CallClass::TryLater => "try_later",
            CallClass::Busy => "busy",
            CallClass::Transport => "transport",
            CallClass::TokenRejected => "token_rejected",
            CallClass::Stopped => "stopped",
            CallClass::QuotaSpent => "quota_spent",
            CallClass::TooFast => "too_fast",
            CallClass::ClientFault => "client_fault",
            CallClass::Unforeseen => "unforeseen",
            CallClass::Unreadable => "unreadable",
        }
    }
}

impl From<Reaction> for CallClass {
    fn from(reaction: Reaction) -> CallClass {
        match reaction {
            Reaction::Read | Reaction::NoData => CallClass::Ok,
            Reaction::ParkPromoter => CallClass::ParkPromoter,
            Reaction::RefuseRequest => CallClass::RefuseRequest,
            Reaction::TryLater => CallClass::TryLater,
            Reaction::RetryBusy => CallClass::Busy,
            Reaction::RetryTransport => CallClass::Transport,
            Reaction::RejectToken => CallClass::TokenRejected,
            Reaction::StopApp(_) => CallClass::Stopped,
            Reaction::QuotaSpent => CallClass::QuotaSpent,
            Reaction::TooFast => CallClass::TooFast,
            Reaction::ClientFault => CallClass::ClientFault,
            Reaction::Unforeseen => CallClass::Unforeseen,
        }
    }
}

/// Of one interface, since the process began.
#[derive(Debug)]
pub struct InterfaceCalls {
    pub classes: PerCallClass<AtomicU64>,
    /// From when a call was sent to its answer, or to where none was to be had.
    pub durations: BucketCounts,
    pub budget_waits: BucketCounts,
}

/// Of one app, by interface.
#[derive(Debug)]
pub struct CallCounts(PerInterface<InterfaceCalls>);

impl Default for CallCounts {
    fn default() -> CallCounts {
        let of_interface = |_| InterfaceCalls {
            classes: PerCallClass::new(|_| AtomicU64::default()),
            durations: BucketCounts::new(QUICK),
            budget_waits: BucketCounts::new(QUICK),
        };
        CallCounts(PerInterface::new(of_interface))
    }
}

impl CallCounts {
    pub fn of(&self, interface: Interface) -> &InterfaceCalls {
        &self.0[interface]
    }

    pub(super) fn took(&self, interface: Interface, duration: Duration) {
        self.0[interface].durations.add_duration(duration);
    }

    pub(super) fn answered(&self, interface: Interface, class: CallClass) {
        self.0[interface].classes[class].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn waited(&self, interface: Interface, duration: Duration) {
        self.0[interface].budget_waits.add_duration(duration);
    }
}
