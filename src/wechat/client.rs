//! The upstream as one app sees it: a question in; a page, material or a reason out.
//!
//! A call takes from its budget, gets the token, asks the current host, and is retried here where the reaction is to
//! ask the same again. Everything else goes to the caller, cut by what the caller does about it.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use tokio_util::sync::CancellationToken;

use super::budget::{Budget, BudgetSettings, DaySpent};
use super::error::{Call, CallError, Cause, Hold, Reaction, reaction};
use super::hosts::{Host, Hosts};
use super::material::{GivenMaterial, MaterialQuestion, read_material};
use super::oddities::{Account, Oddities};
use super::question::Question;
use super::token::{Token, TokenError, TokenSource, Tokens};
use super::transport::{Method, Request, Response, Transport, TransportError};
use super::upstream_clock::{Moment, UpstreamClock};
use super::wire::{Envelope, Page, PageAsked, PageFault, read_page};
use crate::domain::feed::Interface;
use crate::domain::promoter::{AppId, IdKind};
use crate::domain::time::{UnixMillis, UnixTime};
use crate::retry::{Attempts, Next, RetrySettings};

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
    /// An interface that is not named has no limit.
    pub budgets: BTreeMap<Interface, BudgetSettings>,
}

/// What came of a question.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// Empty where `no_data`.
    pub page: Page,
    /// 103006: there is nothing, or the pages are over.
    pub no_data: bool,
    /// How far the upstream's clock was behind the local one when the answer came, in seconds: never above 0, and 0 without
    /// a `Date`. It holds the way of the answer too; [`Client::now`] does not.
    pub clock_skew_seconds: i64,
    /// The answer's bytes, where it has rows. As long as they are held they take up room that other answers wait for
    /// (`http.buffered_max`): to be dropped when the rows are handed on, and not before.
    pub held: Bytes,
}

pub struct Client<T> {
    transport: T,
    app_id: AppId,
    id_kind: IdKind,
    hosts: Hosts,
    tokens: Tokens,
    retry: RetrySettings,
    budgets: BTreeMap<Interface, Budget>,
    clock: UpstreamClock,
    oddities: Account,
}

/// A failed attempt, with what the loop needs to go on.
struct Failure {
    reaction: Reaction,
    cause: Cause,
    retry_after: Option<Duration>,
    /// The token it was made with.
    token: Option<Token>,
}

/// A call to be made, and how its answer's body is read; the time is the later of the clocks known.
struct Asked<'a, C> {
    interface: Interface,
    body: Bytes,
    read: &'a Read<'a, C>,
}

type Read<'a, C> = dyn Fn(&[u8], UnixTime) -> Result<(Envelope, C), PageFault> + Sync + 'a;

/// An answer that is none of a failure's.
struct Answered<C> {
    /// Absent where the upstream says that there is no data.
    content: Option<C>,
    clock_skew_seconds: i64,
    body: Bytes,
}

/// What an attempt ends with, besides an answer.
enum Ended {
    Failed(Failure),
    /// Asking again would bring the same.
    Unreadable(Cause),
}

impl<T: Transport> Client<T> {
    pub fn new(settings: ClientSettings, transport: T) -> Client<T> {
        let budgets = settings.budgets.into_iter().map(|(interface, budget)| (interface, Budget::new(budget)));
        Client {
            transport,
            hosts: Hosts::new(settings.base_url, settings.spare_urls),
            tokens: Tokens::new(settings.app_id.clone(), settings.token_source),
            clock: UpstreamClock::new(settings.app_id.clone()),
            oddities: Account::default(),
            app_id: settings.app_id,
            id_kind: settings.id_kind,
            retry: settings.retry,
            budgets: budgets.collect(),
        }
    }

