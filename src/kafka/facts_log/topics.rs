//! The topics of the polls: what they must be like, and what they take.

use crate::commit::log::OpenError;
use crate::kafka::client::settings::{Settings, TopicNames};
use crate::kafka::facts_log::ledger_topic::{self, NoLedger};
use crate::kafka::facts_log::limits::SizeLimits;
use crate::kafka::topics::preparation::{self, FoundTopics};
use crate::kafka::topics::settings::{RECORD_BYTES_DEFAULT, TopicAges, TopicKind};
use crate::kafka::topics::tables::unequal_tables;
use crate::model::age::AgeLimits;
use crate::model::feed::PerEventTopic;

/// What the topics are like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FactTopics {
    /// Partitions of the registry topic, and of the state topic.
    pub partitions: i32,
    pub limits: SizeLimits,
    pub ages: PerEventTopic<TopicAges>,
    /// Why no day can be told to the ledger, where one is wanted.
    pub no_ledger: Option<NoLedger>,
}

/// Makes the topics what they have to be.
///
/// # Errors
/// [`OpenError::Stop`] with everything that an operator has to change, and [`OpenError::Again`] where the brokers can't
/// be asked.
pub async fn prepare(settings: &Settings) -> Result<FactTopics, OpenError> {
    let names = &settings.topics;
    let mut found = preparation::find(settings, &kinds(names)).await?;
    let partitions = compare_tables(&mut found, names);
    // Before the problems end the start: an operator then sees both at once.
    found.say_risks();
    found.require_sound()?;
    let no_ledger = ledger_topic::lacking(settings, &found).await;
    let FoundTopics { takes, ages, .. } = found;
    let limit = |topic: &String| takes.get(topic).map_or(RECORD_BYTES_DEFAULT, |takes| takes.bytes);
    let limits = SizeLimits {
        events: PerEventTopic::new(|topic| limit(&names.events[topic])),
        dead_letters: limit(&names.dead_letters),
        state: limit(&names.state),
    };
    let ages = PerEventTopic::new(|topic| ages.get(&names.events[topic]).copied().unwrap_or_default());
    Ok(FactTopics { partitions: partitions.unwrap_or(1), limits, ages, no_ledger })
}

/// How many partitions the registry has, where it is there. That the state has as many is a problem where it is not so.
pub fn compare_tables(found: &mut FoundTopics, names: &TopicNames) -> Option<i32> {
    let partitions = |topic: &String| found.counts.get(topic).map(|count| count.partitions);
    let (registry, state) = (partitions(&names.registry), partitions(&names.state));
    let problem = registry.zip(state).and_then(|(registry, state)| unequal_tables(names, registry, state));
    found.problems.extend(problem.map(Into::into));
    registry
}

impl FactTopics {
    /// How old a fact may be, for whoever decides where a feed begins.
    pub fn age_limits(&self, names: &TopicNames) -> AgeLimits {
        AgeLimits(PerEventTopic::new(|topic| self.ages[topic].limits(&names.events[topic])))
    }
}

/// The topics of the polls.
pub fn kinds(names: &TopicNames) -> Vec<(&str, TopicKind)> {
    let tables = [(&names.registry, TopicKind::Table), (&names.state, TopicKind::Table)];
    let events = names.events.values().map(|name| (name, TopicKind::Events));
    let ledger = names.ledger.iter().map(|name| (name, TopicKind::Ledger));
    let all = tables.into_iter().chain(events).chain([(&names.dead_letters, TopicKind::DeadLetters)]).chain(ledger);
    all.map(|(name, kind)| (name.as_str(), kind)).collect()
}
