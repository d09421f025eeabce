//! The topics: made where they are missing, checked before anything is written.
//!
//! Every problem is reported at once. What is checked is what the promise rests on: the settings of each
//! ([`crate::kafka::topics::settings`]), and what each log wants of its own.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use parking_lot::Mutex;
use rdkafka::admin::{AdminClient, AdminOptions, ConfigResourceResult, ResourceSpecifier};

use super::admin_client::admin_client;
use super::counts::{TopicCounts, again, count_all};
use super::creation::{PlannedTopic, TriedTopics, create_missing, try_missing};
use super::lookup::TopicCount;
use super::settings::{
    AcceptedRecords, DescribedTopic, RECORD_BYTES_DEFAULT, TopicAges, TopicFindings, TopicKind, TopicMismatch,
};
use crate::commit::log::OpenError;
use crate::kafka::client::CALL_TIMEOUT;
use crate::kafka::client::context::LogContext;
use crate::kafka::client::settings::{Settings, TopicPolicy};

/// What there is of the topics that are wanted, after those that could be were created.
#[derive(Default)]
pub struct FoundTopics {
    pub counts: TopicCounts,
    pub takes: HashMap<String, AcceptedRecords>,
    pub ages: HashMap<String, TopicAges>,
    /// What an operator has to change before anything may be written.
    pub problems: Vec<TopicMismatch>,
    /// Of the topics that are described, as the brokers have it.
    pub cleanup_policies: HashMap<String, String>,
    /// What a fault of brokers could break, each with the topics that it goes for.
    pub risks: BTreeMap<String, Vec<String>>,
    /// Topics of others that are not there for replies.
    pub missing_replies: Vec<String>,
    /// Those that are not there yet and would be made. None where all that could be were.
    pub planned: Vec<PlannedTopic>,
    /// Why the brokers do not make the ledger.
    pub ledger_refused: Option<String>,
    /// Why there is no ledger though it is wanted, where that was asked for.
    pub no_ledger: Option<String>,
}

/// Makes the `wanted` topics that are missing, where that is wished, and looks at all of them. The order matters: what is
/// described must be there, and what is missing can only be told once everything that could be was made.
///
/// # Errors
/// [`OpenError`] where the topics can't be asked for or made. What is wrong with those that are there stands among
/// [`FoundTopics::problems`].
pub async fn find(settings: &Settings, wanted: &[(&str, TopicKind)]) -> Result<FoundTopics, OpenError> {
    let mut counts = count_all(settings, wanted).await?;
    let ledger_refused = match &settings.topic_policy {
        TopicPolicy::Create(defaults) => create_missing(settings, defaults, wanted, &mut counts).await?,
        TopicPolicy::Check | TopicPolicy::Trust => None,
    };
    Ok(FoundTopics { ledger_refused, ..FoundTopics::look(settings, wanted, counts).await? })
}

/// The same without making any: what would be made is planned, and why it would not be stands among the problems.
///
/// # Errors
/// [`OpenError`] where the topics can't be asked for.
pub async fn inspect(settings: &Settings, wanted: &[(&str, TopicKind)]) -> Result<FoundTopics, OpenError> {
    let mut counts = count_all(settings, wanted).await?;
    let TriedTopics { planned, problems, ledger_refused } = match &settings.topic_policy {
        TopicPolicy::Create(defaults) => try_missing(settings, defaults, wanted, &mut counts).await?,
        TopicPolicy::Check | TopicPolicy::Trust => TriedTopics::default(),
    };
    let is_planned = |topic: &str| planned.iter().any(|planned| planned.name == topic);
    let there: Vec<_> = wanted.iter().copied().filter(|(topic, _)| !is_planned(topic)).collect();
    let mut found = FoundTopics { planned, ledger_refused, ..FoundTopics::look(settings, &there, counts).await? };
    found.problems.extend(problems.into_iter().map(TopicMismatch::from));
    Ok(found)
}

