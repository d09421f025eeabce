//! The transport over real HTTP.

use std::time::Duration;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use parking_lot::Mutex;
use reqwest::header::{CONTENT_TYPE, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::buffer::{Buffer, Buffers, Room};
use super::packing::unpacked;
use super::transport::{HttpRequest, HttpResponse, Method, Transport, TransportError};
use crate::model::feed::Interface;
use crate::model::time::UnixMillis;
use crate::{clock, text, web};

/// How the upstream is called, and how much of its answers is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HttpSettings {
    /// For a whole exchange, from the connection to the last byte of the body.
    pub timeout: Duration,
    /// Calls of one app's polls at once; so many idle connections are kept for each host.
    pub in_flight: usize,
    /// Bytes of a body, at most, packed and unpacked.
    pub response_max: usize,
    /// Bytes of all bodies that are held at once, over all apps: what their [`Buffers`] are made of. At least one body fits.
    pub buffered_max: usize,
}

/// An answer's texts are cut to this where they become part of an error.
const ERROR_CHARS_MAX: usize = 200;
/// Room that a call waits for before it is sent, and that a body of unknown length begins with, in bytes: that of a page of
/// 1000 rows.
const ROOM_AT_ONCE: usize = 512 * 1024;
/// Idle connections are closed before what stands between is likely to forget them.
const IDLE_FOR: Duration = Duration::from_secs(50);

/// More than an app has hosts, each with its interfaces.
const ADDRESSES_MAX: usize = 64;

