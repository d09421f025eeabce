//! The topics: made where they are missing, checked before anything is written.
//!
//! Every problem is reported at once. What is checked is what the promise rests on: as many partitions of the state as of
//! the registry, and the settings of each ([`crate::kafka::client::topic_settings`]).

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, ConfigResourceResult, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use super::context::LogContext;
use super::lookup::{LookupError, TopicCount, TopicLookup};
use super::settings::{RequestTopics, Settings, TopicDefaults, TopicNames, TopicPolicy};
use super::supplied::Supplied;
use super::topic_settings::{DescribedTopic, TopicAges, TopicFindings};
use crate::commit::log::OpenError;
use crate::kafka::facts_log::records::SizeLimits;
use crate::model::age::AgeLimits;

const CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a topic that was just created may take to show up.
const APPEAR_MAX: Duration = Duration::from_secs(30);
/// How long one broker may know of a topic that another one has not heard of.
const SPREAD_MAX: Duration = Duration::from_secs(3);
const LOOK_PAUSE: Duration = Duration::from_millis(50);

/// What the topics are like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FactTopics {
    /// Partitions of the registry topic, and of the state topic.
    pub partitions: i32,
    pub limits: SizeLimits,
    /// Of the topics of events.
    pub touches: TopicAges,
    pub orders: TopicAges,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::kafka) enum TopicKind {
    /// Records carry the time of a fact.
    Events,
    DeadLetters,
    /// Requests and their replies.
    Commands,
    /// Replies on a topic that is somebody else's: never created.
    OtherReplies,
    /// A compacted table.
    Table,
    /// Such a one that the other lane makes and checks: it may be missing yet.
    OthersTable,
}

impl TopicKind {
    fn is_made_here(self) -> bool {
        !matches!(self, TopicKind::OtherReplies | TopicKind::OthersTable)
    }
}

/// Makes the topics what they have to be, or says everything that is wrong with them.
pub async fn prepare(settings: &Settings) -> Result<FactTopics, OpenError> {
    let names = &settings.topics;
    let FoundTopics { counts, takes, ages, mut problems } = find(settings, &kinds(names)).await?;
    let partitions = |topic: &String| counts.get(topic).map(|count| count.partitions);
    let (registry, state) = (partitions(&names.registry), partitions(&names.state));
    if let (Some(registry), Some(state)) = (registry, state)
        && registry != state
    {
        problems.push(format!(
            "topic {} has {state} partitions and topic {} has {registry}; they must be as many, and neither may change \
             once promoters have been polled",
            names.state, names.registry
        ));
    }
    finish(problems)?;
    let limit = |topic: &String| takes.get(topic).map_or(SizeLimits::KAFKA_DEFAULT, |takes| takes.bytes);
    let limits = SizeLimits {
        touches: limit(&names.touches),
        orders: limit(&names.orders),
        dead_letters: limit(&names.dead_letters),
        state: limit(&names.state),
    };
    let ages = |topic: &String| ages.get(topic).copied().unwrap_or_default();
    let (touches, orders) = (ages(&names.touches), ages(&names.orders));
    Ok(FactTopics { partitions: registry.unwrap_or(1), limits, touches, orders })
}

impl FactTopics {
    /// How old a fact may be, for whoever decides where a feed begins.
    pub fn age_limits(&self, names: &TopicNames) -> AgeLimits {
        AgeLimits { touches: self.touches.limits(&names.touches), orders: self.orders.limits(&names.orders) }
    }
}

/// What a topic takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AcceptedRecords {
    /// The largest record.
    pub bytes: usize,
    /// Only records with a key.
    pub keyed: bool,
}

/// The same for the topics of the commands. Gives what each takes that exists, by name: a reply topic that is somebody
/// else's may be missing.
pub async fn prepare_requests(
    settings: &Settings,
    commands: &RequestTopics,
) -> Result<HashMap<String, AcceptedRecords>, OpenError> {
    let mut wanted = vec![
        (commands.requests.as_str(), TopicKind::Commands),
        (commands.results.as_str(), TopicKind::Commands),
        (settings.topics.dead_letters.as_str(), TopicKind::DeadLetters),
        (settings.topics.state.as_str(), TopicKind::OthersTable),
    ];
    let others = commands.reply_topics.iter().map(String::as_str).filter(|topic| *topic != commands.results);
    wanted.extend(others.map(|topic| (topic, TopicKind::OtherReplies)));
    let FoundTopics { takes, problems, .. } = find(settings, &wanted).await?;
    finish(problems)?;
    Ok(takes)
}

