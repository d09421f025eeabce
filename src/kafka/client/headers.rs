//! The headers of a record, whatever bytes they hold.

use std::ffi::CStr;
use std::ptr;

use bytes::Bytes;
use rdkafka::bindings::{rd_kafka_header_get_all, rd_kafka_message_headers};
use rdkafka::error::IsError;
use rdkafka::message::BorrowedMessage;

use crate::model::request::record::Header;

/// In their order; a name that is not UTF-8 has U+FFFD in place of what can't be read. rdkafka's own reading panics on
/// such a name, which brokers take from anybody.
#[allow(unsafe_code, reason = "two calls into librdkafka that rdkafka makes only with a panic on other people's bytes")]
pub fn headers(message: &BorrowedMessage<'_>) -> Vec<Header> {
    let mut list = ptr::null_mut();
    // SAFETY: the message is borrowed for the call, and owns the headers that the list points to.
    if unsafe { rd_kafka_message_headers(message.ptr(), &raw mut list) }.is_error() {
        // It has none.
        return Vec::new();
    }
    (0..)
        .map_while(|index| {
            let (mut name, mut value, mut size) = (ptr::null(), ptr::null(), 0);
            // SAFETY: the list lives as long as the message, and so do the name, which ends with a zero byte, and the
            // value, which has `size` bytes.
            unsafe {
                if rd_kafka_header_get_all(list, index, &raw mut name, &raw mut value, &raw mut size).is_error() {
                    return None;
                }
                let name = CStr::from_ptr(name).to_string_lossy().into_owned();
                let bytes = || Bytes::copy_from_slice(std::slice::from_raw_parts(value.cast::<u8>(), size));
                Some(Header { name, value: (!value.is_null()).then(bytes) })
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use rdkafka::bindings::{RD_KAFKA_MSG_F_COPY, rd_kafka_producev, rd_kafka_vtype_t};
    use rdkafka::consumer::{BaseConsumer, Consumer};
    use rdkafka::producer::{BaseProducer, Producer};
    use rdkafka::{ClientConfig, Offset, TopicPartitionList};

    use super::*;
    use crate::kafka::client::mock_cluster::MockCluster;

    const BOUND: Duration = Duration::from_secs(30);

    /// A record with one header, whose name rdkafka would not take.
    #[allow(unsafe_code, reason = "rdkafka sends no name that is not UTF-8")]
    fn send(producer: &BaseProducer, name: &CStr, value: &[u8]) {
        // SAFETY: each kind of argument is followed by the ones that librdkafka documents for it, and all pointers
        // outlive the call, which copies.
        let result = unsafe {
            rd_kafka_producev(
                producer.client().native_ptr(),
                rd_kafka_vtype_t::RD_KAFKA_VTYPE_TOPIC,
                c"requests".as_ptr(),
                rd_kafka_vtype_t::RD_KAFKA_VTYPE_HEADER,
                name.as_ptr(),
                value.as_ptr(),
                value.len(),
                rd_kafka_vtype_t::RD_KAFKA_VTYPE_MSGFLAGS,
                RD_KAFKA_MSG_F_COPY,
                rd_kafka_vtype_t::RD_KAFKA_VTYPE_END,
            )
        };
        assert!(!result.is_error(), "{result:?}");
    }

    #[test]
    fn any_name_and_any_value_are_read() {
        let mock_cluster = MockCluster::start().unwrap();
        mock_cluster.create_topic("requests", 1).unwrap();
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", mock_cluster.bootstrap_servers()).set("group.id", "readers");
        let producer: BaseProducer = config.create().unwrap();
        send(&producer, c"correlation-id", b"\xfe\x00");
        send(&producer, c"\xffname", b"");
        producer.flush(BOUND).unwrap();
        let consumer: BaseConsumer = config.create().unwrap();
        let mut assignment = TopicPartitionList::new();
        assignment.add_partition_offset("requests", 0, Offset::Beginning).unwrap();
        consumer.assign(&assignment).unwrap();
        let mut read = Vec::new();
        let deadline = Instant::now() + BOUND;
        while read.len() < 2 && Instant::now() < deadline {
            if let Some(Ok(message)) = consumer.poll(Duration::from_millis(100)) {
                read.push(headers(&message));
            }
        }
        let header = |name: &str, value: &'static [u8]| {
            vec![Header { name: name.to_owned(), value: Some(Bytes::from_static(value)) }]
        };
        assert_eq!(read, [header("correlation-id", b"\xfe\x00"), header("\u{fffd}name", b"")]);
    }
}
