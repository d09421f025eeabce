//! What the logs of both pipelines are made of.

use std::sync::Arc;

use crate::avro::encode::Encoders;
use crate::kafka::client::settings::Settings;
use crate::kafka::group::observer::OwnershipObserver;
use crate::kafka::transaction::record::RecordClock;
use crate::model::feed::Interface;
use crate::session::PollPipeline;
use crate::upstream::budget_shares::BudgetShares;

pub(super) struct LogParts {
    pub kafka: Settings,
    pub encoders: Arc<Encoders>,
    pub clock: RecordClock,
}

/// Each app's client makes its share of the calls of the interfaces for which `is_shared`.
pub(super) fn shares(polls: &PollPipeline, is_shared: fn(Interface) -> bool) -> BudgetShares {
    BudgetShares::new(polls.apps.iter().map(|app| app.client.clone()), is_shared)
}

/// They follow what a log owns.
pub(super) fn ownership(shares: Arc<BudgetShares>) -> OwnershipObserver {
    Arc::new(move |owned| shares.own(owned))
}
