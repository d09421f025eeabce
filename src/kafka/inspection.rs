//! What the start of both logs would meet with, looked at without leaving a trace: the same steps as at their openings, as far
//! as these only look. No topic is made, no group is joined, no fence is written; the one transaction is aborted, and its id is
//! nobody else's.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::admin::{AdminOptions, ResourceSpecifier};
use tokio_util::sync::CancellationToken;

use super::all_topics::{self, FoundTopics};
use super::client::CALL_TIMEOUT;
use super::client::granted_rights::{self, TopicRight};
use super::client::settings::{RequestTopics, Settings};
use super::facts_log::inspection;
use super::group::group_members::GroupMembers;
use super::group::refusal;
use super::group::timeouts;
use super::requests_log;
use super::topics::admin_client::admin_client;
use super::topics::counts::again;
use super::topics::lookup::TopicLookup;
use super::transaction::probe::try_transaction;
use crate::commit::log::{LogError, OpenError};
use crate::model::age::AgeLimits;
use crate::model::promoter::IdKind;
use crate::telemetry::health::foreign_members::ForeignMember;

pub use super::facts_log::inspection::InspectedState;
pub use super::transaction::probe::TriedTransaction;

/// Of the logs of one configuration.
pub struct Inspection {
    settings: Arc<Settings>,
    /// Absent where requests are not taken.
    requests: Option<Arc<RequestTopics>>,
    id_kinds: Arc<HashMap<String, IdKind>>,
}

/// Of more members that are no instances than this only the number is told.
const FOREIGN_NAMED_MAX: usize = 5;

/// Who is in the groups of the instances.
#[derive(Debug)]
pub struct InspectedGroup {
    /// In that of the polls.
    pub instances: usize,
    /// Why this instance could not join them, or would not be given what others do not work on.
    pub problems: Vec<String>,
}

impl Inspection {
    /// `id_kinds` are those of the apps, by app id.
    pub fn new(settings: Settings, requests: Option<RequestTopics>, id_kinds: HashMap<String, IdKind>) -> Inspection {
        let (settings, requests) = (Arc::new(settings), requests.map(Arc::new));
        Inspection { settings, requests, id_kinds: Arc::new(id_kinds) }
    }

    /// How old facts may be, as far as the topics that are `found` tell.
    pub fn age_limits(&self, found: &FoundTopics) -> AgeLimits {
        all_topics::age_limits(found, &self.settings.topics)
    }

    pub fn bootstrap_servers(&self) -> &str {
        self.settings.bootstrap_servers()
    }

    /// Whether brokers can be reached and let this user in. Gives their ids.
    ///
    /// # Errors
    /// [`OpenError::Again`] with what keeps it out.
    pub async fn brokers(&self) -> Result<Vec<i32>, OpenError> {
        let settings = self.settings.clone();
        blocking(move || {
            let lookup = TopicLookup::open(&settings).map_err(again)?;
            let brokers = lookup.brokers(&settings.topics.state, CALL_TIMEOUT);
            brokers.map_err(|error| OpenError::Again(LogError::new(error)))
        })
        .await
    }

    /// The topics of both logs.
    ///
    /// # Errors
    /// [`OpenError`] where they can't be asked for.
    pub async fn topics(&self) -> Result<FoundTopics, OpenError> {
        all_topics::inspect(&self.settings, self.requests.as_deref()).await
    }

    /// Whether transactions work, and the brokers look at the generations of the groups whose topics are `found`.
    ///
    /// # Errors
    /// [`OpenError`], as that of an opening.
    pub async fn transaction(&self, found: &FoundTopics) -> Result<TriedTransaction, OpenError> {
        let mut groups = vec![(self.settings.name.clone(), self.settings.topics.registry.clone())];
        if let Some(requests) = &self.requests {
            groups.push((self.settings.requests_group(), requests.requests.clone()));
        }
        groups.retain(|(_, topic)| found.counts.contains_key(topic));
        let settings = self.settings.clone();
        blocking(move || try_transaction(&settings, &groups)).await
    }

    /// Which rights to the topics that are `found` are missing, in words.
    ///
    /// # Errors
    /// [`OpenError::Again`] where the brokers can't be asked.
    pub async fn missing_rights(&self, found: &FoundTopics) -> Result<Vec<String>, OpenError> {
        let mut needed = self.needed_rights();
        needed.retain(|(topic, _)| found.counts.contains_key(topic));
        let admin = admin_client(&self.settings)?;
        blocking(move || {
            let needed: Vec<_> = needed.iter().map(|(topic, right)| (topic.as_str(), *right)).collect();
            granted_rights::missing(&admin, &needed).map_err(|error| OpenError::Again(error.into()))
        })
        .await
    }

    /// What is done with which topics. Replies to topics of others may be refused.
    fn needed_rights(&self) -> Vec<(String, TopicRight)> {
        let names = &self.settings.topics;
        let (read, written) = ([&names.state, &names.registry], [&names.dead_letters, &names.state]);
        let of_requests = self.requests.iter().flat_map(|topics| {
            let RequestTopics { requests, results, reply_topics: _ } = &**topics;
            [(requests, TopicRight::Read), (results, TopicRight::Write)]
        });
        let read = read.into_iter().map(|topic| (topic, TopicRight::Read));
        let written = names.events.values().chain(written).map(|topic| (topic, TopicRight::Write));
        read.chain(written).chain(of_requests).map(|(topic, right)| (topic.clone(), right)).collect()
    }

