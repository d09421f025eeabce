//! Carries one command out: reads it, checks it, asks the upstream, and answers.
//!
//! What stops an app (credentials, quota, a pace that was too fast) opens a breaker of its client. Its requests then wait,
//! those of other apps go on, and one at a time probes. A request that waits holds no place of those who call.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::command::{Answer, Command};
use super::material::{REQUEST_ID_BYTES_MAX, Verdict, accept, check, judge};
use crate::avro::material::{RequestDecoder, RequestError};
use crate::avro::registry::Registry;
use crate::domain::dead_letter::{DeadLetter, Origin};
use crate::domain::feed::Interface;
use crate::domain::material::{MaterialRequest, MaterialResult, Outcome, Refusal};
use crate::domain::time::UnixMillis;
use crate::retry::{Attempts, Next, RetrySettings};
use crate::wechat::client::Client;
use crate::wechat::error::CallError;
use crate::wechat::material::{GivenMaterial, MaterialQuestion};
use crate::wechat::transport::Transport;

/// How long an upstream that stays unable is asked again for a request without a deadline.
const PATIENCE: Duration = Duration::from_secs(60);
/// And for one whose deadline is further away: nobody who stands behind it may wait longer.
const PATIENCE_MAX: Duration = Duration::from_secs(600);
/// Between two calls for one request; each has its own retries already.
const AGAIN_AFTER: Duration = Duration::from_secs(5);

/// An app that material can be asked for.
pub struct CommandApp<T> {
    client: Arc<Client<T>>,
    /// Its own places of those who call: an app whose host hangs takes none from another.
    calls: Semaphore,
    /// Places for answers, each taken before its call and kept until it is being committed. There are twice as many, so
    /// that the next call begins when one ends, and not when the transaction under way does.
    answers: Arc<Semaphore>,
}

impl<T: Transport> CommandApp<T> {
    /// `concurrency` bounds the calls at once; twice as many calls and answers without a transaction are in memory.
    pub fn new(client: Arc<Client<T>>, concurrency: usize) -> CommandApp<T> {
        let calls = Semaphore::new(concurrency);
        let answers = Arc::new(Semaphore::new(2 * concurrency));
        CommandApp { client, calls, answers }
    }

    /// What a call has brought.
    fn judge(&self, result: Result<GivenMaterial, CallError>) -> Verdict {
        match result {
            Ok(given) => Verdict::Final(match accept(given, self.client.local_now()) {
                Ok(material) => Outcome::Succeeded(material),
                Err(outcome) => outcome,
            }),
            Err(error) => judge(error),
        }
    }
}

/// One of the places for answers; kept until the answer is being committed, so that answers in memory are bounded.
pub type AnswerPermit = OwnedSemaphorePermit;

/// Lives as long as the process.
pub struct Executor<T> {
    apps: HashMap<String, CommandApp<T>>,
    request_topic: String,
    decoder: RequestDecoder,
    registry: Option<Registry>,
    patience: RetrySettings,
}

impl<T: Transport> Executor<T> {
    /// `registry` is asked for the schemas of others, with `patience`.
    pub fn new(
        apps: impl IntoIterator<Item = CommandApp<T>>,
        request_topic: String,
        decoder: RequestDecoder,
        registry: Option<Registry>,
        patience: RetrySettings,
    ) -> Executor<T> {
        let apps = apps.into_iter().map(|app| (app.client.app_id().as_str().to_owned(), app));
        Executor { apps: apps.collect(), request_topic, decoder, registry, patience }
    }

    /// Nothing where `cancel` came first.
    pub async fn answer(
        &self,
        command: &Command,
        cancel: &CancellationToken,
    ) -> Option<(Answer, Option<AnswerPermit>)> {
        let request = match cancel.run_until_cancelled(self.read(command)).await? {
            Ok(request) => request,
            Err((reason, detail)) => {
                return Some((Answer::DeadLetter(self.dead_letter(command, reason, detail)), None));
            }
        };
        let (outcome, permit) = self.carry_out(&request, cancel).await?;
        let result = MaterialResult {
            request_id: bounded(request.request_id),
            app_id: bounded(request.app_id),
            promoter_openid: bounded(request.promoter_openid),
            outcome,
        };
        Some((Answer::Reply(result), permit))
    }

    /// The error is a reason and its detail.
    async fn read(&self, command: &Command) -> Result<MaterialRequest, (&'static str, String)> {
        let Some(value) = &command.value else { return Err(("no_value", "the record has no value".into())) };
        if command.is_json() {
            return self.decoder.decode_json(value).map_err(|error| ("not_json", error.to_string()));
        }
        match self.decoder.decode_avro(value) {
            Err(RequestError::UnknownSchema(id)) => {
                self.learn(id).await.map_err(|detail| ("unknown_schema", detail))?;
                self.decoder.decode_avro(value).map_err(|error| ("not_avro", error.to_string()))
            }
            read => read.map_err(|error| ("not_avro", error.to_string())),
        }
    }

