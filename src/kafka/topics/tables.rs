//! Whether the registry and the state have as many partitions: where not, no instance starts, and nobody finds who is registered now once
//! the partitions are as many as they were.

use std::time::Instant;

use anyhow::bail;

use super::lookup::{LookupError, TopicLookup};
use crate::kafka::client::CALL_TIMEOUT;
use crate::kafka::client::settings::{Settings, TopicNames};

/// What is wrong where they have so many partitions each; nothing where they have as many.
pub fn unequal_tables(names: &TopicNames, registry: i32, state: i32) -> Option<String> {
    (registry != state).then(|| {
        format!(
            "topic {} has {state} partitions and topic {} has {registry}; they must be as many, and neither may change \
             once promoters have been polled",
            names.state, names.registry
        )
    })
}

/// For whoever is about to write to the registry, which has so many `partitions`. A state that is not there yet, or that this user may not
/// look at, says nothing. Blocks.
///
/// # Errors
/// Where they differ, or the brokers do not tell before `until`.
pub fn refuse_unequal(settings: &Settings, partitions: i32, until: Instant) -> anyhow::Result<()> {
    let state = &settings.topics.state;
    let bound = until.saturating_duration_since(Instant::now()).min(CALL_TIMEOUT);
    let count = match TopicLookup::open(settings)?.count(state, "DESCRIBE", bound) {
        Ok(count) => count,
        Err(LookupError::NoRight { .. }) => None,
        Err(error) => return Err(error.into()),
    };
    let problem = count.and_then(|count| unequal_tables(&settings.topics, partitions, count.partitions));
    match problem {
        Some(problem) => bail!("nothing is written: {problem}. No instance starts with them"),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::kafka::client::mock_cluster::MockCluster;
    use crate::kafka::client::settings::tests::settings;

    #[test]
    fn nobody_is_registered_where_the_partitions_of_one_of_both_were_raised() {
        let cluster = MockCluster::start().unwrap();
        let servers = cluster.bootstrap_servers();
        let settings = settings(&[("bootstrap.servers", servers.as_str())]);
        cluster.create_topic(&settings.topics.state, 3).unwrap();
        let until = Instant::now() + Duration::from_secs(30);
        refuse_unequal(&settings, 3, until).unwrap();
        let refused = refuse_unequal(&settings, 6, until).unwrap_err().to_string();
        assert!(refused.starts_with("nothing is written: topic "), "{refused}");
        assert!(
            refused.contains("has 3 partitions and topic ") && refused.contains(" has 6; they must be"),
            "{refused}"
        );
    }
}