    /// Whether this instance could join its groups, that of the polls and, where requests are taken, theirs. `broker` is one that tells
    /// what it allows, where this user may know.
    ///
    /// # Errors
    /// [`OpenError::Again`] where a group can't be looked at.
    pub async fn group(&self, broker: i32) -> Result<InspectedGroup, OpenError> {
        let mut problems = Vec::new();
        if !self.is_session_allowed(broker).await? {
            problems.push(refusal::SESSION_NOT_ALLOWED.to_owned());
        }
        let mut instances = self.members_of(self.settings.name.clone(), &self.settings.topics.registry).await?;
        problems.append(&mut instances.problems);
        if let Some(requests) = &self.requests {
            problems.extend(self.members_of(self.settings.requests_group(), &requests.requests).await?.problems);
        }
        Ok(InspectedGroup { problems, ..instances })
    }

    /// Who is in the group of this name, which shares out the topic.
    ///
    /// # Errors
    /// [`OpenError::Again`] where it can't be looked at.
    async fn members_of(&self, group: String, topic: &str) -> Result<InspectedGroup, OpenError> {
        let (admin, name) = (admin_client(&self.settings)?, group.clone());
        let members = blocking(move || {
            GroupMembers::fetch(admin.inner(), &name, CALL_TIMEOUT).map_err(|error| {
                OpenError::Again(LogError::because(format!("the consumer group {name} can't be looked at"), error))
            })
        })
        .await?;
        let foreign = members.foreign(&self.settings, topic);
        let problems = match members.are_foreign() {
            true => vec![refusal::kept_out(&group, &foreign)],
            false => of_foreign(&group, &foreign),
        };
        Ok(InspectedGroup { instances: members.count() - foreign.len(), problems })
    }

    /// Whether the brokers take the session's time-out. Where they do not tell, the joining will.
    ///
    /// # Errors
    /// [`OpenError::Again`] where the broker does not answer.
    async fn is_session_allowed(&self, broker: i32) -> Result<bool, OpenError> {
        let options = AdminOptions::new().request_timeout(Some(CALL_TIMEOUT));
        let answers =
            admin_client(&self.settings)?.describe_configs([&ResourceSpecifier::Broker(broker)], &options).await;
        let entries = answers.map_err(again)?.into_iter().flatten().flat_map(|resource| resource.entries);
        let limits: HashMap<String, u128> =
            entries.filter_map(|entry| Some((entry.name, entry.value?.parse().ok()?))).collect();
        let session = timeouts::session(&self.settings, &self.settings.name).as_millis();
        let limit = |name: &str| limits.get(name).copied();
        let is_long_enough = limit("group.min.session.timeout.ms").is_none_or(|least| session >= least);
        Ok(is_long_enough && limit("group.max.session.timeout.ms").is_none_or(|most| session <= most))
    }

    /// Whether the state, whose topic is `found`, could be taken over, and requests answered by it; nothing where it is not there
    /// yet. Reading all of it may take `within`.
    ///
    /// # Errors
    /// [`OpenError::Stop`] where it could not, and [`OpenError::Again`] where it is not read to its end.
    pub async fn state(&self, found: &FoundTopics, within: Duration) -> Result<Option<InspectedState>, OpenError> {
        let Some(count) = found.counts.get(&self.settings.topics.state) else { return Ok(None) };
        let partitions = count.partitions;
        let requests = self.requests.as_ref().map(|topics| topics.requests.clone());
        let requests = requests.and_then(|topic| Some((found.counts.get(&topic)?.partitions, topic)));
        let (settings, id_kinds) = (self.settings.clone(), self.id_kinds.clone());
        let given_up = CancellationToken::new();
        let (token, until) = (given_up.clone(), Instant::now() + within);
        let reading = blocking(move || {
            let inspected = inspection::inspect(&settings, &id_kinds, partitions, &token)?;
            if let Some((partitions, topic)) = requests {
                requests_log::inspection::inspect(&settings, &topic, partitions, until)?;
            }
            Ok(inspected)
        });
        match tokio::time::timeout(within, reading).await {
            Ok(inspected) => inspected.map(Some),
            Err(_) => {
                given_up.cancel();
                let (topic, seconds) = (&self.settings.topics.state, within.as_secs());
                Err(OpenError::Again(format!("topic {topic} was not read to its end within {seconds} s").into()))
            }
        }
    }
}

/// The first few of those that are no instances, in words.
fn of_foreign(group: &str, foreign: &[ForeignMember]) -> Vec<String> {
    let named = foreign.iter().take(FOREIGN_NAMED_MAX).map(ForeignMember::named);
    let is_in = |member| {
        format!(
            "{member} is in the consumer group {group} and is no instance of this connector: nobody works on what it is given; \
             stop it, or give it another group.id"
        )
    };
    let more = foreign.len().saturating_sub(FOREIGN_NAMED_MAX);
    let more = (more > 0).then(|| format!("{more} more members of the consumer group {group} are no instances"));
    named.map(is_in).chain(more).collect()
}

/// # Errors
/// That of `look`; [`OpenError::Again`] where it was not run to its end.
async fn blocking<R: Send + 'static>(
    look: impl FnOnce() -> Result<R, OpenError> + Send + 'static,
) -> Result<R, OpenError> {
    let looked = tokio::task::spawn_blocking(look).await;
    looked.unwrap_or_else(|error| Err(OpenError::Again(LogError::because("looking at the brokers", error))))
}