/// What there is of the topics that are wanted, after those that could be were created.
struct FoundTopics {
    counts: HashMap<String, TopicCount>,
    takes: HashMap<String, AcceptedRecords>,
    ages: HashMap<String, TopicAges>,
    problems: Vec<String>,
}

async fn find(settings: &Settings, wanted: &[(&str, TopicKind)]) -> Result<FoundTopics, OpenError> {
    let mut counts = partition_counts(settings, wanted).await?;
    let admin = || -> Result<Supplied<AdminClient<LogContext>>, OpenError> {
        settings.plain_config().create_with_context(LogContext::default()).map_err(again)
    };
    if let TopicPolicy::Create(defaults) = &settings.topic_policy {
        create_missing(&*admin()?, settings, defaults, wanted, &mut counts).await?;
    }
    let mut problems = Vec::new();
    for (topic, kind) in wanted.iter().filter(|(topic, _)| !counts.contains_key(*topic)) {
        match kind {
            TopicKind::OtherReplies => tracing::error!(
                topic,
                "a topic of commands.reply_topics does not exist or may not be described: replies that ask for it go to the topic of results"
            ),
            TopicKind::OthersTable => {}
            _ => problems.push(format!("topic {topic} does not exist; create it, or set topics.create = true")),
        }
    }
    let unchecked = AcceptedRecords { bytes: SizeLimits::KAFKA_DEFAULT, keyed: false };
    let takes = counts.keys().map(|topic| (topic.clone(), unchecked)).collect();
    let mut found = FoundTopics { takes, ages: HashMap::new(), problems, counts };
    if settings.topic_policy != TopicPolicy::Trust {
        let existing = wanted.iter().filter_map(|(topic, kind)| Some((*topic, *kind, *found.counts.get(*topic)?)));
        let described = describe(&*admin()?, &existing.collect::<Vec<_>>()).await?;
        found.judge(&described);
    }
    Ok(found)
}

