//! What a service manager such as systemd is told, over the socket that it names in `NOTIFY_SOCKET`: the same as whoever asks the
//! admin port. It is ready where `/ready` says so, its watchdog is fed as long as `/live` holds, and its status is the worst of the
//! causes.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::task::spawn_blocking;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::observed::ObservedConnector;
use super::probes::{alive, readiness};
use super::status::Status;
use crate::text::bounded;

/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Of what `systemctl status` shows on one line.
const STATUS_CHARS_MAX: usize = 300;

/// What it was told last.
#[derive(Default)]
struct Told {
    is_ready: bool,
    is_stopping: bool,
    status: String,
}

/// How the connector is at one look.
struct Look {
    is_ready: bool,
    is_alive: bool,
    is_stopping: bool,
    status: String,
}

/// Tells it until `end` is cancelled, and then the last of it; where there is none, it ends at once.
pub async fn tell(observed: Arc<ObservedConnector>, end: CancellationToken) {
    if std::env::var_os("NOTIFY_SOCKET").is_none() {
        return;
    }
    let watchdog = sd_notify::watchdog_enabled();
    let mut looks = interval(period(watchdog));
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut told = Told::default();
    let mut is_heard = true;
    loop {
        let is_over = tokio::select! {
            () = end.cancelled() => true,
            _ = looks.tick() => false,
            () = observed.stop.cancelled(), if !told.is_stopping => false,
        };
        let news = told.news(Look::of(&observed), watchdog.is_some());
        if let Err(error) = send(news).await {
            if std::mem::take(&mut is_heard) {
                tracing::warn!(%error, "the service manager is not told how the connector is");
            }
        } else {
            is_heard = true;
        }
        if is_over {
            return;
        }
    }
}

/// A watchdog waits for so long that two messages may be late.
fn period(watchdog: Option<Duration>) -> Duration {
    // An interval of none would be a panic.
    watchdog.map_or(LOOK_EVERY, |patience| LOOK_EVERY.min(patience / 3).max(Duration::from_millis(1)))
}

impl Look {
    fn of(observed: &ObservedConnector) -> Look {
        let is_stopping = observed.stop.is_cancelled();
        Look {
            is_ready: readiness(&observed.pipelines(), is_stopping).is_well,
            is_alive: alive(observed).is_well,
            is_stopping,
            status: Status::of(observed).line(),
        }
    }
}

/// A message, owned: it is sent by another thread.
#[derive(Debug, PartialEq, Eq)]
enum News {
    Ready,
    Stopping,
    Status(String),
    Watchdog,
}

impl Told {
    /// What it does not know yet; the watchdog is fed each time.
    fn news(&mut self, look: Look, has_watchdog: bool) -> Vec<News> {
        let mut news = Vec::new();
        // Once: it has no word for one that is not ready any more.
        if look.is_ready && !std::mem::replace(&mut self.is_ready, true) {
            news.push(News::Ready);
        }
        if look.is_stopping && !std::mem::replace(&mut self.is_stopping, true) {
            news.push(News::Stopping);
        }
        // Each message is a line of its own.
        let status = bounded(&look.status.replace(['\n', '\r'], " "), STATUS_CHARS_MAX).to_owned();
        if status != self.status {
            news.push(News::Status(status.clone()));
            self.status = status;
        }
        if has_watchdog && look.is_alive {
            news.push(News::Watchdog);
        }
        news
    }
}

/// Off the runtime: a manager that does not read its socket blocks who writes to it.
///
/// # Errors
/// Where the socket can't be reached, or does not take it.
async fn send(news: Vec<News>) -> io::Result<()> {
    if news.is_empty() {
        return Ok(());
    }
    let sent = spawn_blocking(move || {
        let states: Vec<NotifyState> = news.iter().map(News::state).collect();
        sd_notify::notify(&states)
    });
    sent.await.map_err(io::Error::other)?
}

impl News {
    fn state(&self) -> NotifyState<'_> {
        match self {
            News::Ready => NotifyState::Ready,
            News::Stopping => NotifyState::Stopping,
            News::Status(status) => NotifyState::Status(status),
            News::Watchdog => NotifyState::Watchdog,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(is_ready: bool, is_alive: bool, status: &str) -> Look {
        Look { is_ready, is_alive, is_stopping: false, status: status.to_owned() }
    }

    #[test]
    fn it_is_told_what_it_does_not_know_and_fed_only_while_the_loops_turn() {
        let mut told = Told::default();
        assert_eq!(told.news(look(false, true, "starting"), true), [News::Status("starting".into()), News::Watchdog]);
        assert_eq!(
            told.news(look(true, true, "well"), true),
            [News::Ready, News::Status("well".into()), News::Watchdog]
        );
        assert_eq!(told.news(look(false, false, "well"), true), []);
        assert_eq!(told.news(look(true, true, "two\nlines"), false), [News::Status("two lines".into())]);
        let stopping = || Look { is_stopping: true, ..look(false, true, "two\nlines") };
        assert_eq!(told.news(stopping(), false), [News::Stopping]);
        assert_eq!(told.news(stopping(), true), [News::Watchdog]);
    }

    #[test]
    fn a_short_watchdog_is_fed_in_time() {
        assert_eq!(period(None), LOOK_EVERY);
        assert_eq!(period(Some(Duration::from_secs(60))), LOOK_EVERY);
        assert_eq!(period(Some(Duration::from_millis(300))), Duration::from_millis(100));
        assert!(period(Some(Duration::ZERO)) > Duration::ZERO);
    }
}
