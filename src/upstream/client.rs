//! The upstream as one app sees it: a question in; a page, material or a reason out.
//!
//! A call passes the breakers, waits for its budget and for a permit, gets the token, asks the current host, and is retried
//! here where the reaction is to ask the same again. Everything else goes to the caller, cut by what the caller does about
//! it.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::breaker::{BreakerSettings, Breakers};
use super::budget::{Budget, BudgetSettings, Turn};
use super::buffer::{Buffer, Room};
use super::concurrency_limit::{ConcurrencyLimit, ConcurrencyPermit};
use super::error::{CallError, CallKind, Cause, Reaction, reaction};
use super::hosts::Hosts;
use super::material::{ShareMaterial, ShareMaterialRequest, read_material};
use super::oddities::{Oddities, OddityCounter};
use super::rows_request::RowsRequest;
use super::token::{AccessToken, AccessTokens, FailedFetch, TokenError, TokenSource};
use super::transport::{HttpRequest, HttpResponse, Method, Transport, TransportError};
use super::upstream_clock::{Moment, UpstreamClock};
use super::wire::{Envelope, ExpectedPage, PageFault, RowPage, read_page};
use crate::model::feed::Interface;
use crate::model::promoter::{AppId, IdKind};
use crate::model::time::{UnixMillis, UnixTime};
use crate::retry::RetrySettings;
use calling::Calling;

mod calling;

/// The pauses between calls to a host that has not been heard yet, from the first to the longest.
const HEAR_PAUSE: Duration = Duration::from_millis(500);
const HEAR_PAUSE_MAX: Duration = Duration::from_secs(30);
/// An answer of at most so many bytes is read whatever others wait for: what it says about the call itself is heard at
/// once, and its rows are few.
const READ_AT_ONCE: usize = 16 * 1024;

/// How long a gateway that refuses such calls is asked.
const REFUSED_MAX: Duration = Duration::from_secs(30);

/// What a client needs to know of its app.
#[derive(Clone, Debug)]
pub struct ClientSettings {
    pub app_id: AppId,
    pub id_kind: IdKind,
    /// Scheme, host, port and an optional path prefix.
    pub base_url: String,
    pub spare_urls: Vec<String>,
    pub token_source: TokenSource,
    pub retry: RetrySettings,
    pub breakers: BreakerSettings,
    /// An interface that is not named has no limit.
    pub budgets: BTreeMap<Interface, BudgetSettings>,
    /// Calls of polls at once, over all interfaces.
    pub in_flight: usize,
}

/// What came of a question.
#[derive(Debug, Default)]
pub struct RowsResponse {
    /// Empty where `no_data`.
    pub page: RowPage,
    /// 103006: there is nothing, or the pages are over.
    pub no_data: bool,
    /// How far the upstream's clock was behind the local one when the answer came, in seconds: never above 0, and 0 without
    /// a `Date`. It holds the way of the answer too; [`Client::now`] does not.
    pub clock_skew_seconds: i64,
    /// What an answer with rows takes up until these are handed on.
    pub guard: ResponseGuard,
}

/// What bounds the answers in memory: to be dropped when the rows of one are handed on, and not before.
///
/// Each part is waited for with those above it in hand, and with all of them room in the queue of the rows. Nobody waits for
/// one that stands above what he has; and what empties the queue needs none of them. So those who wait get on.
#[derive(Debug, Default)]
pub struct ResponseGuard {
    /// Of the call: another one is made in it.
    _place: Option<ConcurrencyPermit>,
    /// The answer's bytes, which take up room that other answers wait for (`http.buffered_max`).
    _body: Bytes,
    _reading: Option<Room>,
}

impl ResponseGuard {
    fn keep(&mut self, permit: Option<ConcurrencyPermit>) {
        self._place = permit;
    }
}

pub struct Client<T> {
    transport: T,
    app_id: AppId,
    id_kind: IdKind,
    hosts: Hosts,
    tokens: AccessTokens,
    retry: RetrySettings,
    breaker_settings: BreakerSettings,
    breakers: Breakers,
    budgets: BTreeMap<Interface, Budget>,
    concurrency: ConcurrencyLimit,
    /// Room for answers that are being read, and whose rows are not handed on yet.
    reading: Buffer,
    clock: UpstreamClock,
    oddities: OddityCounter,
}

