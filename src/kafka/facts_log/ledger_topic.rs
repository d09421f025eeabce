//! Whether there is a ledger of days, whose topic may be missing: whoever lets the connector make no topics, or gives it rights to
//! each by name, must be able to run a release that brings one more. Then days are counted all the same, and what they come to is told
//! as soon as there is a ledger.

use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use crate::kafka::client::granted_rights::{self, TopicRight};
use crate::kafka::client::settings::{Settings, TopicPolicy};
use crate::kafka::topics::admin_client::admin_client;
use crate::kafka::topics::preparation::FoundTopics;

/// Why there is none though it is wanted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoLedger {
    #[error("topic {0} does not exist; create it (`promoter-connector topics create`)")]
    Missing(String),
    #[error("topic {topic} does not exist, and can't be made: {reason}")]
    NotMade { topic: String, reason: String },
    #[error("{0}")]
    NotAllowed(String),
    #[error("the schema registry does not take its schema: register it (`promoter-connector schemas register`)")]
    WithoutSchema,
    #[error("topic {topic} has refused a record: {reason}")]
    Refused { topic: String, reason: String },
}

/// What is missing at the brokers, by what was `found`. Nothing where none is wanted, or it would be made.
pub async fn lacking(settings: &Settings, found: &FoundTopics) -> Option<NoLedger> {
    let topic = settings.topics.ledger.as_ref()?;
    if found.planned.iter().any(|planned| planned.name == *topic) {
        return None;
    }
    if !found.counts.contains_key(topic) {
        return Some(match &found.ledger_refused {
            Some(reason) => NoLedger::NotMade { topic: topic.clone(), reason: reason.clone() },
            None => NoLedger::Missing(topic.clone()),
        });
    }
    if settings.topic_policy == TopicPolicy::Trust {
        return None;
    }
    // What brokers do not tell counts as granted: a transaction that is refused tells it then.
    let (admin, asked) = (admin_client(settings).ok()?, topic.clone());
    let missing = move || granted_rights::missing(&admin, &[(asked.as_str(), TopicRight::Write)]).unwrap_or_default();
    let missing = tokio::task::spawn_blocking(missing).await.unwrap_or_default();
    missing.into_iter().next().map(NoLedger::NotAllowed)
}

/// What this process has met of its ledger.
#[derive(Debug, Default)]
pub struct LedgerStanding {
    /// It has refused a record, and would refuse it again.
    has_refused: AtomicBool,
    said: Mutex<Option<NoLedger>>,
}

impl LedgerStanding {
    pub fn has_refused(&self) -> bool {
        self.has_refused.load(Ordering::Relaxed)
    }

    /// From now on there is none, until the process starts anew.
    pub fn refused(&self, topic: &str, reason: &str) {
        self.has_refused.store(true, Ordering::Relaxed);
        self.say(NoLedger::Refused { topic: topic.to_owned(), reason: reason.to_owned() });
    }

    /// Each reason once as long as it lasts: topics are looked at with every opening.
    pub fn say(&self, reason: NoLedger) {
        let mut said = self.said.lock();
        if said.as_ref() != Some(&reason) {
            let why = reason.to_string();
            tracing::warn!(why, "no ledger is kept: days are counted, and no record tells when one is complete");
            *said = Some(reason);
        }
    }
}
