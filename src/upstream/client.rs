//! The upstream as one app sees it: a request in; a page, a list, material or a reason out.
//!
//! A call passes the breakers, waits for its budget and for a permit, gets the token, asks the current host, and is retried
//! here where the reaction is to ask the same again. Everything else goes to the caller, cut by what the caller does about
//! it.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::breaker::{BreakerSettings, Breakers};
use super::budget::{Budget, BudgetSettings, CallQueue, CallRates, DayUsage};
use super::buffer::Buffer;
use super::call_counts::CallCounts;
use super::concurrency_limit::ConcurrencyLimit;
use super::error::CallError;
use super::hosts::Hosts;
use super::material::{ShareMaterial, ShareMaterialRequest, read_material};
use super::oddities::OddityCounter;
use super::rows_request::{ExpectedPage, RowsRequest};
use super::token::{AccessTokens, TokenSource};
use super::transport::Transport;
use super::upstream_clock::{Moment, UpstreamClock};
use super::wire::{RowPage, read_page};
use crate::model::feed::Interface;
use crate::model::promoter::{AppId, IdKind};
use crate::model::quota_share::Share;
use crate::model::time::{UnixMillis, UnixTime};
use crate::retry::RetrySettings;
use attempt::{ApiRequest, ApiResponse};

mod attempt;
mod call;
mod call_progress;
mod clock;
mod promoters;
mod quota;
#[cfg(any(test, debug_assertions, feature = "testing"))]
mod testing;

pub use attempt::ResponseGuard;
pub use promoters::{PromoterList, PromoterListError};

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

/// What one request for rows has brought.
#[derive(Debug, Default)]
pub struct RowsResponse {
    /// Empty where the upstream says that there is no data (103006): there is nothing, or the pages are over.
    pub page: RowPage,
    /// How far the upstream's clock was ahead of the local one when the answer came, in seconds; 0 where it truly was, and without a
    /// `Date`, so never above 0. It holds the way of the answer too; [`Client::now`] does not.
    pub clock_skew_seconds: i64,
    /// What an answer with rows takes up until these are handed on.
    pub guard: ResponseGuard,
}

/// The one way to the upstream for one app, for polls and requests alike. It lives as long as the process: its breakers,
/// budgets, token and clock outlive every session.
pub struct Client {
    transport: Box<dyn Transport>,
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
    calls: CallCounts,
}

/// A breaker opens after as many calls in a row without an answer as this many calls make attempts: so one promoter whose
/// request kills the upstream's answer is not enough.
const UNANSWERED_CALLS: u32 = 2;

impl Client {
    pub fn new(settings: ClientSettings, transport: impl Transport) -> Client {
        let budgets = settings.budgets.into_iter().map(|(interface, budget)| (interface, Budget::new(budget)));
        let unanswered_max = settings.retry.attempts.saturating_mul(UNANSWERED_CALLS);
        Client {
            transport: Box::new(transport),
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
            calls: CallCounts::default(),
        }
    }

