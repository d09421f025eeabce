//! Whether the brokers are there, probed where nothing else is requested from them.
//!
//! The log hears of the first probe that is not answered, once a minute of those that follow, and of the answer that ends it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer;
use tokio_util::sync::CancellationToken;

use super::CALL_TIMEOUT;
use super::context::{self, LogContext};
use super::ended_aside::EndedAside;
use super::error::{ClientError, KafkaCallError};
use super::settings::Settings;
use super::silence::BrokerSilence;
use super::stuck_client::StuckClient;
use super::supplied::LoggedConsumer;
use crate::telemetry::health::PipelineHealth;
use crate::text::with_causes;

/// How long nothing may have been heard of the brokers before they are asked.
const QUIET: Duration = Duration::from_secs(20);
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// One that reaches no broker may take long to end, and the next probe does not wait for it.
type ProbingClient = EndedAside<LoggedConsumer>;

/// Asks the brokers whenever a pipeline has not heard of them for [`QUIET`], until `end`. An answer counts for all: they use the same
/// brokers.
pub async fn watch(settings: Settings, pipelines: Vec<Arc<PipelineHealth>>, end: CancellationToken) {
    let (mut client, mut stuck, mut silence) = (None, StuckClient::default(), BrokerSilence::default());
    while end.run_until_cancelled(tokio::time::sleep(LOOK_EVERY)).await.is_some() {
        let is_quiet =
            |health: &Arc<PipelineHealth>| health.snapshot().silent_for.is_none_or(|silence| silence >= QUIET);
        // What a pipeline hears by itself, as when it commits, is answer enough.
        if !pipelines.iter().any(is_quiet) {
            silence.heard();
            stuck.asked(true, Instant::now());
            continue;
        }
        let (used, settings) = (client.take(), settings.clone());
        let probing = tokio::task::spawn_blocking(move || probe(used, &settings));
        // One that panics ends the process by itself.
        if let Some(Ok((used, answer))) = end.run_until_cancelled(probing).await {
            client = kept(used, &mut stuck, answer.is_ok(), Instant::now());
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

/// The client for the next probe. One that has been answered nothing for a minute may be stuck: the next probe makes another.
fn kept<C>(used: Option<C>, stuck: &mut StuckClient, is_answered: bool, now: Instant) -> Option<C> {
    if stuck.asked(is_answered, now) {
        tracing::debug!("the probe's client reaches no broker: another one takes its place");
        return None;
    }
    used
}

/// Asks for the registry's topic. The client is made when it is needed first. Blocks.
///
/// # Errors
/// [`ClientError`], beside the client, where the brokers do not answer within [`CALL_TIMEOUT`]; without
/// one where it can't be made.
fn probe(client: Option<ProbingClient>, settings: &Settings) -> (Option<ProbingClient>, Result<(), ClientError>) {
    let what = || format!("the brokers do not answer through bootstrap.servers \"{}\"", settings.bootstrap_servers());
    let make = || settings.plain_config().create_with_context(LogContext::outside_groups()).map(EndedAside::new);
    let client: ProbingClient = match client.map_or_else(make, Ok) {
        Ok(client) => client,
        Err(error) => return (None, Err(ClientError::new(what(), KafkaCallError::from(error)))),
    };
    let answer = client.fetch_metadata(Some(&settings.topics.registry), CALL_TIMEOUT).map(drop);
    let answer = answer.map_err(|error| ClientError::new(what(), context::explained(&client, error)));
    // What librdkafka has told meanwhile, which waits until somebody polls.
    while client.poll(Duration::ZERO).is_some() {}
    (Some(client), answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_that_was_answered_nothing_for_a_minute_probes_no_more_and_so_one_is_made_a_minute() {
        let (began, mut stuck) = (Instant::now(), StuckClient::default());
        let (mut client, mut made) = (None, Vec::new());
        for second in (0..=200).step_by(5) {
            let used = client.take().unwrap_or_else(|| {
                made.push(second);
                second
            });
            let is_answered = second == 100;
            client = kept(Some(used), &mut stuck, is_answered, began + Duration::from_secs(second));
        }
        assert_eq!(made, [0, 65, 170], "the second was answered once, and had its minute behind that");
    }
}
