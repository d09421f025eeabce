//! The world over HTTP.
//!
//! Beside the upstream's paths it has its own, all GET: `/_truth?from=<Unix seconds>` (what was shown, a JSON object
//! a line), `/_settled?from=…` (whether all of it was), `/_stats` (calls and facts).

use std::io;
use std::time::{Duration, SystemTime};

use anyhow::Context;
use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, Method as HttpMethod, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures_util::stream;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::listener::{ConnectionCutter, CuttableListener};
use crate::clock;
use crate::model::time::UnixTime;
use crate::simulator::exchange::{Delivery, SimRequest, SimResponse};
use crate::simulator::world::shared::SharedWorld;
use crate::simulator::world::shown_facts::TruthPosition;
use crate::upstream::transport::Method;

/// The world's requests are small: a few parameters.
const REQUEST_BYTES_MAX: usize = 64 * 1024;
/// Longer than any sensible client waits.
const HANG: Duration = Duration::from_secs(120);
/// How long open connections may take to end after the shutdown began.
const GRACE: Duration = Duration::from_secs(5);
/// Facts of one piece of `/_truth`: bounds its memory and the time for which the world is locked.
const TRUTH_PLACES: usize = 2000;

#[derive(Clone)]
struct Served {
    world: SharedWorld,
    shutdown: CancellationToken,
}

/// Serves until the shutdown, then gives open connections a few seconds.
///
/// # Errors
/// When the listener fails.
pub async fn serve(listener: TcpListener, world: SharedWorld, shutdown: CancellationToken) -> anyhow::Result<()> {
    let router = Router::new()
        .route("/_truth", get(truth))
        .route("/_settled", get(settled))
        .route("/_stats", get(stats))
        .fallback(upstream)
        .with_state(Served { world, shutdown: shutdown.clone() });
    let service = router.into_make_service_with_connect_info::<ConnectionCutter>();
    let server = axum::serve(CuttableListener(listener), service)
        .with_graceful_shutdown(shutdown.clone().cancelled_owned())
        .into_future();
    let overdue = async {
        shutdown.cancelled().await;
        tokio::time::sleep(GRACE).await;
    };
    tokio::select! {
        ended = server => ended.context("the simulated upstream's listener failed"),
        () = overdue => Ok(()),
    }
}

async fn upstream(
    State(served): State<Served>,
    ConnectInfo(cutter): ConnectInfo<ConnectionCutter>,
    request: Request,
) -> Response {
    let request = match read(request).await {
        Ok(request) => request,
        Err(status) => return status.into_response(),
    };
    let answer = served.world.with(|world| world.answer(clock::now(), &request));
    let wait = if answer.delivery == Delivery::Hang { HANG } else { answer.after };
    tokio::select! {
        () = tokio::time::sleep(wait) => {}
        () = served.shutdown.cancelled() => {
            cutter.cut();
            return StatusCode::SERVICE_UNAVAILABLE.into_response();
        }
    }
    play(&served.world, &cutter, answer)
}

/// What the upstream refuses before it looks: a body without a length (spec: 412), one that is too large.
///
/// # Errors
/// The status with which it is refused, also where the method is neither GET nor POST.
async fn read(request: Request) -> Result<SimRequest, StatusCode> {
    let (parts, body) = request.into_parts();
    let method = match parts.method {
        HttpMethod::GET => Method::Get,
        HttpMethod::POST => Method::Post,
        _ => return Err(StatusCode::METHOD_NOT_ALLOWED),
    };
    if method == Method::Post && !parts.headers.contains_key(header::CONTENT_LENGTH) {
        return Err(StatusCode::PRECONDITION_FAILED);
    }
    let body = to_bytes(body, REQUEST_BYTES_MAX).await.map_err(|_| StatusCode::PAYLOAD_TOO_LARGE)?;
    Ok(SimRequest { method, path: parts.uri.path().to_owned(), query: query(&parts.uri), body })
}

