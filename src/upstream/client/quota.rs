//! What the upstream says of its quotas: asked now and then, and often while one is spent.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use super::Client;
use crate::model::feed::Interface;
use crate::upstream::budget::{Budget, OtherCallers};
use crate::upstream::error::Cause;
use crate::upstream::quota_answer::{self, DailyQuota};
use crate::upstream::transport::{HttpRequest, HttpResponse, Method};

/// How often it is asked while there is quota: to know how much, and whether others use it.
const READ_EVERY: Duration = Duration::from_secs(3600);
/// How often it is looked whether one is to be asked for.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// Why the upstream has not told a quota, fit for a log.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct QuotaUnavailable(Cause);

impl Client {
    /// Asks for the quota of each interface that has a budget, for ever: each hour, once what is told may show that calls are left
    /// over, and where it is spent each `stopped`. Budgets and breakers follow what is told. Nobody is asked while the app's own
    /// breaker is not closed.
    pub async fn keep_quotas(&self) {
        let mut changes = self.breakers.changes();
        let mut requested_at: BTreeMap<Interface, Instant> = BTreeMap::new();
        loop {
            for (interface, budget) in &self.budgets {
                let is_due = requested_at.get(interface).is_none_or(|at| self.is_quota_due(*interface, budget, *at));
                if is_due && !self.breakers.is_app_open() {
                    // Noted before the answer: one that never comes is not asked for again at once.
                    requested_at.insert(*interface, Instant::now());
                    self.learn_quota(*interface, budget).await;
                }
            }
            tokio::select! {
                () = tokio::time::sleep(self.breaker_settings.stopped.min(LOOK_EVERY)) => {}
                // A quota that is spent opens a breaker, and is asked for at once.
                _ = changes.changed() => {}
            }
        }
    }

    /// Whether it is to be asked again, when it was asked last at that time.
    fn is_quota_due(&self, interface: Interface, budget: &Budget, requested_at: Instant) -> bool {
        match self.breakers.lacks_quota_since(interface) {
            Some(since) => requested_at < since || requested_at.elapsed() >= self.breaker_settings.stopped,
            None => {
                let settled = budget.settled();
                requested_at.elapsed() >= READ_EVERY || (requested_at < settled && settled <= Instant::now())
            }
        }
    }

    async fn learn_quota(&self, interface: Interface, budget: &Budget) {
        let app = &self.app_id;
        let quota = match self.quota(interface).await {
            Ok(quota) => quota,
            Err(error) => {
                tracing::debug!(%app, %interface, %error, "the quota is not told");
                // As long as nobody tells, a call of data has to try.
                return self.breakers.quota_unavailable(interface);
            }
        };
        let DailyQuota { limit, used } = quota;
        tracing::debug!(%app, %interface, limit, used, "the quota is told");
        self.breakers.quota_reported(interface, quota.left() > 0, self.day_left());
        if let Some(OtherCallers { per_day }) = budget.quota_reported(quota, self.now()) {
            let per_day = per_day.round();
            tracing::warn!(%app, %interface, per_day, limit, "others call for this app, too: what they use is left to them");
        }
    }

    /// What the upstream tells of an interface's quota; nothing where it does not. For whoever only wants to know: no budget
    /// follows it.
    pub async fn daily_quota(&self, interface: Interface) -> Option<DailyQuota> {
        self.quota(interface).await.ok()
    }

    /// # Errors
    /// [`QuotaUnavailable`] where there is no token, no answer, or none that names a quota. It is never tried again here.
    async fn quota(&self, interface: Interface) -> Result<DailyQuota, QuotaUnavailable> {
        let base_url = self.hosts.base_url(self.hosts.current());
        let token = self.tokens.get(&*self.transport, &self.clock, base_url).await;
        let token = token.map_err(|failed| QuotaUnavailable(failed.error.cause))?;
        let unavailable = |error: &dyn std::error::Error| {
            QuotaUnavailable(self.tokens.hiding(&token, |secrets| Cause::unanswered(&error.to_string(), secrets)))
        };
        let request = HttpRequest {
            method: Method::Post,
            base_url: base_url.to_owned(),
            path: quota_answer::PATH,
            query: vec![("access_token", token.expose().to_owned())],
            headers: vec![],
            body: Some(quota_answer::request_body(interface)),
        };
        let HttpResponse { body, .. } = self.transport.send(request).await.map_err(|error| unavailable(&error))?;
        quota_answer::read(&body).map_err(|error| unavailable(&error))
    }
}
