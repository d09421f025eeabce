//! What the brokers let this user do with topics, as they tell it themselves: no right is tried by using it.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{CStr, CString, c_char};

use rdkafka::admin::AdminClient;
use rdkafka::bindings as native;
use rdkafka::bindings::rd_kafka_AclOperation_t as Operation;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use super::CALL_TIMEOUT;
use super::context::LogContext;
use super::error::ClientError;
use super::rights::{may_not_read, may_not_write};

/// What is done with the records of a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TopicRight {
    Read,
    Write,
}

impl TopicRight {
    fn of(operation: Operation) -> Option<TopicRight> {
        match operation {
            Operation::RD_KAFKA_ACL_OPERATION_READ => Some(TopicRight::Read),
            Operation::RD_KAFKA_ACL_OPERATION_WRITE => Some(TopicRight::Write),
            _ => None,
        }
    }

    /// That it is missing, and what to do.
    fn missing_on(self, topic: &str) -> String {
        match self {
            TopicRight::Read => may_not_read(topic),
            TopicRight::Write => may_not_write(Some(topic)),
        }
    }
}

/// By topic: those of whom the brokers tell.
type GrantedRights = BTreeMap<String, BTreeSet<TopicRight>>;

/// Those of the `needed` rights that this user does not have, in words. What brokers do not tell, as those before 2.3, counts
/// as granted. Blocks.
///
/// # Errors
/// [`ClientError`] where they can't be asked.
pub fn missing(admin: &AdminClient<LogContext>, needed: &[(&str, TopicRight)]) -> Result<Vec<String>, ClientError> {
    let topics: BTreeSet<&str> = needed.iter().map(|(topic, _)| *topic).collect();
    let topics: Vec<CString> = topics.into_iter().filter_map(|topic| CString::new(topic).ok()).collect();
    let granted = of_topics(admin, &topics)
        .map_err(|code| ClientError::new("the rights to topics are not told", KafkaError::AdminOp(code)))?;
    let is_missing =
        |(topic, right): &&(&str, TopicRight)| granted.get(*topic).is_some_and(|granted| !granted.contains(right));
    Ok(needed.iter().filter(is_missing).map(|(topic, right)| right.missing_on(topic)).collect())
}

/// # Errors
/// That of the request as a whole; [`RDKafkaErrorCode::OperationTimedOut`] where librdkafka has nothing to say within
/// [`CALL_TIMEOUT`].
#[allow(unsafe_code, reason = "a request of librdkafka that rdkafka does not offer, argued below")]
fn of_topics(admin: &AdminClient<LogContext>, topics: &[CString]) -> Result<GrantedRights, RDKafkaErrorCode> {
    let mut names: Vec<*const c_char> = topics.iter().map(|topic| topic.as_ptr()).collect();
    let milliseconds = i32::try_from(CALL_TIMEOUT.as_millis()).unwrap_or(i32::MAX);
    let kind = native::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS;
    // SAFETY: the client's pointer is valid while the client is borrowed. The names outlive the collection, which copies them.
    // Options, collection, queue and event are each destroyed once, after their last use; each of these calls takes null.
    unsafe {
        let client = admin.inner().native_ptr();
        let options = native::rd_kafka_AdminOptions_new(client, kind);
        let refused = native::rd_kafka_AdminOptions_set_include_authorized_operations(options, 1);
        native::rd_kafka_error_destroy(refused);
        let collection = native::rd_kafka_TopicCollection_of_topic_names(names.as_mut_ptr(), names.len());
        let queue = native::rd_kafka_queue_new(client);
        native::rd_kafka_DescribeTopics(client, collection, options, queue);
        let event = native::rd_kafka_queue_poll(queue, milliseconds);
        let granted = if event.is_null() { Err(RDKafkaErrorCode::OperationTimedOut) } else { granted(event) };
        native::rd_kafka_event_destroy(event);
        native::rd_kafka_queue_destroy(queue);
        native::rd_kafka_TopicCollection_destroy(collection);
        native::rd_kafka_AdminOptions_destroy(options);
        granted
    }
}

/// What the answer to a request for descriptions tells.
///
/// # Errors
/// That of the request as a whole; a topic of which nothing is told is left out.
///
/// # Safety
/// The event is such an answer, and is not destroyed yet.
#[allow(unsafe_code, reason = "getters of librdkafka that rdkafka does not offer, argued below")]
unsafe fn granted(event: *mut native::rd_kafka_event_t) -> Result<GrantedRights, RDKafkaErrorCode> {
    let mut granted = GrantedRights::new();
    // SAFETY: what is taken from the event belongs to it, and is looked at while it is there. Each list is as long as the call
    // says that gives it, and is not looked at where it is null. A description has a name, which ends with a zero.
    unsafe {
        let code = native::rd_kafka_event_error(event);
        if code != native::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
            return Err(code.into());
        }
        let result = native::rd_kafka_event_DescribeTopics_result(event);
        let mut count = 0;
        let descriptions = native::rd_kafka_DescribeTopics_result_topics(result, &mut count);
        let described = if descriptions.is_null() { 0 } else { count };
        for index in 0..described {
            let description = *descriptions.add(index);
            let mut count = 0;
            let operations = native::rd_kafka_TopicDescription_authorized_operations(description, &mut count);
            if operations.is_null() {
                continue;
            }
            let rights = (0..count).filter_map(|index| TopicRight::of(*operations.add(index))).collect();
            let name = CStr::from_ptr(native::rd_kafka_TopicDescription_name(description));
            granted.insert(name.to_string_lossy().into_owned(), rights);
        }
    }
    Ok(granted)
}
