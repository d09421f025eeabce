//! The way of one call: past the breakers, to its budget and a place, over its retries and hosts, to its end.

use std::time::Duration;

use tokio::time::Instant;

use super::{Answered, Asked, Client, Ended, Failure};
use crate::model::feed::Interface;
use crate::model::time::{Day, UnixTime};
use crate::retry::{Attempts, Next};
use crate::upstream::breaker::{Fault, Hold, Pass, news};
use crate::upstream::budget::DaySpent;
use crate::upstream::error::{Call, CallError, Cause, Reaction};
use crate::upstream::hosts::Host;
use crate::upstream::places::Place;
use crate::upstream::token::Token;
use crate::upstream::transport::Transport;

/// How far a call has come.
pub(super) struct Calling<'a> {
    pub(super) pass: Pass<'a>,
    attempts: Attempts,
    pub(super) host: Host,
    /// Why the latest attempt that may be repeated failed.
    failed: Option<Cause>,
    /// The token that was refused: it is not sent again.
    pub(super) rejected: Option<Token>,
}

impl<T: Transport> Client<T> {
    pub(super) async fn ask<C>(&self, asked: &Asked<'_, C>) -> Result<Answered<C>, CallError> {
        let pass = self.breakers.pass(asked.interface, asked.promoter_id)?;
        let (attempts, host) = (Attempts::new(&self.retry), self.hosts.current());
        let mut calling = Calling { pass, attempts, host, failed: None, rejected: None };
        let answered = self.ask_until_final(asked, &mut calling).await;
        calling.pass.undecided();
        match (answered, calling.failed) {
            // It has failed as those calls have that made the upstream seem dead.
            (Err(CallError::Held { hold: Hold::Unanswered, answered: false, .. }), Some(cause)) => {
                Err(CallError::Exhausted { attempts: calling.attempts.made(), cause })
            }
            (answered, _) => answered,
        }
    }

    async fn ask_until_final<C>(
        &self,
        asked: &Asked<'_, C>,
        calling: &mut Calling<'_>,
    ) -> Result<Answered<C>, CallError> {
        loop {
            let place = self.turn(asked, calling).await?;
            // What a call takes is many times what a wait for it does, and far more may wait than call at once.
            let failure = match Box::pin(self.attempt(asked, calling)).await {
                Ok(mut answered) => {
                    self.hosts.answered(calling.host);
                    calling.pass.served();
                    answered.held.keep(place);
                    return Ok(answered);
                }
                Err(Ended::Unreadable(cause)) => {
                    calling.pass.served();
                    return Err(CallError::Unreadable(cause));
                }
                Err(Ended::Held(held)) => return Err(held),
                Err(Ended::Failed(failure)) => failure,
            };
            drop(place);
            let news = news(failure.reaction, failure.call, failure.retry_after, self.day_left());
            let fault = calling.pass.note(news, &failure.cause);
            match failure.reaction {
                Reaction::RetryTransport | Reaction::RetryBusy => self.pause(asked, calling, failure).await?,
                Reaction::RejectToken if calling.rejected.is_none() && failure.token.is_some() => {
                    let interface = asked.interface;
                    tracing::debug!(app = %self.app_id, %interface, error = %failure.cause, "token rejected");
                    failure.token.iter().for_each(|token| self.tokens.reject(token));
                    calling.rejected = failure.token;
                }
                _ => return Err(self.final_error(calling, fault, failure)),
            }
        }
    }

    /// Waits until its call may be sent: for the budget without a place, and then for a place. What opens a breaker
    /// meanwhile ends it.
    async fn turn<C>(&self, asked: &Asked<'_, C>, calling: &mut Calling<'_>) -> Result<Option<Place>, CallError> {
        if let Some(budget) = self.budgets.get(&asked.interface) {
            budget.left(self.now()).map_err(|spent| self.day_spent(calling, spent))?;
            budget.turn(asked.turn, || calling.pass.check()).await?;
        }
        let place = self.places.take(asked.interface).await;
        calling.pass.check()?;
        Ok(place)
    }

    /// To be called just before the call is sent, so that what is never sent is not counted.
    pub(super) fn count(&self, interface: Interface, calling: &mut Calling<'_>) -> Result<(), CallError> {
        calling.pass.sends()?;
        let Some(budget) = self.budgets.get(&interface) else { return Ok(()) };
        budget.count(self.now()).map_err(|spent| self.day_spent(calling, spent))
    }

    fn day_spent(&self, calling: &mut Calling<'_>, DaySpent { until }: DaySpent) -> CallError {
        let hold = Hold::DailyBudget { day_left: self.left_until(until) };
        let cause = Cause::unanswered("the configured calls of the day are spent", &[]);
        calling.pass.hold_interface(hold, &cause);
        CallError::Held { hold, cause, answered: false }
    }

