//! Up to where the partitions of the request topic reach: asked of their leaders, whether anybody takes records or not.
//!
//! What librdkafka has heard with the records that it read is no answer: it hears of no end while its queue is full, which is just when
//! requests pile up.

use std::io;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Weak};
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};

use crate::kafka::client::context::LogContext;
use crate::kafka::client::supplied::LoggedConsumer;
use crate::kafka::topics::watermarks;
use crate::requests::log::PartitionEnds;

/// How old what is known may be, beside what the answers take.
pub(super) const ASK_EVERY: Duration = Duration::from_secs(10);
/// For one partition. One that does not answer is asked again with the next round.
const CALL_TIMEOUT: Duration = Duration::from_secs(1);

/// A thread that asks, until this is dropped. Nobody waits for it: what it asks then ends within [`CALL_TIMEOUT`].
pub(super) struct EndsWatch {
    _told_to_end: mpsc::Sender<()>,
}

struct AskingThread {
    /// A reader's, which lives on only while a question is under way.
    consumer: Weak<BaseConsumer<LogContext>>,
    topic: String,
    partitions: Vec<i32>,
    ends: Arc<PartitionEnds>,
}

impl EndsWatch {
    /// Notes in `ends` where these partitions of `topic` end, now and each time that `every` is over.
    ///
    /// # Errors
    /// Where there is no thread to be had.
    pub fn start(
        consumer: &LoggedConsumer,
        topic: &str,
        partitions: Vec<i32>,
        ends: Arc<PartitionEnds>,
        every: Duration,
    ) -> io::Result<EndsWatch> {
        let (told_to_end, end) = mpsc::channel();
        let asking = AskingThread { consumer: consumer.downgrade(), topic: topic.to_owned(), partitions, ends };
        std::thread::Builder::new().name("request-ends".into()).spawn(move || asking.run(every, &end))?;
        Ok(EndsWatch { _told_to_end: told_to_end })
    }
}

impl AskingThread {
    fn run(self, every: Duration, end: &mpsc::Receiver<()>) {
        while self.partitions.iter().all(|partition| self.ask(*partition, end)) {
            if end.recv_timeout(every) != Err(RecvTimeoutError::Timeout) {
                return;
            }
        }
    }

    /// False where nobody wants to know any more.
    fn ask(&self, partition: i32, end: &mpsc::Receiver<()>) -> bool {
        let Some(consumer) = self.consumer.upgrade() else { return false };
        // What does not answer is told by whoever reads there, or writes.
        if let Ok((_, high)) = watermarks::of_partition(consumer.client(), &self.topic, partition, CALL_TIMEOUT) {
            self.ends.note(partition, high);
        }
        end.try_recv() == Err(mpsc::TryRecvError::Empty)
    }
}

#[cfg(test)]
mod tests {
    use rdkafka::ClientConfig;
    use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

    use super::super::request_reader::RequestReader;
    use super::*;
    use crate::kafka::client::mock_cluster::MockCluster;
    use crate::kafka::client::settings::tests::settings;
    use crate::model::request::answered_offsets::AnsweredOffsets;

    const BOUND: Duration = Duration::from_secs(10);

    /// Far more records than the queues before the pipeline hold.
    #[tokio::test(flavor = "multi_thread")]
    async fn the_ends_grow_while_nobody_takes_a_record() {
        let mock_cluster = MockCluster::start().unwrap();
        mock_cluster.create_topic("requests", 2).unwrap();
        let servers = mock_cluster.bootstrap_servers();
        let producer: BaseProducer = ClientConfig::new().set("bootstrap.servers", &servers).create().unwrap();
        let produce = |partition: i32, count: usize| {
            for _ in 0..count {
                producer.send(BaseRecord::<(), _>::to("requests").partition(partition).payload("a")).unwrap();
            }
            producer.flush(BOUND).unwrap();
        };
        produce(0, 1000);
        let ends: Arc<PartitionEnds> = Arc::default();
        let progress = [0, 1].map(|partition| AnsweredOffsets { partition, ..AnsweredOffsets::default() });
        let settings = settings(&[("bootstrap.servers", &servers)]);
        let every = Duration::from_millis(50);
        let (_reader, _records) = RequestReader::start(&settings, "requests", &progress, ends.clone(), every).unwrap();
        let are_known = async |expected: [i64; 2]| {
            while [0, 1].map(|partition| ends.of(partition)) != expected.map(Some) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(BOUND, are_known([1000, 0])).await.unwrap();
        produce(0, 500);
        produce(1, 7);
        tokio::time::timeout(BOUND, are_known([1500, 7])).await.unwrap();
    }
}
