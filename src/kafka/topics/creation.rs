//! Makes the topics that are missing, or asks whether they would be made.

use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::error::RDKafkaErrorCode;

use super::admin_client::admin_client;
use super::counts::{LOOK_PAUSE, TopicCounts, again, count_all};
use super::settings::TopicKind;
use crate::commit::log::{LogError, OpenError};
use crate::kafka::client::CALL_TIMEOUT;
use crate::kafka::client::context::LogContext;
use crate::kafka::client::settings::{Settings, TopicDefaults, TopicNames};
use crate::text::with_causes;

/// How long a topic that was just created may take to show up.
const APPEAR_MAX: Duration = Duration::from_secs(30);
/// How long one broker may know of a topic that another one has not heard of.
const SPREAD_MAX: Duration = Duration::from_secs(3);

/// A topic as it is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedTopic {
    pub name: String,
    pub partitions: i32,
    /// −1 is the broker's default.
    pub replication: i32,
    /// As the broker calls them.
    pub settings: Vec<(&'static str, String)>,
}

/// What would come of making the topics that are missing.
#[derive(Debug, Default)]
pub struct TriedTopics {
    /// Those that would be made.
    pub planned: Vec<PlannedTopic>,
    /// What an operator has to change before.
    pub problems: Vec<String>,
    /// Why the ledger would not be made, which is no problem.
    pub ledger_refused: Option<String>,
}

/// A topic that the brokers do not make.
struct RefusedTopic {
    name: String,
    error: RDKafkaErrorCode,
}

/// Makes those of the `wanted` topics that are missing and made here, and brings `counts` up to date. Tells why the ledger could not
/// be made, which holds up nothing.
///
/// The order matters. Before anything is made, a lost state is told from a first start, which could not be done any more
/// once it was made anew. Of the topics that are made the registry is the last: where it stands, the state has been there,
/// also if this process is killed between the two. And what was made is waited for, because it is checked next.
///
/// # Errors
/// [`OpenError::Stop`] where a state was lost, or topics can't be made as they must be; [`OpenError::Again`] where the
/// brokers can't be asked, or do not show in time what was made.
pub async fn create_missing(
    settings: &Settings,
    defaults: &TopicDefaults,
    wanted: &[(&str, TopicKind)],
    counts: &mut TopicCounts,
) -> Result<Option<String>, OpenError> {
    refuse_lost_state(settings, wanted, counts).await?;
    let missing = missing(settings, defaults, wanted, counts);
    if missing.is_empty() {
        return Ok(None);
    }
    let admin = admin_client(settings)?;
    let (ledger, missing) = without_ledger(settings, missing);
    let (registry, others): (Vec<_>, Vec<_>) =
        missing.into_iter().partition(|topic| topic.name == settings.topics.registry);
    require_created(create(&admin, &others, false).await?)?;
    require_created(create(&admin, &registry, false).await?)?;
    let ledger_refused = match create(&admin, &ledger, false).await {
        Ok(refused) => refused.into_iter().next().map(RefusedTopic::in_words),
        Err(error) => Some(with_causes(&error)),
    };
    let is_made = |kind: TopicKind| match kind {
        TopicKind::Ledger => ledger_refused.is_none(),
        kind => kind.is_made_here(),
    };
    let made: Vec<&str> = wanted.iter().filter(|(_, kind)| is_made(*kind)).map(|(topic, _)| *topic).collect();
    wait_for(&made, settings, wanted, counts).await?;
    Ok(ledger_refused)
}

/// The ledger, and those that are needed.
fn without_ledger(settings: &Settings, topics: Vec<PlannedTopic>) -> (Vec<PlannedTopic>, Vec<PlannedTopic>) {
    topics.into_iter().partition(|topic| settings.topics.ledger.as_ref() == Some(&topic.name))
}

/// Asks the brokers whether they would make what [`create_missing`] makes. Nothing is made.
///
/// # Errors
/// [`OpenError::Again`] where they can't be asked.
pub async fn try_missing(
    settings: &Settings,
    defaults: &TopicDefaults,
    wanted: &[(&str, TopicKind)],
    counts: &mut TopicCounts,
) -> Result<TriedTopics, OpenError> {
    let mut problems = match refuse_lost_state(settings, wanted, counts).await {
        Err(OpenError::Stop(reason)) => vec![reason.with_causes()],
        looked => looked.map(|()| Vec::new())?,
    };
    let (ledger, mut planned) = without_ledger(settings, missing(settings, defaults, wanted, counts));
    let admin = admin_client(settings)?;
    let ledger_refused = create(&admin, &ledger, true).await?.into_iter().next().map(RefusedTopic::in_words);
    for refused in create(&admin, &planned, true).await? {
        match refused.into_error() {
            OpenError::Stop(reason) => problems.push(reason.with_causes()),
            passing => return Err(passing),
        }
    }
    if ledger_refused.is_none() {
        planned.extend(ledger);
    }
    Ok(TriedTopics { planned, problems, ledger_refused })
}

