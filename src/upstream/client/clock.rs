//! How a client comes to know the upstream's clock, before its first call and beside the token.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::Client;
use crate::retry::{Attempts, NextAttempt, RetrySettings};
use crate::upstream::error::Cause;
use crate::upstream::token::TokenError;
use crate::upstream::transport::{HttpRequest, HttpResponse, Method};
use crate::upstream::upstream_clock::Moment;

/// The longest pause between calls to hosts that have not been heard yet, where `retry.max` is longer: whoever waits for them is not
/// polled.
const CLOCK_PAUSE_MAX: Duration = Duration::from_secs(30);
/// How long a gateway that refuses such calls is asked.
const REFUSED_MAX: Duration = Duration::from_secs(30);

/// Why the upstream's clock was not heard.
#[derive(Debug, thiserror::Error)]
enum ClockUnavailable {
    /// Of the transport, fit for a log.
    #[error("{0}")]
    Unanswered(String),
    #[error("HTTP {0}, which no answer of the upstream's has")]
    Status(u16),
}

impl ClockUnavailable {
    /// Whether something answered that does not let this call through.
    fn is_refused(&self) -> bool {
        matches!(self, ClockUnavailable::Status(401 | 403 | 404 | 405))
    }
}

impl Client {
    /// Fetches the token, once and without retries, and hears the upstream's clock: then the first cursor is set, and the
    /// first window asked for, with both clocks known. Also what a check of the credentials does.
    ///
    /// # Errors
    /// [`TokenError`] where there is no token to be had. That the clock was not heard is none.
    pub async fn warm_up(&self) -> Result<(), TokenError> {
        let base_url = self.hosts.base_url(self.hosts.current());
        let token = self.tokens.get(&*self.transport, &self.clock, base_url);
        // A token call to the upstream tells its clock by the way; a token from elsewhere tells nothing of it.
        let got =
            if self.tokens.is_from_upstream() { token.await } else { tokio::join!(token, self.read_clock(base_url)).0 };
        got.map(drop).map_err(|failed| failed.error)
    }

    /// Waits until the upstream has answered anything at all, however long that takes: its clock is known then, if it tells
    /// it. Each call that has no answer is told to `failed`.
    ///
    /// What does not let this call through for [`REFUSED_MAX`] may still let others through, so it is taken for an answer.
    pub async fn await_clock(&self, failed: impl Fn(&str)) {
        let (mut host, mut refused_since) = (self.hosts.current(), None);
        let max = self.retry.max.min(CLOCK_PAUSE_MAX);
        let mut attempts = Attempts::new(&RetrySettings { max, attempts: u32::MAX, ..self.retry });
        // Another call may have heard it meanwhile.
        while self.upstream_skew_seconds().is_none() {
            let Err(unavailable) = self.read_clock(self.hosts.base_url(host)).await else { return };
            failed(&unavailable.to_string());
            // In a row: whatever else comes in between begins it anew.
            refused_since = unavailable.is_refused().then(|| refused_since.unwrap_or_else(Instant::now));
            if refused_since.is_some_and(|since| since.elapsed() >= REFUSED_MAX) {
                return;
            }
            let NextAttempt::RetryAfter(pause) = attempts.failed(None) else { return };
            tokio::time::sleep(pause).await;
            host = self.hosts.after(host);
        }
    }

    /// Makes a call that every host of the upstream answers with its `Date`, for an app whose token comes from elsewhere: a
    /// call for a token without credentials, which is refused and costs nobody's quota.
    ///
    /// # Errors
    /// [`ClockUnavailable`] where nothing answers, or with another status than 200: that is not the upstream. An answer without a
    /// `Date` is none.
    async fn read_clock(&self, base_url: &str) -> Result<(), ClockUnavailable> {
        let request = HttpRequest {
            method: Method::Post,
            base_url: base_url.to_owned(),
            path: "/cgi-bin/stable_token",
            query: vec![],
            headers: vec![],
            body: Some(Bytes::from_static(b"{}")),
        };
        let sent = Moment::now(&*self.transport);
        let HttpResponse { status, date, .. } = self
            .transport
            .send(request)
            .await
            .map_err(|error| ClockUnavailable::Unanswered(Cause::unanswered(&error.to_string(), &[]).text))?;
        if status != 200 {
            return Err(ClockUnavailable::Status(status));
        }
        if let Some(date) = date {
            self.clock.note(sent, Moment::now(&*self.transport), date);
        }
        Ok(())
    }
}
