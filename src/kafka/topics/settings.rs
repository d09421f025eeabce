//! What the settings of a topic mean for the records that are to go there: rules about what the broker tells.

use std::collections::HashMap;
use std::time::Duration;

use crate::model::age::AgeLimit;

/// A dead letter and a record of the state must fit; below this they may not.
const RECORD_BYTES_MIN: usize = 64 * 1024;

const HIDDEN: &str =
    "its settings are not told, and some would break what is promised; allow this user DESCRIBE_CONFIGS on it";

/// The largest record, in bytes, that a broker takes that was never told otherwise.
pub const RECORD_BYTES_DEFAULT: usize = 1_048_588;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::kafka) enum TopicKind {
    /// Records carry the time of a fact.
    Events,
    DeadLetters,
    /// Each stands for itself: none takes the place of another.
    RequestsAndReplies,
    /// Replies on a topic that is somebody else's: never created.
    OtherReplies,
    /// A compacted table.
    Table,
    /// Such a one that the other log makes and checks: it may be missing yet.
    OthersTable,
    /// A compacted table of what nobody here reads: it may be missing, and is not insisted on.
    Ledger,
}

impl TopicKind {
    pub(crate) fn is_made_here(self) -> bool {
        !matches!(self, TopicKind::OtherReplies | TopicKind::OthersTable)
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

/// A topic that exists, as the brokers describe it.
pub(super) struct DescribedTopic<'a> {
    pub topic: &'a str,
    pub kind: TopicKind,
    /// Of its partition with the fewest.
    pub replicas: usize,
    /// By name. Nothing may be told where the right to describe settings is missing: the answer is empty then.
    pub settings: HashMap<String, String>,
}

/// A setting that bounds how old records may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AgeSetting {
    pub age: Duration,
    /// As the broker calls it.
    pub name: &'static str,
}

/// How old records may be on a topic. Nothing is any age.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct TopicAges {
    /// The broker refuses an older one.
    pub taken: Option<AgeSetting>,
    /// The broker deletes an older one as soon as its segment is closed.
    pub kept: Option<AgeSetting>,
}

impl TopicAges {
    /// The same in words, for `topic`.
    pub fn limits(&self, topic: &str) -> Vec<AgeLimit> {
        let limit = |setting: Option<AgeSetting>, set_by, consequence| {
            let AgeSetting { age, name } = setting?;
            let seconds = i64::try_from(age.as_secs()).ok()?;
            let consequence = format!("{consequence} ({name})");
            Some(AgeLimit { seconds, set_by: format!("topic {topic} {set_by}"), consequence })
        };
        let taken = limit(self.taken, "takes no records older", "it would refuse them");
        let kept = limit(self.kept, "keeps no records longer", "it would delete them at once");
        taken.into_iter().chain(kept).collect()
    }
}

/// What an operator has to change about a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TopicMismatch {
    /// With the topic.
    pub text: String,
    /// The topic, and the setting that mends it, such as `cleanup.policy=compact`.
    pub mended_by: Option<(String, String)>,
}

impl From<String> for TopicMismatch {
    fn from(text: String) -> TopicMismatch {
        TopicMismatch { text, mended_by: None }
    }
}

/// The command of Kafka's own tools that gives `topic` the `setting`, such as `cleanup.policy=compact`.
pub(crate) fn mending_command(bootstrap: &str, topic: &str, setting: &str) -> String {
    format!("kafka-configs --bootstrap-server {bootstrap} --alter --topic {topic} --add-config {setting}")
}

/// What is wrong with a topic, and what is risky.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct TopicFindings {
    /// The promise would be broken: the start stops.
    pub problems: Vec<TopicMismatch>,
    /// A fault of brokers could break it. Each goes for many topics, so it names none.
    pub risks: Vec<String>,
}

