//! A client against a scripted upstream, on paused time.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;

use super::*;
use crate::model::feed::Feed;
use crate::model::promoter::Promoter;
use crate::model::time::{Day, UnixMillis};
use crate::upstream::error::{Cause, OpenReason, Reaction, StopReason};
use crate::upstream::quota_answer;
use crate::upstream::rows_request::RowsQuery;
use crate::upstream::transport::{HttpRequest, HttpResponse, TransportError};

mod answers;
mod clocks;
mod limits;
mod material;
mod promoters;
mod quota;
mod tokens;

const START: UnixTime = UnixTime(1_700_000_000);
const TOUCH: &str =
    r#"{"relation_list":[{"openid":"u","create_time":1600000000}],"total_cnt":1,"start_id":9,"errcode":0}"#;
const REJECTED: &str = r#"{"errcode":40001,"errmsg":"invalid credential"}"#;
const NO_DATA: &str = r#"{"errcode":103006,"errmsg":"data does not exist rid: 1"}"#;
const SECRET: &str = "app-secret";
const STOPPED: Duration = Duration::from_secs(300);

/// One scripted answer.
enum Step {
    Body(u16, String),
    RetryAfter(u16, u64),
    /// The upstream's clock is this many seconds ahead, and the body comes after this many.
    Dated {
        ahead: i64,
        slow: u64,
    },
    /// The error page of a proxy, whose clock is this many seconds ahead.
    DatedByProxy {
        ahead: i64,
    },
    /// The answer to a call for a token by a host whose clock is this many seconds ahead.
    DatedRefusal {
        ahead: i64,
    },
    Fails(TransportError),
    Hangs,
}

fn ok(body: &str) -> Step {
    Step::Body(200, body.into())
}

