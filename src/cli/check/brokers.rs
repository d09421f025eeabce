//! What is found at the brokers: whether they let the connector in, its topics, rights, transactions, group and state.

use std::time::{Duration, Instant};

use super::finding::{Finding, Verdict};
use crate::kafka::all_topics::{FoundTopics, PlannedTopic};
use crate::kafka::inspection::{InspectedGroup, InspectedState, Inspection, TriedTransaction};
use crate::kafka::topics::settings::{TopicMismatch, mending_command};
use crate::model::age::AgeLimits;
use crate::model::state_content::Stray;
use crate::text::counted;

/// How many stray records are told one by one.
const STRAYS_TOLD: usize = 10;

pub struct CheckedBrokers<'a> {
    pub inspection: &'a Inspection,
    /// For reading the state.
    pub timeout: Duration,
}

/// What was found.
#[derive(Debug, Default)]
pub struct FoundBrokers {
    pub findings: Vec<Finding>,
    /// Whether the topics could be asked for: what stands in them can be read.
    pub are_topics_told: bool,
    /// How old facts may be, where every feed would begin with the start.
    pub first_start: Option<AgeLimits>,
}

impl CheckedBrokers<'_> {
    /// One thing after the other, as far as it can be looked at.
    pub async fn look(&self) -> FoundBrokers {
        let mut report = FoundBrokers::default();
        let began = Instant::now();
        let brokers = match self.inspection.brokers().await {
            Ok(brokers) => brokers,
            Err(error) => return FoundBrokers { findings: Finding::of_opening("kafka", &error), ..report },
        };
        let text = format!("{} in the cluster", counted(brokers.len() as u64, "broker"));
        report.findings.push(Finding::new("kafka", Verdict::Sound, text).took(began.elapsed()));
        let began = Instant::now();
        let found = match self.inspection.topics().await {
            Ok(found) => found,
            Err(error) => {
                report.findings.extend(Finding::of_opening("topics", &error));
                return report;
            }
        };
        report.are_topics_told = true;
        report.findings.extend(of_topics(&found, self.inspection.bootstrap_servers(), began.elapsed()));
        report.findings.extend(self.of_rights(&found).await);
        report.findings.extend(self.of_transaction(&found).await);
        if let Some(broker) = brokers.first() {
            report.findings.extend(self.of_group(*broker).await);
        }
        self.look_at_state(&found, &mut report).await;
        report
    }

    async fn of_rights(&self, found: &FoundTopics) -> Vec<Finding> {
        let began = Instant::now();
        match self.inspection.missing_rights(found).await {
            Ok(missing) if missing.is_empty() => {
                vec![Finding::new("rights", Verdict::Sound, "nothing is denied on the topics").took(began.elapsed())]
            }
            Ok(missing) => missing.into_iter().map(|text| Finding::new("rights", Verdict::Wrong, text)).collect(),
            // A start does not ask for them: it would be told the first time that it is refused.
            Err(error) => as_warnings(Finding::of_opening("rights", &error)),
        }
    }

    async fn of_transaction(&self, found: &FoundTopics) -> Vec<Finding> {
        const SUBJECT: &str = "transactions";
        let began = Instant::now();
        match self.inspection.transaction(found).await {
            Ok(TriedTransaction::Works) => {
                vec![Finding::new(SUBJECT, Verdict::Sound, "work (one was tried and aborted)").took(began.elapsed())]
            }
            Ok(TriedTransaction::IdDenied(words)) => {
                let text = format!("not tried: {words}, to have them tried");
                vec![Finding::new(SUBJECT, Verdict::Warning, text)]
            }
            Err(error) => Finding::of_opening(SUBJECT, &error),
        }
    }

    async fn of_group(&self, broker: i32) -> Vec<Finding> {
        let began = Instant::now();
        match self.inspection.group(broker).await {
            Ok(InspectedGroup { instances, problems }) if problems.is_empty() => {
                let text = format!("{} in it now", counted(instances as u64, "instance"));
                vec![Finding::new("group", Verdict::Sound, text).took(began.elapsed())]
            }
            Ok(InspectedGroup { problems, .. }) => {
                problems.into_iter().map(|problem| Finding::new("group", Verdict::Wrong, problem)).collect()
            }
            Err(error) => Finding::of_opening("group", &error),
        }
    }

    /// Only where the topics are as they must be: else it would be looked for in the wrong place.
    async fn look_at_state(&self, found: &FoundTopics, report: &mut FoundBrokers) {
        const SUBJECT: &str = "state";
        let began = Instant::now();
        if !found.problems.is_empty() {
            let text = "not looked at before the topics are as they must be";
            return report.findings.push(Finding::new(SUBJECT, Verdict::Warning, text));
        }
        let inspected = match self.inspection.state(found, self.timeout).await {
            Ok(inspected) => inspected,
            Err(error) => return report.findings.extend(Finding::of_opening(SUBJECT, &error)),
        };
        let text = match &inspected {
            None => "this would be the first start",
            Some(InspectedState { is_new: true, .. }) => "new: nobody has polled with it yet",
            Some(_) => "whole, and this connector's",
        };
        report.findings.push(Finding::new(SUBJECT, Verdict::Sound, text).took(began.elapsed()));
        if inspected.as_ref().is_none_or(|state| state.is_new) {
            report.first_start = Some(self.inspection.age_limits(found));
        }
        report.findings.extend(inspected.iter().flat_map(|state| of_strays(&state.strays)));
    }
}

