//! What is found at the upstream, app by app: its token, and one call for data, by the very client of the polls.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::counted_transport::{CountedTransport, SentCalls};
use super::finding::{Finding, Verdict};
use super::fleet::CheckedFleet;
use super::quota;
use crate::model::feed::{Feed, Interface, PerInterface, PulledBy};
use crate::model::promoter::Promoter;
use crate::model::time::Day;
use crate::retry::RetrySettings;
use crate::session::AppSettings;
use crate::upstream::buffer::Buffers;
use crate::upstream::client::{Client, ClientSettings};
use crate::upstream::error::{CallError, Cause, OpenReason, Reaction, StopReason};
use crate::upstream::http::{HttpSettings, HttpTransport};
use crate::upstream::quota_answer::DailyQuota;
use crate::upstream::rows_request::{RowsQuery, RowsRequest};
use crate::upstream::token::TokenError;

/// From this many seconds on the clocks differ by more than the way of an answer.
const SKEW_REPORTED: i64 = 60;
/// The seconds before now that a feed is asked for that is pulled by windows: few rows, if any.
const WINDOW: i64 = 60;

/// What was found of one app.
#[derive(Debug)]
pub struct CheckedApp {
    pub app: String,
    pub findings: Vec<Finding>,
    pub spent: SpentCalls,
}

/// The calls that were made to find it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct SpentCalls {
    /// For its token, for the upstream's clock, and for its quota: they use none of it.
    pub beside: u64,
    /// For data.
    pub data: u64,
}

/// Of each app, for the promoters of `fleet`. `http` is there where apps are.
pub async fn check(apps: &[AppSettings], fleet: &CheckedFleet, http: Option<HttpSettings>) -> Vec<CheckedApp> {
    let Some(http) = http else { return Vec::new() };
    let buffers = Buffers::new(http.buffered_max);
    futures_util::future::join_all(apps.iter().map(|app| check_app(app, fleet, http, &buffers))).await
}

async fn check_app(app: &AppSettings, fleet: &CheckedFleet, http: HttpSettings, buffers: &Buffers) -> CheckedApp {
    let counts = Arc::new(SentCalls::default());
    let name = app.client.app_id.as_str().to_owned();
    let findings = match HttpTransport::new(http, buffers.clone()) {
        Ok(http) => {
            let transport = CountedTransport { http, counts: counts.clone() };
            let client = Client::new(once(&app.client), transport).reading_in(buffers.reading.clone());
            AppCheck { app, fleet, client }.findings().await
        }
        Err(error) => vec![Finding::new(&name, Verdict::Unanswered, error.to_string())],
    };
    let spent = SpentCalls { beside: counts.beside.load(Ordering::Relaxed), data: counts.data.load(Ordering::Relaxed) };
    CheckedApp { app: name, findings, spent }
}

/// The same without a second attempt, and without a pace: whoever checks wants to know what the first answer was, makes one call, and
/// would wait most of a minute for it where a day has few.
fn once(settings: &ClientSettings) -> ClientSettings {
    let retry = RetrySettings { attempts: 1, ..settings.retry };
    ClientSettings { retry, budgets: BTreeMap::new(), ..settings.clone() }
}

struct AppCheck<'a> {
    app: &'a AppSettings,
    fleet: &'a CheckedFleet,
    client: Client,
}

