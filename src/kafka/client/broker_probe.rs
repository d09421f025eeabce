//! Whether the brokers are there, probed where nothing else is requested from them.
//!
//! The log hears of the first probe that is not answered, once a minute of those that follow, and of the answer that ends it.

use std::sync::Arc;
use std::time::Duration;

use rdkafka::consumer::Consumer;
use tokio_util::sync::CancellationToken;

use super::CALL_TIMEOUT;
use super::context::{self, LogContext};
use super::error::{ClientError, KafkaCallError};
use super::settings::Settings;
use super::silence::BrokerSilence;
use super::supplied::LoggedConsumer;
use crate::telemetry::health::PipelineHealth;
use crate::text::with_causes;

/// How long nothing may have been heard of the brokers before they are asked.
const QUIET: Duration = Duration::from_secs(20);
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Asks the brokers whenever a pipeline has not heard of them for [`QUIET`], until `end`. An answer counts for all: they use the same
/// brokers.
pub async fn watch(settings: Settings, pipelines: Vec<Arc<PipelineHealth>>, end: CancellationToken) {
    let (mut client, mut silence) = (None, BrokerSilence::default());
    while end.run_until_cancelled(tokio::time::sleep(LOOK_EVERY)).await.is_some() {
        let is_quiet =
            |health: &Arc<PipelineHealth>| health.snapshot().silent_for.is_none_or(|silence| silence >= QUIET);
        // What a pipeline hears by itself, as when it commits, is answer enough.
        if !pipelines.iter().any(is_quiet) {
            silence.heard();
            continue;
        }
        let (used, settings) = (client.take(), settings.clone());
        let probing = tokio::task::spawn_blocking(move || probe(used, &settings));
        // One that panics ends the process by itself.
        if let Some(Ok((used, answer))) = end.run_until_cancelled(probing).await {
            client = used;
            note(&pipelines, &mut silence, answer);
        }
    }
}

fn note(pipelines: &[Arc<PipelineHealth>], silence: &mut BrokerSilence, answer: Result<(), ClientError>) {
    match answer {
        Ok(()) => {
            pipelines.iter().for_each(|health| health.answered());
            silence.heard();
        }
        Err(error) => {
            let error = with_causes(&error);
            let silent_for = pipelines.iter().filter_map(|health| health.snapshot().silent_for).max();
            silence.unanswered(silent_for, LOOK_EVERY, &error);
            pipelines.iter().for_each(|health| health.unanswered(error.clone()));
        }
    }
}

/// Asks for the registry's topic. The client is made when it is needed first, and kept. Blocks.
///
/// # Errors
/// [`ClientError`], beside the client, where the brokers do not answer within [`CALL_TIMEOUT`]; without
/// one where it can't be made.
fn probe(client: Option<LoggedConsumer>, settings: &Settings) -> (Option<LoggedConsumer>, Result<(), ClientError>) {
    let what = || format!("the brokers do not answer through bootstrap.servers \"{}\"", settings.bootstrap_servers());
    let made = client.map_or_else(|| settings.plain_config().create_with_context(LogContext::outside_groups()), Ok);
    let client: LoggedConsumer = match made {
        Ok(client) => client,
        Err(error) => return (None, Err(ClientError::new(what(), KafkaCallError::from(error)))),
    };
    let answer = client.fetch_metadata(Some(&settings.topics.registry), CALL_TIMEOUT).map(drop);
    let answer = answer.map_err(|error| ClientError::new(what(), context::explained(&client, error)));
    // What librdkafka has told meanwhile, which waits until somebody polls.
    while client.poll(Duration::ZERO).is_some() {}
    (Some(client), answer)
}
