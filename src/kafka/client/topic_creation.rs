//! Makes the topics that are missing.

use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::error::RDKafkaErrorCode;

use super::context::LogContext;
use super::settings::{Settings, TopicDefaults, TopicNames};
use super::topic_counts::{CALL_TIMEOUT, LOOK_PAUSE, TopicCounts, again, count_all};
use super::topic_settings::TopicKind;
use crate::commit::log::{LogError, OpenError};

/// How long a topic that was just created may take to show up.
const APPEAR_MAX: Duration = Duration::from_secs(30);
/// How long one broker may know of a topic that another one has not heard of.
const SPREAD_MAX: Duration = Duration::from_secs(3);

/// Makes those of the `wanted` topics that are missing and made here, and brings `counts` up to date.
///
/// The order matters. Before anything is made, a lost state is told from a first start, which could not be done any more
/// once it was made anew. Of the topics that are made the registry is the last: where it stands, the state has been there,
/// also if this process is killed between the two. And what was made is waited for, because it is checked next.
///
/// # Errors
/// [`OpenError::Stop`] where a state was lost, or a topic can't be made as it must be; [`OpenError::Again`] where the
/// brokers can't be asked, or do not show in time what was made.
pub async fn create_missing(
    admin: &AdminClient<LogContext>,
    settings: &Settings,
    defaults: &TopicDefaults,
    wanted: &[(&str, TopicKind)],
    counts: &mut TopicCounts,
) -> Result<(), OpenError> {
    refuse_lost_state(settings, wanted, counts).await?;
    let retention = retention_text(defaults);
    let made_here: Vec<_> = wanted.iter().copied().filter(|(_, kind)| kind.is_made_here()).collect();
    let missing = made_here.iter().filter(|(topic, _)| !counts.contains_key(*topic));
    let partitions = |kind| {
        if kind == TopicKind::Table { table_partitions(settings, defaults, counts) } else { defaults.partitions }
    };
    let missing: Vec<NewTopic<'_>> = missing
        .map(|(topic, kind)| {
            let new = NewTopic::new(topic, partitions(*kind), TopicReplication::Fixed(defaults.replication));
            configured(new, *kind, &retention)
        })
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let (registry, others): (Vec<_>, Vec<_>) =
        missing.into_iter().partition(|topic| topic.name == settings.topics.registry);
    create(admin, &others).await?;
    create(admin, &registry).await?;
    let made: Vec<&str> = made_here.iter().map(|(topic, _)| *topic).collect();
    wait_for(&made, settings, wanted, counts).await
}

/// The registry and the state have as many partitions as whichever of them is there already.
fn table_partitions(settings: &Settings, defaults: &TopicDefaults, counts: &TopicCounts) -> i32 {
    let tables = [&settings.topics.registry, &settings.topics.state];
    let existing = tables.iter().find_map(|topic| counts.get(*topic));
    existing.map_or(defaults.partitions, |count| count.partitions)
}

/// `retention` is that of events.
fn configured<'a>(new: NewTopic<'a>, kind: TopicKind, retention: &'a str) -> NewTopic<'a> {
    match kind {
        TopicKind::Table | TopicKind::OthersTable => new.set("cleanup.policy", "compact"),
        TopicKind::Events => {
            new.set("cleanup.policy", "delete").set("retention.ms", retention).set("retention.bytes", "-1")
        }
        // Nothing that waits, and nothing that has to be looked at, may be gone before somebody comes.
        TopicKind::DeadLetters | TopicKind::RequestsAndReplies | TopicKind::OtherReplies => {
            new.set("cleanup.policy", "delete").set("retention.ms", "-1").set("retention.bytes", "-1")
        }
    }
}

async fn create(admin: &AdminClient<LogContext>, topics: &[NewTopic<'_>]) -> Result<(), OpenError> {
    if topics.is_empty() {
        // librdkafka refuses to make nothing.
        return Ok(());
    }
    let options = AdminOptions::new().request_timeout(Some(CALL_TIMEOUT)).operation_timeout(Some(CALL_TIMEOUT));
    for result in admin.create_topics(topics, &options).await.map_err(again)? {
        match result {
            Ok(topic) => tracing::info!(topic, "topic created"),
            // Another instance was faster.
            Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((topic, error)) => return Err(not_created(&topic, error)),
        }
    }
    Ok(())
}

/// Looks until all of the topics that were `made` are known, for [`APPEAR_MAX`] at most: what is still missing then is told
/// by whoever checks the topics.
async fn wait_for(
    made: &[&str],
    settings: &Settings,
    wanted: &[(&str, TopicKind)],
    counts: &mut TopicCounts,
) -> Result<(), OpenError> {
    let deadline = Instant::now() + APPEAR_MAX;
    while made.iter().any(|topic| !counts.contains_key(*topic)) && Instant::now() < deadline {
        // The controller has made them; which broker is asked next, and whether it has heard of them, nobody knows.
        tokio::time::sleep(LOOK_PAUSE).await;
        *counts = count_all(settings, wanted).await?;
    }
    Ok(())
}

/// A registry without its state is that of an earlier life, whose state was lost: with a new one everything would be
/// published again. This connector makes the registry last, so no first start of its own leaves that behind.
async fn refuse_lost_state(
    settings: &Settings,
    wanted: &[(&str, TopicKind)],
    counts: &mut TopicCounts,
) -> Result<(), OpenError> {
    let TopicNames { registry, state, .. } = &settings.topics;
    let is_lost = |counts: &TopicCounts| counts.contains_key(registry) && !counts.contains_key(state);
    let state_wanted = wanted.iter().any(|(topic, _)| topic == state);
    let deadline = Instant::now() + SPREAD_MAX;
    while state_wanted && is_lost(counts) {
        if Instant::now() >= deadline {
            return Err(OpenError::Stop(LogError::from(format!(
                "topic {state} does not exist, and topic {registry} does: what was published with it would be published \
                 again. Put topic {state} back. If nothing was ever published with topic {registry}, create topic {state} with \
                 as many partitions and cleanup.policy=compact; if everything may be published again, delete topic {registry}"
            ))));
        }
        tokio::time::sleep(LOOK_PAUSE).await;
        *counts = count_all(settings, wanted).await?;
    }
    Ok(())
}

/// What an operator has to change stops the start; everything else may pass.
fn not_created(topic: &str, error: RDKafkaErrorCode) -> OpenError {
    let reason = LogError::because(format!("topic {topic} can't be created"), error);
    match error {
        RDKafkaErrorCode::TopicAuthorizationFailed
        | RDKafkaErrorCode::ClusterAuthorizationFailed
        | RDKafkaErrorCode::PolicyViolation
        | RDKafkaErrorCode::InvalidTopic
        | RDKafkaErrorCode::InvalidPartitions
        | RDKafkaErrorCode::InvalidReplicationFactor
        | RDKafkaErrorCode::InvalidConfig => OpenError::Stop(reason),
        _ => OpenError::Again(reason),
    }
}

fn retention_text(defaults: &TopicDefaults) -> String {
    defaults.retention.map_or_else(|| "-1".to_owned(), |retention| retention.as_millis().to_string())
}