/// A failed attempt, with what the loop needs to go on.
struct FailedAttempt {
    /// Which of the two calls of an attempt failed.
    call: CallKind,
    reaction: Reaction,
    cause: Cause,
    retry_after: Option<Duration>,
    /// The token it was made with.
    token: Option<AccessToken>,
    /// The number of the fetch that brought the token, or failed.
    fetch: u64,
}

/// A call to be made, and how its answer's body is read; the time is the later of the clocks known.
struct ApiRequest<'a, C> {
    interface: Interface,
    /// The promoter that it asks about.
    promoter_id: &'a str,
    turn: Turn,
    body: Bytes,
    /// No attempt begins after it.
    patience: Option<Instant>,
    read: &'a Read<'a, C>,
}

type Read<'a, C> = dyn Fn(&[u8], UnixTime) -> Result<(Envelope, C), PageFault> + Sync + 'a;

/// An answer that is none of a failure's.
struct ApiResponse<C> {
    /// Absent where the upstream says that there is no data.
    content: Option<C>,
    clock_skew_seconds: i64,
    guard: ResponseGuard,
}

/// What an attempt ends with, besides an answer.
enum AttemptError {
    Failed(FailedAttempt),
    /// Asking again would bring the same.
    Unreadable(Cause),
    /// Nothing was sent.
    BreakerOpen(CallError),
}

/// Why the upstream's clock was not heard.
struct Unheard {
    error: String,
    /// Something answered that does not let this call through.
    is_refused: bool,
}

/// A breaker opens after as many calls in a row without an answer as this many calls make attempts: so one promoter whose
/// question kills the upstream's answer is not enough.
const UNANSWERED_CALLS: u32 = 2;

impl<T: Transport> Client<T> {
    pub fn new(settings: ClientSettings, transport: T) -> Client<T> {
        let budgets = settings.budgets.into_iter().map(|(interface, budget)| (interface, Budget::new(budget)));
        let unanswered_max = settings.retry.attempts.saturating_mul(UNANSWERED_CALLS);
        Client {
            transport,
            hosts: Hosts::new(settings.base_url, settings.spare_urls),
            tokens: AccessTokens::new(settings.app_id.clone(), settings.token_source),
            breakers: Breakers::new(settings.app_id.clone(), settings.breakers, unanswered_max),
            clock: UpstreamClock::new(settings.app_id.clone()),
            oddities: OddityCounter::new(settings.app_id.clone()),
            app_id: settings.app_id,
            id_kind: settings.id_kind,
            retry: settings.retry,
            breaker_settings: settings.breakers,
            budgets: budgets.collect(),
            concurrency: ConcurrencyLimit::new(settings.in_flight),
            reading: Buffer::for_reading(),
        }
    }

    /// The client, with room for reading that it shares with those of other apps.
    pub fn reading_in(self, reading: Buffer) -> Client<T> {
        Client { reading, ..self }
    }

    pub fn app_id(&self) -> &AppId {
        &self.app_id
    }

    /// Who may call now.
    pub fn breakers(&self) -> &Breakers {
        &self.breakers
    }

    /// How many calls of polls are made at once.
    pub fn in_flight(&self) -> usize {
        self.concurrency.in_flight()
    }

    /// The earlier of the local clock and the upstream's, as far as its answers have shown that.
    pub fn now(&self) -> UnixTime {
        self.clock.earlier(self.transport.now().as_seconds())
    }

    /// The local clock alone.
    pub fn local_now(&self) -> UnixMillis {
        self.transport.now()
    }

    /// How far the upstream's clock is ahead of the local one; nothing before the first answer.
    pub fn upstream_skew_seconds(&self) -> Option<i64> {
        self.clock.skew_seconds()
    }

    /// What was odd about the rows of all pages since the process began.
    pub fn oddities(&self) -> Oddities {
        self.oddities.total()
    }

    /// Says what has been odd about rows since it was last said.
    pub fn tell_oddities(&self) {
        self.oddities.tell();
    }

    /// Fetches the token, once and without retries, and hears the upstream's clock: then the first cursor is set, and the
    /// first window asked for, with both clocks known. Also what a check of the credentials does.
    pub async fn warm_up(&self) -> Result<(), TokenError> {
        let base_url = self.hosts.base_url(self.hosts.current());
        let token = self.tokens.get(&self.transport, &self.clock, base_url);
        let got =
            if self.tokens.asks_upstream() { token.await } else { tokio::join!(token, self.hear_clock(base_url)).0 };
        got.map(drop).map_err(|failed| failed.error)
    }

