//! Who may do what on a secured broker: the one administration that cases need and rdkafka does not offer.

#![allow(unsafe_code, reason = "librdkafka's calls about access rights, argued below")]

use std::ffi::CString;
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use rdkafka::admin::AdminClient;
use rdkafka::bindings as native;
use rdkafka::bindings::rd_kafka_AclOperation_t as Operation;
use rdkafka::bindings::rd_kafka_ResourceType_t as Resource;
use rdkafka::client::DefaultClientContext;

use super::client;

const BOUND: Duration = Duration::from_secs(30);

pub const DESCRIBE: Operation = Operation::RD_KAFKA_ACL_OPERATION_DESCRIBE;
pub const DESCRIBE_CONFIGS: Operation = Operation::RD_KAFKA_ACL_OPERATION_DESCRIBE_CONFIGS;
pub const READ: Operation = Operation::RD_KAFKA_ACL_OPERATION_READ;
pub const WRITE: Operation = Operation::RD_KAFKA_ACL_OPERATION_WRITE;
pub const CREATE: Operation = Operation::RD_KAFKA_ACL_OPERATION_CREATE;
pub const TOPIC: Resource = Resource::RD_KAFKA_RESOURCE_TOPIC;
pub const GROUP: Resource = Resource::RD_KAFKA_RESOURCE_GROUP;
pub const TRANSACTIONAL_ID: Resource = Resource::RD_KAFKA_RESOURCE_TRANSACTIONAL_ID;

/// Lets `user` do `operations` on the resources of these names, through the broker's open listener.
pub fn allow(bootstrap: &str, user: &str, operations: &[Operation], kind: Resource, names: &[String]) -> Result<()> {
    let client: AdminClient<DefaultClientContext> = client::config(bootstrap).create()?;
    for name in names {
        for operation in operations {
            create(&client, user, *operation, kind, name)?;
        }
    }
    Ok(())
}

fn create(
    client: &AdminClient<DefaultClientContext>,
    user: &str,
    operation: Operation,
    kind: Resource,
    name: &str,
) -> Result<()> {
    let (name, user, host) = (CString::new(name)?, CString::new(user)?, CString::new("*")?);
    let milliseconds = i32::try_from(BOUND.as_millis())?;
    // SAFETY: the texts outlive the rule, which copies them; the rule, the queue and the event are each destroyed once,
    // after their last use; the client's pointer is valid while the client is borrowed.
    unsafe {
        let mut rule = native::rd_kafka_AclBinding_new(
            kind,
            name.as_ptr(),
            native::rd_kafka_ResourcePatternType_t::RD_KAFKA_RESOURCE_PATTERN_LITERAL,
            user.as_ptr(),
            host.as_ptr(),
            operation,
            native::rd_kafka_AclPermissionType_t::RD_KAFKA_ACL_PERMISSION_TYPE_ALLOW,
            std::ptr::null_mut(),
            0,
        );
        ensure!(!rule.is_null(), "{name:?} makes no rule");
        let rk = client.inner().native_ptr();
        let queue = native::rd_kafka_queue_new(rk);
        native::rd_kafka_CreateAcls(rk, &mut rule, 1, std::ptr::null(), queue);
        let event = native::rd_kafka_queue_poll(queue, milliseconds);
        let refused = if event.is_null() { Some("no answer".to_owned()) } else { refusal(event) };
        native::rd_kafka_event_destroy(event);
        native::rd_kafka_queue_destroy(queue);
        native::rd_kafka_AclBinding_destroy(rule);
        match refused {
            Some(reason) => bail!("the rule for {name:?} can't be made: {reason}"),
            None => Ok(()),
        }
    }
}

/// Why the rule was not made.
///
/// # Safety
///
/// The event is the answer to a request that makes one rule, and is not destroyed yet.
unsafe fn refusal(event: *mut native::rd_kafka_event_t) -> Option<String> {
    // SAFETY: what is taken from the event belongs to it, and is looked at while it is there.
    unsafe {
        let whole = native::rd_kafka_event_error(event);
        if whole != native::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
            return Some(format!("{whole:?}"));
        }
        let mut count = 0;
        let result = native::rd_kafka_event_CreateAcls_result(event);
        let rules = native::rd_kafka_CreateAcls_result_acls(result, &mut count);
        let error = (count == 1).then(|| native::rd_kafka_acl_result_error(*rules));
        match error {
            Some(error) if error.is_null() => None,
            Some(error) => Some(format!("{:?}", native::rd_kafka_error_code(error))),
            None => Some(format!("{count} answers to one rule")),
        }
    }
}
