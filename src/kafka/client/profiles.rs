//! How each client is set up: the connector's defaults, over them the user's properties, over those what the promise
//! rests on.
//!
//! The properties go from the settings to the client without a detour: rdkafka shows the secrets of a client's
//! configuration masked, so one configuration must never be made from what another one shows.

use std::time::Duration;

use rdkafka::ClientConfig;

use super::settings::Settings;
use super::supplied::ClientSetup;

/// The most that a produce request holds for a partition: librdkafka's default.
pub const BATCH_BYTES: usize = 1_000_000;

const CLIENT_ID: &str = "client.id";

/// Of every client.
const DEFAULTS: [(&str, &str); 3] = [
    // What brokers may ask of clients' metrics (KIP-714) costs about 90 kB of histograms for each client and broker.
    ("enable.metrics.push", "false"),
    // Idle connections come and go; that is no news.
    ("log.connection.close", "false"),
    ("topic.metadata.refresh.interval.ms", "60000"),
];

/// Of every client that reads: nothing is stored as an offset of a group by itself.
const NO_OFFSETS: [(&str, &str); 2] = [("enable.auto.commit", "false"), ("enable.auto.offset.store", "false")];

impl Settings {
    /// What brokers are told that each client is called: what the last of the properties says, else the connector's name and the
    /// instance's.
    pub fn client_id(&self) -> String {
        let set = self.properties.iter().rfind(|(key, _)| key == CLIENT_ID);
        set.map_or_else(|| format!("{}-{}", self.name, self.instance_id), |(_, value)| value.clone())
    }

    fn config(&self, defaults: &[(&str, &str)], fixed: &[(&str, &str)]) -> ClientSetup {
        let mut config = ClientConfig::new();
        config.set(CLIENT_ID, self.client_id());
        for (key, value) in DEFAULTS.iter().chain(defaults) {
            config.set(*key, *value);
        }
        for (key, value) in &self.properties {
            config.set(key, value);
        }
        for (key, value) in fixed {
            config.set(*key, *value);
        }
        ClientSetup { config, credentials: self.credentials.clone() }
    }

    /// For admin requests and offset requests.
    pub fn plain_config(&self) -> ClientSetup {
        self.config(&[], &[])
    }

    /// For a transactional producer. `limit` is the smallest `max.message.bytes` of its topics: a broker decides by it
    /// the size of the whole batch that a produce request holds for a partition.
    pub fn producer_config(&self, transactional_id: String, limit: usize) -> ClientSetup {
        let defaults = [
            ("compression.type", "lz4"),
            // An instance that dies leaves its transaction open that long at most, and readers wait for it.
            ("transaction.timeout.ms", "30000"),
        ];
        // librdkafka takes one record into a batch in any case.
        let batch_bytes = limit.clamp(1, BATCH_BYTES).to_string();
        let fixed = [
            ("transactional.id", transactional_id.as_str()),
            ("enable.idempotence", "true"),
            ("partitioner", "murmur2_random"),
            ("batch.size", &batch_bytes),
            // The topic's limit is the one that counts; it is checked record by record before sending.
            ("message.max.bytes", "1000000000"),
        ];
        self.config(&defaults, &fixed)
    }

    /// For membership in a group that says who owns what.
    pub fn member_config(&self, group: &str) -> ClientSetup {
        let fixed = [
            ("group.id", group),
            // A restarted instance takes its own place again at once, instead of waiting until its former self times out.
            ("group.instance.id", &self.instance_id),
            // What stays is not taken away for a moment when something else moves.
            ("partition.assignment.strategy", "cooperative-sticky"),
            ("auto.offset.reset", "earliest"),
            // It reads nothing; what it is asked for it tells as it is, whatever transactions are open.
            ("isolation.level", "read_uncommitted"),
        ];
        let defaults = [
            // So long the partitions of an instance that was killed stand still.
            ("session.timeout.ms", "15000"),
            // How late the others may hear that one has come or gone, and what moves stands still for so long.
            ("heartbeat.interval.ms", "500"),
        ];
        self.config(&defaults, &[&NO_OFFSETS[..], &fixed].concat())
    }

    /// For reading what is committed.
    fn committed_config(&self, group: &str, fixed: &[(&str, &str)]) -> ClientSetup {
        let committed = [("group.id", group), ("isolation.level", "read_committed")];
        self.config(&[], &[&NO_OFFSETS[..], &committed, fixed].concat())
    }

    /// For reading the state topic as far as it is committed.
    pub fn reader_config(&self) -> ClientSetup {
        let fixed = [
            ("enable.partition.eof", "true"),
            // A gap must end the reading: what librdkafka would skip by itself, the state would have forgotten.
            ("auto.offset.reset", "error"),
            // At the end of a partition the broker answers only after this wait, and a restore waits with it.
            ("fetch.wait.max.ms", "50"),
            // Once what waits has been taken the next is fetched soon, and not a second later.
            ("fetch.queue.backoff.ms", "10"),
        ];
        self.committed_config(&self.name, &fixed)
    }

