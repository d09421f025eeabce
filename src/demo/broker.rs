//! The broker of the demo: a mock cluster in this process, or a real one that is named.

use std::sync::Arc;

use anyhow::anyhow;

use crate::config::Config;
use crate::kafka::all_topics;
use crate::kafka::client::mock_cluster::MockCluster;
use crate::kafka::client::settings::{RequestTopics, TopicPolicy};
use crate::text::with_causes;

/// Of each topic: a mock cluster answers no admin requests, so its topics are made here.
const PARTITIONS: i32 = 3;
/// Of the topics in a mock cluster, where nobody else has some.
const PREFIX: &str = "promoter";
/// Of the topics on a real broker, before what is this run's alone.
const OWN_PREFIX: &str = "promoter-demo";

pub struct DemoBroker {
    pub bootstrap_servers: String,
    /// Of the topics, and the connector's name, with which its groups and transactional ids begin.
    pub prefix: String,
    /// Absent where the broker is a real one.
    mock_cluster: Option<MockCluster>,
}

impl DemoBroker {
    /// A mock cluster, unless one is named.
    ///
    /// # Errors
    /// Where the mock cluster can't be had.
    pub fn start(bootstrap_servers: Option<Arc<str>>) -> anyhow::Result<DemoBroker> {
        if let Some(bootstrap_servers) = bootstrap_servers {
            // Each run has topics of its own: what an earlier one has published is not what this one shows.
            let prefix = format!("{OWN_PREFIX}-{:08x}", rand::random::<u32>());
            return Ok(DemoBroker { bootstrap_servers: bootstrap_servers.to_string(), prefix, mock_cluster: None });
        }
        let mock_cluster = MockCluster::start()?;
        let (bootstrap_servers, prefix) = (mock_cluster.bootstrap_servers(), PREFIX.to_owned());
        Ok(DemoBroker { bootstrap_servers, prefix, mock_cluster: Some(mock_cluster) })
    }

    /// Makes all topics that `config` names.
    ///
    /// # Errors
    /// Where the broker does not make one, or can't be reached.
    pub async fn make_topics(&self, config: &mut Config, requests: &RequestTopics) -> anyhow::Result<()> {
        let Some(mock_cluster) = &self.mock_cluster else {
            let made = all_topics::make(&config.kafka, Some(requests)).await;
            let failed = |error| anyhow!("the broker at {}: {}", self.bootstrap_servers, with_causes(&error));
            return made.map(drop).map_err(failed);
        };
        config.kafka.topic_policy = TopicPolicy::Trust;
        let names = &config.kafka.topics;
        for topic in names.all().chain(names.ledger.as_ref()).chain([&requests.requests, &requests.results]) {
            mock_cluster.create_topic(topic, PARTITIONS)?;
        }
        Ok(())
    }

    /// What is said of it before the demo begins, in two lines.
    pub fn introduction(&self) -> String {
        let DemoBroker { bootstrap_servers, prefix, mock_cluster } = self;
        match mock_cluster {
            Some(_) => format!(
                "a mock cluster kept in memory, at {bootstrap_servers}; it proves nothing about exactly-once:\n\
                 \x20          that is tested on a real Kafka, see \"Tests\" in README.md"
            ),
            None => format!(
                "a real one, at {bootstrap_servers}; topics, groups and transactional ids of this run begin with\n\
                 \x20          {prefix}, and nothing else there is touched; the topics stay"
            ),
        }
    }
}
