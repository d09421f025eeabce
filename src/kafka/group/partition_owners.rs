//! Who owns a partition of the registry, as the broker tells it.

use anyhow::Context;
use rdkafka::consumer::Consumer;

use super::group_members::GroupMembers;
pub use super::group_members::PartitionOwner;
use crate::kafka::client::CALL_TIMEOUT;
use crate::kafka::client::context::LogContext;
use crate::kafka::client::settings::Settings;
use crate::kafka::client::supplied::LoggedConsumer;

/// Who owns the registry's `partition`; nothing where nobody does, as between two assignments. Blocks.
///
/// # Errors
/// Where the group can't be looked at.
pub fn owner(settings: &Settings, partition: i32) -> anyhow::Result<Option<PartitionOwner>> {
    let client: LoggedConsumer = settings.plain_config().create_with_context(LogContext::default())?;
    let group = &settings.name;
    let members = GroupMembers::fetch(client.client(), group, CALL_TIMEOUT)
        .with_context(|| format!("the consumer group {group} can't be looked at"))?;
    Ok(members.owner(settings, &settings.topics.registry, partition))
}