impl FoundTopics {
    fn judge(&mut self, described: &[DescribedTopic<'_>]) {
        let mut topics_at_risk: BTreeMap<String, Vec<&str>> = BTreeMap::new();
        for topic in described {
            let TopicFindings { problems, risks } = topic.findings();
            self.problems.extend(problems);
            risks.into_iter().for_each(|risk| topics_at_risk.entry(risk).or_default().push(topic.topic));
            self.takes.insert(topic.topic.to_owned(), topic.takes());
            self.ages.insert(topic.topic.to_owned(), topic.ages());
        }
        warn_once(topics_at_risk);
    }
}

fn finish(problems: Vec<String>) -> Result<(), OpenError> {
    if problems.is_empty() { Ok(()) } else { Err(OpenError::Stop(problems.join("\n"))) }
}

fn kinds(names: &TopicNames) -> [(&str, TopicKind); 5] {
    [
        (&names.registry, TopicKind::Table),
        (&names.state, TopicKind::Table),
        (&names.touches, TopicKind::Events),
        (&names.orders, TopicKind::Events),
        (&names.dead_letters, TopicKind::DeadLetters),
    ]
}

/// How many partitions each topic has that exists.
async fn partition_counts(
    settings: &Settings,
    wanted: &[(&str, TopicKind)],
) -> Result<HashMap<String, TopicCount>, OpenError> {
    let wanted: Vec<(String, TopicKind)> = wanted.iter().map(|(topic, kind)| ((*topic).to_owned(), *kind)).collect();
    let settings = settings.clone();
    let counted = tokio::task::spawn_blocking(move || {
        let lookup = TopicLookup::open(&settings).map_err(again)?;
        let mut counts = HashMap::new();
        for (topic, kind) in wanted {
            let count = count(&lookup, &topic, kind, CALL_TIMEOUT)?;
            counts.extend(count.map(|count| (topic, count)));
        }
        Ok(counts)
    });
    counted.await.unwrap_or_else(|error| Err(OpenError::Again(format!("asking for topics: {error}"))))
}

/// What may not be looked at is as good as missing, where it is somebody else's.
fn count(
    lookup: &TopicLookup<'_>,
    topic: &str,
    kind: TopicKind,
    bound: Duration,
) -> Result<Option<TopicCount>, OpenError> {
    match lookup.count(topic, "DESCRIBE", bound) {
        Ok(count) => Ok(count),
        Err(LookupError::Call(reason)) => Err(OpenError::Again(reason)),
        Err(_) if kind == TopicKind::OtherReplies => Ok(None),
        Err(LookupError::NoRight(reason)) => Err(OpenError::Stop(reason)),
        Err(LookupError::Topic(reason)) => Err(OpenError::Again(reason)),
    }
}

async fn create_missing(
    admin: &AdminClient<LogContext>,
    settings: &Settings,
    defaults: &TopicDefaults,
    wanted: &[(&str, TopicKind)],
    counts: &mut HashMap<String, TopicCount>,
) -> Result<(), OpenError> {
    refuse_lost_state(settings, wanted, counts).await?;
    // The registry and the state have as many partitions as whichever of them is there already.
    let tables = [&settings.topics.registry, &settings.topics.state];
    let table_partitions =
        tables.iter().find_map(|topic| counts.get(*topic)).map_or(defaults.partitions, |count| count.partitions);
    let retention = retention_text(defaults);
    let missing: Vec<NewTopic<'_>> = wanted
        .iter()
        .filter(|(topic, kind)| kind.is_made_here() && !counts.contains_key(*topic))
        .map(|(topic, kind)| {
            let partitions = if *kind == TopicKind::Table { table_partitions } else { defaults.partitions };
            let new = NewTopic::new(topic, partitions, TopicReplication::Fixed(defaults.replication));
            match kind {
                TopicKind::Table | TopicKind::OthersTable => new.set("cleanup.policy", "compact"),
                TopicKind::Events => {
                    new.set("cleanup.policy", "delete").set("retention.ms", &retention).set("retention.bytes", "-1")
                }
                // Nothing that waits, and nothing that has to be looked at, may be gone before somebody comes.
                TopicKind::DeadLetters | TopicKind::Commands | TopicKind::OtherReplies => {
                    new.set("cleanup.policy", "delete").set("retention.ms", "-1").set("retention.bytes", "-1")
                }
            }
        })
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let options = AdminOptions::new().request_timeout(Some(CALL_TIMEOUT)).operation_timeout(Some(CALL_TIMEOUT));
    // The registry comes last: where it stands, the state has been there.
    let (registry, others): (Vec<_>, Vec<_>) =
        missing.into_iter().partition(|topic| topic.name == settings.topics.registry);
    for topics in [others, registry].iter().filter(|topics| !topics.is_empty()) {
        for result in admin.create_topics(topics, &options).await.map_err(again)? {
            match result {
                Ok(topic) => tracing::info!(topic, "topic created"),
                Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
                Err((topic, error)) => return Err(not_created(&topic, error)),
            }
        }
    }
    let deadline = Instant::now() + APPEAR_MAX;
    let made: Vec<&str> = wanted.iter().filter(|(_, kind)| kind.is_made_here()).map(|(topic, _)| *topic).collect();
    while made.iter().any(|topic| !counts.contains_key(*topic)) && Instant::now() < deadline {
        tokio::time::sleep(LOOK_PAUSE).await;
        *counts = partition_counts(settings, wanted).await?;
    }
    Ok(())
}

/// A registry without its state is that of an earlier life, whose state was lost: with a new one everything would be
/// published again. This connector makes the registry last, so no first start of its own leaves that behind.
async fn refuse_lost_state(
    settings: &Settings,
    wanted: &[(&str, TopicKind)],
    counts: &mut HashMap<String, TopicCount>,
) -> Result<(), OpenError> {
    let TopicNames { registry, state, .. } = &settings.topics;
    let is_lost = |counts: &HashMap<String, TopicCount>| counts.contains_key(registry) && !counts.contains_key(state);
    let state_wanted = wanted.iter().any(|(topic, _)| topic == state);
    let deadline = Instant::now() + SPREAD_MAX;
    while state_wanted && is_lost(counts) {
        if Instant::now() >= deadline {
            return Err(OpenError::Stop(format!(
                "topic {state} does not exist, and topic {registry} does: what was published with it would be published \
                 again. Put topic {state} back. If nothing was ever published with topic {registry}, create topic {state} with \
                 as many partitions and cleanup.policy=compact; if everything may be published again, delete topic {registry}"
            )));
        }
        tokio::time::sleep(LOOK_PAUSE).await;
        *counts = partition_counts(settings, wanted).await?;
    }
    Ok(())
}

/// What an operator has to change stops the start; everything else may pass.
fn not_created(topic: &str, error: RDKafkaErrorCode) -> OpenError {
    let text = format!("topic {topic} can't be created: {error}");
    match error {
        RDKafkaErrorCode::TopicAuthorizationFailed
        | RDKafkaErrorCode::ClusterAuthorizationFailed
        | RDKafkaErrorCode::PolicyViolation
        | RDKafkaErrorCode::InvalidTopic
        | RDKafkaErrorCode::InvalidPartitions
        | RDKafkaErrorCode::InvalidReplicationFactor
        | RDKafkaErrorCode::InvalidConfig => OpenError::Stop(text),
        _ => OpenError::Again(text),
    }
}

fn retention_text(defaults: &TopicDefaults) -> String {
    defaults.retention.map_or_else(|| "-1".to_owned(), |retention| retention.as_millis().to_string())
}

/// The settings of the topics that exist.
async fn describe<'a>(
    admin: &AdminClient<LogContext>,
    topics: &[(&'a str, TopicKind, TopicCount)],
) -> Result<Vec<DescribedTopic<'a>>, OpenError> {
    if topics.is_empty() {
        // librdkafka refuses to ask about nothing.
        return Ok(Vec::new());
    }
    let resources: Vec<ResourceSpecifier<'_>> =
        topics.iter().map(|(topic, ..)| ResourceSpecifier::Topic(topic)).collect();
    let options = AdminOptions::new().request_timeout(Some(CALL_TIMEOUT));
    let answers = admin.describe_configs(&resources, &options).await.map_err(again)?;
    let described = |((topic, kind, count), answer): (&(&'a str, TopicKind, TopicCount), ConfigResourceResult)| {
        // rdkafka gives no settings where the answer was an error.
        let entries = answer.map(|resource| resource.entries).unwrap_or_default();
        let settings = entries.into_iter().filter_map(|entry| Some((entry.name, entry.value?))).collect();
        DescribedTopic { topic, kind: *kind, replicas: count.replicas, settings }
    };
    Ok(topics.iter().zip(answers).map(described).collect())
}

/// Says each risk of a topic once for the whole process: topics are looked at with every opening.
fn warn_once(risks: BTreeMap<String, Vec<&str>>) {
    static SAID: Mutex<BTreeSet<(String, String)>> = Mutex::new(BTreeSet::new());
    let mut said = SAID.lock().unwrap_or_else(PoisonError::into_inner);
    for (risk, mut topics) in risks {
        topics.retain(|topic| said.insert((risk.clone(), (*topic).to_owned())));
        if !topics.is_empty() {
            tracing::warn!(risk, topics = topics.join(", "), "topics are less safe than they could be");
        }
    }
}

fn again(error: KafkaError) -> OpenError {
    OpenError::Again(format!("the topics can't be looked at: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::client::settings::tests::settings;

    #[test]
    fn without_a_broker_the_error_says_where_none_was_found() {
        // The port of a service that nobody runs any more.
        let settings = settings(&[("bootstrap.servers", "127.0.0.1:1")]);
        let (lookup, began, bound) =
            (TopicLookup::open(&settings).unwrap(), Instant::now(), Duration::from_millis(500));
        let Err(OpenError::Again(reason)) = count(&lookup, "touches", TopicKind::Events, bound) else {
            panic!("it may be tried again")
        };
        assert!(reason.contains("bootstrap.servers \"127.0.0.1:1\""), "{reason}");
        assert!(began.elapsed() < CALL_TIMEOUT, "it does not wait for longer than it was told to");
    }
}