/// Those of the `wanted` topics that are made here and not there.
fn missing(
    settings: &Settings,
    defaults: &TopicDefaults,
    wanted: &[(&str, TopicKind)],
    counts: &TopicCounts,
) -> Vec<PlannedTopic> {
    let is_missing = |(topic, kind): &&(&str, TopicKind)| kind.is_made_here() && !counts.contains_key(*topic);
    let planned = |(topic, kind): &(&str, TopicKind)| PlannedTopic {
        name: (*topic).to_owned(),
        partitions: match kind {
            TopicKind::Table => table_partitions(settings, defaults, counts),
            _ => defaults.partitions,
        },
        replication: defaults.replication,
        settings: made_with(*kind, defaults),
    };
    wanted.iter().filter(is_missing).map(planned).collect()
}

/// The registry and the state have as many partitions as whichever of them is there already.
fn table_partitions(settings: &Settings, defaults: &TopicDefaults, counts: &TopicCounts) -> i32 {
    let tables = [&settings.topics.registry, &settings.topics.state];
    let existing = tables.iter().find_map(|topic| counts.get(*topic));
    existing.map_or(defaults.partitions, |count| count.partitions)
}

fn made_with(kind: TopicKind, defaults: &TopicDefaults) -> Vec<(&'static str, String)> {
    let retention = match kind {
        TopicKind::Table | TopicKind::OthersTable | TopicKind::Ledger => {
            return vec![("cleanup.policy", "compact".to_owned())];
        }
        TopicKind::Events => retention_text(defaults),
        // Nothing that waits, and nothing that has to be looked at, may be gone before somebody comes.
        TopicKind::DeadLetters | TopicKind::RequestsAndReplies | TopicKind::OtherReplies => "-1".to_owned(),
    };
    vec![("cleanup.policy", "delete".to_owned()), ("retention.ms", retention), ("retention.bytes", "-1".to_owned())]
}

impl PlannedTopic {
    fn as_new(&self) -> NewTopic<'_> {
        let new = NewTopic::new(&self.name, self.partitions, TopicReplication::Fixed(self.replication));
        self.settings.iter().fold(new, |new, (name, value)| new.set(name, value))
    }
}

/// Gives those that are not made; `only_tried` makes none. One that another instance has made meanwhile is made.
///
/// # Errors
/// [`OpenError::Again`] where the brokers can't be asked.
async fn create(
    admin: &AdminClient<LogContext>,
    topics: &[PlannedTopic],
    only_tried: bool,
) -> Result<Vec<RefusedTopic>, OpenError> {
    if topics.is_empty() {
        // librdkafka refuses to make nothing.
        return Ok(Vec::new());
    }
    let options = AdminOptions::new().request_timeout(Some(CALL_TIMEOUT)).operation_timeout(Some(CALL_TIMEOUT));
    let options = options.validate_only(only_tried);
    let topics: Vec<NewTopic<'_>> = topics.iter().map(PlannedTopic::as_new).collect();
    let mut refused = Vec::new();
    for result in admin.create_topics(&topics, &options).await.map_err(again)? {
        match result {
            Ok(topic) if !only_tried => tracing::info!(topic, "topic created"),
            Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((name, error)) => refused.push(RefusedTopic { name, error }),
        }
    }
    Ok(refused)
}

/// # Errors
/// [`OpenError::Stop`] with all that an operator has to change; [`OpenError::Again`] where it may pass.
fn require_created(refused: Vec<RefusedTopic>) -> Result<(), OpenError> {
    let mut reasons = Vec::new();
    let mut passing = Ok(());
    for refused in refused {
        match refused.into_error() {
            OpenError::Stop(reason) => reasons.push(reason.with_causes()),
            error => passing = Err(error),
        }
    }
    if reasons.is_empty() { passing } else { Err(OpenError::Stop(reasons.join("\n").into())) }
}

/// Looks until all of the topics that were `made` are known, for [`APPEAR_MAX`] at most: what is still missing then is told
/// by whoever checks the topics.
///
/// # Errors
/// As [`count_all`].
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
///
/// # Errors
/// [`OpenError::Stop`] where that is so, and lasts; else as [`count_all`].
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

impl RefusedTopic {
    /// Why it is not made.
    fn in_words(self) -> String {
        with_causes(&LogError::because("the brokers refuse it", self.error))
    }

    /// What an operator has to change stops the start; everything else may pass.
    fn into_error(self) -> OpenError {
        let RefusedTopic { name, error } = self;
        let reason = LogError::because(format!("topic {name} can't be created"), error);
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
}

fn retention_text(defaults: &TopicDefaults) -> String {
    defaults.retention.map_or_else(|| "-1".to_owned(), |retention| retention.as_millis().to_string())
}
