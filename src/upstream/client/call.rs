//! The way of one call: past the breakers, to its budget and a permit, over its retries and hosts, to its end.

use std::time::Duration;

use tokio::time::Instant;

use super::Client;
use super::attempt::{ApiRequest, ApiResponse, AttemptError, FailedAttempt};
use super::call_progress::CallProgress;
use crate::model::feed::Interface;
use crate::model::time::Day;
use crate::retry::{Attempts, NextAttempt};
use crate::upstream::breaker::{CallRefusal, evidence};
use crate::upstream::concurrency_limit::ConcurrencyPermit;
use crate::upstream::error::{CallError, CallKind, OpenReason, Reaction};

impl Client {
    /// # Errors
    /// [`CallError`], by what the caller does about it: what a repetition may mend was repeated before.
    pub(super) async fn call<C>(&self, request: &ApiRequest<'_, C>) -> Result<ApiResponse<C>, CallError> {
        let pass = self.breakers.pass(request.interface, request.promoter_id)?;
        let (attempts, host) = (Attempts::new(&self.retry), self.hosts.current());
        let mut progress = CallProgress { pass, attempts, host, budgeted: None, failed: None, rejected: None };
        let answered = self.call_until_final(request, &mut progress).await;
        // Whatever it has come to: a probe that has decided nothing leaves the next one to others.
        progress.pass.undecided();
        match (answered, progress.failed) {
            // It has failed as those calls have that made the upstream seem dead.
            (Err(CallError::BreakerOpen { reason: OpenReason::Unanswered, by_response: false, .. }), Some(cause)) => {
                Err(CallError::Exhausted { attempts: progress.attempts.made(), cause })
            }
            (answered, _) => answered,
        }
    }

