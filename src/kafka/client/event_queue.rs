//! Waiting for what a client has to tell, without asking it many times a second.
//!
//! The waits of rdkafka's own `poll` are short ones, for nothing but time ends them: a thread that is to stop would be late
//! otherwise. Each wakes its thread, and that of a producer spins through its last millisecond. Here librdkafka itself says that
//! there is something, and a token ends the wait.

#![allow(
    unsafe_code,
    reason = "librdkafka's event callbacks, which rdkafka offers of a consumer that nobody shares alone"
)]

use std::ffi::c_void;
use std::ptr::{self, NonNull};
use std::time::Duration;

use rdkafka::bindings as native;
use rdkafka::error::{KafkaError, KafkaResult};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::native::NativeClient;
use super::waiting;

/// The longest wait. A member that has not polled for `max.poll.interval.ms` loses its place in the group; that is minutes, and
/// no less than the time-out of its session.
const WAIT_MAX: Duration = Duration::from_secs(2);

/// The queue in which a client's events wait for the one thread that serves them by `poll`. To be dropped before the client.
pub struct EventQueue {
    queue: NonNull<native::rd_kafka_queue_t>,
    /// Boxed, for librdkafka knows where it is.
    arrived: Box<Notify>,
}

// SAFETY: librdkafka's queues may be used from any thread, and so may a `Notify`.
unsafe impl Send for EventQueue {}
// SAFETY: as above.
unsafe impl Sync for EventQueue {}

impl EventQueue {
    /// Of a producer: its acknowledgements and errors.
    ///
    /// # Errors
    /// Where librdkafka has no such queue.
    pub fn of_producer(client: &impl NativeClient) -> KafkaResult<EventQueue> {
        // SAFETY: the client is valid during the call, and what is returned is released by `drop`.
        EventQueue::listen(unsafe { native::rd_kafka_queue_get_main(client.native()) })
    }

    /// Of a consumer that names a group: its records, rebalances and errors.
    ///
    /// # Errors
    /// Where librdkafka has no such queue.
    pub fn of_consumer(client: &impl NativeClient) -> KafkaResult<EventQueue> {
        // SAFETY: the client is valid during the call, and what is returned is released by `drop`.
        EventQueue::listen(unsafe { native::rd_kafka_queue_get_consumer(client.native()) })
    }

    /// # Errors
    /// Where the client has no such queue.
    fn listen(queue: *mut native::rd_kafka_queue_t) -> KafkaResult<EventQueue> {
        let none = || KafkaError::ClientCreation("the client has no queue of events".to_owned());
        let queue = NonNull::new(queue).ok_or_else(none)?;
        let arrived = Box::new(Notify::new());
        let opaque = ptr::from_ref(&*arrived).cast_mut().cast();
        // SAFETY: the queue is valid until it is released. `arrived` stays where it is until `drop`, which ends the callbacks
        // first.
        unsafe { native::rd_kafka_queue_cb_event_enable(queue.as_ptr(), Some(notify), opaque) };
        Ok(EventQueue { queue, arrived })
    }

    /// Waits until there is something to be polled, or `stop` is cancelled; for a few seconds at most. Blocks.
    ///
    /// librdkafka tells when its queue was empty and is no more. So no event is missed where each wait is followed by a poll:
    /// as long as there are some the next wait ends at once, and the first behind them is told.
    pub fn wait(&self, stop: &CancellationToken) {
        if self.is_empty() {
            waiting::block_on(stop.run_until_cancelled(self.arrived.notified()), WAIT_MAX);
        }
    }

    fn is_empty(&self) -> bool {
        // SAFETY: the queue is valid until it is released.
        unsafe { native::rd_kafka_queue_length(self.queue.as_ptr()) == 0 }
    }
}

impl Drop for EventQueue {
    fn drop(&mut self) {
        // SAFETY: the queue is valid until it is released here. librdkafka calls back under the lock that this takes, so none of
        // these calls is under way behind it, and none follows.
        unsafe {
            native::rd_kafka_queue_cb_event_enable(self.queue.as_ptr(), None, ptr::null_mut());
            native::rd_kafka_queue_destroy(self.queue.as_ptr());
        }
    }
}

/// Called by a thread of librdkafka's: something has come into an empty queue.
unsafe extern "C" fn notify(_: *mut native::rd_kafka_t, arrived: *mut c_void) {
    // SAFETY: it is what `listen` has handed over, which outlives the callbacks.
    let arrived = unsafe { &*arrived.cast::<Notify>() };
    arrived.notify_one();
}

#[cfg(test)]
mod tests {
    use std::thread;
    use std::time::Instant;

    use rdkafka::ClientConfig;
    use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

    use super::*;
    use crate::kafka::client::context::LogContext;
    use crate::kafka::client::mock_cluster::MockCluster;
    use crate::kafka::client::settings::tests::settings;
    use crate::kafka::client::supplied::LoggedConsumer;
    use rdkafka::consumer::Consumer;
    use rdkafka::message::Message;
    use rdkafka::{Offset, TopicPartitionList};

    const BOUND: Duration = Duration::from_secs(30);

    #[test]
    fn what_is_told_at_once_ends_a_wait_and_so_does_a_stop() {
        let mock_cluster = MockCluster::start().unwrap();
        mock_cluster.create_topic("requests", 1).unwrap();
        let servers = mock_cluster.bootstrap_servers();
        let settings = settings(&[("bootstrap.servers", &servers)]);
        // Whose fetches wait the least for what comes.
        let consumer: LoggedConsumer = settings.reader_config().create_with_context(LogContext::default()).unwrap();
        let queue = EventQueue::of_consumer(&*consumer).unwrap();
        let mut assignment = TopicPartitionList::new();
        assignment.add_partition_offset("requests", 0, Offset::Beginning).unwrap();
        consumer.assign(&assignment).unwrap();
        let producer: BaseProducer = ClientConfig::new().set("bootstrap.servers", &servers).create().unwrap();
        let (stop, began) = (CancellationToken::new(), Instant::now());
        for number in 0..3 {
            let value = number.to_string();
            producer.send(BaseRecord::<(), _>::to("requests").payload(&value)).unwrap();
            producer.flush(BOUND).unwrap();
            let read = std::iter::repeat_with(|| {
                queue.wait(&stop);
                let message = consumer.poll(Duration::ZERO).and_then(Result::ok);
                message.map(|message| message.payload().map(<[u8]>::to_owned))
            });
            let mut read = read.take_while(|_| began.elapsed() < BOUND);
            assert_eq!(read.find_map(|payload| payload), Some(Some(value.into_bytes())));
        }
        let stopping = stop.clone();
        let stopped = thread::spawn(move || stopping.cancel());
        while !stop.is_cancelled() && began.elapsed() < BOUND {
            queue.wait(&stop);
        }
        assert!(began.elapsed() < BOUND);
        stopped.join().unwrap();
    }
}
