//! One attempt of a call: its token, its exchange with the upstream, and what the response asks for.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::Client;
use super::call_progress::CallProgress;
use crate::model::feed::Interface;
use crate::model::time::UnixTime;
use crate::upstream::budget::CallQueue;
use crate::upstream::buffer::Room;
use crate::upstream::call_counts::CallClass;
use crate::upstream::concurrency_limit::ConcurrencyPermit;
use crate::upstream::error::{CallError, CallKind, Cause, Reaction, reaction};
use crate::upstream::token::{AccessToken, FailedFetch, TokenError};
use crate::upstream::transport::{HttpRequest, HttpResponse, Method, TransportError};
use crate::upstream::upstream_clock::Moment;
use crate::upstream::wire::{Envelope, PageFault};

/// An answer of at most so many bytes is read whatever others wait for: what it says about the call itself is heard at
/// once, and its rows are few.
const READ_AT_ONCE: usize = 16 * 1024;

/// What bounds the responses in memory: to be dropped when the rows of one are handed on, and not before.
///
/// Each part is waited for with those above it in hand, and with all of them room in the queue of the rows. Nobody waits for
/// one that stands above what he has; and what empties the queue needs none of them. So those who wait get on.
#[derive(Debug, Default)]
pub struct ResponseGuard {
    /// Of the call: another one is made in it.
    _permit: Option<ConcurrencyPermit>,
    /// The answer's bytes, which take up room that other answers wait for (`http.buffered_max`).
    _body: Bytes,
    _reading: Option<Room>,
}

/// A failed attempt, with what the loop needs to go on.
pub(super) struct FailedAttempt {
    /// Which of the two calls of an attempt failed.
    pub call: CallKind,
    pub reaction: Reaction,
    pub cause: Cause,
    pub retry_after: Option<Duration>,
    /// The token it was made with.
    pub token: Option<AccessToken>,
    /// The number of the fetch that brought the token, or failed.
    pub fetch: u64,
}

/// A call to be made, and how the body of its response is read; the time is the later of the clocks known.
pub(super) struct ApiRequest<'a, C> {
    pub interface: Interface,
    /// The promoter that it asks about.
    pub promoter_id: &'a str,
    pub queue: CallQueue,
    pub body: Bytes,
    /// No attempt begins after it.
    pub patience: Option<Instant>,
    pub read: &'a Read<'a, C>,
}

pub(super) type Read<'a, C> = dyn Fn(&[u8], UnixTime) -> Result<(Envelope, C), PageFault> + Sync + 'a;

/// A response to go on with.
pub(super) struct ApiResponse<C> {
    /// Empty where the upstream says that there is no data, which it can say of rows alone.
    pub content: C,
    pub clock_skew_seconds: i64,
    pub guard: ResponseGuard,
}

/// What an attempt ends with, besides an answer.
pub(super) enum AttemptError {
    Failed(FailedAttempt),
    /// Asking again would bring the same.
    Unreadable(Cause),
    /// Nothing was sent.
    BreakerOpen(CallError),
}

/// A response that is none to go on with.
enum UnexpectedResponse {
    /// The upstream says why.
    Refused { reaction: Reaction, envelope: Envelope },
    /// No answer of the upstream's: one with another status, or with nothing readable in it.
    NoAnswer { reaction: Reaction, text: String },
    /// Asking the same again would bring the same.
    Lasting(PageFault),
}

impl Client {
    /// One call with one token, within the `permit`, which is given back with the response or with the failure.
    ///
    /// # Errors
    /// [`AttemptError`], by whether it failed, can't be read, or was not sent at all.
    pub(super) async fn attempt<C>(
        &self,
        request: &ApiRequest<'_, C>,
        progress: &mut CallProgress<'_>,
        permit: Option<ConcurrencyPermit>,
    ) -> Result<ApiResponse<C>, AttemptError> {
        let base_url = self.hosts.base_url(progress.host);
        // Before the token: none is fetched for a call that a breaker holds.
        progress.pass.check().map_err(AttemptError::BreakerOpen)?;
        let token = self.tokens.get(&*self.transport, &self.clock, base_url).await?;
        if progress.rejected.as_ref() == Some(&token) {
            return Err(AttemptError::rejected_again(&token));
        }
        self.count(progress).map_err(AttemptError::BreakerOpen)?;
        let http_request = HttpRequest {
            method: Method::Post,
            base_url: base_url.to_owned(),
            path: request.interface.path(),
            query: vec![("access_token", token.expose().to_owned())],
            headers: vec![],
            body: Some(request.body.clone()),
        };
        let sent = Moment::now(&*self.transport);
        let response = self.transport.send(http_request).await;
        self.calls.took(request.interface, sent.running.elapsed());
        let outcome = self.answered(request, token, sent, response, permit).await;
        if let Some(class) = call_class(&outcome) {
            self.calls.answered(request.interface, class);
        }
        outcome
    }

    /// What a call has come to that was sent.
    ///
    /// # Errors
    /// [`AttemptError::Unreadable`] where the response is too large, as it would be again; [`AttemptError::Failed`] where none
    /// came; else as [`received`](Self::received).
    async fn answered<C>(
        &self,
        request: &ApiRequest<'_, C>,
        token: AccessToken,
        sent: Moment,
        response: Result<HttpResponse, TransportError>,
        permit: Option<ConcurrencyPermit>,
    ) -> Result<ApiResponse<C>, AttemptError> {
        match response {
            Ok(response) => self.received(request, token, sent, response, permit).await,
            Err(error @ TransportError::TooLarge { .. }) => {
                Err(AttemptError::Unreadable(Cause::unanswered(&error.to_string(), &[])))
            }
            Err(error) => {
                let cause = self.tokens.hiding(&token, |secrets| Cause::unanswered(&error.to_string(), secrets));
                Err(AttemptError::failed(request.interface, Reaction::RetryTransport, cause, None, token))
            }
        }
    }