fn code(errcode: i64) -> Step {
    ok(&format!(r#"{{"errcode":{errcode},"errmsg":"no rid: 1"}}"#))
}

struct Sent {
    base_url: String,
    path: &'static str,
    query: Vec<(&'static str, String)>,
    body: String,
    at: Duration,
}

/// Answers data calls and token calls from their scripts; without one, with a touch and with `token-1`, `token-2`, ….
#[derive(Clone)]
struct Upstream(Arc<Inner>);

struct Inner {
    start: Instant,
    data: Mutex<VecDeque<Step>>,
    tokens: Mutex<VecDeque<Step>>,
    quotas: Mutex<VecDeque<Step>>,
    sent: Mutex<Vec<Sent>>,
}

impl Upstream {
    fn new(data: impl IntoIterator<Item = Step>, tokens: impl IntoIterator<Item = Step>) -> Upstream {
        Upstream(Arc::new(Inner {
            start: Instant::now(),
            data: Mutex::new(data.into_iter().collect()),
            tokens: Mutex::new(tokens.into_iter().collect()),
            quotas: Mutex::default(),
            sent: Mutex::default(),
        }))
    }

    /// What it answers to whoever asks for a quota; without a script, that nobody may.
    fn telling(self, quotas: impl IntoIterator<Item = Step>) -> Upstream {
        self.0.quotas.lock().unwrap().extend(quotas);
        self
    }

    fn is_token_call(path: &str) -> bool {
        !path.starts_with("/promoter/") && path != quota_answer::PATH
    }

    fn quota_calls(&self) -> Vec<Duration> {
        let sent = self.0.sent.lock().unwrap();
        sent.iter().filter(|sent| sent.path == quota_answer::PATH).map(|sent| sent.at).collect()
    }

    fn token_calls(&self) -> usize {
        self.0.sent.lock().unwrap().iter().filter(|sent| Upstream::is_token_call(sent.path)).count()
    }

    fn data_calls<F: Fn(&Sent) -> R, R>(&self, show: F) -> Vec<R> {
        let sent = self.0.sent.lock().unwrap();
        sent.iter().filter(|sent| sent.path.starts_with("/promoter/")).map(show).collect()
    }

    /// Which tokens the data calls carried.
    fn tokens_sent(&self) -> Vec<String> {
        self.data_calls(|sent| sent.query[0].1.clone())
    }
}

#[async_trait]
impl Transport for Upstream {
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, TransportError> {
        let is_token_call = Upstream::is_token_call(request.path);
        self.0.sent.lock().unwrap().push(Sent {
            base_url: request.base_url,
            path: request.path,
            query: request.query,
            body: String::from_utf8(request.body.unwrap_or_default().to_vec()).unwrap(),
            at: self.0.start.elapsed(),
        });
        let is_quota_call = request.path == quota_answer::PATH;
        let script = match is_token_call {
            true => &self.0.tokens,
            false if is_quota_call => &self.0.quotas,
            false => &self.0.data,
        };
        let step = script.lock().unwrap().pop_front().unwrap_or_else(|| match is_token_call {
            true => ok(&format!(r#"{{"access_token":"token-{}","expires_in":7200}}"#, self.token_calls())),
            false if is_quota_call => code(48001),
            false if request.path == Interface::GetRelation.path() => ok(TOUCH),
            false => ok(r#"{"errcode":0}"#),
        });
        tokio::time::sleep(Duration::from_millis(5)).await;
        let answer = |status, body: String| HttpResponse { status, body: body.into(), date: None, retry_after: None };
        match step {
            Step::Body(status, body) => Ok(answer(status, body)),
            Step::RetryAfter(status, seconds) => {
                Ok(HttpResponse { retry_after: Some(Duration::from_secs(seconds)), ..answer(status, "busy".into()) })
            }
            Step::Dated { ahead, slow } => {
                let date = self.now().as_seconds().plus(ahead);
                tokio::time::sleep(Duration::from_secs(slow)).await;
                Ok(HttpResponse { date: Some(date), ..answer(200, TOUCH.into()) })
            }
            Step::DatedByProxy { ahead } => {
                let date = self.now().as_seconds().plus(ahead);
                Ok(HttpResponse { date: Some(date), ..answer(502, "bad gateway".into()) })
            }
            Step::DatedRefusal { ahead } => {
                let date = self.now().as_seconds().plus(ahead);
                Ok(HttpResponse { date: Some(date), ..answer(200, r#"{"errcode":41002}"#.into()) })
            }
            Step::Fails(error) => Err(error),
            Step::Hangs => std::future::pending().await,
        }
    }

    fn now(&self) -> UnixMillis {
        let elapsed = i64::try_from(self.0.start.elapsed().as_millis()).unwrap();
        UnixMillis(START.as_millis().0 + elapsed)
    }
}

fn settings() -> ClientSettings {
    ClientSettings {
        base_url: "http://a".into(),
        token_source: TokenSource::Stable(SECRET.into()),
        in_flight: 64,
        ..ClientSettings::for_tests("wx1")
    }
}

fn rows_request(query: RowsQuery) -> RowsRequest {
    RowsRequest { promoter: Promoter::new(&AppId::new("wx1").unwrap(), "oP").unwrap(), query, start_id: None }
}

fn touches() -> RowsRequest {
    rows_request(RowsQuery::Window { feed: Feed::Touches, begin: UnixTime(1), end: UnixTime(2) })
}

async fn ask_with(settings: ClientSettings, upstream: &Upstream) -> Result<RowsResponse, CallError> {
    Client::new(settings, upstream.clone()).page(&touches(), &CancellationToken::new()).await
}

async fn ask(data: impl IntoIterator<Item = Step>) -> Result<RowsResponse, CallError> {
    ask_with(settings(), &Upstream::new(data, [])).await
}

/// Asks `callers` times at once. Hands on at once what they get.
async fn together(client: &Client, callers: usize) -> Vec<Result<RowPage, CallError>> {
    let (request, cancel) = (touches(), CancellationToken::new());
    let calls = (0..callers).map(|_| client.page(&request, &cancel));
    let mut calls: Vec<_> = calls.map(Box::pin).collect();
    let mut results = Vec::new();
    std::future::poll_fn(|context| {
        calls.retain_mut(|call| match call.as_mut().poll(context) {
            std::task::Poll::Ready(result) => {
                results.push(result.map(|answer| answer.page));
                false
            }
            std::task::Poll::Pending => true,
        });
        if calls.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    results
}