/// One pool of connections. Follows no redirects: they would carry the token elsewhere. Certificates are checked
/// against the system's roots, and never pinned (spec: they change without notice).
pub struct HttpTransport {
    client: reqwest::Client,
    response_max: usize,
    buffers: Buffers,
    /// The addresses that were asked, without their queries: a base and a path, and what they come to.
    addresses: Mutex<Vec<(String, &'static str, Url)>>,
}

impl HttpTransport {
    /// Bodies find room in `buffers`, with those of other clients.
    ///
    /// # Errors
    /// Where the system's TLS can't be set up.
    pub fn new(settings: HttpSettings, buffers: Buffers) -> Result<HttpTransport, TransportError> {
        let client = reqwest::Client::builder()
            .user_agent(concat!("promoter-connector/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .timeout(settings.timeout)
            .pool_max_idle_per_host(settings.in_flight)
            .pool_idle_timeout(IDLE_FOR)
            .build()
            .map_err(described)?;
        Ok(HttpTransport { client, response_max: settings.response_max, buffers, addresses: Mutex::default() })
    }

    /// # Errors
    /// [`TransportError::TooLarge`] beyond `response_max`; else that the request can't be sent, or that of the connection.
    async fn exchange(&self, request: HttpRequest) -> Result<HttpResponse, TransportError> {
        let buffer = self.buffer_for(request.path);
        let prepared = self.prepared(request)?;
        // While memory is short calls are late, rather than out of time half answered. The room is not kept: a host that
        // does not answer must leave it to the others.
        drop(buffer.room(self.room_at_once()).await);
        let mut response = prepared.send().await.map_err(described)?;
        let retry_after = web::retry_after(response.headers());
        let date = web::date(response.headers()).map(|date| clock::unix_millis(date).as_seconds());
        let status = response.status().as_u16();
        let (body, room) = self.body(&mut response, buffer).await?;
        let body = self.content(body, room, buffer).await?;
        Ok(HttpResponse { status, body, date, retry_after })
    }

    fn room_at_once(&self) -> usize {
        ROOM_AT_ONCE.min(self.response_max)
    }

    /// The body as it comes, and its room.
    ///
    /// # Errors
    /// [`TransportError::TooLarge`] beyond `response_max`; else that of the connection.
    async fn body(&self, response: &mut reqwest::Response, buffer: &Buffer) -> Result<(Bytes, Room), TransportError> {
        let too_large = TransportError::TooLarge { limit: self.response_max };
        let announced = response.content_length().map(|length| usize::try_from(length).unwrap_or(usize::MAX));
        if announced.is_some_and(|length| length > self.response_max) {
            return Err(too_large);
        }
        // What is waited for here counts towards the time-out of the exchange: a call that gets no room is repeated later.
        let mut room = buffer.room(announced.unwrap_or(self.room_at_once())).await;
        let mut body = BytesMut::with_capacity(announced.unwrap_or(0));
        while let Some(chunk) = response.chunk().await.map_err(described)? {
            let length = body.len() + chunk.len();
            if length > self.response_max {
                return Err(too_large);
            }
            if length > room.bytes() {
                room = exchanged(room, self.response_max, buffer).await;
            }
            body.extend_from_slice(&chunk);
        }
        Ok((body.freeze(), room))
    }

    /// What the body holds, in its room.
    ///
    /// # Errors
    /// [`TransportError::TooLarge`] where it unpacks to more than `response_max`, or that it can't be unpacked.
    async fn content(&self, body: Bytes, room: Room, buffer: &Buffer) -> Result<Bytes, TransportError> {
        // First within the room that it has: only what unpacks to more has to wait for other room.
        let within = room.bytes().min(self.response_max);
        match unpacked(body.clone(), within) {
            Err(TransportError::TooLarge { .. }) if within < self.response_max => {
                let room = exchanged(room, self.response_max, buffer).await;
                Ok(room.filled_with(unpacked(body, self.response_max)?))
            }
            content => Ok(room.filled_with(content?)),
        }
    }

    fn buffer_for(&self, path: &str) -> &Buffer {
        let is_polled = Interface::ALL.into_iter().any(|interface| interface.is_polled() && interface.path() == path);
        if is_polled { &self.buffers.polls } else { &self.buffers.others }
    }

    /// All calls go to a few, so each is read once.
    ///
    /// # Errors
    /// Where both together are no URL.
    fn address(&self, base_url: String, path: &'static str) -> Result<Url, TransportError> {
        let mut addresses = self.addresses.lock();
        if let Some((.., url)) = addresses.iter().find(|(base, known, _)| *base == base_url && *known == path) {
            return Ok(url.clone());
        }
        let not_a_url = |_| TransportError::Connection("the address is not a URL".into());
        let url = Url::parse(&format!("{base_url}{path}")).map_err(not_a_url)?;
        if addresses.len() < ADDRESSES_MAX {
            addresses.push((base_url, path, url.clone()));
        }
        Ok(url)
    }

    /// # Errors
    /// [`TransportError::Connection`] where the address is no URL, or a header can't have that value.
    fn prepared(&self, request: HttpRequest) -> Result<reqwest::RequestBuilder, TransportError> {
        let mut url = self.address(request.base_url, request.path)?;
        if !request.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&request.query);
        }
        let mut builder = match request.method {
            Method::Get => self.client.get(url),
            Method::Post => self.client.post(url),
        };
        for (name, value) in &request.headers {
            builder = builder.header(name, sensitive(value)?);
        }
        // A body of known length goes out with Content-Length; without one, a POST still says that it is empty.
        Ok(match (request.body, request.method) {
            (Some(body), _) => builder.header(CONTENT_TYPE, "application/json").body(body),
            (None, Method::Post) => builder.body(Bytes::new()),
            (None, Method::Get) => builder,
        })
    }
}

/// Room of `bytes` in place of `room`, which is given back first: see [`Buffer`].
async fn exchanged(room: Room, bytes: usize, buffer: &Buffer) -> Room {
    drop(room);
    buffer.room(bytes).await
}

/// # Errors
/// [`TransportError::Connection`], without the value, where a header can't have it.
fn sensitive(value: &SecretString) -> Result<HeaderValue, TransportError> {
    let refused = |_| TransportError::Connection("a header's value can't be sent".into());
    let mut value = HeaderValue::from_str(value.expose_secret()).map_err(refused)?;
    value.set_sensitive(true);
    Ok(value)
}

#[async_trait]
impl Transport for HttpTransport {
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, TransportError> {
        self.exchange(request).await
    }

    fn now(&self) -> UnixMillis {
        clock::now()
    }
}

/// The error without its URL, which carries the token, and with its innermost cause, which says what happened.
fn described(error: reqwest::Error) -> TransportError {
    if error.is_timeout() {
        return TransportError::Timeout;
    }
    let cause = text::innermost(&error.without_url());
    TransportError::Connection(text::bounded(&cause, ERROR_CHARS_MAX).to_owned())
}

#[cfg(test)]
mod tests;
