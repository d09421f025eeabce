//! One HTTP exchange with the upstream, without any classification of what came back.
//!
//! The seam is here, so that tokens, retries, error classes and the reading of rows are the same code over
//! real HTTP and in the simulation on paused time.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use secrecy::SecretString;

use crate::model::time::{UnixMillis, UnixTime};

/// The methods that the upstream knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    Get,
    Post,
}

/// What is sent. The query may hold a token or a secret, so this has no `Debug`.
pub struct HttpRequest {
    pub method: Method,
    /// Scheme, host, port and an optional path prefix, without a trailing slash; or a whole URL.
    pub base_url: String,
    /// Begins with a slash; empty where `base_url` is a whole URL.
    pub path: &'static str,
    /// Names and values, not yet percent-encoded.
    pub query: Vec<(&'static str, String)>,
    /// Names and values of headers beside those of HTTP itself: only a company's own token server wants any.
    pub headers: Vec<(String, SecretString)>,
    /// Sent as `application/json`, always with a `Content-Length`.
    pub body: Option<Bytes>,
}

/// What came back: any status, any body up to the configured bound.
pub struct HttpResponse {
    pub status: u16,
    /// Unpacked where it came packed. While it is held it may take up room that other answers wait for.
    pub body: Bytes,
    /// The `Date` header, where there is a readable one.
    pub date: Option<UnixTime>,
    /// The `Retry-After` header, as a delay from now.
    pub retry_after: Option<Duration>,
}

/// Why nothing usable came back. The texts name no URL: it would carry the token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransportError {
    #[error("no answer within the time limit")]
    Timeout,
    #[error("connection failed: {0}")]
    Connection(String),
    #[error("the answer is larger than http.response_max ({limit} bytes)")]
    TooLarge { limit: usize },
}

/// One exchange after another, over HTTP or in a simulation.
#[async_trait]
pub trait Transport: Send + Sync + 'static {
    /// Sends one request and waits for its answer, of whatever status.
    ///
    /// # Errors
    /// [`TransportError`] where no whole answer came.
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, TransportError>;

    /// The local wall clock, in milliseconds; a simulation has its own.
    fn now(&self) -> UnixMillis;
}
