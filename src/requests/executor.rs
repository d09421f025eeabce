//! Carries requests out: reads one, checks it, asks the upstream, and answers.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::at_once::AtOnce;
use self::upstream_calls::call_upstream;
pub use super::app::{AnswerPermit, MaterialApp};
use super::material::{ID_BYTES_MAX, check};
use crate::avro::json_object::FieldFlaw;
use crate::avro::material::{RequestDecoder, RequestError};
use crate::avro::schema_lookup::{SchemaLookupError, SchemaLookups, SchemaSource};
use crate::model::dead_letter::{DeadLetter, Origin};
use crate::model::material::{MaterialOutcome, MaterialRefusal, MaterialRequest, MaterialResult};
use crate::model::request::record::{RequestAnswer, RequestRecord};
use crate::model::time::UnixMillis;
use crate::retry::RetrySettings;
use crate::telemetry::pipeline;
use crate::text::{bounded_in_bytes, with_causes};
use crate::upstream::breaker::OpenBreaker;
use crate::upstream::material::ShareMaterialRequest;

/// Beyond it, a clock that jumps would overflow; nobody waits that long.
const FAR_AWAY: Duration = Duration::from_secs(366 * 24 * 3600);

mod at_once;
mod upstream_calls;

/// Carries out the requests of all apps. Lives as long as the process.
pub struct Executor {
    apps: HashMap<String, MaterialApp>,
    request_topic: String,
    decoder: RequestDecoder,
    lookups: SchemaLookups,
    pub(super) at_once: AtOnce,
}

/// What a request says. The same bytes always say the same, so whose request it is never changes; but for a schema that
/// nobody has asked for yet.
#[derive(Debug)]
pub enum DecodedRecord {
    Request(Box<DecodedRequest>),
    /// It says nothing.
    DeadLetter(DeadLetter),
    /// The schema with this id has to be asked for first.
    UnknownSchema(i32),
}

/// A request that can be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecodedRequest {
    request: MaterialRequest,
    /// What is wrong with one of its fields, where that can't be read.
    flaw: Option<FieldFlaw>,
}

impl DecodedRequest {
    pub fn app_id(&self) -> &str {
        &self.request.app_id
    }

    pub fn deadline(&self) -> Option<UnixMillis> {
        self.request.deadline
    }
}

impl Executor {
    /// `registry` is asked for the schemas of others, with `patience`.
    pub fn new(
        apps: impl IntoIterator<Item = MaterialApp>,
        request_topic: String,
        decoder: RequestDecoder,
        registry: Option<Arc<dyn SchemaSource>>,
        patience: RetrySettings,
    ) -> Executor {
        let apps = apps.into_iter().map(|app| (app.client.app_id().as_str().to_owned(), app));
        Executor {
            apps: apps.collect(),
            request_topic,
            decoder,
            lookups: SchemaLookups::new(pipeline::REQUESTS, registry, patience),
            at_once: AtOnce::default(),
        }
    }

    /// How many requests of the app may be in memory; nothing for one that is not known.
    pub(crate) fn room(&self, app_id: &str) -> Option<usize> {
        self.apps.get(app_id).map(MaterialApp::room)
    }

    /// The local clock.
    pub fn now(&self) -> UnixMillis {
        let app = self.apps.values().next();
        app.map_or_else(crate::clock::now, |app| app.client.local_now())
    }

    pub fn read(&self, record: &RequestRecord) -> DecodedRecord {
        let dead = |reason, detail: String| DecodedRecord::DeadLetter(self.dead_letter(record, reason, detail));
        let Some(value) = &record.value else { return dead("no_value", "the record has no value".into()) };
        let (decoded, reason) = match record.is_json() {
            true => (self.decoder.decode_json(value), "not_json"),
            false => (self.decoder.decode_avro(value), "not_avro"),
        };
        match decoded {
            Ok(request) => DecodedRecord::Request(Box::new(DecodedRequest { request, flaw: None })),
            Err(RequestError::Flawed { request, flaw }) => {
                DecodedRecord::Request(Box::new(DecodedRequest { request: *request, flaw: Some(flaw) }))
            }
            Err(RequestError::UnknownSchema(id)) => DecodedRecord::UnknownSchema(id),
            Err(error @ RequestError::Unreadable(_)) => dead(reason, error.to_string()),
        }
    }

    /// Asks the registry for a schema until it can answer.
    ///
    /// # Errors
    /// Where the schema will never be known.
    pub(super) async fn learn(&self, id: i32) -> Result<(), SchemaLookupError> {
        self.lookups.learn(id, |text| self.decoder.learn(id, text)).await
    }

    /// The id of the schema that a request is written in, where a registry has to tell it.
    pub fn schema_id(&self, record: &RequestRecord) -> Option<i32> {
        let value = record.value.as_deref().filter(|_| !record.is_json())?;
        RequestDecoder::schema_id(value)
    }

