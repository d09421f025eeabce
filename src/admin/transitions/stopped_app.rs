//! An app that stays stopped: nobody may have seen the line with which it was stopped.

use std::time::Duration;

use tokio::time::Instant;

use crate::admin::open_breakers::{BreakerMeaning, classify};
use crate::model::promoter::AppId;
use crate::upstream::breaker::OpenBreaker;

/// How often it is said again.
const SAID_EVERY: Duration = Duration::from_secs(3600);

/// When it was said last that the app is stopped; nothing where it is not.
#[derive(Default)]
pub struct StoppedApp(Option<Instant>);

impl StoppedApp {
    /// Says it where an hour has passed since it was said last. That it was stopped, and that it is served again, its breaker says.
    pub fn look(&mut self, app: &AppId, open: &[OpenBreaker], now: Instant) {
        let stops = |breaker: &&OpenBreaker| matches!(classify(breaker), BreakerMeaning::AppStopped(_));
        let Some(breaker) = open.iter().find(stops) else {
            self.0 = None;
            return;
        };
        // One that was served between two looks has begun anew.
        let said = self.0.map_or(breaker.since, |said| said.max(breaker.since));
        self.0 = Some(said);
        if now.saturating_duration_since(said) >= SAID_EVERY {
            self.0 = Some(now);
            let (seconds, next_probe_seconds) =
                (now.duration_since(breaker.since).as_secs(), breaker.next_probe_in().map(|pause| pause.as_secs()));
            let reason = breaker.reason.name();
            tracing::error!(%app, reason, seconds, next_probe_seconds, error = %breaker.cause, "app still stopped");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::captured::Captured;
    use crate::upstream::error::{Cause, OpenReason, StopReason};

    const MINUTE: Duration = Duration::from_secs(60);

    fn stopped(since: Instant) -> OpenBreaker {
        let cause = Cause { errcode: Some(40164), text: "invalid ip 203.0.113.7 rid: x".into() };
        let reason = OpenReason::Stopped(StopReason::IpNotAllowed);
        OpenBreaker { interface: None, reason, cause, since, next_probe: Some(Instant::now() + MINUTE) }
    }

    #[tokio::test(start_paused = true)]
    async fn an_app_that_stays_stopped_is_an_error_once_an_hour_until_it_is_served() {
        let (captured, app, began) = (Captured::start(), AppId::new("wx1").unwrap(), Instant::now());
        let mut told = StoppedApp::default();
        let said = || captured.events("app still stopped");
        for minute in 0..150 {
            told.look(&app, &[stopped(began)], began + minute * MINUTE);
        }
        let lines = said();
        assert_eq!(lines.iter().map(|line| &line["seconds"]).collect::<Vec<_>>(), [3600, 7200]);
        assert!(lines[0]["level"] == "ERROR" && lines[0]["app"] == "wx1", "{lines:?}");
        assert!(lines[0]["error"].as_str().is_some_and(|error| error.contains("203.0.113.7")), "{lines:?}");
        told.look(&app, &[], began + 150 * MINUTE);
        let again = began + 170 * MINUTE;
        told.look(&app, &[stopped(again)], again + 59 * MINUTE);
        assert_eq!(said().len(), 2, "it is not an hour yet");
        told.look(&app, &[stopped(again)], again + 60 * MINUTE);
        assert_eq!(said().len(), 3);
        let later = again + 61 * MINUTE;
        told.look(&app, &[stopped(later)], later + 59 * MINUTE);
        assert_eq!(said().len(), 3, "it was served between two looks");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_held_for_a_while_is_not_stopped() {
        let (captured, began) = (Captured::start(), Instant::now());
        let open = OpenBreaker { reason: OpenReason::Unanswered, ..stopped(began) };
        let mut told = StoppedApp::default();
        for hour in 0..3 {
            told.look(&AppId::new("wx1").unwrap(), std::slice::from_ref(&open), began + 60 * hour * MINUTE);
        }
        assert!(captured.events("app still stopped").is_empty());
    }
}