    /// Asks the registry until it can answer: what it knows must not become a dead letter because it was away.
    async fn learn(&self, id: i32) -> Result<(), String> {
        let unknown = || format!("written with the schema id {id}, which no registry knows");
        let registry = self.registry.as_ref().ok_or_else(unknown)?;
        let mut attempts = Attempts::new(&RetrySettings { attempts: u32::MAX, ..self.patience });
        loop {
            match registry.schema(id).await {
                Ok(Some(text)) => return self.decoder.learn(id, &text),
                Ok(None) => return Err(unknown()),
                // Wrong credentials, too, are mended by somebody, and the request stays good.
                Err(error) => {
                    let Next::RetryAfter(pause) = attempts.failed(None) else { return Err(error.to_string()) };
                    tracing::warn!(%error, id, "a request waits for its schema");
                    tokio::time::sleep(pause).await;
                }
            }
        }
    }

    fn dead_letter(&self, command: &Command, reason: &'static str, detail: String) -> DeadLetter {
        let origin = Origin {
            topic: self.request_topic.clone(),
            partition: command.place.partition,
            offset: command.place.offset,
        };
        let now = UnixMillis(jiff::Timestamp::now().as_millisecond());
        DeadLetter::of_command(origin, reason, detail, command.value.as_deref().unwrap_or_default().into(), now)
    }

    async fn carry_out(
        &self,
        request: &MaterialRequest,
        cancel: &CancellationToken,
    ) -> Option<(Outcome, Option<AnswerPermit>)> {
        let app = self.apps.get(&request.app_id);
        let now = app.map(|app| app.client.local_now()).unwrap_or_default();
        let question = match check(request, |_| app.is_some(), now) {
            Ok(question) => question,
            Err(outcome) => return Some((outcome, None)),
        };
        let app = app.expect("the check refuses an app that is not known");
        let left = request.deadline.map(|deadline| {
            Duration::from_millis(deadline.0.saturating_sub(now.0).max(0).cast_unsigned()).min(FAR_AWAY)
        });
        let deadline = left.map(|left| Instant::now() + left);
        let mut last = None;
        let asking = self.ask(app, &question, left, &mut last, cancel);
        let answered = match deadline {
            Some(deadline) => tokio::time::timeout_at(deadline, asking).await,
            None => Ok(asking.await),
        };
        match answered {
            Ok(answered) => answered,
            Err(_) => Some((overdue(last), None)),
        }
    }

    /// Asks until there is an outcome. `last` is why the last call could not carry the request out.
    async fn ask(
        &self,
        app: &CommandApp<T>,
        question: &MaterialQuestion,
        left: Option<Duration>,
        last: &mut Option<Refusal>,
        cancel: &CancellationToken,
    ) -> Option<(Outcome, Option<AnswerPermit>)> {
        let mut unable_until: Option<Instant> = None;
        loop {
            let turn = cancel.run_until_cancelled(self.turn(app, question, cancel));
            let turned = match unable_until {
                Some(until) => tokio::time::timeout_at(until, turn).await,
                None => Ok(turn.await),
            };
            let Ok(turned) = turned else {
                let refusal = last.take().unwrap_or_else(|| Refusal::own("the upstream gives no answers"));
                return Some((Outcome::Failed(refusal), None));
            };
            let (result, permit) = turned?;
            match app.judge(result) {
                Verdict::Final(outcome) => return Some((outcome, Some(permit))),
                Verdict::Again(refusal) => {
                    let patience = left.map_or(PATIENCE, |_| PATIENCE_MAX);
                    let until = *unable_until.get_or_insert_with(|| Instant::now() + patience);
                    if Instant::now() + AGAIN_AFTER > until {
                        return Some((Outcome::Failed(refusal), Some(permit)));
                    }
                    *last = Some(refusal);
                    drop(permit);
                    cancel.run_until_cancelled(tokio::time::sleep(AGAIN_AFTER)).await?;
                }
                Verdict::Held(refusal) => {
                    *last = refusal;
                    // It did answer; and while the app is held nobody asks, which must not use the patience up.
                    unable_until = None;
                }
                Verdict::Cancelled => return None,
            }
        }
    }

    /// Waits for its turn and makes one call, with that client's retries.
    async fn turn(
        &self,
        app: &CommandApp<T>,
        question: &MaterialQuestion,
        cancel: &CancellationToken,
    ) -> (Result<GivenMaterial, CallError>, AnswerPermit) {
        app.client.breakers().ready(Interface::GetShareMaterial).await;
        let permit = app.answers.clone().acquire_owned().await.expect("nothing closes the semaphore");
        let _call = app.calls.acquire().await.expect("nothing closes the semaphore");
        (app.client.material(question, cancel).await, permit)
    }
}

/// Beyond it, a clock that jumps would overflow; nobody waits that long.
const FAR_AWAY: Duration = Duration::from_secs(366 * 24 * 3600);

/// The deadline came while the request was waiting or asking. `last` is why the upstream could not carry it out.
fn overdue(last: Option<Refusal>) -> Outcome {
    match last {
        Some(Refusal { errcode, message }) => {
            Outcome::Failed(Refusal { errcode, message: format!("the deadline passed; before that: {message}") })
        }
        None => Outcome::Expired(Refusal::own("the deadline passed before the upstream had answered")),
    }
}

/// What a reply repeats of a request is bounded, also where that is why it was refused.
fn bounded(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(REQUEST_ID_BYTES_MAX));
    text
}

#[cfg(test)]
mod tests;
