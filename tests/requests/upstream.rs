//! The simulated upstream with somebody who writes down what was asked for whom, and what came back.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use promoter_connector::model::time::UnixMillis;
use promoter_connector::simulator::SimulatedTransport;
use promoter_connector::upstream::transport::{HttpRequest, HttpResponse, Transport, TransportError};
use serde_json::Value;

use super::plan::number_of;

/// A clone stands before the same upstream and writes down in the same place.
#[derive(Clone)]
pub struct WatchedUpstream {
    pub simulated: SimulatedTransport,
    pub calls: Arc<Mutex<Calls>>,
    pub outage: Option<Outage>,
}

/// The secret of an app is wrong, until somebody mends it.
#[derive(Clone, Debug)]
pub struct Outage {
    pub app: String,
    pub until: UnixMillis,
}

#[derive(Clone, Default)]
pub struct Calls {
    /// For material, by the number of the request. One that had no answer before its end is not written down as ended.
    pub of_requests: BTreeMap<usize, Vec<Call>>,
    /// For tokens, by app.
    pub of_tokens: BTreeMap<String, Vec<Call>>,
    /// Bodies of calls for material that belong to no request.
    pub astray: Vec<String>,
}

#[derive(Clone, Debug)]
pub struct Call {
    pub began: UnixMillis,
    pub ended: Option<(UnixMillis, Given)>,
}

/// What came back.
#[derive(Clone, Debug, PartialEq)]
pub enum Given {
    Content(Value),
    Refusal(i64),
    /// No readable answer of the upstream's.
    Nothing,
}

/// Where a call is written down.
enum Entry {
    Request(usize, usize),
    Token(String, usize),
    Astray,
}

impl Outage {
    fn strikes(&self, entry: &Entry, now: UnixMillis) -> bool {
        matches!(entry, Entry::Token(app, _) if *app == self.app) && now < self.until
    }
}

impl Calls {
    fn begin(&mut self, path: &str, body: &[u8], began: UnixMillis) -> Entry {
        let json: Value = serde_json::from_slice(body).unwrap_or_default();
        let begun = |calls: &mut Vec<Call>| {
            calls.push(Call { began, ended: None });
            calls.len() - 1
        };
        if path == "/cgi-bin/stable_token" {
            let app = json["appid"].as_str().unwrap_or_default().to_owned();
            let index = begun(self.of_tokens.entry(app.clone()).or_default());
            return Entry::Token(app, index);
        }
        match json["path"].as_str().and_then(number_of) {
            Some(number) => Entry::Request(number, begun(self.of_requests.entry(number).or_default())),
            None => {
                self.astray.push(String::from_utf8_lossy(body).into_owned());
                Entry::Astray
            }
        }
    }

    fn end(&mut self, entry: &Entry, now: UnixMillis, given: Given) {
        let call = match entry {
            Entry::Request(number, index) => &mut self.of_requests.get_mut(number).unwrap()[*index],
            Entry::Token(app, index) => &mut self.of_tokens.get_mut(app).unwrap()[*index],
            Entry::Astray => return,
        };
        call.ended = Some((now, given));
    }
}

#[async_trait]
impl Transport for WatchedUpstream {
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, TransportError> {
        let body = request.body.clone().unwrap_or_default();
        let entry = self.calls.lock().unwrap().begin(request.path, &body, self.now());
        let answer = match &self.outage {
            Some(outage) if outage.strikes(&entry, self.now()) => Ok(HttpResponse {
                status: 200,
                body: r#"{"errcode":40125,"errmsg":"invalid appsecret"}"#.into(),
                date: None,
                retry_after: None,
            }),
            _ => self.simulated.send(request).await,
        };
        self.calls.lock().unwrap().end(&entry, self.now(), given(&answer));
        answer
    }

    fn now(&self) -> UnixMillis {
        self.simulated.now()
    }
}

fn given(answer: &Result<HttpResponse, TransportError>) -> Given {
    let Ok(HttpResponse { status: 200, body, .. }) = answer else { return Given::Nothing };
    let end = body.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    let Ok(json @ Value::Object(_)) = serde_json::from_slice::<Value>(&body[..end]) else { return Given::Nothing };
    if ["errcode", "share_path", "qrcode", "tag"].iter().all(|name| json[name].is_null())
        && json["access_token"].is_null()
    {
        return Given::Nothing;
    }
    let errcode = &json["errcode"];
    match errcode.as_i64().or_else(|| errcode.as_str()?.parse().ok()) {
        None | Some(0) => Given::Content(json),
        Some(code) => Given::Refusal(code),
    }
}
