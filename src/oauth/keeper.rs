//! Keeps one token current.
//!
//! Whoever needs a token never asks for one: each is told to them, so any number of clients costs one call, and there is
//! never a second one under way. A failure takes nothing away: the last token serves as long as it lasts.

use std::time::Duration;

use tokio::time::sleep;

use super::error::IssueError;
use super::{BrokerToken, Issuer};
use crate::retry::{Attempts, JITTER, NextAttempt, RetrySettings};

/// The part of its life after which a token is renewed: librdkafka's own choice. Brokers ask for a new proof after nine
/// tenths of it, which finds the successor in place.
const RENEWED_AFTER: f64 = 0.8;
/// However short its life, no token is renewed sooner.
const KEPT_AT_LEAST: Duration = Duration::from_millis(500);
/// The pauses after failures. A longer one is not waited for, whatever the endpoint asks: an outage may be over sooner.
const PATIENCE: RetrySettings = RetrySettings {
    initial: Duration::from_millis(500),
    max: Duration::from_secs(30),
    attempts: u32::MAX,
    jitter: JITTER,
};

/// Has a token issued, and each time its successor, and tells every outcome. Never ends.
pub async fn keep(issuer: &impl Issuer, mut tell: impl FnMut(Result<BrokerToken, &IssueError>)) {
    loop {
        let token = first_good(issuer, &mut tell).await;
        tracing::debug!(life_seconds = token.life.as_secs(), "kafka token issued");
        let kept = token.life.mul_f64(RENEWED_AFTER).max(KEPT_AT_LEAST);
        tell(Ok(token));
        sleep(kept).await;
    }
}

async fn first_good(issuer: &impl Issuer, tell: &mut impl FnMut(Result<BrokerToken, &IssueError>)) -> BrokerToken {
    let mut attempts = Attempts::new(&PATIENCE);
    loop {
        match issuer.issue().await {
            Ok(token) => {
                if attempts.made() > 0 {
                    tracing::info!(attempts = attempts.made(), "kafka tokens can be had again");
                }
                return token;
            }
            Err(error) => {
                tracing::warn!(error = %error, "no kafka token");
                tell(Err(&error));
                sleep(pause(attempts.failed(error.retry_after))).await;
            }
        }
    }
}

fn pause(next: NextAttempt) -> Duration {
    match next {
        NextAttempt::RetryAfter(pause) | NextAttempt::DelayTooLong(pause) => pause.min(PATIENCE.max),
        NextAttempt::GiveUp => PATIENCE.max,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use tokio::time::{Instant, timeout};

    use super::*;
    use crate::oauth::error::IssueFault;

    /// Gives these outcomes in turn, the last for ever: the life of a token in milliseconds, or the wish of a refusal.
    struct Scripted {
        outcomes: Vec<Result<u64, Option<u64>>>,
        /// When it was asked, in milliseconds from the beginning.
        requests: Mutex<Vec<u128>>,
        began: Instant,
    }

    impl Scripted {
        fn new(outcomes: &[Result<u64, Option<u64>>]) -> Scripted {
            Scripted { outcomes: outcomes.to_vec(), requests: Mutex::default(), began: Instant::now() }
        }

        fn requests(&self) -> Vec<u128> {
            self.requests.lock().unwrap().clone()
        }
    }

    impl Issuer for Scripted {
        async fn issue(&self) -> Result<BrokerToken, IssueError> {
            let turn = {
                let mut requests = self.requests.lock().unwrap();
                requests.push(self.began.elapsed().as_millis());
                requests.len() - 1
            };
            match self.outcomes[turn.min(self.outcomes.len() - 1)] {
                Ok(life) => {
                    let text = format!("token-{turn}").into();
                    Ok(BrokerToken::new(text, "me".into(), Instant::now(), Duration::from_millis(life)))
                }
                Err(wish) => Err(IssueError {
                    issuer: "https://issuer".into(),
                    cause: IssueFault::Timeout,
                    retry_after: wish.map(Duration::from_secs),
                }),
            }
        }
    }

    /// What was told within `seconds`: tokens left as good, and failures.
    async fn told(issuer: &Scripted, seconds: u64) -> (usize, usize) {
        let (mut tokens, mut failures) = (0, 0);
        let keeping = keep(issuer, |outcome| match outcome {
            Ok(token) => tokens += usize::from(!token.left().is_zero()),
            Err(_) => failures += 1,
        });
        assert!(timeout(Duration::from_secs(seconds), keeping).await.is_err(), "it never ends");
        (tokens, failures)
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_is_renewed_at_four_fifths_of_its_life() {
        let issuer = Scripted::new(&[Ok(10_000), Ok(5_000), Ok(100_000)]);
        assert_eq!(told(&issuer, 30).await, (3, 0));
        assert_eq!(issuer.requests(), [0, 8_000, 12_000]);
    }

    #[tokio::test(start_paused = true)]
    async fn however_short_a_life_is_the_endpoint_is_not_asked_all_the_time() {
        let issuer = Scripted::new(&[Ok(1)]);
        told(&issuer, 10).await;
        assert!(issuer.requests().len() <= 21, "{:?}", issuer.requests());
    }

    #[tokio::test(start_paused = true)]
    async fn failures_are_told_and_met_with_growing_pauses_of_at_most_half_a_minute() {
        let issuer = Scripted::new(&[Err(None)]);
        let (tokens, failures) = told(&issuer, 600).await;
        let requests = issuer.requests();
        assert_eq!((tokens, failures), (0, requests.len()));
        let pauses: Vec<u128> = requests.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(pauses.iter().all(|pause| (250..=30_000).contains(pause)), "{pauses:?}");
        assert!(pauses[0] <= 750 && pauses.last().is_some_and(|pause| *pause >= 10_000), "{pauses:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn after_an_outage_the_pauses_are_short_again() {
        let outage = [Err(None); 8];
        let issuer = Scripted::new(&[&outage[..], &[Ok(1_000), Err(None), Ok(60_000)]].concat());
        assert_eq!(told(&issuer, 400).await.1, 9);
        let requests = issuer.requests();
        assert!(requests[10] - requests[9] <= 750, "{requests:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn the_wish_of_the_endpoint_is_kept_up_to_half_a_minute() {
        let issuer = Scripted::new(&[Err(Some(7)), Err(Some(86_400)), Ok(600_000)]);
        assert_eq!(told(&issuer, 60).await, (1, 2));
        assert_eq!(issuer.requests(), [0, 7_000, 37_000]);
    }
}