impl DescribedTopic<'_> {
    fn setting(&self, name: &str) -> &str {
        self.settings.get(name).map_or("", String::as_str)
    }

    pub fn cleanup_policy(&self) -> &str {
        self.setting("cleanup.policy")
    }

    pub fn takes(&self) -> AcceptedRecords {
        let size = |name| self.setting(name).parse().ok();
        let bytes = size("max.message.bytes").unwrap_or(RECORD_BYTES_DEFAULT);
        // A batch must fit into a segment too.
        let bytes = size("segment.bytes").map_or(bytes, |segment: usize| bytes.min(segment));
        AcceptedRecords { bytes, keyed: self.is_compacted() }
    }

    pub(crate) fn ages(&self) -> TopicAges {
        // The first is known to brokers since 3.6, the second to those before 4.0.
        let taken = ["message.timestamp.before.max.ms", "message.timestamp.difference.max.ms"];
        let taken = taken.into_iter().filter_map(|name| self.limited(name)).min_by_key(|setting| setting.age);
        let is_deleted = self.setting("cleanup.policy").contains("delete");
        TopicAges { taken, kept: self.limited("retention.ms").filter(|_| is_deleted) }
    }

    /// A time that ends: neither negative nor Kafka's largest number.
    fn limited(&self, name: &'static str) -> Option<AgeSetting> {
        let milliseconds = self.setting(name).parse::<i64>().ok().filter(|milliseconds| *milliseconds != i64::MAX)?;
        u64::try_from(milliseconds)
            .ok()
            .map(|milliseconds| AgeSetting { age: Duration::from_millis(milliseconds), name })
    }

    fn is_compacted(&self) -> bool {
        self.setting("cleanup.policy").contains("compact")
    }

    pub fn findings(&self) -> TopicFindings {
        if !self.settings.is_empty() {
            return TopicFindings { problems: self.problems(), risks: self.risks() };
        }
        match self.kind {
            // Somebody else's: replies are sent there as if it had Kafka's defaults.
            TopicKind::OtherReplies => TopicFindings { problems: Vec::new(), risks: vec![HIDDEN.to_owned()] },
            TopicKind::Ledger => TopicFindings::default(),
            _ => TopicFindings { problems: vec![format!("topic {}: {HIDDEN}", self.topic).into()], risks: Vec::new() },
        }
    }

    fn problems(&self) -> Vec<TopicMismatch> {
        let DescribedTopic { topic, kind, .. } = *self;
        let policy = self.setting("cleanup.policy");
        let cleaned = match kind {
            TopicKind::Table if policy != "compact" => {
                Some(("compact", "it must be exactly compact, or the connector forgets what it has published"))
            }
            TopicKind::Events | TopicKind::DeadLetters if self.is_compacted() => {
                Some(("delete", "set it to delete, for compaction leaves only the last record of each promoter"))
            }
            TopicKind::RequestsAndReplies if self.is_compacted() => {
                Some(("delete", "it must be delete, or one request of a promoter takes away another"))
            }
            _ => None,
        };
        let mut problems: Vec<TopicMismatch> =
            cleaned.iter().map(|(value, why)| self.has("cleanup.policy", why, value)).collect();
        if kind == TopicKind::Events && self.setting("message.timestamp.type") != "CreateTime" {
            let why = "set it to CreateTime, for records carry their fact's time";
            problems.push(self.has("message.timestamp.type", why, "CreateTime"));
        }
        let bytes = self.takes().bytes;
        if matches!(kind, TopicKind::DeadLetters | TopicKind::Table) && bytes < RECORD_BYTES_MIN {
            problems.push(TopicMismatch {
                text: format!(
                    "topic {topic} has max.message.bytes={bytes}; it must take records of {RECORD_BYTES_MIN} bytes"
                ),
                mended_by: Some((topic.to_owned(), format!("max.message.bytes={RECORD_BYTES_DEFAULT}"))),
            });
        }
        problems
    }

    fn risks(&self) -> Vec<String> {
        if self.kind == TopicKind::OtherReplies {
            return Vec::new();
        }
        let mut risks = Vec::new();
        if self.kind == TopicKind::Ledger && self.setting("cleanup.policy") != "compact" {
            let policy = self.setting("cleanup.policy");
            risks.push(format!(
                "cleanup.policy={policy}: what is told of a day is deleted with time; set it to compact"
            ));
        }
        if self.replicas == 1 {
            risks.push("one replica: with its broker all of it is lost".to_owned());
        } else if self.setting("min.insync.replicas") == "1" {
            risks.push(
                "min.insync.replicas=1: what one broker alone has acknowledged is lost with it; set it to 2".to_owned(),
            );
        }
        if self.setting("unclean.leader.election.enable") == "true" {
            let risk = "unclean.leader.election.enable=true: a broker that lags behind may cut off committed records";
            risks.push(risk.to_owned());
        }
        if let (TopicKind::Events, Some(AgeSetting { age, name })) = (self.kind, self.ages().taken) {
            let seconds = age.as_secs();
            risks.push(format!(
                "{name}: records older than {seconds} s are refused: an older fact becomes a dead letter"
            ));
        }
        risks
    }

    fn has(&self, setting: &str, why: &str, wanted: &str) -> TopicMismatch {
        TopicMismatch {
            text: format!("topic {} has {setting}={}; {why}", self.topic, self.setting(setting)),
            mended_by: Some((self.topic.to_owned(), format!("{setting}={wanted}"))),
        }
    }
}

#[cfg(test)]
mod tests;
