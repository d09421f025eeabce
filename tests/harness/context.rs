//! What a case is given: a broker, topics and files of its own, and the processes that it starts on them.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use promoter_connector::avro::decode::Decoder;
use serde_json::Value;
use tempfile::TempDir;

use super::connector::Connector;
use super::consumer::{Record, read_all};
use super::directory;
use super::facts;
use super::judge::{PublishedEvent, Verdict, judge};
use super::kafka::Broker;
use super::simulator::Simulator;
use super::topics::Topics;
use super::wait::wait_until;

pub struct Context {
    // In the order in which they go: clients, then the broker, then the files.
    topics: Topics,
    broker: Arc<Broker>,
    directory: TempDir,
}

impl Context {
    pub fn new(broker: Arc<Broker>) -> Result<Context> {
        let topics = Topics::new(broker.bootstrap())?;
        Ok(Context { topics, broker, directory: directory::temporary("case")? })
    }

    /// Other topics and files, on the same broker.
    pub fn anew(&self) -> Result<Context> {
        Context::new(Arc::clone(&self.broker))
    }

    pub fn broker(&self) -> &Broker {
        &self.broker
    }

    pub fn bootstrap(&self) -> &str {
        self.broker.bootstrap()
    }

    pub fn topics(&self) -> &Topics {
        &self.topics
    }

    /// For this case's files; the logs in it are shown if the case fails.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// A configuration of the real binary for this case: its broker, its topics, and the first `promoters` of the
    /// upstream at `url`, polled as often as tests need it. It runs as instance "one". `more` is TOML that follows.
    pub fn config(&self, url: &str, promoters: usize, more: &str) -> String {
        self.config_of("one", url, promoters, more)
    }

    /// As [`Context::config`], for one of several instances. Keys in `more` are whole, as in `kafka.linger.ms`.
    pub fn config_of(&self, instance: &str, url: &str, promoters: usize, more: &str) -> String {
        let promoters: Vec<String> = (1..=promoters).map(|number| format!("oSimulated{number:06}")).collect();
        let (bootstrap, prefix) = (self.bootstrap(), self.topics.prefix());
        format!(
            r#"
connector = {{ name = "{prefix}", instance_id = "{instance}" }}
kafka."bootstrap.servers" = "{bootstrap}"
topics = {{ prefix = "{prefix}", partitions = 3, replication = 1 }}
apps = [
    {{ app_id = "wx_simulated", secret = "simulated-secret", base_url = "{url}", promoters = {promoters:?} }},
]
retry = {{ parked = "1s", stopped = "1s", too_fast = "1s" }}
http.timeout = "2s"
# All that happens lies within minutes, behind years of nothing.
poll.catch_up_spread = "36500d"
admin = {{ listen = "off" }}
feeds.touches = {{ every = "500ms", idle_every = "1s", start_from = "earliest" }}
feeds.orders = {{ every = "500ms", idle_every = "1s", start_from = "earliest" }}
feeds.refunds = {{ every = "1s", idle_every = "2s" }}
{more}
"#
        )
    }

    /// Runs the real binary; `name` tells several instances apart.
    pub fn connector(&self, name: &str, config: &str, environment: &[(&str, &str)]) -> Result<Connector> {
        Connector::start(self.directory(), name, config, environment)
    }

    /// Runs the simulated upstream.
    pub fn simulator(&self, arguments: &[&str]) -> Result<Simulator> {
        Simulator::start(self.directory(), arguments)
    }

    /// All that a read_committed consumer finds in the topics of this case: events and dead letters.
    pub fn published(&self) -> Result<Vec<PublishedEvent>> {
        let mut published = Vec::new();
        for topic in ["touches", "orders", "dead-letters"] {
            for event in self.decoded(topic)? {
                published.push(facts::published(&event)?);
            }
        }
        Ok(published)
    }

    /// The committed records of `<prefix>.<topic>`, decoded.
    pub fn decoded(&self, topic: &str) -> Result<Vec<Value>> {
        let decoder = Decoder::new([]);
        let decode =
            |record: Record| Ok(serde_json::to_value(decoder.decode(record.value.as_deref().unwrap_or_default())?)?);
        read_all(self.bootstrap(), &self.topics.name(topic))?.into_iter().map(decode).collect()
    }

    /// What the upstream has shown against what was published, as of now.
    pub fn verdict(&self, simulator: &Simulator) -> Result<Verdict> {
        let shown: Result<Vec<String>> = simulator.truth()?.iter().map(facts::shown).collect();
        Ok(judge(shown?, self.published()?))
    }

    /// Waits until the upstream has shown everything and all of it is published, once. The error is the verdict.
    pub fn settle(&self, simulator: &Simulator, bound: Duration) -> Result<()> {
        let mut last = Verdict::default();
        wait_until("everything is shown and published", bound, || {
            if simulator.stats()?["facts"]["settled"] != true {
                return Ok(None);
            }
            last = self.verdict(simulator)?;
            Ok(last.is_exact().then_some(()))
        })
        .with_context(|| last.to_string())?;
        last.must_be_exact()
    }
}