impl AppCheck<'_> {
    async fn findings(&self) -> Vec<Finding> {
        let began = Instant::now();
        if let Err(error) = self.client.warm_up().await {
            return vec![self.of_token(error)];
        }
        let quotas = self.quotas().await;
        let answered = match self.probe() {
            Some(request) => self.call(&request, began).await,
            None => {
                let text = "its token can be had; nobody is polled yet whom it could be asked about";
                self.finding(Verdict::Sound, text.to_owned()).took(began.elapsed())
            }
        };
        std::iter::once(answered).chain(self.of_clock()).chain(quota::findings(self.app, self.fleet, &quotas)).collect()
    }

    /// What the upstream tells of those interfaces that are polled, which costs none of their quota.
    async fn quotas(&self) -> PerInterface<Option<DailyQuota>> {
        let mut quotas = PerInterface::default();
        for interface in Interface::ALL.into_iter().filter(|interface| quota::is_polled(self.app, *interface)) {
            quotas[interface] = self.client.daily_quota(interface).await;
        }
        quotas
    }

    /// One call for data: about the first promoter that is polled at all, by the order of their ids.
    fn probe(&self) -> Option<RowsRequest> {
        let polled = self.fleet.polled(self.app).filter_map(|polled| {
            let feed = Feed::ALL.into_iter().find(|feed| polled.feeds[*feed].is_some())?;
            Some((polled.promoter, feed))
        });
        // The same one each time.
        polled.min_by(|(one, _), (other, _)| one.cmp(other)).map(|(promoter, feed)| self.request(promoter, feed))
    }

    fn request(&self, promoter: Promoter, feed: Feed) -> RowsRequest {
        let now = self.client.now();
        let query = match feed.pulled_by() {
            PulledBy::Window => RowsQuery::Window { feed, begin: now.minus(WINDOW), end: now },
            PulledBy::Day | PulledBy::Promoter => RowsQuery::Orders { date: Some(Day::in_beijing(now)) },
        };
        RowsRequest { promoter, query, start_id: None }
    }

    async fn call(&self, request: &RowsRequest, began: Instant) -> Finding {
        let interface = request.interface();
        match self.client.page(request, &CancellationToken::new()).await {
            Ok(_) => {
                let text = format!("its token can be had, and {interface} answers");
                self.finding(Verdict::Sound, text).took(began.elapsed())
            }
            Err(error) => self.of_call(error, request),
        }
    }

    fn of_token(&self, TokenError { reaction, cause, .. }: TokenError) -> Finding {
        match reaction {
            Reaction::StopApp(reason) => self.stopped(reason, &cause),
            Reaction::RetryTransport | Reaction::RetryBusy => {
                self.finding(Verdict::Unanswered, format!("no token: {cause}"))
            }
            _ => self.finding(Verdict::Wrong, format!("no token: {cause}")),
        }
    }

    fn of_call(&self, error: CallError, request: &RowsRequest) -> Finding {
        let (promoter, interface) = (&request.promoter, request.interface());
        match error {
            CallError::BreakerOpen { reason: OpenReason::Stopped(reason), cause, .. } => self.stopped(reason, &cause),
            CallError::BreakerOpen { reason: OpenReason::TokenRejected | OpenReason::NoToken, cause, .. } => {
                self.stopped(StopReason::TokensRejected, &cause)
            }
            // It is served, only not now.
            CallError::BreakerOpen { cause, .. } | CallError::TryLater(cause) => {
                self.finding(Verdict::Warning, format!("{interface} does not serve it now: {cause}"))
            }
            CallError::ParkPromoter(cause) => {
                let seconds = self.app.parked_for.as_secs();
                let text = format!("{promoter} is refused, and would be asked again each {seconds} s: {cause}");
                self.finding(Verdict::Warning, text)
            }
            CallError::Exhausted { cause, .. } => {
                self.finding(Verdict::Unanswered, format!("{interface} gives no answer: {cause}"))
            }
            error => self.finding(Verdict::Warning, format!("{interface}: {error}")),
        }
    }

    /// What keeps the whole app out, and what to do.
    fn stopped(&self, reason: StopReason, cause: &Cause) -> Finding {
        let fix = match reason {
            StopReason::Credentials => {
                "correct app_id and secret: the AppSecret may have been reset or frozen".to_owned()
            }
            StopReason::IpNotAllowed => match refused_address(&cause.text) {
                Some(address) => format!("add {address} to the app's IP allow-list"),
                None => "add this host's address to the app's IP allow-list".to_owned(),
            },
            StopReason::NotOpened => "have the promoter API opened for this app, or its account unbanned".to_owned(),
            StopReason::TokensRejected => "look at where its token comes from: it is rejected".to_owned(),
        };
        self.finding(Verdict::Wrong, cause.to_string()).fixed_by(fix)
    }

    fn of_clock(&self) -> Option<Finding> {
        let skew = self.client.upstream_skew_seconds().filter(|skew| skew.abs() > SKEW_REPORTED)?;
        let which = if skew > 0 { "behind" } else { "ahead of" };
        let text = format!("this host's clock is {} s {which} the upstream's", skew.abs());
        Some(self.finding(Verdict::Warning, text).fixed_by("correct the clock of this host"))
    }

    fn finding(&self, verdict: Verdict, text: String) -> Finding {
        Finding::new(self.app.client.app_id.as_str(), verdict, text)
    }
}

/// The address that the upstream has seen, as it says.
fn refused_address(text: &str) -> Option<IpAddr> {
    let is_of_address = |letter: char| letter.is_ascii_hexdigit() || matches!(letter, '.' | ':');
    text.split(|letter| !is_of_address(letter)).find_map(|word| word.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_found_in_the_upstreams_words() {
        for (text, address) in [
            ("invalid ip 203.0.113.7 ipv6 ::ffff:203.0.113.7, not in whitelist rid: 65f0-1", Some("203.0.113.7")),
            ("invalid ip 2001:db8::1, not in whitelist", Some("2001:db8::1")),
            ("access denied, be bad", None),
        ] {
            assert_eq!(refused_address(text), address.map(|address| address.parse().unwrap()), "{text}");
        }
    }
}
