//! Taking over what a connector of another name has left, before anything is opened.

use std::collections::HashMap;
use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

use super::pipelines::Unfit;
use crate::commit::log::{LogError, OpenError};
use crate::kafka::client::settings::Settings;
use crate::kafka::facts_log::adoption::adopt as adopt_state;
use crate::model::promoter::IdKind;
use crate::retry;

/// Brokers that are away are waited for, as at any start.
///
/// # Errors
/// Where it can't be taken over, or is still worked with; [`Unfit`] where a setting is what the brokers refuse.
pub(super) async fn adopt(kafka: &Settings, id_kinds: &HashMap<String, IdKind>) -> anyhow::Result<()> {
    let given_up = CancellationToken::new();
    // Whoever stops while this is under way waits for it no longer.
    let _given_up = given_up.clone().drop_guard();
    let call = || {
        let (kafka, id_kinds, given_up) = (kafka.clone(), id_kinds.clone(), given_up.clone());
        async move {
            let adopted = spawn_blocking(move || adopt_state(&kafka, &id_kinds, &given_up)).await;
            adopted.unwrap_or_else(|error| Err(OpenError::Stop(LogError::new(error))))
        }
    };
    let may_pass = |error: &OpenError| matches!(error, OpenError::Again(_));
    retry::retried("adoption", call, may_pass, Duration::MAX).await.map_err(|error| {
        match error.downcast_ref::<OpenError>() {
            Some(unfit @ OpenError::Unfit(_)) => Unfit::Adoption(unfit.clone()).into(),
            _ => error,
        }
    })
}
