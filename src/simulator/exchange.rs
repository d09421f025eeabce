//! One request to the world and its answer, without any HTTP library.

use std::time::Duration;

use bytes::Bytes;

use crate::model::time::UnixTime;
use crate::simulator::pages::page::Receipt;
use crate::upstream::transport::Method;

/// What was asked. Holds a token or a secret, so it has no `Debug`.
pub struct SimRequest {
    pub method: Method,
    /// Begins with a slash, without the query.
    pub path: String,
    /// Percent-decoded.
    pub query: Vec<(String, String)>,
    pub body: Bytes,
}

impl SimRequest {
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// How the answer reaches the client: to be played by whoever stands between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    Whole,
    /// Nothing comes within any client's time limit.
    Hang,
    /// The connection is closed before an answer.
    Reset,
    /// The connection is closed after that many bytes of the body.
    Truncated(usize),
}

pub struct SimResponse {
    pub status: u16,
    pub content_type: &'static str,
    /// Whether the body is packed by gzip. The header may say so or not.
    pub is_packed: bool,
    /// The `Date` header.
    pub date: UnixTime,
    /// The `Retry-After` header, in seconds.
    pub retry_after: Option<u64>,
    pub body: Bytes,
    /// Time that passes before the delivery begins.
    pub after: Duration,
    pub delivery: Delivery,
    /// To be handed to [`crate::simulator::World::delivered`] when the whole body has gone out.
    pub receipt: Receipt,
}