/// Records that are skipped.
fn of_strays(strays: &[Stray]) -> Vec<Finding> {
    const SUBJECT: &str = "state";
    let told = strays.iter().take(STRAYS_TOLD).map(|Stray { place, fault }| {
        let text = format!("partition {} offset {} is skipped: {fault}", place.partition, place.offset);
        Finding::new(SUBJECT, Verdict::Warning, text).fixed_by("write a tombstone under its key")
    });
    let more = strays.len().saturating_sub(STRAYS_TOLD);
    let more = (more > 0).then(|| Finding::new(SUBJECT, Verdict::Warning, format!("{more} more records are skipped")));
    told.chain(more).collect()
}

fn of_topics(found: &FoundTopics, bootstrap: &str, took: Duration) -> Vec<Finding> {
    const SUBJECT: &str = "topics";
    let mut findings: Vec<Finding> =
        found.problems.iter().map(|problem| of_problem(SUBJECT, problem, bootstrap)).collect();
    if findings.is_empty() {
        findings.push(Finding::new(SUBJECT, Verdict::Sound, in_words(found)).took(took));
    }
    let risks = found.risks.iter().map(|(risk, topics)| format!("{risk}: {}", topics.join(", ")));
    let replies = found.missing_replies.iter().map(|topic| {
        format!(
            "topic {topic} of commands.reply_topics does not exist: replies that ask for it go to the topic of results"
        )
    });
    let no_ledger = found.no_ledger.iter().map(|reason| format!("no ledger would be kept: {reason}"));
    findings.extend(risks.chain(replies).chain(no_ledger).map(|text| Finding::new(SUBJECT, Verdict::Warning, text)));
    findings
}

fn of_problem(subject: &str, TopicMismatch { text, mended_by }: &TopicMismatch, bootstrap: &str) -> Finding {
    let finding = Finding::new(subject, Verdict::Wrong, text);
    match mended_by {
        Some((topic, setting)) => finding.fixed_by(mending_command(bootstrap, topic, setting)),
        None => finding,
    }
}

fn in_words(found: &FoundTopics) -> String {
    let planned: Vec<&str> = found.planned.iter().map(|PlannedTopic { name, .. }| name.as_str()).collect();
    match (found.counts.len(), planned.len()) {
        (there, 0) => format!("{there} are there, as they must be"),
        (there, missing) => format!("{there} are there, {missing} would be made: {}", planned.join(", ")),
    }
}

fn as_warnings(findings: Vec<Finding>) -> Vec<Finding> {
    findings.into_iter().map(|finding| Finding { verdict: Verdict::Warning, ..finding }).collect()
}
