//! The topics, one a line, and below them what is wrong or risky.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::cli::stdout;
use crate::kafka::all_topics::{FoundTopics, PlannedTopic};
use crate::kafka::topics::settings::{TopicMismatch, mending_command};

#[derive(Debug, Serialize)]
pub struct TopicTable {
    /// In the order of their names.
    topics: BTreeMap<String, TopicRow>,
    problems: Vec<ProblemRow>,
    /// Each with the topics that it goes for.
    risks: BTreeMap<String, Vec<String>>,
    /// Why no ledger is kept, which is no problem.
    no_ledger: Option<String>,
}

#[derive(Debug, Serialize)]
struct TopicRow {
    state: TopicState,
    partitions: i32,
    /// Of the partition with the fewest; nothing where the broker's default decides.
    replicas: Option<usize>,
    cleanup_policy: String,
    /// Bytes of the largest record; of one that is missing the broker's default decides.
    max_message_bytes: Option<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum TopicState {
    There,
    /// It would be made.
    Missing,
}

#[derive(Debug, Serialize)]
struct ProblemRow {
    text: String,
    /// What mends it, where that is a setting.
    fix: Option<String>,
}

impl TopicTable {
    /// `bootstrap` is where commands reach the brokers.
    pub fn of(found: FoundTopics, bootstrap: &str) -> TopicTable {
        let there = found.counts.iter().map(|(topic, count)| {
            let row = TopicRow {
                state: TopicState::There,
                partitions: count.partitions,
                replicas: Some(count.replicas),
                cleanup_policy: found.cleanup_policies.get(topic).cloned().unwrap_or_default(),
                max_message_bytes: found.takes.get(topic).map(|takes| takes.bytes),
            };
            (topic.clone(), row)
        });
        let topics = there.chain(found.planned.iter().map(missing)).collect();
        let problem = |TopicMismatch { text, mended_by }: TopicMismatch| ProblemRow {
            text,
            fix: mended_by.map(|(topic, setting)| mending_command(bootstrap, &topic, &setting)),
        };
        let problems = found.problems.into_iter().map(problem).collect();
        TopicTable { topics, problems, risks: found.risks, no_ledger: found.no_ledger }
    }

    pub fn is_sound(&self) -> bool {
        self.problems.is_empty()
    }

    /// # Errors
    /// Where it can't be written.
    pub fn print(&self, as_json: bool) -> anyhow::Result<()> {
        stdout::print(&if as_json { serde_json::to_string(self)? + "\n" } else { self.text() })
    }

    fn text(&self) -> String {
        let width = self.topics.keys().map(String::len).max().unwrap_or(0).max("topic".len());
        let mut text = format!("{:width$}  partitions  replicas  cleanup.policy  max.message.bytes\n", "topic");
        for (topic, row) in &self.topics {
            let TopicRow { state, partitions, replicas, cleanup_policy, max_message_bytes } = row;
            let replicas = replicas.map_or_else(|| "default".to_owned(), |replicas| replicas.to_string());
            let bytes = max_message_bytes.map_or_else(|| "default".to_owned(), |bytes| bytes.to_string());
            let state = if *state == TopicState::Missing { "  would be made" } else { "" };
            text +=
                &format!("{topic:width$}  {partitions:>10}  {replicas:>8}  {cleanup_policy:14}  {bytes:>17}{state}\n");
        }
        for ProblemRow { text: problem, fix } in &self.problems {
            text += &format!("✗ {problem}\n");
            text += &fix.iter().map(|fix| format!("  fix: {fix}\n")).collect::<String>();
        }
        for (risk, topics) in &self.risks {
            text += &format!("! {risk}: {}\n", topics.join(", "));
        }
        text += &self.no_ledger.iter().map(|why| format!("! no ledger is kept: {why}\n")).collect::<String>();
        text
    }
}

fn missing(planned: &PlannedTopic) -> (String, TopicRow) {
    let PlannedTopic { name, partitions, replication, settings } = planned;
    let policy = settings.iter().find(|(name, _)| *name == "cleanup.policy");
    let row = TopicRow {
        state: TopicState::Missing,
        partitions: *partitions,
        replicas: usize::try_from(*replication).ok(),
        cleanup_policy: policy.map_or_else(String::new, |(_, value)| value.clone()),
        max_message_bytes: None,
    };
    (name.clone(), row)
}
