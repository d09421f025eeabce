//! Where a partition begins and ends, as its leader tells it: to each client by its own `isolation.level`.
//!
//! Of a partition in which somebody has a transaction open, a client that reads what is committed is told that it ends where the
//! transaction begins (the last stable offset), though records stand there and behind it. Whoever has to have seen all that anybody
//! was told is written asks an [`uncommitted_client`].

use std::ffi::CString;
use std::time::{Duration, Instant};

use rdkafka::bindings as native;
use rdkafka::client::{Client, ClientContext};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::types::RDKafkaErrorCode;

use crate::kafka::client::context::LogContext;
use crate::kafka::client::settings::Settings;
use crate::kafka::client::supplied::LoggedConsumer;

/// How long a leader that moves is waited for, and how long between two looks.
const MOVE_MAX: Duration = Duration::from_secs(2);
const MOVE_PAUSE: Duration = Duration::from_millis(100);
/// How long between two looks where there is no leader.
const LEADER_PAUSE: Duration = Duration::from_millis(250);

/// A client that is told of things as they are, whatever transactions are open.
///
/// # Errors
/// Where librdkafka makes no client of the settings.
pub fn uncommitted_client(settings: &Settings, context: LogContext) -> KafkaResult<LoggedConsumer> {
    let mut config = settings.reader_config();
    config.set("isolation.level", "read_uncommitted");
    config.create_with_context(context)
}

/// The offset behind all that the partition has, committed or not, as it was told with what was last fetched of it: nobody is
/// asked. Nothing where nothing was fetched yet.
#[allow(unsafe_code, reason = "a getter of librdkafka that rdkafka does not offer, argued below")]
pub fn fetched_end<C: ClientContext>(client: &Client<C>, topic: &str, partition: i32) -> Option<i64> {
    let topic = CString::new(topic).ok()?;
    let (mut begin, mut end) = (-1, -1);
    // SAFETY: the client's pointer is valid as long as the client, which is borrowed for the call. The name ends with a zero and
    // lives until behind it, and so do both numbers, which it writes.
    let answer = unsafe {
        native::rd_kafka_get_watermark_offsets(
            client.native_ptr(),
            topic.as_ptr(),
            partition,
            &raw mut begin,
            &raw mut end,
        )
    };
    (answer == native::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR && end >= 0).then_some(end)
}

/// The offset of the first record of a partition, and the one that its next record gets, as far as this client may see. Takes no
/// longer than `timeout`.
///
/// librdkafka asks nobody about a partition that had no leader when it last heard of the topic, as while one of its brokers fails
/// over: until it hears of the topic again by itself, which may be a quarter of an hour later, it says that there is no such
/// partition. So that is asked here, and then once more for the ends. A leader that has just become one, as of a topic that was just
/// made, may say for a moment that it is none: it is asked again, for two seconds at most.
///
/// # Errors
/// Where no leader answers in time, or there is none now either.
pub fn of_partition<C: ClientContext>(
    client: &Client<C>,
    topic: &str,
    partition: i32,
    timeout: Duration,
) -> KafkaResult<(i64, i64)> {
    let (until, moves_until) = (Instant::now() + timeout, Instant::now() + MOVE_MAX.min(timeout));
    let left = || until.saturating_duration_since(Instant::now());
    let mut told = client.fetch_watermarks(topic, partition, timeout);
    while matches!(&told, Err(error) if is_moving(error)) && Instant::now() + MOVE_PAUSE < moves_until {
        std::thread::sleep(MOVE_PAUSE);
        told = client.fetch_watermarks(topic, partition, left());
    }
    match told {
        Err(error) if may_be_outdated(&error) => {
            client.fetch_metadata(Some(topic), left())?;
            client.fetch_watermarks(topic, partition, left())
        }
        told => told,
    }
}

/// The same for whoever has nothing else to do: where the partition has no leader now, as for seconds after its only broker was away, one
/// is waited for, for as long as `timeout`.
///
/// # Errors
/// As [`of_partition`], once the time is up.
pub fn of_awaited_partition<C: ClientContext>(
    client: &Client<C>,
    topic: &str,
    partition: i32,
    timeout: Duration,
) -> KafkaResult<(i64, i64)> {
    let until = Instant::now() + timeout;
    loop {
        let told = of_partition(client, topic, partition, until.saturating_duration_since(Instant::now()));
        let has_no_leader = matches!(&told, Err(error) if may_be_outdated(error));
        if !has_no_leader || Instant::now() + LEADER_PAUSE >= until {
            return told;
        }
        std::thread::sleep(LEADER_PAUSE);
    }
}

/// Whether a broker says so that is not the partition's leader yet, or not any more.
fn is_moving(error: &KafkaError) -> bool {
    error.rdkafka_error_code() == Some(RDKafkaErrorCode::NotLeaderForPartition)
}

