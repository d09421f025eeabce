//! How long to wait before the same is asked again, and when to give up.
//!
//! The only user of the `backoff` crate, which gives the policy: an interval that doubles, with jitter of half of it on
//! either side. The ceiling is ours, since that crate's lies before the jitter, and so is the bound on attempts.

use std::error::Error;
use std::future::Future;
use std::time::Duration;

use backoff::ExponentialBackoff;
use backoff::backoff::Backoff;
use tokio::time::Instant;

use crate::text::with_causes;

/// The usual jitter: a delay lies between half of its interval and one and a half times it.
pub const JITTER: f64 = 0.5;

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RetrySettings {
    /// The first delay, before jitter.
    pub initial: Duration,
    /// No delay is longer, after jitter.
    pub max: Duration,
    /// Calls in all, the first one included. At least 1.
    pub attempts: u32,
    /// How far a delay may lie off its interval on either side, as a share of it: [`JITTER`], or 0 where a run
    /// must be repeatable.
    pub jitter: f64,
}

/// The pauses of whoever can't do without the other side: between openings of the log, between calls that the start depends on,
/// and to a schema registry that is away.
pub const PATIENCE: RetrySettings = RetrySettings {
    initial: Duration::from_millis(200),
    max: Duration::from_secs(10),
    attempts: u32::MAX,
    jitter: JITTER,
};

/// What comes after a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NextAttempt {
    RetryAfter(Duration),
    /// The other side asked for a delay that is too long to wait for here.
    DelayTooLong(Duration),
    GiveUp,
}

/// The attempts of one call.
pub(crate) struct Attempts {
    policy: ExponentialBackoff,
    max: Duration,
    made: u32,
    allowed: u32,
}

impl Attempts {
    pub fn new(settings: &RetrySettings) -> Attempts {
        let policy = ExponentialBackoff {
            current_interval: settings.initial,
            initial_interval: settings.initial,
            max_interval: settings.max,
            multiplier: 2.0,
            randomization_factor: settings.jitter,
            // By default the crate gives up after 15 minutes, and attempts are the bound here.
            max_elapsed_time: None,
            ..ExponentialBackoff::default()
        };
        Attempts { policy, max: settings.max, made: 0, allowed: settings.attempts.max(1) }
    }

    pub fn made(&self) -> u32 {
        self.made
    }

    /// To be called once for each attempt that failed. `retry_after` is the other side's `Retry-After`: it goes in place of
    /// the policy's delay.
    pub fn failed(&mut self, retry_after: Option<Duration>) -> NextAttempt {
        self.made += 1;
        match retry_after {
            Some(retry_after) if retry_after > self.max => NextAttempt::DelayTooLong(retry_after),
            _ if self.made >= self.allowed => NextAttempt::GiveUp,
            Some(retry_after) => NextAttempt::RetryAfter(retry_after),
            None => NextAttempt::RetryAfter(self.policy.next_backoff().map_or(self.max, |delay| delay.min(self.max))),
        }
    }
}

/// How long a command waits for what it needs.
pub(crate) const COMMAND_PATIENCE: Duration = Duration::from_secs(60);

/// Calls again while the error may pass, for `at_most` so long. For what is needed at start.
///
/// # Errors
/// The last call's, in the context of `what`: one that does not pass, or did not in that time.
pub(crate) async fn retried<R, E: Error + Send + Sync + 'static, F: Future<Output = Result<R, E>>>(
    what: &'static str,
    mut call: impl FnMut() -> F,
    may_pass: impl Fn(&E) -> bool,
    at_most: Duration,
) -> anyhow::Result<R> {
    let began = Instant::now();
    let mut attempts = Attempts::new(&PATIENCE);
    loop {
        match call().await {
            Ok(result) => return Ok(result),
            Err(error) if may_pass(&error) && began.elapsed() < at_most => {
                let NextAttempt::RetryAfter(pause) = attempts.failed(None) else {
                    return Err(anyhow::Error::new(error).context(what));
                };
                tracing::warn!(what, error = %with_causes(&error), "not to be had at start, asked again");
                tokio::time::sleep(pause).await;
            }
            Err(error) => return Err(anyhow::Error::new(error).context(what)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(attempts: u32) -> RetrySettings {
        RetrySettings { initial: Duration::from_millis(200), max: Duration::from_secs(30), attempts, jitter: JITTER }
    }

    #[test]
    fn delays_double_with_jitter_and_never_pass_the_ceiling() {
        let mut attempts = Attempts::new(&settings(100));
        for attempt in 0..99 {
            let NextAttempt::RetryAfter(delay) = attempts.failed(None) else { panic!("gave up early") };
            let middle = 0.2 * 2f64.powi(attempt);
            let delay = delay.as_secs_f64();
            assert!(delay >= middle.min(30.0) * 0.49, "{attempt}: {delay}");
            assert!(delay <= (middle * 1.51).min(30.0), "{attempt}: {delay}");
        }
    }

    #[test]
    fn two_calls_do_not_wait_alike() {
        let delays = |_| Attempts::new(&settings(8)).failed(None);
        assert!((1..50).map(delays).any(|delay| delay != delays(0)));
    }

    #[test]
    fn attempts_are_bounded() {
        let mut attempts = Attempts::new(&settings(3));
        assert!(matches!(attempts.failed(None), NextAttempt::RetryAfter(_)));
        assert!(matches!(attempts.failed(Some(Duration::ZERO)), NextAttempt::RetryAfter(_)));
        assert_eq!(attempts.failed(None), NextAttempt::GiveUp);
        assert_eq!(attempts.made(), 3);
        assert_eq!(Attempts::new(&settings(0)).failed(None), NextAttempt::GiveUp);
    }

    #[test]
    fn a_pause_that_is_asked_for_is_kept_or_becomes_a_hold() {
        let mut attempts = Attempts::new(&settings(8));
        let seconds = Duration::from_secs;
        assert_eq!(attempts.failed(Some(seconds(30))), NextAttempt::RetryAfter(seconds(30)));
        assert_eq!(attempts.failed(Some(seconds(31))), NextAttempt::DelayTooLong(seconds(31)));
        assert_eq!(attempts.failed(Some(seconds(86_400))), NextAttempt::DelayTooLong(seconds(86_400)));
    }
}
