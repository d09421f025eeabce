//! What the log tells of brokers that do not answer.

use std::time::Duration;

use tokio::time::Instant;

use crate::clock;
use crate::model::time::UnixTime;

/// How often it is said again.
const SAID_EVERY: Duration = Duration::from_secs(60);

/// Since a probe was not answered; nothing where the last one was.
#[derive(Debug, Default)]
pub struct BrokerSilence(Option<SilentBrokers>);

#[derive(Debug)]
struct SilentBrokers {
    /// When they were heard last; when they were asked first, where they never were.
    since: UnixTime,
    /// The same by the clock that nobody sets.
    began: Instant,
    /// Probes that were not answered.
    attempts: u32,
    said: Instant,
}

impl BrokerSilence {
    /// A probe was not answered, after which they are asked again in `next`. They were heard last `silent_for` ago, if ever.
    pub fn unanswered(&mut self, silent_for: Option<Duration>, next: Duration, error: &str) {
        let now = Instant::now();
        let mut is_news = false;
        let silence = self.0.get_or_insert_with(|| {
            is_news = true;
            let silent_for = silent_for.unwrap_or_default();
            let since = clock::unix_millis(clock::system_time() - silent_for).as_seconds();
            SilentBrokers { since, began: now.checked_sub(silent_for).unwrap_or(now), attempts: 0, said: now }
        });
        silence.attempts = silence.attempts.saturating_add(1);
        if is_news || now.duration_since(silence.said) >= SAID_EVERY {
            silence.said = now;
            let SilentBrokers { since, attempts: attempt, .. } = silence;
            let next_seconds = next.as_secs();
            tracing::warn!(%since, attempt, next_seconds, error, "kafka does not answer");
        }
    }

    /// They have answered a probe, or a pipeline.
    pub fn heard(&mut self) {
        if let Some(SilentBrokers { since, began, attempts, .. }) = self.0.take() {
            let seconds = began.elapsed().as_secs();
            tracing::info!(%since, attempts, seconds, "kafka answers again");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::captured::Captured;

    const NEXT: Duration = Duration::from_secs(5);

    #[tokio::test(start_paused = true)]
    async fn silence_is_told_at_once_then_each_minute_and_its_end_once() {
        let captured = Captured::start();
        let told = || captured.events("kafka does not answer");
        let mut silence = BrokerSilence::default();
        silence.heard();
        for probe in 0..10 {
            silence.unanswered(Some(Duration::from_secs(20 + 15 * probe)), NEXT, "refused");
            tokio::time::advance(Duration::from_secs(15)).await;
        }
        let attempts: Vec<_> = told().iter().map(|line| line["attempt"].clone()).collect();
        assert_eq!(attempts, [1, 5, 9], "a minute lies between");
        let told_first = told().remove(0);
        assert_eq!((&told_first["level"], &told_first["error"]), (&"WARN".into(), &"refused".into()));
        assert!(told().iter().all(|line| line["since"] == told_first["since"]), "they are silent since the same time");
        silence.heard();
        silence.heard();
        let again = captured.events("kafka answers again");
        assert_eq!(again.len(), 1, "{again:?}");
        assert_eq!((&again[0]["attempts"], &again[0]["seconds"]), (&10.into(), &170.into()));
        silence.unanswered(None, NEXT, "refused");
        assert_eq!(told().len(), 4, "another silence begins");
    }
}
