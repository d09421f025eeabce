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

/// Has each app's client make its share of the calls of the interfaces for which `is_shared`, by what its log owns.
pub(super) fn ownership(polls: &PollPipeline, is_shared: fn(Interface) -> bool) -> OwnershipObserver {
    let shares = BudgetShares::new(polls.apps.iter().map(|app| app.client.clone()), is_shared);
    Arc::new(move |owned| shares.own(owned))
}
