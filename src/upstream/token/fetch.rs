//! One fetch of a token from its source.

use std::time::Duration;

use bytes::Bytes;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::file::TokenFile;
use super::{ActiveSource, TokenError};
use crate::model::promoter::AppId;
use crate::secret::Secret;
use crate::upstream::error::{CallKind, Cause, Reaction, StopReason, reaction};
use crate::upstream::repair::bare;
use crate::upstream::transport::{HttpRequest, HttpResponse, Method, Transport};
use crate::upstream::upstream_clock::{Moment, UpstreamClock};
use crate::upstream::wire::{Envelope, read_envelope};

/// Spec: tokens of 512 characters and more are seen.
const TOKEN_BYTES_MAX: usize = 4096;

/// A token as its source gave it.
pub struct Fetched {
    pub text: String,
    /// What the source says is left of its life, from when it was asked.
    pub life: Option<Duration>,
    pub requested_at: Instant,
}

/// # Errors
/// [`TokenError`] where the source gives none, or what it gives can't be read.
pub async fn fetch(
    source: &ActiveSource,
    app_id: &AppId,
    transport: &dyn Transport,
    clock: &UpstreamClock,
    base_url: &str,
) -> Result<Fetched, TokenError> {
    let requested_at = Instant::now();
    let (text, life) = match source {
        ActiveSource::Stable(secret) => {
            let request = |secret: &SecretString| stable(app_id, secret, base_url);
            request_with(secret, app_id, request, transport, clock).await?
        }
        ActiveSource::Classic(secret) => {
            let request = |secret: &SecretString| classic(app_id, secret, base_url);
            request_with(secret, app_id, request, transport, clock).await?
        }
        ActiveSource::Url(address, secrets) => {
            let secrets: Vec<&str> = secrets.iter().map(ExposeSecret::expose_secret).collect();
            let mut request = get(address.url.expose_secret().to_owned(), "", vec![]);
            request.headers = address.headers.clone();
            let answer = send(request, &secrets, transport).await?;
            read_answer(&answer, &secrets).or_else(|error| plain_answer(&answer).ok_or(error))?
        }
        ActiveSource::File(file) => read_file(file).await?,
    };
    Ok(Fetched { text, life, requested_at })
}

fn stable(app_id: &AppId, secret: &SecretString, base_url: &str) -> HttpRequest {
    #[derive(Serialize)]
    struct StableTokenBody<'a> {
        grant_type: &'static str,
        appid: &'a str,
        secret: &'a str,
        /// Forcing would end the token that others hold, and is limited to 20 a day.
        force_refresh: bool,
    }
    let body = StableTokenBody {
        grant_type: "client_credential",
        appid: app_id.as_str(),
        secret: secret.expose_secret(),
        force_refresh: false,
    };
    let body = serde_json::to_vec(&body).expect("a flat struct of texts is always JSON");
    HttpRequest {
        method: Method::Post,
        base_url: base_url.to_owned(),
        path: "/cgi-bin/stable_token",
        query: vec![],
        headers: vec![],
        body: Some(Bytes::from(body)),
    }
}

fn classic(app_id: &AppId, secret: &SecretString, base_url: &str) -> HttpRequest {
    let query = vec![
        ("grant_type", "client_credential".to_owned()),
        ("appid", app_id.as_str().to_owned()),
        ("secret", secret.expose_secret().to_owned()),
    ];
    get(base_url.to_owned(), "/cgi-bin/token", query)
}

fn get(base_url: String, path: &'static str, query: Vec<(&'static str, String)>) -> HttpRequest {
    HttpRequest { method: Method::Get, base_url, path, query, headers: vec![], body: None }
}

/// A secret that is refused is read again from its file, and another one that stands there by now is tried at once: so one that was
/// changed at the upstream and in the file stops nothing.
///
/// # Errors
/// As [`request_token`], of the last secret that was tried.
async fn request_with(
    secret: &Secret,
    app: &AppId,
    request: impl Fn(&SecretString) -> HttpRequest,
    transport: &dyn Transport,
    clock: &UpstreamClock,
) -> Result<(String, Option<Duration>), TokenError> {
    let tried = secret.latest();
    let refusal = match request_token(request(&tried), &tried, transport, clock).await {
        Err(refusal) if refusal.reaction == Reaction::StopApp(StopReason::Credentials) => refusal,
        outcome => return outcome,
    };
    match secret.other_than(&tried).await {
        Ok(Some(other)) => {
            tracing::info!(%app, "the app's secret was read again from its file");
            request_token(request(&other), &other, transport, clock).await
        }
        Ok(None) => Err(refusal),
        Err(error) => {
            tracing::warn!(%app, reason = %error, "the app's secret can't be read again from its file");
            Err(refusal)
        }
    }
}

/// Only the upstream's own `Date` tells its clock, so only these calls note it.
///
/// # Errors
/// [`TokenError`], with the reaction that the upstream's code asks for.
async fn request_token(
    request: HttpRequest,
    secret: &SecretString,
    transport: &dyn Transport,
    clock: &UpstreamClock,
) -> Result<(String, Option<Duration>), TokenError> {
    let secrets = [secret.expose_secret()];
    let sent = Moment::now(transport);
    let answer = send(request, &secrets, transport).await?;
    if let Some(date) = answer.date.filter(|_| answer.status == 200) {
        clock.note(sent, Moment::now(transport), date);
    }
    read_answer(&answer, &secrets)
}

