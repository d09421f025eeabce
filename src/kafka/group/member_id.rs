//! What the group knows a member by.

use std::ffi::CStr;

use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};

/// A member in one generation of its group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberId {
    /// Never below 0: with that, a broker would take offsets from anybody.
    pub generation: i32,
    /// Given by the broker, never twice.
    pub member: String,
}

/// The member that `consumer` is now; nothing while it is none.
#[allow(unsafe_code, reason = "getters of librdkafka that rdkafka does not offer, argued below")]
pub fn of<C: ConsumerContext>(consumer: &BaseConsumer<C>) -> Option<MemberId> {
    use rdkafka::bindings as native;
    // SAFETY: the client's pointer is valid as long as the client, which is borrowed for the call. The metadata is a copy of
    // librdkafka's own, made by the first call, checked not to be null, and destroyed here; the text of the id is a part of
    // it, ends with a zero, and is copied before that.
    let (generation, member) = unsafe {
        let metadata = native::rd_kafka_consumer_group_metadata(consumer.client().native_ptr());
        if metadata.is_null() {
            return None;
        }
        let generation = native::rd_kafka_consumer_group_metadata_generation_id(metadata);
        let id = native::rd_kafka_consumer_group_metadata_member_id(metadata);
        let member = if id.is_null() { String::new() } else { CStr::from_ptr(id).to_string_lossy().into_owned() };
        native::rd_kafka_consumer_group_metadata_destroy(metadata);
        (generation, member)
    };
    (generation >= 0 && !member.is_empty()).then_some(MemberId { generation, member })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::client::context::LogContext;
    use crate::kafka::client::settings::tests::settings;
    use crate::kafka::client::supplied::LoggedConsumer;

    #[test]
    fn a_consumer_that_has_joined_no_group_is_no_member() {
        // Its metadata has no generation: offsets sent with it would be taken from anybody.
        let config = settings(&[("bootstrap.servers", "127.0.0.1:1")]).member_config("group");
        let consumer: LoggedConsumer = config.create_with_context(LogContext::default()).unwrap();
        assert!(consumer.group_metadata().is_some());
        assert_eq!(of(&consumer), None);
    }
}