    pub fn app_id(&self) -> &AppId {
        &self.app_id
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

    /// Fetches the token, once and without retries, and hears the upstream's clock: then the first cursor is set, and the
    /// first window asked for, with both clocks known. Also what a check of the credentials does.
    pub async fn warm_up(&self) -> Result<(), TokenError> {
        let base_url = self.hosts.base_url(self.hosts.current());
        let token = self.tokens.get(&self.transport, &self.clock, base_url);
        if self.tokens.asks_upstream() {
            return token.await.map(drop);
        }
        let (token, ()) = tokio::join!(token, self.hear_clock(base_url));
        token.map(drop)
    }

    /// A call that every host of the upstream answers with its `Date`, for an app whose token comes from elsewhere: a call
    /// for a token without credentials, which is refused and costs nobody's quota. Without an answer the first page tells.
    async fn hear_clock(&self, base_url: &str) {
        let request = Request {
            method: Method::Post,
            base_url: base_url.to_owned(),
            path: "/cgi-bin/stable_token",
            query: vec![],
            headers: vec![],
            body: Some(Bytes::from_static(b"{}")),
        };
        let sent = Moment::now(&self.transport);
        if let Ok(Response { status: 200, date: Some(date), .. }) = self.transport.send(request).await {
            self.clock.note(sent, Moment::now(&self.transport), date);
        }
    }

    /// Asks for one page. Ends with [`CallError::Cancelled`] as soon as `cancel` is, whatever it is waiting for.
    pub async fn page(&self, question: &Question, cancel: &CancellationToken) -> Result<Answer, CallError> {
        let page_asked = PageAsked {
            kind: question.row_kind(),
            promoter_id: question.promoter.promoter_id(),
            is_first: question.start_id.is_none(),
        };
        let read = move |body: &[u8], latest_now| read_page(body, page_asked, latest_now);
        let asked = Asked { interface: question.interface(), body: question.body(self.id_kind), read: &read };
        let answered = cancel.run_until_cancelled(self.ask(&asked)).await.unwrap_or(Err(CallError::Cancelled))?;
        let Answered { content, clock_skew_seconds, body } = answered;
        let (no_data, page) = (content.is_none(), content.unwrap_or_default());
        self.oddities.add(&self.app_id, &question.promoter, &page.oddities);
        let held = if page.rows.is_empty() { Bytes::new() } else { body };
        Ok(Answer { page, no_data, clock_skew_seconds, held })
    }

    /// Asks for material. Ends with [`CallError::Cancelled`] as soon as `cancel` is, whatever it is waiting for.
    pub async fn material(
        &self,
        question: &MaterialQuestion,
        cancel: &CancellationToken,
    ) -> Result<GivenMaterial, CallError> {
        let read = |body: &[u8], _: UnixTime| read_material(body);
        let asked = Asked { interface: Interface::GetShareMaterial, body: question.body(), read: &read };
        let answered = cancel.run_until_cancelled(self.ask(&asked)).await.unwrap_or(Err(CallError::Cancelled))?;
        Ok(answered.content.expect("the table of reactions knows no missing data on this interface"))
    }

    async fn ask<C>(&self, asked: &Asked<'_, C>) -> Result<Answered<C>, CallError> {
        let interface = asked.interface;
        let mut attempts = Attempts::new(&self.retry);
        let mut host = self.hosts.current();
        let mut rejected = None;
        loop {
            self.take_budget(interface).await?;
            let failure = match self.attempt(asked, host, rejected.as_ref()).await {
                Ok(answered) => {
                    self.hosts.answered(host);
                    return Ok(answered);
                }
                Err(Ended::Unreadable(cause)) => return Err(CallError::Unreadable(cause)),
                Err(Ended::Failed(failure)) => failure,
            };
            let host_was_asked = failure.token.is_some() || self.tokens.asks_upstream();
            match failure.reaction {
                _ if !host_was_asked => {}
                Reaction::RetryTransport => host = self.hosts.after(host),
                _ => self.hosts.answered(host),
            }
            match failure.reaction {
                Reaction::RetryTransport | Reaction::RetryBusy => {
                    self.pause(interface, &mut attempts, failure).await?;
                }
                Reaction::RejectToken if rejected.is_none() && failure.token.is_some() => {
                    tracing::debug!(app = %self.app_id, %interface, cause = %failure.cause, "token rejected");
                    rejected = failure.token;
                    rejected.iter().for_each(|token| self.tokens.reject(token));
                }
                _ => return Err(self.final_error(interface, failure)),
            }
        }
    }

    async fn take_budget(&self, interface: Interface) -> Result<(), CallError> {
        let Some(budget) = self.budgets.get(&interface) else { return Ok(()) };
        budget.take(|| self.now()).await.map_err(|DaySpent { until }| CallError::HoldInterface {
            interface,
            hold: Hold::DailyBudget { until },
            cause: Cause::unanswered("the configured calls of the day are spent", &[]),
        })
    }

    /// One call with one token. `rejected` is the token that was refused before: it is not sent again.
    async fn attempt<C>(
        &self,
        asked: &Asked<'_, C>,
        host: Host,
        rejected: Option<&Token>,
    ) -> Result<Answered<C>, Ended> {
        let base_url = self.hosts.base_url(host);
        let token = self.tokens.get(&self.transport, &self.clock, base_url).await?;
        if rejected == Some(&token) {
            let cause = Cause::unanswered("its source gives the rejected token again", &[]);
            let reaction = Reaction::RejectToken;
            return Err(Ended::Failed(Failure { reaction, cause, retry_after: None, token: None }));
        }
        let request = Request {
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
            Ok(response) => self.judge(asked, token, response, sent, received),
            Err(error @ TransportError::TooLarge { .. }) => {
                Err(Ended::Unreadable(Cause::unanswered(&error.to_string(), &[])))
            }
            Err(error) => Err(self.unanswered(&error.to_string(), token, None)),
        }
    }

    fn judge<C>(
        &self,
        asked: &Asked<'_, C>,
        token: Token,
        response: Response,
        sent: Moment,
        received: Moment,
    ) -> Result<Answered<C>, Ended> {
        let Response { status, body, date, retry_after } = response;
        // Behind another status stands something else than the upstream, with a clock of its own.
        let date = date.filter(|_| status == 200);
        let clock_skew_seconds = date.map_or(0, |date| self.clock.note(sent, received, date));
        let (envelope, content, fault) = match (asked.read)(&body, self.clock.later(received.wall)) {
            Ok((envelope, content)) => (Some(envelope), Some(content), String::new()),
            Err(fault) if fault.is_lasting() && status == 200 => {
                return Err(Ended::Unreadable(Cause::unanswered(&fault.to_string(), &[])));
            }
            Err(fault) => (None, None, fault.to_string()),
        };
        let errcode = envelope.as_ref().map(|envelope| envelope.errcode);
        match (reaction(Call::Data(asked.interface), status, errcode), envelope) {
            (Reaction::Read, _) => Ok(Answered { content, clock_skew_seconds, body }),
            (Reaction::NoData, _) => Ok(Answered { content: None, clock_skew_seconds, body }),
            (reaction, Some(envelope)) if envelope.errcode != 0 => {
                let cause = self.cause(&envelope, status, &token);
                Err(Ended::Failed(Failure { reaction, cause, retry_after, token: Some(token) }))
            }
            (reaction, _) => {
                let text = format!("HTTP {status} and nothing readable: {fault}");
                let cause = Cause::unanswered(&text, &[token.expose(), self.tokens.secret()]);
                Err(Ended::Failed(Failure { reaction, cause, retry_after, token: Some(token) }))
            }
        }
    }

    fn cause(&self, envelope: &Envelope, status: u16, token: &Token) -> Cause {
        let mut cause = Cause::answered(envelope, &[token.expose(), self.tokens.secret()]);
        if status != 200 {
            cause.text.push_str(&format!(" (HTTP {status})"));
        }
        cause
    }

    fn unanswered(&self, text: &str, token: Token, retry_after: Option<Duration>) -> Ended {
        let cause = Cause::unanswered(text, &[token.expose(), self.tokens.secret()]);
        Ended::Failed(Failure { reaction: Reaction::RetryTransport, cause, retry_after, token: Some(token) })
    }

    async fn pause(&self, interface: Interface, attempts: &mut Attempts, failure: Failure) -> Result<(), CallError> {
        match attempts.failed(failure.retry_after) {
            Next::RetryAfter(delay) => {
                tracing::debug!(app = %self.app_id, %interface, ?delay, cause = %failure.cause, "call is retried");
                tokio::time::sleep(delay).await;
                Ok(())
            }
            Next::Hold(delay) => {
                let hold = Hold::RetryAfter(delay);
                Err(CallError::HoldInterface { interface, hold, cause: failure.cause })
            }
            Next::GiveUp => Err(CallError::Exhausted { attempts: attempts.made(), cause: failure.cause }),
        }
    }

    fn final_error(&self, interface: Interface, Failure { reaction, cause, retry_after, .. }: Failure) -> CallError {
        let held = |hold, cause| CallError::HoldInterface { interface, hold, cause };
        match reaction {
            Reaction::ParkPromoter => CallError::ParkPromoter(cause),
            Reaction::RefuseRequest => CallError::RefuseRequest(cause),
            Reaction::TryLater => CallError::TryLater(cause),
            Reaction::StopApp(reason) => CallError::StopApp { reason, cause },
            Reaction::QuotaSpent => held(Hold::QuotaSpent, cause),
            Reaction::TooFast => held(Hold::TooFast(self.retry.too_fast(retry_after)), cause),
            Reaction::RejectToken => CallError::TokenRejectedAgain(cause),
            Reaction::ClientFault => CallError::ClientFault(cause),
            Reaction::Unforeseen => CallError::Unforeseen(cause),
            // The loop has dealt with these: an answer is no failure, and a retry is not final.
            Reaction::Read | Reaction::NoData | Reaction::RetryBusy | Reaction::RetryTransport => {
                unreachable!("{reaction:?} does not end a call")
            }
        }
    }
}

impl From<TokenError> for Ended {
    fn from(TokenError { reaction, cause, retry_after }: TokenError) -> Ended {
        Ended::Failed(Failure { reaction, cause, retry_after, token: None })
    }
}

#[cfg(test)]
mod tests;