    /// Waits until the upstream has answered anything at all, however long that takes: its clock is known then, if it tells
    /// it. Each call that has no answer is told to `failed`.
    ///
    /// What does not let this call through for [`REFUSED_MAX`] may still let others through, so it is taken for an answer.
    pub async fn hear(&self, failed: impl Fn(&str)) {
        let (mut host, mut pause) = (self.hosts.current(), HEAR_PAUSE);
        let mut refused_since = None;
        // Another call may have heard it meanwhile.
        while self.upstream_skew_seconds().is_none() {
            let Err(Unheard { error, is_refused }) = self.hear_clock(self.hosts.base_url(host)).await else { return };
            failed(&error);
            refused_since = is_refused.then(|| refused_since.unwrap_or_else(Instant::now));
            if refused_since.is_some_and(|since| since.elapsed() >= REFUSED_MAX) {
                return;
            }
            tokio::time::sleep(pause).await;
            (host, pause) = (self.hosts.after(host), (pause * 2).min(HEAR_PAUSE_MAX));
        }
    }

    /// Makes a call that every host of the upstream answers with its `Date`, for an app whose token comes from elsewhere: a
    /// call for a token without credentials, which is refused and costs nobody's quota.
    async fn hear_clock(&self, base_url: &str) -> Result<(), Unheard> {
        let request = HttpRequest {
            method: Method::Post,
            base_url: base_url.to_owned(),
            path: "/cgi-bin/stable_token",
            query: vec![],
            headers: vec![],
            body: Some(Bytes::from_static(b"{}")),
        };
        let sent = Moment::now(&self.transport);
        let HttpResponse { status, date, .. } = self
            .transport
            .send(request)
            .await
            .map_err(|error| Unheard { error: Cause::unanswered(&error.to_string(), &[]).text, is_refused: false })?;
        if status != 200 {
            let error = format!("HTTP {status}, which no answer of the upstream's has");
            return Err(Unheard { error, is_refused: matches!(status, 401 | 403 | 404 | 405) });
        }
        if let Some(date) = date {
            self.clock.note(sent, Moment::now(&self.transport), date);
        }
        Ok(())
    }

    /// Asks for one page. Ends with [`CallError::Cancelled`] as soon as `cancel` is, whatever it is waiting for.
    pub async fn page(&self, request: &RowsRequest, cancel: &CancellationToken) -> Result<RowsResponse, CallError> {
        let page_asked = ExpectedPage {
            kind: request.row_kind(),
            promoter_id: request.promoter.promoter_id(),
            is_first: request.start_id.is_none(),
        };
        let read = move |body: &[u8], latest_now| read_page(body, page_asked, latest_now);
        let turn = if request.start_id.is_some() { Turn::Further } else { Turn::First };
        let (interface, body) = (request.interface(), request.body(self.id_kind));
        let promoter_id = request.promoter.promoter_id();
        let asked = ApiRequest { interface, promoter_id, turn, body, patience: None, read: &read };
        let answered = cancel.run_until_cancelled(self.call(&asked)).await.unwrap_or(Err(CallError::Cancelled))?;
        let ApiResponse { content, clock_skew_seconds, guard } = answered;
        let (no_data, page) = (content.is_none(), content.unwrap_or_default());
        self.oddities.add(&request.promoter, &page.oddities);
        let guard = if page.rows.is_empty() { ResponseGuard::default() } else { guard };
        Ok(RowsResponse { page, no_data, clock_skew_seconds, guard })
    }

    /// Asks for material. No attempt begins after `patience`; one under way ends first. Ends with
    /// [`CallError::Cancelled`] as soon as `cancel` is, whatever it is waiting for.
    pub async fn material(
        &self,
        request: &ShareMaterialRequest,
        patience: Instant,
        cancel: &CancellationToken,
    ) -> Result<ShareMaterial, CallError> {
        let read = |body: &[u8], _: UnixTime| read_material(body);
        let (interface, turn) = (Interface::GetShareMaterial, Turn::First);
        let (promoter_id, body) = (request.promoter.promoter_id(), request.body());
        let asked = ApiRequest { interface, promoter_id, turn, body, patience: Some(patience), read: &read };
        let answered = cancel.run_until_cancelled(self.call(&asked)).await.unwrap_or(Err(CallError::Cancelled))?;
        Ok(answered.content.expect("the table of reactions knows no missing data on this interface"))
    }