    fn day_left(&self) -> Duration {
        self.left_until(Day::in_beijing(self.now()).beijing_end())
    }

    fn left_until(&self, time: UnixTime) -> Duration {
        Duration::from_secs(time.0.saturating_sub(self.now().0).max(0).cast_unsigned())
    }

    /// Waits until the same may be asked again, or tells why it may not.
    async fn pause<C>(
        &self,
        Asked { interface, patience, .. }: &Asked<'_, C>,
        calling: &mut Calling<'_>,
        failure: Failure,
    ) -> Result<(), CallError> {
        let asked = self.next_host(calling, &failure);
        let next = calling.attempts.failed(asked);
        let Failure { call, cause, .. } = failure;
        calling.failed = Some(cause.clone());
        // Also where it was this very failure that has opened the breaker.
        calling.pass.check()?;
        match next {
            Next::Hold(delay) => {
                let hold = Hold::RetryAfter(delay);
                match call {
                    Call::Token => calling.pass.hold_app(hold, &cause),
                    Call::Data(_) => calling.pass.hold_interface(hold, &cause),
                }
                Err(CallError::Held { hold, cause, answered: true })
            }
            // A probe is one call to each host: it is repeated after the breaker's pause, and not after a retry's.
            _ if calling.pass.is_probe() && calling.attempts.made() as usize >= self.hosts.count() => {
                calling.pass.undecided();
                Err(CallError::Exhausted { attempts: calling.attempts.made(), cause })
            }
            Next::RetryAfter(delay) if patience.is_none_or(|patience| Instant::now() + delay < patience) => {
                tracing::debug!(app = %self.app_id, %interface, ?delay, error = %cause, "call is retried");
                tokio::time::sleep(delay).await;
                calling.pass.check()
            }
            Next::RetryAfter(_) | Next::GiveUp => {
                Err(CallError::Exhausted { attempts: calling.attempts.made(), cause })
            }
        }
    }

    /// Turns to the host that is asked next, and tells how long it asks to be left alone.
    fn next_host(&self, calling: &mut Calling<'_>, failure: &Failure) -> Option<Duration> {
        let host = calling.host;
        let (number, hosts) = (host.index(), self.hosts.count());
        let asked = failure.retry_after.map(|asked| asked.min(self.holds.stopped));
        let unanswered = failure.reaction == Reaction::RetryTransport;
        match failure.call {
            Call::Token if !self.tokens.asks_upstream() => {
                if unanswered {
                    calling.pass.fetch_unanswered(failure.fetch, 0, 1, &failure.cause);
                }
                return asked;
            }
            _ if !unanswered => {
                self.hosts.answered(host);
                return asked;
            }
            Call::Token => calling.pass.fetch_unanswered(failure.fetch, number, hosts, &failure.cause),
            Call::Data(_) => calling.pass.unanswered(number, hosts, &failure.cause),
        }
        if let Some(asked) = asked {
            self.hosts.rest(host, asked);
        }
        calling.host = self.hosts.after(host);
        self.hosts.rests_for(calling.host)
    }

    fn final_error(&self, calling: &mut Calling<'_>, fault: Option<Fault>, failure: Failure) -> CallError {
        let Failure { call, reaction, cause, fetch, .. } = failure;
        if matches!(call, Call::Data(_)) || self.tokens.asks_upstream() {
            self.hosts.answered(calling.host);
        }
        let fault = match reaction {
            Reaction::RejectToken => Some(calling.pass.token_rejected_again(fetch, &cause)),
            _ => fault,
        };
        match (fault, reaction) {
            (Some(Fault::Held(hold)), _) => CallError::Held { hold, cause, answered: true },
            // A request waits as for a stopped app: it may be mended.
            (Some(Fault::OfPromoter(hold)), _) if calling.pass.interface() == Interface::GetShareMaterial => {
                CallError::Held { hold, cause, answered: true }
            }
            (Some(Fault::OfPromoter(_)), _) => CallError::ParkPromoter(cause),
            (None, Reaction::ParkPromoter) => CallError::ParkPromoter(cause),
            (None, Reaction::RefuseRequest) => CallError::RefuseRequest(cause),
            (None, Reaction::TryLater) => CallError::TryLater(cause),
            (None, Reaction::ClientFault) => CallError::ClientFault(cause),
            (None, Reaction::Unforeseen) => CallError::Unforeseen(cause),
            // What holds has its fault, and the loop deals with the rest: an answer is no failure, and a retry is not final.
            (
                None,
                Reaction::StopApp(_)
                | Reaction::QuotaSpent
                | Reaction::TooFast
                | Reaction::RejectToken
                | Reaction::Read
                | Reaction::NoData
                | Reaction::RetryBusy
                | Reaction::RetryTransport,
            ) => unreachable!("{reaction:?} does not end a call so"),
        }
    }
}
