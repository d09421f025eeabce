//! The transport over real HTTP.

use std::error::Error;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::{Bytes, BytesMut};
use reqwest::header::{CONTENT_TYPE, DATE, HeaderMap, HeaderName, RETRY_AFTER};
use url::Url;

use super::transport::{Method, Request, Response, Transport, TransportError};
use crate::domain::time::UnixMillis;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HttpSettings {
    /// For a whole exchange, from the connection to the last byte of the body.
    pub timeout: Duration,
    /// Bytes of a body, at most.
    pub response_max: usize,
    /// Idle connections that are kept for each host: as many as calls may be in flight.
    pub idle_connections_max: usize,
}

/// An answer's texts are cut to this where they become part of an error.
const ERROR_CHARS_MAX: usize = 200;
/// Room that is made for a body because its length was announced, in bytes: a page of 1000 rows.
const BODY_AT_ONCE_MAX: usize = 512 * 1024;
/// Idle connections are closed before what stands between is likely to forget them.
const IDLE_FOR: Duration = Duration::from_secs(50);

/// One pool of connections. Follows no redirects: they would carry the token elsewhere. Certificates are checked
/// against the system's roots, and never pinned (spec: they change without notice).
pub struct Http {
    client: reqwest::Client,
    response_max: usize,
}

impl Http {
    /// Fails where the system's TLS can't be set up.
    pub fn new(settings: HttpSettings) -> Result<Http, TransportError> {
        let client = reqwest::Client::builder()
            .user_agent(concat!("promoter-connector/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .timeout(settings.timeout)
            .pool_max_idle_per_host(settings.idle_connections_max)
            .pool_idle_timeout(IDLE_FOR)
            .build()
            .map_err(described)?;
        Ok(Http { client, response_max: settings.response_max })
    }

    async fn exchange(&self, request: Request) -> Result<Response, TransportError> {
        let mut response = self.prepared(request)?.send().await.map_err(described)?;
        let date = header(response.headers(), DATE).and_then(|text| httpdate::parse_http_date(text).ok());
        let retry_after = retry_after(response.headers(), date.unwrap_or_else(SystemTime::now));
        let too_large = TransportError::TooLarge { limit: self.response_max };
        let announced = usize::try_from(response.content_length().unwrap_or(0)).unwrap_or(usize::MAX);
        if announced > self.response_max {
            return Err(too_large);
        }
        let mut body = BytesMut::with_capacity(announced.min(BODY_AT_ONCE_MAX));
        while let Some(chunk) = response.chunk().await.map_err(described)? {
            if body.len() + chunk.len() > self.response_max {
                return Err(too_large);
            }
            body.extend_from_slice(&chunk);
        }
        let date = date.map(|date| unix_millis(date).as_seconds());
        Ok(Response { status: response.status().as_u16(), body: body.freeze(), date, retry_after })
    }

    fn prepared(&self, request: Request) -> Result<reqwest::RequestBuilder, TransportError> {
        let not_a_url = |_| TransportError::Connection("the address is not a URL".into());
        let mut url = Url::parse(&format!("{}{}", request.base_url, request.path)).map_err(not_a_url)?;
        if !request.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&request.query);
        }
        let builder = match request.method {
            Method::Get => self.client.get(url),
            Method::Post => self.client.post(url),
        };
        // A body of known length goes out with Content-Length; without one, a POST still says that it is empty.
        Ok(match (request.body, request.method) {
            (Some(body), _) => builder.header(CONTENT_TYPE, "application/json").body(body),
            (None, Method::Post) => builder.body(Bytes::new()),
            (None, Method::Get) => builder,
        })
    }
}

impl Transport for Http {
    async fn send(&self, request: Request) -> Result<Response, TransportError> {
        self.exchange(request).await
    }

    fn now(&self) -> UnixMillis {
        unix_millis(SystemTime::now())
    }
}

fn unix_millis(time: SystemTime) -> UnixMillis {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixMillis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// Seconds, or an HTTP date, which counts from the answer's own `Date`.
fn retry_after(headers: &HeaderMap, date: SystemTime) -> Option<Duration> {
    let text = header(headers, RETRY_AFTER)?;
    match text.trim().parse() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => Some(httpdate::parse_http_date(text).ok()?.duration_since(date).unwrap_or_default()),
    }
}

fn header(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

/// The error without its URL, which carries the token, and with its innermost cause, which says what happened.
fn described(error: reqwest::Error) -> TransportError {
    if error.is_timeout() {
        return TransportError::Timeout;
    }
    let error = error.without_url();
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text = inner.to_string();
        source = inner.source();
    }
    TransportError::Connection(text.chars().take(ERROR_CHARS_MAX).collect())
}

#[cfg(test)]
mod tests;