    /// One call with one token.
    async fn attempt<C>(
        &self,
        asked: &ApiRequest<'_, C>,
        calling: &mut Calling<'_>,
    ) -> Result<ApiResponse<C>, AttemptError> {
        let base_url = self.hosts.base_url(calling.host);
        calling.pass.check().map_err(AttemptError::BreakerOpen)?;
        let token = self.tokens.get(&self.transport, &self.clock, base_url).await?;
        if calling.rejected.as_ref() == Some(&token) {
            return Err(AttemptError::Failed(FailedAttempt {
                call: CallKind::Token,
                reaction: Reaction::RejectToken,
                cause: Cause::unanswered("its source gives the rejected token again", &[]),
                retry_after: None,
                token: None,
                fetch: token.fetch(),
            }));
        }
        self.count(asked.interface, calling).map_err(AttemptError::BreakerOpen)?;
        let request = HttpRequest {
            method: Method::Post,
            base_url: base_url.to_owned(),
            path: asked.interface.path(),
            query: vec![("access_token", token.expose().to_owned())],
            headers: vec![],
            body: Some(asked.body.clone()),
        };
        let sent = Moment::now(&self.transport);
        let answered = self.transport.send(request).await;
        let received = Moment::now(&self.transport);
        match answered {
            Ok(response) => {
                // Before anything is waited for: later answers tell later times. And behind another status stands
                // something else than the upstream, with a clock of its own.
                let date = response.date.filter(|_| response.status == 200);
                let clock_skew_seconds = date.map_or(0, |date| self.clock.note(sent, received, date));
                let reading = self.room_to_read(asked.interface, response.body.len()).await;
                let guard = ResponseGuard { _place: None, _body: response.body.clone(), _reading: reading };
                self.judge(asked, token, response, self.clock.later(received.wall), clock_skew_seconds, guard)
            }
            Err(error @ TransportError::TooLarge { .. }) => {
                Err(AttemptError::Unreadable(Cause::unanswered(&error.to_string(), &[])))
            }
            Err(error) => {
                let cause = Cause::unanswered(&error.to_string(), &self.tokens.secrets(&token));
                Err(AttemptError::failed(asked.interface, Reaction::RetryTransport, cause, None, token))
            }
        }
    }

    /// Waits until an answer of a poll may be read.
    async fn room_to_read(&self, interface: Interface, bytes: usize) -> Option<Room> {
        let is_poll = interface != Interface::GetShareMaterial;
        if is_poll && bytes > READ_AT_ONCE { Some(self.reading.room(bytes).await) } else { None }
    }

    fn judge<C>(
        &self,
        asked: &ApiRequest<'_, C>,
        token: AccessToken,
        response: HttpResponse,
        latest_now: UnixTime,
        clock_skew_seconds: i64,
        guard: ResponseGuard,
    ) -> Result<ApiResponse<C>, AttemptError> {
        let HttpResponse { status, body, retry_after, .. } = response;
        let (envelope, content, fault) = match (asked.read)(&body, latest_now) {
            Ok((envelope, content)) => (Some(envelope), Some(content), None),
            Err(fault) if fault.is_lasting() && status == 200 => {
                return Err(AttemptError::Unreadable(Cause::unanswered(&fault.to_string(), &[])));
            }
            Err(fault) => (None, None, Some(fault)),
        };
        let errcode = envelope.as_ref().map(|envelope| envelope.errcode);
        match (reaction(CallKind::Data(asked.interface), status, errcode), envelope) {
            (Reaction::Read, _) => Ok(ApiResponse { content, clock_skew_seconds, guard }),
            (Reaction::NoData, _) => Ok(ApiResponse { content: None, clock_skew_seconds, guard }),
            (reaction, Some(envelope)) if envelope.errcode != 0 => {
                let cause = self.cause(&envelope, status, &token);
                Err(AttemptError::failed(asked.interface, reaction, cause, retry_after, token))
            }
            (reaction, _) => {
                let text = match fault {
                    Some(fault) => format!("HTTP {status} and no answer: {fault}"),
                    None => format!("HTTP {status}, which no answer of the upstream's has"),
                };
                let cause = Cause::unanswered(&text, &self.tokens.secrets(&token));
                Err(AttemptError::failed(asked.interface, reaction, cause, retry_after, token))
            }
        }
    }

    fn cause(&self, envelope: &Envelope, status: u16, token: &AccessToken) -> Cause {
        let mut cause = Cause::answered(envelope, &self.tokens.secrets(token));
        if status != 200 {
            cause.text.push_str(&format!(" (HTTP {status})"));
        }
        cause
    }
}

impl AttemptError {
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

#[cfg(test)]
mod tests;