    /// Attempt after attempt, until one is the last.
    ///
    /// # Errors
    /// [`CallError`] of the last attempt, or of a breaker that opened before another.
    async fn call_until_final<'a, C>(
        &'a self,
        request: &ApiRequest<'_, C>,
        progress: &mut CallProgress<'a>,
    ) -> Result<ApiResponse<C>, CallError> {
        loop {
            let permit = self.acquire_permit(request, progress).await?;
            // What a call takes is many times what a wait for it does, and far more may wait than call at once.
            let failure = match Box::pin(self.attempt(request, progress, permit)).await {
                Ok(response) => {
                    self.hosts.answered(progress.host);
                    progress.pass.served();
                    return Ok(response);
                }
                Err(AttemptError::Unreadable(cause)) => {
                    // It has answered this call, which is all that a breaker asks for, and a host is kept for.
                    self.hosts.answered(progress.host);
                    progress.pass.served();
                    return Err(CallError::Unreadable(cause));
                }
                Err(AttemptError::BreakerOpen(error)) => return Err(error),
                Err(AttemptError::Failed(failure)) => self.react(request.interface, progress, failure)?,
            };
            // Outside of the match, which would keep the whole attempt in memory for the pause.
            if let Some(failure) = failure {
                self.pause(request, progress, failure).await?;
            }
        }
    }

    /// Tells the breakers. A failure that is given back is to be paused for before the next attempt.
    ///
    /// # Errors
    /// [`CallError`], which ends the call, where no other attempt may mend the failure.
    fn react(
        &self,
        interface: Interface,
        progress: &mut CallProgress<'_>,
        failure: FailedAttempt,
    ) -> Result<Option<FailedAttempt>, CallError> {
        let evidence = evidence(failure.reaction, failure.call, failure.retry_after, self.day_left());
        let refusal = progress.pass.note(evidence, &failure.cause);
        // What one promoter alone is told says nothing about the calls of the others.
        if !matches!(refusal, Some(CallRefusal::PromoterOnly(_))) {
            self.correct_budget(interface, failure.reaction);
        }
        match failure.reaction {
            Reaction::RetryTransport | Reaction::RetryBusy => Ok(Some(failure)),
            Reaction::RejectToken if progress.rejected.is_none() && failure.token.is_some() => {
                tracing::debug!(app = %self.app_id, %interface, error = %failure.cause, "token rejected");
                failure.token.iter().for_each(|token| self.tokens.reject(token));
                progress.rejected = failure.token;
                // Without a pause: the next attempt has another token, so it is no repetition.
                Ok(None)
            }
            _ => Err(self.final_error(progress, refusal, failure)),
        }
    }

    /// Waits until its call may be sent: for the budget without a permit, and then for a permit.
    ///
    /// # Errors
    /// [`CallError::BreakerOpen`] where a breaker opens meanwhile.
    async fn acquire_permit<'a, C>(
        &'a self,
        request: &ApiRequest<'_, C>,
        progress: &mut CallProgress<'a>,
    ) -> Result<Option<ConcurrencyPermit>, CallError> {
        // The budget first: its waits are long, and a permit that was held meanwhile would be one call less in flight.
        if let Some(budget) = self.budgets.get(&request.interface) {
            let began = Instant::now();
            let call = budget.acquire(request.queue, || self.now(), || progress.pass.check()).await?;
            self.calls.waited(request.interface, began.elapsed());
            progress.budgeted = Some(call);
        }
        let permit = self.concurrency.acquire(request.interface).await;
        // That may have taken long: what has opened meanwhile ends the call before it is sent.
        progress.pass.check()?;
        Ok(permit)
    }

    /// To be called just before the call is sent, so that what is never sent is not counted.
    ///
    /// # Errors
    /// [`CallError::BreakerOpen`] where a breaker has opened: then it is not sent.
    pub(super) fn count(&self, progress: &mut CallProgress<'_>) -> Result<(), CallError> {
        progress.pass.sends()?;
        if let Some(call) = progress.budgeted.take() {
            call.sends(self.now());
        }
        Ok(())
    }

    /// Where more is called than the upstream bears: its quota is smaller than configured, or others call for this app, too.
    fn correct_budget(&self, interface: Interface, reaction: Reaction) {
        let Some(budget) = self.budgets.get(&interface) else { return };
        let app = &self.app_id;
        match reaction {
            Reaction::TooFast => {
                if let Some(calls_a_second) = budget.too_fast() {
                    let per_minute = (calls_a_second * 60.0).round();
                    tracing::warn!(%app, %interface, per_minute, "calls are too fast: for some hours they come more slowly");
                }
            }
            Reaction::QuotaSpent => {
                if let Some(per_day) = budget.quota_spent(self.now()).map(f64::round) {
                    tracing::warn!(%app, %interface, per_day, "the day's quota is spent: from tomorrow on it is spread over the day");
                }
            }
            _ => {}
        }
    }

    /// Until midnight in Beijing.
    pub(super) fn day_left(&self) -> Duration {
        let now = self.now();
        let midnight = Day::in_beijing(now).beijing_end();
        Duration::from_secs(midnight.0.saturating_sub(now.0).max(0).cast_unsigned())
    }

    /// Waits until the same may be asked again.
    ///
    /// # Errors
    /// [`CallError::BreakerOpen`] where a breaker is open, or is opened here since the upstream asks for too long a pause;
    /// [`CallError::Exhausted`] where no attempt is left, or none could begin in time.
    async fn pause<C>(
        &self,
        ApiRequest { interface, patience, .. }: &ApiRequest<'_, C>,
        progress: &mut CallProgress<'_>,
        failure: FailedAttempt,
    ) -> Result<(), CallError> {
        let retry_after = self.next_host(progress, &failure);
        let next = progress.attempts.failed(retry_after);
        let FailedAttempt { call, cause, .. } = failure;
        // Before the check: where the upstream seems dead the call ends with this failure, and not with the breaker's words.
        progress.failed = Some(cause.clone());
        // Also where it was this very failure that has opened the breaker.
        progress.pass.check()?;
        match next {
            NextAttempt::DelayTooLong(delay) => {
                let reason = OpenReason::RetryAfter(delay);
                match call {
                    // Without a token no interface of the app can be called.
                    CallKind::Token => progress.pass.open_app(reason, &cause),
                    CallKind::Data(_) => progress.pass.open_interface(reason, &cause),
                }
                Err(CallError::BreakerOpen { reason, cause, by_response: true })
            }
            // A probe is one call to each host: it is repeated after the breaker's pause, and not after a retry's.
            _ if progress.pass.is_probe() && progress.attempts.made() as usize >= self.hosts.count() => {
                progress.pass.undecided();
                Err(CallError::Exhausted { attempts: progress.attempts.made(), cause })
            }
            NextAttempt::RetryAfter(delay) if patience.is_none_or(|patience| Instant::now() + delay < patience) => {
                tracing::debug!(app = %self.app_id, %interface, ?delay, error = %cause, "call is retried");
                tokio::time::sleep(delay).await;
                progress.pass.check()
            }
            NextAttempt::RetryAfter(_) | NextAttempt::GiveUp => {
                Err(CallError::Exhausted { attempts: progress.attempts.made(), cause })
            }
        }
    }

    /// Turns to the host that is asked next, and tells how long it asks to be left alone.
    fn next_host(&self, progress: &mut CallProgress<'_>, failure: &FailedAttempt) -> Option<Duration> {
        let host = progress.host;
        let (number, hosts) = (host.index(), self.hosts.count());
        let retry_after = failure.retry_after.map(|retry_after| retry_after.min(self.breaker_settings.stopped));
        let unanswered = failure.reaction == Reaction::RetryTransport;
        match failure.call {
            // The token comes from none of the hosts, so none of them has failed, and another one would not help.
            CallKind::Token if !self.tokens.is_from_upstream() => {
                if unanswered {
                    progress.pass.fetch_unanswered(failure.fetch, 0, 1, &failure.cause);
                }
                return retry_after;
            }
            // A refusal is an answer: this host works.
            _ if !unanswered => {
                self.hosts.answered(host);
                return retry_after;
            }
            CallKind::Token => progress.pass.fetch_unanswered(failure.fetch, number, hosts, &failure.cause),
            CallKind::Data(_) => progress.pass.unanswered(number, hosts, &failure.cause),
        }
        // It is that host which wants to be left alone; the next one may be asked meanwhile.
        if let Some(retry_after) = retry_after {
            self.hosts.rest(host, retry_after);
        }
        progress.host = self.hosts.after(host);
        self.hosts.rests_for(progress.host)
    }

    fn final_error(
        &self,
        progress: &mut CallProgress<'_>,
        fault: Option<CallRefusal>,
        failure: FailedAttempt,
    ) -> CallError {
        let FailedAttempt { call, reaction, cause, fetch, .. } = failure;
        // It has refused, and so it has answered; but where the token comes from elsewhere that says nothing of the host.
        if matches!(call, CallKind::Data(_)) || self.tokens.is_from_upstream() {
            self.hosts.answered(progress.host);
        }
        let fault = match reaction {
            Reaction::RejectToken => Some(progress.pass.token_rejected_again(fetch, &cause)),
            _ => fault,
        };
        match (fault, reaction) {
            (Some(CallRefusal::BreakerOpen(reason)), _) => CallError::BreakerOpen { reason, cause, by_response: true },
            (Some(CallRefusal::PromoterOnly(_)), _) if progress.pass.interface().is_polled() => {
                CallError::ParkPromoter(cause)
            }
            // A request waits as for a stopped app: it may be mended.
            (Some(CallRefusal::PromoterOnly(reason)), _) => CallError::BreakerOpen { reason, cause, by_response: true },
            (None, Reaction::ParkPromoter) => CallError::ParkPromoter(cause),
            (None, Reaction::RefuseRequest) => CallError::RefuseRequest(cause),
            (None, Reaction::TryLater) => CallError::TryLater(cause),
            (None, Reaction::ClientFault) => CallError::ClientFault(cause),
            // Beside what is unforeseen none of these ends a call so: what opens a breaker has its refusal, an answer is no
            // failure, and a retry is not final. Should one come here all the same, then nobody has foreseen it.
            (
                None,
                Reaction::Unforeseen
                | Reaction::StopApp(_)
                | Reaction::QuotaSpent
                | Reaction::TooFast
                | Reaction::RejectToken
                | Reaction::Read
                | Reaction::NoData
                | Reaction::RetryBusy
                | Reaction::RetryTransport,
            ) => CallError::Unforeseen(cause),
        }
    }
}
