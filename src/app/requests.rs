//! What the requests for material are answered by: an executor over the clients of the polls, and a log of their own.

use std::sync::Arc;

use super::log_parts::{LogParts, ownership, shares};
use super::schemas::MaterialFramings;
use crate::avro::material::{RequestDecoder, ResultEncoder};
use crate::avro::schema_lookup::SchemaSource;
use crate::config::RequestSettings;
use crate::kafka::group::observer::LogObservers;
use crate::kafka::requests_log::RequestsLog;
use crate::model::feed::InterfaceCaller;
use crate::requests::executor::{Executor, MaterialApp};
use crate::requests::pipeline::RequestPipeline;
use crate::requests::totals::RequestTotals;
use crate::retry;
use crate::session::{PollPipeline, PolledApp};
use crate::telemetry::pipeline;

/// What is counted of requests, by the apps that are configured.
pub(super) fn totals(polls: &PollPipeline) -> Arc<RequestTotals> {
    let totals: Arc<RequestTotals> = Arc::default();
    totals.know_apps(polls.apps.iter().map(|app| app.app.as_str().to_owned()).collect());
    totals
}

/// The pipeline with its log. `source` tells the schemas of others, where records are framed with any.
pub(super) fn pipeline(
    settings: RequestSettings,
    framings: MaterialFramings,
    source: Option<Arc<dyn SchemaSource>>,
    LogParts { kafka, encoders, clock }: &LogParts,
    polls: &PollPipeline,
    totals: Arc<RequestTotals>,
) -> (RequestPipeline, RequestsLog) {
    let executor = Arc::new(executor(&settings, RequestDecoder::new(framings.request), source, polls, &totals));
    let ownership = ownership(Arc::new(shares(polls, |interface| interface.called_by() == InterfaceCaller::Requests)));
    let observers = LogObservers { pipeline: pipeline::REQUESTS, health: totals.health.clone(), ownership };
    let results = ResultEncoder::new(framings.result);
    let (topics, encoders, clock) = (settings.topics, encoders.clone(), clock.clone());
    let log = RequestsLog::new(kafka.clone(), topics, encoders, results, clock, observers);
    (RequestPipeline { executor, totals }, log)
}

/// Asks the upstream for material by the clients of the polls, whose breakers it shares.
fn executor(
    settings: &RequestSettings,
    decoder: RequestDecoder,
    schemas: Option<Arc<dyn SchemaSource>>,
    polls: &PollPipeline,
    totals: &RequestTotals,
) -> Executor {
    let material_app = |app: &PolledApp| {
        MaterialApp::new(app.client.clone(), settings.concurrency).counted_in(totals.waiting.of(app.app.as_str()))
    };
    let apps = polls.apps.iter().map(material_app);
    Executor::new(apps, settings.topics.requests.clone(), decoder, schemas, retry::PATIENCE)
}