    /// The client, with room for reading that it shares with those of other apps.
    pub(crate) fn reading_in(self, reading: Buffer) -> Client {
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

    /// How many calls of polls are in flight now.
    pub(crate) fn calls_in_flight(&self) -> usize {
        self.concurrency.in_use()
    }

    /// What has become of its calls.
    pub fn calls(&self) -> &CallCounts {
        &self.calls
    }

    /// How many calls of an interface the day allows, 0 for any number, how many this process has made of them, and what the upstream
    /// has told of them.
    pub(crate) fn day_usage(&self, interface: Interface) -> DayUsage {
        self.budgets.get(&interface).map_or_else(DayUsage::default, |budget| budget.usage(self.now()))
    }

    /// In how long the interface's calls of the day are spent, where others use them up well before its end.
    pub(crate) fn quota_ends_in(&self, interface: Interface) -> Option<Duration> {
        self.budgets.get(&interface)?.ends_in(self.now())
    }

    /// How long the next call of the interface would have to wait for its budget.
    pub(crate) fn next_call_in(&self, interface: Interface) -> Duration {
        self.budgets.get(&interface).map_or(Duration::ZERO, |budget| budget.next_call_in(self.now()))
    }

    /// How its tokens were had, and how long the one in use is kept.
    pub fn tokens(&self) -> &AccessTokens {
        &self.tokens
    }

    /// At how many calls a second the budget of an interface is spent evenly from now on.
    pub(crate) fn call_rates(&self, interface: Interface) -> CallRates {
        self.budgets.get(&interface).map_or_else(CallRates::default, |budget| budget.rates(self.now()))
    }

    /// The budget of an interface as it is configured.
    pub(crate) fn budget_settings(&self, interface: Interface) -> BudgetSettings {
        self.budgets.get(&interface).map_or_else(BudgetSettings::default, Budget::settings)
    }

    /// This share of the interface's budget is the instance's from now on, with `taken_over` shards that were somebody else's.
    pub(crate) fn set_share(&self, interface: Interface, share: Share, taken_over: u32) {
        if let Some(budget) = self.budgets.get(&interface) {
            budget.set_share(share, taken_over);
        }
    }

    /// The earlier of the local clock and the upstream's, as far as its answers have shown that.
    pub fn now(&self) -> UnixTime {
        self.clock.now(Moment::now(&*self.transport))
    }

    /// The local clock alone.
    pub(crate) fn local_now(&self) -> UnixMillis {
        self.transport.now()
    }

    /// How far the upstream's clock is ahead of the local one; nothing before the first answer.
    pub(crate) fn upstream_skew_seconds(&self) -> Option<i64> {
        self.clock.skew_seconds()
    }

    /// What the upstream's clock shows now, whatever the local one was set to since the last answer; nothing before the first.
    pub(crate) fn upstream_now(&self) -> Option<UnixTime> {
        self.clock.at(Instant::now())
    }

    /// Says what has been odd about rows since it was last said.
    pub(crate) fn tell_oddities(&self) {
        self.oddities.tell();
    }

    /// Asks for one page.
    ///
    /// # Errors
    /// [`CallError::Cancelled`] as soon as `cancel` is, whatever it is waiting for; else what the upstream's last answer
    /// asks its caller to do.
    pub async fn page(&self, request: &RowsRequest, cancel: &CancellationToken) -> Result<RowsResponse, CallError> {
        let expected = ExpectedPage {
            kind: request.row_kind(),
            promoter_id: request.promoter.promoter_id(),
            is_first: request.start_id.is_none(),
        };
        let read = move |body: &[u8], latest_now| read_page(body, expected, latest_now);
        let queue = if request.start_id.is_some() { CallQueue::Further } else { CallQueue::First };
        let (interface, body) = (request.interface(), request.body(self.id_kind));
        let promoter_id = request.promoter.promoter_id();
        let api_request = ApiRequest { interface, promoter_id, queue, body, patience: None, read: &read };
        let response =
            cancel.run_until_cancelled(self.call(&api_request)).await.unwrap_or(Err(CallError::Cancelled))?;
        let ApiResponse { content: page, clock_skew_seconds, guard } = response;
        self.oddities.add(&request.promoter, &page.oddities);
        // Without rows there is nothing that waits to be handed on.
        let guard = if page.rows.is_empty() { ResponseGuard::default() } else { guard };
        Ok(RowsResponse { page, clock_skew_seconds, guard })
    }

    /// Asks for material. No attempt begins after `patience`; one under way ends first.
    ///
    /// # Errors
    /// As [`Client::page`].
    pub async fn material(
        &self,
        request: &ShareMaterialRequest,
        patience: Instant,
        cancel: &CancellationToken,
    ) -> Result<ShareMaterial, CallError> {
        let read = |body: &[u8], _: UnixTime| read_material(body);
        let (interface, queue) = (ShareMaterialRequest::INTERFACE, CallQueue::First);
        let (promoter_id, body) = (request.promoter.promoter_id(), request.body());
        let api_request = ApiRequest { interface, promoter_id, queue, body, patience: Some(patience), read: &read };
        let response =
            cancel.run_until_cancelled(self.call(&api_request)).await.unwrap_or(Err(CallError::Cancelled))?;
        Ok(response.content)
    }
}

#[cfg(test)]
mod tests;