/// Whether librdkafka says so by what it remembers.
fn may_be_outdated(error: &KafkaError) -> bool {
    error.rdkafka_error_code() == Some(RDKafkaErrorCode::UnknownPartition)
}

#[cfg(test)]
mod tests {
    use rdkafka::consumer::{BaseConsumer, Consumer};
    use rdkafka::mocking::MockCluster;
    use rdkafka::producer::{BaseProducer, BaseRecord, DefaultProducerContext, Producer};
    use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
    use rdkafka::{ClientConfig, Offset, TopicPartitionList};

    use super::*;

    const BOUND: Duration = Duration::from_secs(10);

    /// A broker that does not lead the one partition of its topic `state`, and a client of it.
    fn without_leader() -> (MockCluster<'static, DefaultProducerContext>, BaseConsumer) {
        let cluster = MockCluster::new(1).unwrap();
        cluster.create_topic("state", 1, 1).unwrap();
        cluster.partition_leader("state", 0, None).unwrap();
        let servers = cluster.bootstrap_servers();
        let consumer: BaseConsumer = ClientConfig::new().set("bootstrap.servers", servers).create().unwrap();
        (cluster, consumer)
    }

    #[test]
    fn a_leader_is_waited_for_as_long_as_there_is_time() {
        let (cluster, consumer) = without_leader();
        let awaited = |timeout| of_awaited_partition(consumer.client(), "state", 0, timeout);

        assert!(awaited(2 * LEADER_PAUSE).is_err(), "nobody leads it in that time");
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| awaited(BOUND));
            std::thread::sleep(LEADER_PAUSE);
            cluster.partition_leader("state", 0, Some(1)).unwrap();
            assert_eq!(waiting.join().unwrap().unwrap(), (0, 0));
        });
    }

    #[test]
    fn a_partition_that_had_no_leader_for_a_moment_is_asked_for_again() {
        let (cluster, consumer) = without_leader();
        let client = consumer.client();

        client.fetch_metadata(Some("state"), BOUND).unwrap();
        assert!(of_partition(client, "state", 0, BOUND).is_err(), "nobody leads it");
        cluster.partition_leader("state", 0, Some(1)).unwrap();
        assert!(client.fetch_watermarks("state", 0, BOUND).is_err(), "librdkafka remembers that nobody led it");
        assert_eq!(of_partition(client, "state", 0, BOUND).unwrap(), (0, 0));
    }

    #[test]
    fn a_leader_that_says_for_a_moment_that_it_is_none_is_asked_again() {
        let cluster = MockCluster::new(1).unwrap();
        cluster.create_topic("registry", 1, 1).unwrap();
        let servers = cluster.bootstrap_servers();
        let consumer: BaseConsumer = ClientConfig::new().set("bootstrap.servers", servers).create().unwrap();
        let refuse = || {
            cluster.request_errors(
                RDKafkaApiKey::ListOffsets,
                &[RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION; 2],
            );
        };
        refuse();
        let alone = consumer.client().fetch_watermarks("registry", 0, BOUND).unwrap_err();
        assert!(is_moving(&alone), "{alone}");
        cluster.clear_request_errors(RDKafkaApiKey::ListOffsets);
        refuse();
        assert_eq!(of_partition(consumer.client(), "registry", 0, BOUND).unwrap(), (0, 0));
    }

    #[test]
    fn where_a_partition_ends_comes_with_what_is_fetched_of_it() {
        let cluster = MockCluster::new(1).unwrap();
        cluster.create_topic("registry", 2, 1).unwrap();
        let servers = cluster.bootstrap_servers();
        let producer: BaseProducer = ClientConfig::new().set("bootstrap.servers", &servers).create().unwrap();
        for value in ["one", "two", "three"] {
            producer.send(BaseRecord::<(), _>::to("registry").partition(0).payload(value)).unwrap();
        }
        producer.flush(BOUND).unwrap();
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", servers).set("group.id", "none").set("fetch.wait.max.ms", "50");
        let consumer: BaseConsumer = config.create().unwrap();
        let end = |partition| fetched_end(consumer.client(), "registry", partition);
        assert_eq!([end(0), end(1)], [None; 2], "nothing was fetched");
        let mut assignment = TopicPartitionList::new();
        assignment.add_partition_offset("registry", 0, Offset::Offset(2)).unwrap();
        consumer.assign(&assignment).unwrap();
        let until = Instant::now() + BOUND;
        while end(0).is_none() && Instant::now() < until {
            let _ = consumer.poll(Duration::from_millis(50));
        }
        assert_eq!([end(0), end(1)], [Some(3), None]);
    }
}