    /// For following the registry topic. It is no member of the group, which is named because a consumer has to name one.
    pub fn follower_config(&self) -> ClientSetup {
        let fixed = [
            ("enable.partition.eof", "true"),
            // Of a topic that was made anew everything is read: what counts is the last that is said of each promoter.
            ("auto.offset.reset", "earliest"),
            // How long the broker waits where nothing comes; what comes is answered at once.
            ("fetch.wait.max.ms", "500"),
            ("fetch.min.bytes", "1"),
            // However many promoters are registered, few of their records wait in memory, in each partition.
            ("queued.min.messages", "10000"),
            ("queued.max.messages.kbytes", "2048"),
            // And once these are taken the next are fetched soon.
            ("fetch.queue.backoff.ms", "10"),
        ];
        self.committed_config(&self.name, &fixed)
    }

    /// For putting one request, once.
    pub fn request_producer_config(&self) -> ClientSetup {
        // Keys are placed as Java clients place them, whoever else writes requests.
        let fixed = [("enable.idempotence", "true"), ("partitioner", "murmur2_random")];
        self.config(&[("message.timeout.ms", "10000")], &fixed)
    }

    /// For records of the registry, each once. A record that is not acknowledged within `bound` is given up.
    pub fn registry_producer_config(&self, bound: Duration) -> ClientSetup {
        let bound = bound.as_millis().max(1).to_string();
        let fixed =
            [("enable.idempotence", "true"), ("partitioner", "murmur2_random"), ("message.timeout.ms", bound.as_str())];
        self.config(&[("compression.type", "lz4")], &fixed)
    }

    /// For reading requests as far as they are committed, and how far they are answered. It is no member of the group,
    /// whose offsets it only asks for; as a `read_committed` reader it is told them when no transaction holds them open.
    pub fn requests_reader_config(&self) -> ClientSetup {
        let fixed = [
            // Requests that their topic has dropped meanwhile can't be answered; those after them can.
            ("auto.offset.reset", "earliest"),
            // How long the broker waits where nothing comes; what comes is answered at once.
            ("fetch.wait.max.ms", "500"),
            ("fetch.min.bytes", "1"),
            // However many requests wait in the topic, few of them wait in memory.
            ("queued.min.messages", "64"),
            ("queued.max.messages.kbytes", "4096"),
        ];
        self.committed_config(&self.requests_group(), &fixed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::client::settings::tests::settings;

    fn every_config(settings: &Settings) -> [ClientSetup; 8] {
        [
            settings.plain_config(),
            settings.producer_config(settings.transactional_id(), BATCH_BYTES),
            settings.member_config("group"),
            settings.reader_config(),
            settings.follower_config(),
            settings.request_producer_config(),
            settings.registry_producer_config(Duration::from_secs(1)),
            settings.requests_reader_config(),
        ]
    }

    #[test]
    fn every_property_reaches_librdkafka_as_it_was_given_in_every_client() {
        let given = [
            ("sasl.username", "user"),
            ("sasl.password", "one"),
            ("ssl.key.password", "two"),
            ("ssl.keystore.password", "three"),
            ("sasl.oauthbearer.config", "four"),
            ("ssl.key.pem", "five"),
            ("ssl.certificate.pem", "six"),
            ("ssl.ca.pem", "seven"),
        ];
        for config in every_config(&settings(&given)) {
            let native = config.create_native_config().unwrap();
            for (name, value) in given {
                assert_eq!(native.get(name).unwrap(), value, "{name}");
            }
        }
    }

    #[test]
    fn what_the_promise_rests_on_stands_whatever_the_properties_say() {
        let settings =
            settings(&[("enable.idempotence", "false"), ("transactional.id", "x"), ("partitioner", "random")]);
        let producer = settings.producer_config(settings.requests_transactional_id(), 1000);
        assert_eq!(producer.get("enable.idempotence"), Some("true"));
        assert_eq!(producer.get("transactional.id"), Some("connector:one:commands"));
        assert_eq!(producer.get("partitioner"), Some("murmur2_random"));
        assert_eq!(settings.reader_config().get("isolation.level"), Some("read_committed"));
        assert_eq!(settings.follower_config().get("isolation.level"), Some("read_committed"));
        assert_eq!(settings.requests_reader_config().get("isolation.level"), Some("read_committed"));
        assert_eq!(settings.member_config("x").get("enable.auto.commit"), Some("false"));
    }

    #[test]
    fn the_users_properties_win_over_defaults() {
        let settings = settings(&[("compression.type", "zstd"), ("session.timeout.ms", "9000"), ("client.id", "mine")]);
        for config in every_config(&settings) {
            assert_eq!(config.get("compression.type"), Some("zstd"));
            assert_eq!(config.get("session.timeout.ms"), Some("9000"));
            assert_eq!(config.get("client.id"), Some("mine"));
        }
        assert_eq!(settings.client_id(), "mine");
    }
}
