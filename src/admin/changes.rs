//! `POST /api/v1/promoters/{app}/{id}/pause`, `resume` and `rewind`: what may be changed over the port, by whom
//! [`permission`](super::permission) lets in.

use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::answer::{RefusalAnswer, json};
use super::observed::{ObservedConnector, PermittedChanges};
use crate::changes::change_plan::ChangeOutcome;
use crate::changes::moment::rewind_time;
use crate::changes::rewind::{RewindRequest, WOULD_REPUBLISH};
use crate::changes::{ChangeError, pause as pausing};
use crate::model::feed::{Feed, NoFeed};
use crate::model::promoter::{AppId, Promoter};

/// Of a request's body. None is as long as a hundred bytes.
const BODY_BYTES_MAX: usize = 4 * 1024;

/// Nothing is said of a pause but whose it is.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct PauseBody {}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RewindBody {
    feed: String,
    /// A time in RFC 3339, or a day, which begins at midnight in Beijing.
    to: String,
    #[serde(default)]
    republish: bool,
    #[serde(default)]
    dry_run: bool,
}

#[derive(Debug, Serialize)]
struct PauseAnswer<'a> {
    promoter: &'a str,
    paused: bool,
    /// Whether something was written; what is so already needs nothing.
    changed: bool,
    text: &'static str,
}

/// A refusal with its status.
type Refused = (StatusCode, String);

pub async fn pause(state: State<Arc<ObservedConnector>>, path: Path<(String, String)>, body: Body) -> Response {
    set_paused(&state, path.0, body, true).await.unwrap_or_else(refusal)
}

pub async fn resume(state: State<Arc<ObservedConnector>>, path: Path<(String, String)>, body: Body) -> Response {
    set_paused(&state, path.0, body, false).await.unwrap_or_else(refusal)
}

pub async fn rewind(state: State<Arc<ObservedConnector>>, path: Path<(String, String)>, body: Body) -> Response {
    asked_again(&state, path.0, body).await.unwrap_or_else(refusal)
}

/// # Errors
/// Where the promoter can't be told, or is not changed.
async fn set_paused(
    observed: &ObservedConnector,
    (app, id): (String, String),
    body: Body,
    paused: bool,
) -> Result<Response, Refused> {
    let (changing, promoter) = (permitted(observed)?, promoter(&app, &id)?);
    let PauseBody {} = read::<PauseBody>(body).await?.unwrap_or_default();
    let outcome = changing.changes.pause(promoter.clone(), paused).await.map_err(told)?;
    let (changed, text) = (outcome != ChangeOutcome::Unchanged, pausing::word(paused, outcome));
    tracing::info!(promoter = promoter.key(), paused, changed, "a promoter is changed over the admin port");
    Ok(json(StatusCode::OK, &PauseAnswer { promoter: promoter.key(), paused, changed, text }))
}

/// # Errors
/// Where the promoter, the feed or the time can't be told, or the feed is not asked again.
async fn asked_again(
    observed: &ObservedConnector,
    (app, id): (String, String),
    body: Body,
) -> Result<Response, Refused> {
    let (changing, promoter) = (permitted(observed)?, promoter(&app, &id)?);
    let invalid = |what: String| (StatusCode::BAD_REQUEST, what);
    let body: Option<RewindBody> = read(body).await?;
    let example = "send {\"feed\":\"touches\",\"to\":\"2026-11-03\"}, and as one likes republish and dry_run";
    let RewindBody { feed, to, republish, dry_run } = body.ok_or_else(|| invalid(example.to_owned()))?;
    let feed: Feed = feed.parse().map_err(|error: NoFeed| invalid(format!("feed: {error}")))?;
    let to = rewind_time(&to).map_err(|error| invalid(format!("to: {error}")))?;
    let request = RewindRequest { promoter: promoter.clone(), feed, to, republish, dry_run };
    let planned = changing.changes.rewind(request).await.map_err(told)?;
    let mut answer = planned.json(&promoter);
    if planned.plan.is_refused() {
        answer["error"] = format!("refused without republish: {WOULD_REPUBLISH}").into();
        return Ok(json(StatusCode::CONFLICT, &answer));
    }
    if let Some(rewind) = planned.written {
        tracing::info!(promoter = promoter.key(), %feed, %to, republish, %rewind, "a rewind is written over the admin port");
    }
    Ok(json(StatusCode::OK, &answer))
}

/// # Errors
/// Where nothing may be changed: nobody is let in then.
fn permitted(observed: &ObservedConnector) -> Result<&PermittedChanges, Refused> {
    observed
        .changing
        .as_ref()
        .ok_or_else(|| (StatusCode::FORBIDDEN, "nothing can be changed over this port".to_owned()))
}

/// # Errors
/// 404 where one of both can't be an id.
fn promoter(app: &str, id: &str) -> Result<Promoter, Refused> {
    let promoter = AppId::new(app).and_then(|app| Promoter::new(&app, id));
    promoter.map_err(|error| (StatusCode::NOT_FOUND, format!("there is no such promoter: the id {error}")))
}

/// What the body says; nothing where it is empty.
///
/// # Errors
/// 413 where it is too long, 400 where it is not what it should be.
async fn read<T: DeserializeOwned>(body: Body) -> Result<Option<T>, Refused> {
    let bytes = to_bytes(body, BODY_BYTES_MAX).await;
    let too_long = || (StatusCode::PAYLOAD_TOO_LARGE, format!("send {BODY_BYTES_MAX} bytes at most"));
    let bytes = bytes.map_err(|_| too_long())?;
    if bytes.is_empty() {
        return Ok(None);
    }
    serde_json::from_slice(&bytes).map(Some).map_err(|error| (StatusCode::BAD_REQUEST, error.to_string()))
}

/// What a failure is to whoever has asked. One of the brokers or a registry is told in their words.
fn told(error: ChangeError) -> Refused {
    let status = match &error {
        ChangeError::Unknown(_) => StatusCode::NOT_FOUND,
        ChangeError::Refused(_) | ChangeError::WrittenOver(_) => StatusCode::CONFLICT,
        ChangeError::Failed(_) => StatusCode::SERVICE_UNAVAILABLE,
    };
    (status, error.to_string())
}

fn refusal((status, error): Refused) -> Response {
    json(status, &RefusalAnswer { error })
}