fn query(uri: &Uri) -> Vec<(String, String)> {
    url::form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()).into_owned().collect()
}

fn play(world: &SharedWorld, cutter: &ConnectionCutter, answer: SimResponse) -> Response {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut headers = HeaderMap::new();
    let date = Duration::from_secs(u64::try_from(answer.date.0).unwrap_or(0));
    let date = httpdate::fmt_http_date(SystemTime::UNIX_EPOCH + date);
    let values = [
        (header::DATE, Some(date)),
        (header::CONTENT_TYPE, Some(answer.content_type.to_owned())),
        (header::CONTENT_ENCODING, (answer.is_packed && says_packed(&answer)).then(|| "gzip".to_owned())),
        (header::RETRY_AFTER, answer.retry_after.map(|seconds| seconds.to_string())),
        (header::CONTENT_LENGTH, Some(answer.body.len().to_string())),
    ];
    for (name, value) in values {
        if let Some(value) = value.and_then(|value| value.parse().ok()) {
            headers.insert(name, value);
        }
    }
    let body = match answer.delivery {
        Delivery::Whole => {
            world.with(|world| world.delivered(answer.receipt));
            Body::from(answer.body)
        }
        Delivery::Truncated(length) => broken(answer.body.slice(..length.min(answer.body.len()))),
        Delivery::Hang | Delivery::Reset => {
            cutter.cut();
            Body::empty()
        }
    };
    (status, headers, body).into_response()
}

/// Some gateways pack a body and do not say so; which it is follows from the body.
fn says_packed(answer: &SimResponse) -> bool {
    !answer.body.len().is_multiple_of(4)
}

/// Sends these bytes and then breaks off, below the announced length.
fn broken(bytes: Bytes) -> Body {
    Body::from_stream(stream::unfold(Some(bytes), |rest| async move {
        match rest {
            Some(bytes) => Some((Ok(bytes), None)),
            None => {
                // The pause lets the connection flush what it has; the error then closes it.
                tokio::time::sleep(Duration::from_millis(5)).await;
                Some((Err(io::Error::from(io::ErrorKind::ConnectionAborted)), None))
            }
        }
    }))
}

fn from_parameter(uri: &Uri) -> Result<Option<UnixTime>, (StatusCode, &'static str)> {
    let given = query(uri).into_iter().find(|(name, _)| name == "from");
    match given.map(|(_, value)| value.parse::<i64>()) {
        None => Ok(None),
        Some(Ok(seconds)) => Ok(Some(UnixTime(seconds))),
        Some(Err(_)) => Err((StatusCode::BAD_REQUEST, "from: write Unix seconds\n")),
    }
}

async fn truth(State(served): State<Served>, uri: Uri) -> Response {
    let from = match from_parameter(&uri) {
        Ok(from) => from,
        Err(refusal) => return refusal.into_response(),
    };
    let lines = stream::unfold(Some(TruthPosition::default()), move |at| {
        let world = served.world.clone();
        async move {
            let at = at?;
            let (shown, next) = world.with(|world| world.truth_page(at, TRUTH_PLACES));
            let wanted = shown.iter().filter(|line| from.is_none_or(|from| line.time >= from));
            let text: String = wanted.map(|line| format!("{}\n", line.to_json())).collect();
            tokio::task::yield_now().await;
            Some((Ok::<_, io::Error>(Bytes::from(text)), next))
        }
    });
    ([(header::CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(lines)).into_response()
}

async fn settled(State(served): State<Served>, uri: Uri) -> Response {
    match from_parameter(&uri) {
        Ok(from) => json(&served.world.with(|world| world.settlement(clock::now(), from))),
        Err(refusal) => refusal.into_response(),
    }
}

async fn stats(State(served): State<Served>) -> Response {
    json(&served.world.with(|world| world.statistics(clock::now())))
}

fn json(value: &impl serde::Serialize) -> Response {
    match serde_json::to_string(value) {
        Ok(text) => ([(header::CONTENT_TYPE, "application/json")], text + "\n").into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
