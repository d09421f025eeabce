//! Both pipelines, polls and requests, to their end: where one ends the other stops, and what they failed of is told at once.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::admin::server::AdminPortError;
use crate::commit::log::OpenError;
use crate::kafka::facts_log::FactsLog;
use crate::kafka::requests_log::RequestsLog;
use crate::requests::pipeline::RequestPipeline;
use crate::retry::PATIENCE;
use crate::session::PollPipeline;
use crate::supervisor::{self, GivenUp};
use crate::text;

/// How long a stop may take to commit what was polled.
const STOP_MAX: Duration = Duration::from_secs(20);
/// How long a failure waits for what the other pipeline finds: the brokers may be away for that one.
const OTHER_CHECKED_MAX: Duration = Duration::from_secs(60);

/// The configuration can't work with the brokers that it names, or on this host: a fault of the same kind as those that are found
/// without them.
#[derive(Debug, thiserror::Error)]
pub enum Unfit {
    #[error(transparent)]
    Pipelines(PipelinesGivenUp),
    #[error(transparent)]
    Adoption(OpenError),
    #[error(transparent)]
    AdminPort(AdminPortError),
}

/// What one pipeline has given up for, or both. The text is on one line, as the log has it, and has each problem once: both use the
/// topic of the dead letters, and complain of the same brokers.
#[derive(Debug, thiserror::Error)]
#[error("{}", problems(.0))]
pub struct PipelinesGivenUp(Vec<GivenUp>);

/// Runs until `stop` is cancelled, and then until what was polled and answered is durable.
///
/// # Errors
/// What one or both have given up for; or that a stop took longer than [`STOP_MAX`].
pub async fn run(
    polls: &PollPipeline,
    facts_log: FactsLog,
    requests: Option<(RequestPipeline, RequestsLog)>,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    // Of the pipelines alone: one that ends stops the other, and nobody else.
    let stop = stop.child_token();
    let polls_checked = facts_log.topics_checked();
    let requests_checked = requests.as_ref().map(|(_, log)| log.topics_checked());
    let polling = async {
        let polling = supervisor::run(polls, || facts_log.clone(), &stop, PATIENCE);
        let ended = to_the_end(polling, &polls_checked, requests_checked.as_ref(), &stop).await;
        closed(facts_log).await;
        ended
    };
    let answering = async {
        let (Some((pipeline, log)), Some(checked)) = (requests, &requests_checked) else { return Ok(()) };
        let answering = supervisor::run(&pipeline, || log.clone(), &stop, PATIENCE);
        let ended = to_the_end(answering, checked, Some(&polls_checked), &stop).await;
        closed(log).await;
        ended
    };
    tokio::select! {
        (polled, answered) = async { tokio::join!(polling, answering) } => outcome(polled, answered),
        () = stopping(&stop) => anyhow::bail!(
            "what was polled could not be committed within {} s; it is polled again at the next start",
            STOP_MAX.as_secs()
        ),
    }
}

/// A pipeline to its end, with which the other one stops. Its failure waits until the `other` one's topics have been looked
/// at as its `own` have, so that every problem is told at once.
///
/// # Errors
/// That of `pipeline`, once the other one's topics have been looked at, or [`OTHER_CHECKED_MAX`] is over.
async fn to_the_end(
    pipeline: impl Future<Output = Result<(), GivenUp>>,
    own: &CancellationToken,
    other: Option<&CancellationToken>,
    stop: &CancellationToken,
) -> Result<(), GivenUp> {
    let result = pipeline.await;
    // Whatever this one has found: the other one's failure need not wait for its look any more.
    own.cancel();
    if let (Err(_), Some(other)) = (&result, other) {
        let _ = tokio::time::timeout(OTHER_CHECKED_MAX, other.cancelled()).await;
    }
    // Only now: a stop would have cut the other one's look short.
    stop.cancel();
    result
}

/// With its log a pipeline leaves its group: others take over what it had, whatever the other pipeline is at. That blocks.
async fn closed<L: Send + 'static>(log: L) {
    if let Err(error) = tokio::task::spawn_blocking(move || drop(log)).await {
        tracing::error!(%error, "leaving the group");
    }
}

/// Until a stop has taken too long.
async fn stopping(stop: &CancellationToken) {
    stop.cancelled().await;
    tracing::info!("stopping: what was polled is committed first");
    tokio::time::sleep(STOP_MAX).await;
}

/// # Errors
/// [`PipelinesGivenUp`] where one has, as [`Unfit`] where one of them is.
fn outcome(polled: Result<(), GivenUp>, answered: Result<(), GivenUp>) -> anyhow::Result<()> {
    let failures: Vec<GivenUp> = [polled.err(), answered.err()].into_iter().flatten().collect();
    if failures.is_empty() {
        return Ok(());
    }
    let is_unfit = failures.iter().any(|failure| matches!(failure, GivenUp::Unfit(_)));
    let given_up = PipelinesGivenUp(failures);
    Err(if is_unfit { Unfit::Pipelines(given_up).into() } else { given_up.into() })
}

fn problems(failures: &[GivenUp]) -> String {
    let failures: Vec<String> = failures.iter().map(|failure| text::with_causes(failure)).collect();
    let mut problems: Vec<&str> = Vec::new();
    for problem in failures.iter().flat_map(|failure| failure.lines()) {
        if !problems.contains(&problem) {
            problems.push(problem);
        }
    }
    problems.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_both_pipelines_say_is_one_line_with_each_problem_once() {
        let failed = |problems: &str| Err(GivenUp::Failed(problems.into()));
        let (polled, answered) = ("topic a is missing\ntopic d is missing", "topic d is missing\ntopic r is missing");
        let told = outcome(failed(polled), failed(answered)).unwrap_err();
        assert_eq!(told.to_string(), "topic a is missing; topic d is missing; topic r is missing");
        assert!(told.downcast_ref::<Unfit>().is_none());
        let unfit = outcome(failed(polled), Err(GivenUp::Unfit("too long".into()))).unwrap_err();
        assert!(unfit.downcast_ref::<Unfit>().is_some());
        assert!(outcome(Ok(()), Ok(())).is_ok());
    }
}