/// # Errors
/// [`TokenError`] as of an answer that can't be read, without the `secrets`, where none came.
async fn send(request: HttpRequest, secrets: &[&str], transport: &dyn Transport) -> Result<HttpResponse, TokenError> {
    transport.send(request).await.map_err(|error| unreadable(&error.to_string(), secrets, None))
}

/// # Errors
/// [`TokenError`]: a refusal as its code is classified, anything else as unreadable.
fn read_answer(answer: &HttpResponse, secrets: &[&str]) -> Result<(String, Option<Duration>), TokenError> {
    let envelope = read_envelope(&answer.body).ok();
    let reaction = reaction(CallKind::Token, answer.status, envelope.as_ref().map(|envelope| envelope.errcode));
    match (reaction, envelope) {
        (Reaction::Read, _) => {
            from_json(&answer.body).ok_or_else(|| unreadable("the answer has no access_token", secrets, None))
        }
        (Reaction::RetryTransport, _) | (_, None) => {
            let text = format!("the token call was answered with HTTP {} and nothing readable", answer.status);
            Err(TokenError { reaction, ..unreadable(&text, secrets, answer.retry_after) })
        }
        (_, Some(Envelope { errcode, errmsg })) => {
            let cause = Cause::answered(&Envelope { errcode, errmsg }, secrets);
            Err(TokenError { reaction, cause, retry_after: answer.retry_after })
        }
    }
}

fn plain_answer(answer: &HttpResponse) -> Option<(String, Option<Duration>)> {
    (answer.status == 200).then(|| plain(&answer.body)).flatten().map(|text| (text, None))
}

/// # Errors
/// [`TokenError`] where the file can't be read, or holds no token.
async fn read_file(file: &TokenFile) -> Result<(String, Option<Duration>), TokenError> {
    let path = file.path().display();
    let bytes = file.read().await.map_err(|error| {
        let text = format!("the token file {path} can't be read: {error}");
        unreadable(&text, &[], None)
    })?;
    let token = from_json(&bytes).or_else(|| plain(&bytes).map(|text| (text, None)));
    token.ok_or_else(|| unreadable(&format!("the file {path} holds no token"), &[], None))
}

/// The next attempt may find it, so this is of the transport's class.
fn unreadable(text: &str, secrets: &[&str], retry_after: Option<Duration>) -> TokenError {
    TokenError { reaction: Reaction::RetryTransport, cause: Cause::unanswered(text, secrets), retry_after }
}

fn from_json(bytes: &[u8]) -> Option<(String, Option<Duration>)> {
    #[derive(Deserialize)]
    struct AccessTokenResponse {
        access_token: String,
        expires_in: Option<Seconds>,
    }
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Seconds {
        Number(f64),
        Text(String),
    }
    let answer: AccessTokenResponse = serde_json::from_slice(bare(bytes)).ok()?;
    let seconds = match answer.expires_in {
        Some(Seconds::Number(number)) => Some(number),
        Some(Seconds::Text(text)) => text.trim().parse().ok(),
        None => None,
    };
    // A negative or absurd number gives no life rather than an error: the token itself may be good.
    let life = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    Some((checked(&answer.access_token)?, life))
}

fn plain(bytes: &[u8]) -> Option<String> {
    checked(std::str::from_utf8(bare(bytes)).ok()?)
}

/// Refuses what can't be a token: an error page, a sentence, JSON of another kind.
fn checked(text: &str) -> Option<String> {
    let text = text.trim();
    let fits = (1..=TOKEN_BYTES_MAX).contains(&text.len());
    let only_graphic = text.bytes().all(|byte| byte.is_ascii_graphic() && !br#"<>{}[]"'"#.contains(&byte));
    (fits && only_graphic).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_comes_as_json_or_alone() {
        let seconds = |n| Some(Duration::from_secs(n));
        for (json, life) in [
            (r#"{"access_token":"T","expires_in":7200}"#, seconds(7200)),
            (r#" {"expires_in":"300","access_token":" T ","x":1}"#, seconds(300)),
            (r#"{"access_token":"T"}"#, None),
            ("\u{FEFF}{\"access_token\":\"T\"}\0\n", None),
            (r#"{"access_token":"T","expires_in":-1}"#, None),
        ] {
            assert_eq!(from_json(json.as_bytes()), Some(("T".into(), life)), "{json}");
        }
        assert_eq!(plain(b"\xEF\xBB\xBFabc_-1\n"), Some("abc_-1".into()));
    }

    #[test]
    fn what_is_no_token_is_not_taken_for_one() {
        for text in ["", " \n", "two words", "<html>", "{}", r#"{"access_token":""}"#, "\"T\"", "标"] {
            assert_eq!(plain(text.as_bytes()).or(from_json(text.as_bytes()).map(|(token, _)| token)), None, "{text}");
        }
        assert_eq!(plain(&b"x".repeat(TOKEN_BYTES_MAX + 1)), None);
    }
}