impl FoundTopics {
    /// Those that are there, and what is wrong with those that are not.
    ///
    /// # Errors
    /// [`OpenError::Again`] where their settings can't be asked for.
    async fn look(
        settings: &Settings,
        wanted: &[(&str, TopicKind)],
        counts: TopicCounts,
    ) -> Result<FoundTopics, OpenError> {
        let unchecked = AcceptedRecords { bytes: RECORD_BYTES_DEFAULT, keyed: false };
        let takes = counts.keys().map(|topic| (topic.clone(), unchecked)).collect();
        let mut found = FoundTopics { counts, takes, ..FoundTopics::default() };
        found.note_missing(wanted);
        if settings.topic_policy != TopicPolicy::Trust {
            found.check_settings(settings, wanted).await?;
        }
        Ok(found)
    }

    /// Says what is risky; each risk of a topic once for the whole process.
    pub fn say_risks(&self) {
        for topic in &self.missing_replies {
            tracing::error!(
                topic,
                "a topic of commands.reply_topics does not exist or may not be described: replies that ask for it go to the topic of results"
            );
        }
        warn_once(&self.risks);
    }

    /// Ends the start with all that an operator has to change.
    ///
    /// # Errors
    /// [`OpenError::Stop`] with every problem, one a line.
    pub fn require_sound(&self) -> Result<(), OpenError> {
        if self.problems.is_empty() {
            return Ok(());
        }
        let problems: Vec<&str> = self.problems.iter().map(|problem| problem.text.as_str()).collect();
        Err(OpenError::Stop(problems.join("\n").into()))
    }

    /// Takes note of the `wanted` topics that do not exist.
    fn note_missing(&mut self, wanted: &[(&str, TopicKind)]) {
        for (topic, kind) in wanted.iter().filter(|(topic, _)| !self.counts.contains_key(*topic)) {
            match kind {
                TopicKind::OtherReplies => self.missing_replies.push((*topic).to_owned()),
                TopicKind::OthersTable | TopicKind::Ledger => {}
                _ => self
                    .problems
                    .push(format!("topic {topic} does not exist; create it (`promoter-connector topics create`), or set topics.create = true").into()),
            }
        }
    }

    /// # Errors
    /// [`OpenError`] where the brokers don't describe the topics. What is wrong with their settings is kept among the problems.
    async fn check_settings(&mut self, settings: &Settings, wanted: &[(&str, TopicKind)]) -> Result<(), OpenError> {
        let existing = wanted.iter().filter_map(|(topic, kind)| Some((*topic, *kind, *self.counts.get(*topic)?)));
        let admin = admin_client(settings)?;
        let described = describe(&admin, &existing.collect::<Vec<_>>()).await?;
        self.take(&described);
        Ok(())
    }

    fn take(&mut self, described: &[DescribedTopic<'_>]) {
        for topic in described {
            let TopicFindings { problems, risks } = topic.findings();
            self.problems.extend(problems);
            for risk in risks {
                self.risks.entry(risk).or_default().push(topic.topic.to_owned());
            }
            self.cleanup_policies.insert(topic.topic.to_owned(), topic.cleanup_policy().to_owned());
            self.takes.insert(topic.topic.to_owned(), topic.takes());
            self.ages.insert(topic.topic.to_owned(), topic.ages());
        }
    }
}

/// The settings of the topics that exist.
///
/// # Errors
/// [`OpenError::Again`] where they can't be asked for.
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

/// Topics are looked at with every opening.
fn warn_once(risks: &BTreeMap<String, Vec<String>>) {
    static SAID: Mutex<BTreeSet<(String, String)>> = Mutex::new(BTreeSet::new());
    let mut said = SAID.lock();
    for (risk, topics) in risks {
        let is_new = |topic: &&String| said.insert((risk.clone(), (*topic).clone()));
        let new: Vec<&str> = topics.iter().filter(is_new).map(String::as_str).collect();
        if !new.is_empty() {
            tracing::warn!(risk, topics = new.join(", "), "topics are less safe than they could be");
        }
    }
}
