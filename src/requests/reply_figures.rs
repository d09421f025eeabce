//! What the replies come to, for whoever looks: by app, and how long they took.

use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::time::Duration;

use parking_lot::Mutex;

use crate::clock;
use crate::model::material::MaterialOutcome;
use crate::model::per::one_value_for_each;
use crate::model::request::record::{RequestAnswer, RequestRecord};
use crate::telemetry::buckets::{BucketCounts, LONG};

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplyStatus {
    Succeeded,
    Failed,
    Rejected,
    Expired,
    /// It can't be read, or its reply can't be published.
    DeadLetter,
}

one_value_for_each! {
    /// One value for each way in which a request ends.
    PerReplyStatus of ReplyStatus {
        succeeded: Succeeded, failed: Failed, rejected: Rejected, expired: Expired, dead_letter: DeadLetter
    }
}

impl ReplyStatus {
    pub fn name(self) -> &'static str {
        match self {
            ReplyStatus::Succeeded => "succeeded",
            ReplyStatus::Failed => "failed",
            ReplyStatus::Rejected => "rejected",
            ReplyStatus::Expired => "expired",
            ReplyStatus::DeadLetter => "dead_letter",
        }
    }
}

/// An app that the configuration does not know.
pub const OTHER_APP: &str = "other";

/// Since the process began.
#[derive(Debug)]
pub struct ReplyFigures {
    /// Of the configured apps, and [`OTHER_APP`]: what requests name is anybody's to choose.
    of_apps: Mutex<BTreeMap<String, PerReplyStatus<u64>>>,
    configured: OnceLock<Vec<String>>,
    /// From a request's own time until its answer was durable.
    pub durations: PerReplyStatus<BucketCounts>,
}

impl Default for ReplyFigures {
    fn default() -> ReplyFigures {
        let durations = PerReplyStatus::new(|_| BucketCounts::new(LONG));
        ReplyFigures { of_apps: Mutex::default(), configured: OnceLock::new(), durations }
    }
}

impl ReplyFigures {
    /// These are told apart from now on.
    pub fn know_apps(&self, apps: Vec<String>) {
        // Nobody says it twice, and what was said first holds.
        let _ = self.configured.set(apps);
    }

    /// By app, each of the configured ones among them.
    pub fn of_apps(&self) -> BTreeMap<String, PerReplyStatus<u64>> {
        let mut of_apps = self.of_apps.lock().clone();
        let known = self.configured.get().into_iter().flatten().map(String::as_str);
        for app in known.chain([OTHER_APP]) {
            of_apps.entry(app.to_owned()).or_default();
        }
        of_apps
    }

    pub(super) fn count(&self, record: &RequestRecord, answer: &RequestAnswer) {
        let (app, status) = match answer {
            RequestAnswer::DeadLetter(_) => (OTHER_APP, ReplyStatus::DeadLetter),
            RequestAnswer::Reply(result) => (self.known(&result.app_id), status(&result.outcome)),
        };
        self.of_apps.lock().entry(app.to_owned()).or_default()[status] += 1;
        let took = clock::now().0.saturating_sub(record.timestamp.0).max(0).cast_unsigned();
        self.durations[status].add_duration(Duration::from_millis(took));
    }

    fn known<'a>(&self, app: &'a str) -> &'a str {
        let is_known = self.configured.get().is_some_and(|apps| apps.iter().any(|known| known == app));
        if is_known { app } else { OTHER_APP }
    }
}

fn status(outcome: &MaterialOutcome) -> ReplyStatus {
    match outcome {
        MaterialOutcome::Succeeded(_) => ReplyStatus::Succeeded,
        MaterialOutcome::Failed(_) => ReplyStatus::Failed,
        MaterialOutcome::Rejected(_) => ReplyStatus::Rejected,
        MaterialOutcome::Expired(_) => ReplyStatus::Expired,
    }
}
