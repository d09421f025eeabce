//! librdkafka's own mock cluster: a broker for the demo, in this process and in memory.
//!
//! It speaks the protocol over loopback, groups and transactions included, and proves nothing: it shows aborted and
//! open records to everybody, fences nobody, compacts nothing, keeps the last 5 MiB of a partition, and answers no
//! admin requests, hence [`TopicPolicy::Trust`](super::settings::TopicPolicy::Trust).

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};

use super::context::LogContext;
use super::error::ClientError;

/// How long the first member of a group waits for others, in milliseconds: there will be none. A broker's default,
/// and the mock's, is three seconds.
const FIRST_JOIN_MILLISECONDS: i32 = 10;

/// Why there is no mock cluster, or not all of it.
#[derive(Debug, thiserror::Error)]
pub enum MockClusterError {
    #[error("librdkafka has no mock cluster")]
    Missing,
    #[error(transparent)]
    Client(#[from] ClientError),
}

/// Lives as long as this value.
pub struct MockCluster {
    /// The client that the mock cluster belongs to.
    owner: BaseConsumer<LogContext>,
}

impl MockCluster {
    /// # Errors
    /// [`MockClusterError`] where this librdkafka has none, or no client can be made.
    pub fn start() -> Result<MockCluster, MockClusterError> {
        let mut config = ClientConfig::new();
        config.set("test.mock.num.brokers", "1");
        let owner: BaseConsumer<LogContext> = config
            .create_with_context(LogContext::default())
            .map_err(|error| ClientError::new("the mock cluster does not start", error))?;
        if owner.client().mock_cluster().is_none() {
            return Err(MockClusterError::Missing);
        }
        shorten_first_join(&owner);
        Ok(MockCluster { owner })
    }

    /// Its `bootstrap.servers`.
    pub fn bootstrap_servers(&self) -> String {
        self.owner.client().mock_cluster().map(|cluster| cluster.bootstrap_servers()).unwrap_or_default()
    }

    /// # Errors
    /// [`MockClusterError`] where the cluster takes no such topic.
    pub fn create_topic(&self, topic: &str, partitions: i32) -> Result<(), MockClusterError> {
        let cluster = self.owner.client().mock_cluster().ok_or(MockClusterError::Missing)?;
        let created = cluster.create_topic(topic, partitions, 1);
        Ok(created.map_err(|error| ClientError::new(format!("topic {topic} can't be made"), error))?)
    }
}

#[cfg(test)]
impl MockCluster {
    /// From now on it answers nobody, and goes on to take what it is sent.
    pub fn fall_silent(&self) {
        let cluster = self.owner.client().mock_cluster().unwrap();
        cluster.broker_round_trip_time(1, std::time::Duration::from_secs(3600)).unwrap();
    }
}

#[allow(unsafe_code, reason = "a setting of the mock cluster that rdkafka does not offer, argued below")]
fn shorten_first_join(owner: &BaseConsumer<LogContext>) {
    // SAFETY: the client's pointer is valid as long as the client, which is borrowed for the call. The mock cluster was
    // made with the client and ends with it, and locks itself for the change.
    unsafe {
        let cluster = rdkafka::bindings::rd_kafka_handle_mock_cluster(owner.client().native_ptr());
        if !cluster.is_null() {
            rdkafka::bindings::rd_kafka_mock_group_initial_rebalance_delay_ms(cluster, FIRST_JOIN_MILLISECONDS);
        }
    }
}