    /// The id of the connector's own schema, which is always known.
    pub(crate) fn own_schema_id(&self) -> Option<i32> {
        self.decoder.own_id()
    }

    /// Of a request in a schema that will never be known, for this reason.
    pub(super) fn without_schema(&self, record: &RequestRecord, reason: &SchemaLookupError) -> DeadLetter {
        self.dead_letter(record, "unknown_schema", with_causes(reason))
    }

    fn dead_letter(&self, record: &RequestRecord, reason: &'static str, detail: String) -> DeadLetter {
        let origin = Origin {
            topic: self.request_topic.clone(),
            partition: record.location.partition,
            offset: record.location.offset,
        };
        let now = self.now();
        DeadLetter::of_request(origin, reason, detail, record.value.as_deref().unwrap_or_default().into(), now)
    }

    /// The answer where none of the upstream's is needed: there is a fault in the request, or its deadline has passed at
    /// `now`.
    pub(crate) fn without_a_call(&self, request: &DecodedRequest, now: UnixMillis) -> Option<RequestAnswer> {
        let checked = self.check(request, now);
        checked.err().map(|outcome| reply(request, outcome))
    }

    /// # Errors
    /// The outcome, which needs no call: the request is refused, or its deadline has passed at `now`.
    fn check(
        &self,
        DecodedRequest { request, flaw }: &DecodedRequest,
        now: UnixMillis,
    ) -> Result<(&MaterialApp, ShareMaterialRequest), MaterialOutcome> {
        if let Some(flaw) = flaw {
            return Err(MaterialOutcome::Rejected(MaterialRefusal::own(flaw.to_string())));
        }
        check(request, |app_id| self.apps.get(app_id), now).map_err(|outcome| match outcome {
            MaterialOutcome::Expired(refusal) => self.expired(&request.app_id, refusal),
            outcome => outcome,
        })
    }

    /// Too late for what `refusal` says; and where the app's requests wait, for what stops them all. Its code is not the
    /// answer to this request, so it stands in the words alone.
    fn expired(&self, app_id: &str, MaterialRefusal { errcode, message }: MaterialRefusal) -> MaterialOutcome {
        let open_breaker = self.apps.get(app_id).and_then(MaterialApp::open_breaker);
        MaterialOutcome::Expired(match open_breaker {
            Some(OpenBreaker { reason, cause, .. }) => {
                MaterialRefusal { errcode, message: format!("{message}; the app's requests wait ({reason}): {cause}") }
            }
            None => MaterialRefusal { errcode, message },
        })
    }

    /// Nothing where `cancel` came first.
    pub async fn carry_out(
        &self,
        request: &DecodedRequest,
        cancel: &CancellationToken,
    ) -> Option<(RequestAnswer, Option<AnswerPermit>)> {
        let now = self.apps.get(request.app_id()).map_or_else(|| self.now(), |app| app.client.local_now());
        let (app, upstream_request) = match self.check(request, now) {
            Ok(checked) => checked,
            Err(outcome) => return Some((reply(request, outcome), None)),
        };
        let left = request.deadline().map(|deadline| {
            Duration::from_millis(deadline.0.saturating_sub(now.0).max(0).cast_unsigned()).min(FAR_AWAY)
        });
        let deadline = left.map(|left| Instant::now() + left);
        let mut last = None;
        let calls = call_upstream(app, &upstream_request, left, &mut last, cancel);
        let answered = match deadline {
            // The call is dropped where it stands: whatever it might still bring, the reply is that the deadline has passed.
            Some(deadline) => tokio::time::timeout_at(deadline, calls).await,
            None => Ok(calls.await),
        };
        let (outcome, permit) = match answered {
            Ok(answered) => answered?,
            Err(_) => (self.overdue(request.app_id(), last), None),
        };
        Some((reply(request, outcome), permit))
    }

    /// The deadline came before the request was answered. `last` is why the upstream could not carry it out.
    fn overdue(&self, app_id: &str, last: Option<MaterialRefusal>) -> MaterialOutcome {
        let words = "the deadline passed before the upstream had answered";
        match last {
            Some(MaterialRefusal { errcode, message }) => MaterialOutcome::Expired(MaterialRefusal {
                errcode,
                message: format!("{words}; before that: {message}"),
            }),
            None => self.expired(app_id, MaterialRefusal::own(words)),
        }
    }
}

/// Repeats the whole `request_id`, by which the requester knows it again. What else it repeats is bounded, also where that is
/// why the request was refused.
fn reply(DecodedRequest { request, .. }: &DecodedRequest, outcome: MaterialOutcome) -> RequestAnswer {
    RequestAnswer::Reply(MaterialResult {
        request_id: request.request_id.clone(),
        app_id: bounded_in_bytes(&request.app_id, ID_BYTES_MAX).to_owned(),
        promoter_openid: bounded_in_bytes(&request.promoter_openid, ID_BYTES_MAX).to_owned(),
        outcome,
    })
}

#[cfg(test)]
mod tests;
