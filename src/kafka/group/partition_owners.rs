//! Which instance owns a partition of the registry, as the broker tells it.

use std::time::Duration;

use anyhow::Context;
use rdkafka::consumer::Consumer;

use super::group_members::instance_of;
use crate::kafka::client::context::LogContext;
use crate::kafka::client::settings::Settings;
use crate::kafka::client::supplied::LoggedConsumer;

/// How long the brokers may take.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// The instance that owns the registry's `partition`; nothing where none does, as between two assignments. Blocks.
///
/// # Errors
/// Where the group can't be looked at.
pub fn owner(settings: &Settings, partition: i32) -> anyhow::Result<Option<String>> {
    let client: LoggedConsumer = settings.plain_config().create_with_context(LogContext::default())?;
    let group = &settings.name;
    let groups = client
        .client()
        .fetch_group_list(Some(group), CALL_TIMEOUT)
        .with_context(|| format!("the consumer group {group} can't be looked at"))?;
    let mut members = groups.groups().iter().flat_map(|group| group.members());
    let owner = members.find(|member| {
        let assigned = member.assignment().and_then(|assignment| assigned(assignment, &settings.topics.registry));
        assigned.is_some_and(|partitions| partitions.contains(&partition))
    });
    Ok(owner.map(|member| instance_of(member.id()).unwrap_or_else(|| member.id()).to_owned()))
}

/// The partitions of `topic` in an assignment of the consumer protocol: a version, then for each topic its name and its partitions,
/// all in network order. Nothing where it is none.
fn assigned(assignment: &[u8], topic: &str) -> Option<Vec<i32>> {
    let mut rest = assignment;
    take::<2>(&mut rest)?;
    for _ in 0..i32::from_be_bytes(take(&mut rest)?) {
        let length = usize::try_from(i16::from_be_bytes(take(&mut rest)?)).ok()?;
        let name = rest.split_off(..length)?;
        let count = usize::try_from(i32::from_be_bytes(take(&mut rest)?)).ok()?;
        let mut partitions = rest.split_off(..count.checked_mul(4)?)?;
        if name == topic.as_bytes() {
            return Some(std::iter::from_fn(|| take(&mut partitions).map(i32::from_be_bytes)).collect());
        }
    }
    Some(Vec::new())
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (first, others) = rest.split_first_chunk()?;
    *rest = others;
    Some(*first)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As brokers give it: version 1, topics "a" with partition 9 and "registry" with partitions 2 and 7, no data of users.
    const ASSIGNMENT: &[u8] = b"\x00\x01\x00\x00\x00\x02\
        \x00\x01a\x00\x00\x00\x01\x00\x00\x00\x09\
        \x00\x08registry\x00\x00\x00\x02\x00\x00\x00\x02\x00\x00\x00\x07\
        \x00\x00\x00\x00";

    #[test]
    fn the_partitions_of_the_topic_are_read_and_no_others() {
        assert_eq!(assigned(ASSIGNMENT, "registry"), Some(vec![2, 7]));
        assert_eq!(assigned(ASSIGNMENT, "a"), Some(vec![9]));
        assert_eq!(assigned(ASSIGNMENT, "other"), Some(vec![]));
    }

    #[test]
    fn what_is_cut_short_is_no_assignment() {
        let registry_ends = ASSIGNMENT.len() - 4;
        for length in 0..registry_ends {
            assert_eq!(assigned(&ASSIGNMENT[..length], "registry"), None, "{length}");
        }
        assert!(assigned(b"\x00\x01\x7f\xff\xff\xff\x00\x01a\x7f\xff\xff\xff", "registry").is_none());
    }
}