    /// Hears the clock, and reads the response as soon as there is room for its rows.
    ///
    /// # Errors
    /// [`AttemptError::Unreadable`] where the same would come again, and [`AttemptError::Failed`], with the reaction, where the
    /// upstream refuses or something else has answered.
    async fn received<C>(
        &self,
        request: &ApiRequest<'_, C>,
        token: AccessToken,
        sent: Moment,
        response: HttpResponse,
        permit: Option<ConcurrencyPermit>,
    ) -> Result<ApiResponse<C>, AttemptError> {
        let received = Moment::now(&*self.transport);
        let HttpResponse { status, body, date, retry_after } = response;
        // Before anything is waited for: later answers tell later times. And behind another status stands something else
        // than the upstream, with a clock of its own.
        let date = date.filter(|_| status == 200);
        let clock_skew_seconds = date.map_or(0, |date| self.clock.note(sent, received, date));
        let reading = self.room_to_read(request.interface, body.len()).await;
        let guard = ResponseGuard { _permit: permit, _body: body.clone(), _reading: reading };
        let read = (request.read)(&body, self.clock.later(received.wall));
        match classify(request.interface, status, read) {
            Ok(content) => Ok(ApiResponse { content, clock_skew_seconds, guard }),
            Err(unexpected) => Err(self.failure(request.interface, unexpected, status, retry_after, token)),
        }
    }

    /// Waits until an answer of a poll may be read.
    async fn room_to_read(&self, interface: Interface, bytes: usize) -> Option<Room> {
        if interface.is_polled() && bytes > READ_AT_ONCE { Some(self.reading.room(bytes).await) } else { None }
    }

    fn failure(
        &self,
        interface: Interface,
        unexpected: UnexpectedResponse,
        status: u16,
        retry_after: Option<Duration>,
        token: AccessToken,
    ) -> AttemptError {
        let (reaction, cause) = match unexpected {
            UnexpectedResponse::Refused { reaction, envelope } => {
                let mut cause = self.tokens.hiding(&token, |secrets| Cause::answered(&envelope, secrets));
                if status != 200 {
                    cause.text.push_str(&format!(" (HTTP {status})"));
                }
                (reaction, cause)
            }
            UnexpectedResponse::NoAnswer { reaction, text } => {
                (reaction, self.tokens.hiding(&token, |secrets| Cause::unanswered(&text, secrets)))
            }
            UnexpectedResponse::Lasting(fault) => {
                return AttemptError::Unreadable(Cause::unanswered(&fault.to_string(), &[]));
            }
        };
        AttemptError::failed(interface, reaction, cause, retry_after, token)
    }
}

/// How a call was answered; nothing where it was not sent.
fn call_class<C>(outcome: &Result<ApiResponse<C>, AttemptError>) -> Option<CallClass> {
    match outcome {
        Ok(_) => Some(CallClass::Ok),
        Err(AttemptError::Failed(failure)) => Some(failure.reaction.into()),
        Err(AttemptError::Unreadable(_)) => Some(CallClass::Unreadable),
        Err(AttemptError::BreakerOpen(_)) => None,
    }
}

/// What a response holds, where it is one to go on with: that there is no data is one, too.
///
/// # Errors
/// [`UnexpectedResponse`], by who has answered, and whether asking again would bring the same.
fn classify<C>(
    interface: Interface,
    status: u16,
    read: Result<(Envelope, C), PageFault>,
) -> Result<C, UnexpectedResponse> {
    let call = CallKind::Data(interface);
    match read {
        Ok((envelope, content)) => match reaction(call, status, Some(envelope.errcode)) {
            Reaction::Read | Reaction::NoData => Ok(content),
            reaction if envelope.errcode != 0 => Err(UnexpectedResponse::Refused { reaction, envelope }),
            reaction => {
                let text = format!("HTTP {status}, which no answer of the upstream's has");
                Err(UnexpectedResponse::NoAnswer { reaction, text })
            }
        },
        Err(fault) if fault.is_lasting() && status == 200 => Err(UnexpectedResponse::Lasting(fault)),
        Err(fault) => {
            let text = format!("HTTP {status} and no answer: {fault}");
            Err(UnexpectedResponse::NoAnswer { reaction: reaction(call, status, None), text })
        }
    }
}

impl AttemptError {
    /// The token's source gives the one again that the upstream has just rejected.
    fn rejected_again(token: &AccessToken) -> AttemptError {
        AttemptError::Failed(FailedAttempt {
            call: CallKind::Token,
            reaction: Reaction::RejectToken,
            cause: Cause::unanswered("its source gives the rejected token again", &[]),
            retry_after: None,
            token: None,
            fetch: token.fetch(),
        })
    }

    /// A data call was answered, or not, in a way that its reaction says.
    fn failed(
        interface: Interface,
        reaction: Reaction,
        cause: Cause,
        retry_after: Option<Duration>,
        token: AccessToken,
    ) -> AttemptError {
        let (call, fetch) = (CallKind::Data(interface), token.fetch());
        AttemptError::Failed(FailedAttempt { call, reaction, cause, retry_after, token: Some(token), fetch })
    }
}

impl From<FailedFetch> for AttemptError {
    fn from(FailedFetch { error, fetch }: FailedFetch) -> AttemptError {
        let TokenError { reaction, cause, retry_after } = error;
        AttemptError::Failed(FailedAttempt { call: CallKind::Token, reaction, cause, retry_after, token: None, fetch })
    }
}
