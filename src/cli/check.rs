//! `check`: what `run` would meet with at its start. The same code looks at the same things, and changes none.

use std::path::Path;
use std::time::Duration;

use clap::Args;

use self::brokers::CheckedBrokers;
use self::finding::{Finding, Verdict};
use self::fleet::CheckedFleet;
use self::report::Report;
use super::{Failure, duration};
use crate::app;
use crate::avro::schema_registry::SchemaRegistrySettings;
use crate::config::{Config, RequestClientConfig, RequestSettings};
use crate::kafka::client::settings::Settings;
use crate::kafka::inspection::Inspection;
use crate::text::counted;

mod admin_port;
mod apps;
mod beginnings;
mod brokers;
mod counted_transport;
mod finding;
mod fleet;
mod quota;
mod report;
mod schemas;

#[derive(Clone, Debug, Args)]
pub struct CheckOptions {
    /// Print what was found as one JSON object.
    #[arg(long)]
    pub json: bool,
    /// Look at the configuration and the files that it names, and ask nobody.
    #[arg(long)]
    pub offline: bool,
    /// How long the state may take to be read.
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "5m")]
    pub timeout: Duration,
}

/// Prints all that was found.
///
/// # Errors
/// [`Failure::Found`] where `run` would not start, or would wait: with 2 where somebody has to change something, and with 1
/// where somebody could not be asked.
pub fn run(path: &Path, options: &CheckOptions) -> Result<(), Failure> {
    let report = if options.offline {
        Report::new(configuration(path).0)
    } else {
        let runtime = super::runtime()?;
        let report = runtime.block_on(everything(path, options.timeout));
        // What was given up on may still wait for brokers; nobody waits for it.
        runtime.shutdown_background();
        report
    };
    report.print(options.json)?;
    match report.exit_code() {
        0 => Ok(()),
        exit_code => Err(Failure::Found { exit_code }),
    }
}

/// What is wrong with the configuration; and the whole of it where nothing is.
fn configuration(path: &Path) -> (Vec<Finding>, Option<Config>) {
    const SUBJECT: &str = "configuration";
    match Config::load(path, &|name| std::env::var(name).ok()) {
        Ok(config) => {
            let promoters = config.apps.iter().map(|app| app.promoters.len()).sum::<usize>();
            let apps = counted(config.apps.len() as u64, "app");
            let text = format!("{apps}, {}", counted(promoters as u64, "promoter"));
            (vec![Finding::new(SUBJECT, Verdict::Sound, text)], Some(config))
        }
        Err(error) => (error.problems().map(|problem| Finding::new(SUBJECT, Verdict::Wrong, problem)).collect(), None),
    }
}

/// What is to be known of the brokers and the schema registry, where that much of the configuration can be read.
fn brokers(
    path: &Path,
    config: Option<&Config>,
) -> Option<(Settings, Option<SchemaRegistrySettings>, Option<RequestSettings>)> {
    if let Some(Config { kafka, schema_registry, requests, .. }) = config {
        return Some((kafka.clone(), schema_registry.clone(), requests.clone()));
    }
    let client = RequestClientConfig::load(path, &|name| std::env::var(name).ok()).ok()?;
    Some((client.kafka, client.schema_registry, client.requests))
}

async fn everything(path: &Path, timeout: Duration) -> Report {
    let (mut findings, config) = configuration(path);
    // What is wrong with an app keeps nobody from asking the brokers.
    let Some((kafka, schema_registry, requests)) = brokers(path, config.as_ref()) else {
        return Report::new(findings);
    };
    let listen = config.as_ref().and_then(|config| config.admin.listen);
    let (apps, http) = config.map(|config| (config.apps, config.http)).unzip();
    let apps = apps.unwrap_or_default();
    let request_topics = requests.map(|requests| requests.topics);
    let inspection = Inspection::new(kafka.clone(), request_topics.clone(), app::id_kinds(&apps));
    let brokers = CheckedBrokers { inspection: &inspection, timeout };
    // Whom to ask an app about, the brokers tell.
    let brokers_and_apps = async {
        let brokers = brokers.look().await;
        let (fleet, registry) = match brokers.are_topics_told && !apps.is_empty() {
            true => CheckedFleet::read(&apps, kafka.clone(), schema_registry.clone(), timeout).await,
            false => (CheckedFleet::configured(&apps), None),
        };
        (brokers, registry, apps::check(&apps, &fleet, http).await)
    };
    let (port, (brokers, registry, checked_apps), schemas) = tokio::join!(
        admin_port::finding(listen),
        brokers_and_apps,
        schemas::findings(schema_registry.clone(), &kafka.topics, request_topics.as_ref()),
    );
    let begun_too_early = brokers.first_start.iter().flat_map(|limits| beginnings::findings(&apps, limits));
    let begun_too_early: Vec<Finding> = begun_too_early.collect();
    findings.extend(port.into_iter().chain(brokers.findings).chain(registry).chain(schemas).chain(begun_too_early));
    let mut report = Report::new(findings);
    checked_apps.into_iter().for_each(|app| report.add_app(app));
    report
}
