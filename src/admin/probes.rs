//! `/live` and `/ready`.
//!
//! A restart mends neither Kafka nor the upstream, and costs a restore: so `/live` looks at nothing but this process. Nor does an
//! instance that is taken out of service mend anything but its own start and its own stop: once it has worked, `/ready` fails
//! only where it stops, or where no pipeline is answered by the brokers.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::answer::json;
use super::observed::ObservedConnector;
use crate::telemetry::health::{HealthSnapshot, WorkStanding};
use crate::telemetry::pipeline;

/// The answer of a probe.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct ProbeAnswer {
    #[serde(skip)]
    pub is_well: bool,
    pub state: &'static str,
    /// Why it is not well.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<ProbeReason>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct ProbeReason {
    pub pipeline: &'static str,
    pub text: String,
}

pub async fn live(State(observed): State<Arc<ObservedConnector>>) -> ProbeAnswer {
    alive(&observed)
}

/// What `/live` answers.
pub fn alive(observed: &ObservedConnector) -> ProbeAnswer {
    liveness(&observed.pipelines(), observed.apps.iter().all(|app| app.reports.is_alive()))
}

pub async fn ready(State(observed): State<Arc<ObservedConnector>>) -> ProbeAnswer {
    readiness(&observed.pipelines(), observed.stop.is_cancelled())
}

pub type Pipelines = [(&'static str, HealthSnapshot)];

fn liveness(pipelines: &Pipelines, schedulers_alive: bool) -> ProbeAnswer {
    let hangs = |health: &HealthSnapshot| (!health.is_alive).then(|| "its loop hangs".to_owned());
    let mut reasons = reasons(pipelines, hangs);
    if !schedulers_alive {
        reasons.push(ProbeReason { pipeline: pipeline::POLLS, text: "a scheduler hangs".to_owned() });
    }
    let is_well = reasons.is_empty();
    ProbeAnswer { is_well, state: if is_well { "live" } else { "hangs" }, reasons }
}

pub fn readiness(pipelines: &Pipelines, is_stopping: bool) -> ProbeAnswer {
    let standing = |wanted| pipelines.iter().any(|(_, health)| health.standing == wanted);
    let refused = |state, reasons| ProbeAnswer { is_well: false, state, reasons };
    if is_stopping {
        return refused("stopping", Vec::new());
    }
    if standing(WorkStanding::Starting) {
        return refused("starting", reasons(pipelines, why_starting));
    }
    if !pipelines.iter().any(|(_, health)| health.is_answered()) {
        return refused("kafka_silent", reasons(pipelines, why_silent));
    }
    let state = if standing(WorkStanding::Working) { "working" } else { "standby" };
    ProbeAnswer { is_well: true, state, reasons: Vec::new() }
}

fn reasons(pipelines: &Pipelines, why: impl Fn(&HealthSnapshot) -> Option<String>) -> Vec<ProbeReason> {
    let reason = |(pipeline, health): &(&'static str, HealthSnapshot)| {
        let text = why(health)?;
        Some(ProbeReason { pipeline, text })
    };
    pipelines.iter().filter_map(reason).collect()
}

fn why_starting(health: &HealthSnapshot) -> Option<String> {
    (health.standing == WorkStanding::Starting).then(|| match &health.trouble {
        Some(trouble) => format!("the log is not open: {}", trouble.error),
        None => "it has not worked yet".to_owned(),
    })
}

fn why_silent(health: &HealthSnapshot) -> Option<String> {
    let of_trouble = || health.trouble.as_ref().map(|trouble| &trouble.error);
    let error = health.unanswered.as_ref().or_else(of_trouble).map_or("", String::as_str);
    let silence = match health.silent_for {
        Some(silence) => format!("the brokers have not answered for {} s", silence.as_secs()),
        None => "the brokers have never answered".to_owned(),
    };
    Some(if error.is_empty() { silence } else { format!("{silence}: {error}") })
}

impl IntoResponse for ProbeAnswer {
    fn into_response(self) -> Response {
        let status = if self.is_well { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        json(status, &self)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::model::time::UnixMillis;
    use crate::telemetry::health::LogTrouble;

    fn health(standing: WorkStanding, silent_for: u64) -> HealthSnapshot {
        let silent_for = Some(Duration::from_secs(silent_for));
        let (unanswered, trouble, last_commit, waits_since) = (None, None, None, None);
        HealthSnapshot { is_alive: true, silent_for, unanswered, standing, trouble, last_commit, waits_since }
    }

    fn state(polls: HealthSnapshot, requests: HealthSnapshot) -> (&'static str, bool) {
        let answer = readiness(&[("polls", polls), ("requests", requests)], false);
        (answer.state, answer.is_well)
    }

    #[test]
    fn it_is_ready_once_both_pipelines_have_worked_or_stand_by_and_not_while_the_brokers_are_silent_to_both() {
        use WorkStanding::{Standby, Starting, Working};
        assert_eq!(state(health(Working, 0), health(Starting, 0)), ("starting", false));
        assert_eq!(state(health(Working, 0), health(Standby, 0)), ("working", true));
        assert_eq!(state(health(Standby, 0), health(Standby, 0)), ("standby", true));
        assert_eq!(state(health(Working, 61), health(Working, 59)), ("working", true));
        assert_eq!(state(health(Working, 61), health(Working, 61)), ("kafka_silent", false));
        assert_eq!(readiness(&[("polls", health(Working, 0))], true).state, "stopping");
    }

    #[test]
    fn what_keeps_it_from_being_ready_is_told() {
        let (since, next_try) = (UnixMillis(0), UnixMillis(0));
        let trouble = Some(LogTrouble { since, next_try, error: "connection refused".into() });
        let answer = readiness(&[("polls", HealthSnapshot { trouble, ..health(WorkStanding::Starting, 0) })], false);
        let told = serde_json::to_string(&answer).unwrap();
        let text = "the log is not open: connection refused";
        assert_eq!(told, format!(r#"{{"state":"starting","reasons":[{{"pipeline":"polls","text":"{text}"}}]}}"#));
    }

    #[test]
    fn it_lives_as_long_as_its_loops_are_alive_whatever_the_brokers_do() {
        let lives = |is_alive| {
            liveness(&[("polls", HealthSnapshot { is_alive, ..health(WorkStanding::Starting, 999) })], true).is_well
        };
        assert!(lives(true) && !lives(false));
        assert!(!liveness(&[("polls", health(WorkStanding::Working, 0))], false).is_well);
    }
}
