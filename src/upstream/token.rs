//! The access token of one app: fetched once for all who wait, kept until shortly before its end.
//!
//! A rejected token empties the cache only if it is still the cached one: a poll that learns late of an old token's end
//! must not throw out its successor.

use parking_lot::Mutex as SyncMutex;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::error::{Cause, Reaction};
use super::transport::Transport;
use super::upstream_clock::UpstreamClock;
use crate::model::per::one_value_for_each;
use crate::model::promoter::AppId;
use crate::secret::Secret;

mod address;
mod fetch;
mod file;

pub use address::TokenUrl;
use file::TokenFile;

/// Where an app's token comes from.
#[derive(Clone, Debug)]
pub enum TokenSource {
    /// `/cgi-bin/stable_token`: any number of holders share one token.
    Stable(Secret),
    /// `/cgi-bin/token`: each fetch ends the token before it after some five minutes.
    Classic(Secret),
    /// A file that another program keeps current: the token alone, or the upstream's JSON.
    File(PathBuf),
    /// A URL of a central token server, asked with GET: the token alone, or the upstream's JSON. The URL may hold a key.
    Url(TokenUrl),
}

/// A source in use.
enum ActiveSource {
    Stable(Secret),
    Classic(Secret),
    File(TokenFile),
    /// With what must never be shown of it.
    Url(TokenUrl, Vec<SecretString>),
}

impl ActiveSource {
    fn secrets(&self) -> Vec<SecretString> {
        match self {
            ActiveSource::Stable(secret) | ActiveSource::Classic(secret) => vec![secret.latest()],
            ActiveSource::Url(_, secrets) => secrets.clone(),
            ActiveSource::File(_) => Vec::new(),
        }
    }
}

impl From<TokenSource> for ActiveSource {
    fn from(source: TokenSource) -> ActiveSource {
        match source {
            TokenSource::Stable(secret) => ActiveSource::Stable(secret),
            TokenSource::Classic(secret) => ActiveSource::Classic(secret),
            TokenSource::File(path) => ActiveSource::File(TokenFile::new(path, FILE_PATIENCE)),
            TokenSource::Url(address) => {
                let secrets = address.secrets();
                ActiveSource::Url(address, secrets)
            }
        }
    }
}

/// How long a token file is waited for.
const FILE_PATIENCE: Duration = Duration::from_secs(5);

/// A token is asked for anew when less than this is left of its life.
///
/// Spec: a stable token legally arrives with 300 s left, and only in these last 300 s does asking bring a new one. So a
/// margin of 300 s or more would ask on every call, and one much below 120 s would send a token that ends while a slow
/// call waits. At 180 s asking brings the successor, and the old one still lives through the longest call.
const MARGIN: Duration = Duration::from_secs(180);
/// The documented life. A source that says more (a life in milliseconds, say) is not believed.
const LIFE_MAX: Duration = Duration::from_secs(7200);
/// However short its life is said to be, a token is kept so long: no source is asked more often.
pub(super) const KEPT_AT_LEAST: Duration = Duration::from_secs(5);
/// A token without a known life from a URL.
const KEPT_FROM_URL: Duration = Duration::from_secs(60);

/// A token in use. Shown by nothing: neither `Debug` nor an error has its text.
#[derive(Clone)]
pub struct AccessToken {
    text: Arc<SecretString>,
    fetch: u64,
}

impl AccessToken {
    pub(super) fn expose(&self) -> &str {
        self.text.expose_secret()
    }

    /// The number of the fetch that brought it: what many calls learn of one fetch is one event.
    pub(super) fn fetch(&self) -> u64 {
        self.fetch
    }
}

/// Of texts alone: a source may give one token many times.
impl PartialEq for AccessToken {
    fn eq(&self, other: &AccessToken) -> bool {
        self.expose() == other.expose()
    }
}

impl fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccessToken(***)")
    }
}

/// Why there is no token, classified by the same table as every other answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no token: {cause}")]
pub struct TokenError {
    pub reaction: Reaction,
    pub cause: Cause,
    pub retry_after: Option<Duration>,
}

/// A fetch that brought no token, shared by all who have waited for it.
#[derive(Clone, Debug)]
pub struct FailedFetch {
    pub error: TokenError,
    /// As [`AccessToken::fetch`].
    pub fetch: u64,
}

struct CachedToken {
    token: AccessToken,
    fetched: Instant,
    kept_for: Duration,
    /// It came back from its source after it had been rejected.
    came_back: bool,
}

/// How a token was had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FetchOutcome {
    New,
    /// The one that was had before.
    Same,
    Failed,
}

one_value_for_each! {
    /// One value for each way in which a fetch ends.
    PerFetchOutcome of FetchOutcome { new: New, same: Same, failed: Failed }
}

impl FetchOutcome {
    pub fn name(self) -> &'static str {
        match self {
            FetchOutcome::New => "new",
            FetchOutcome::Same => "same",
            FetchOutcome::Failed => "failed",
        }
    }
}

#[derive(Default)]
struct TokenCache {
    current: Option<CachedToken>,
    rejected: Option<AccessToken>,
}

/// The tokens of one app.
pub struct AccessTokens {
    app_id: AppId,
    source: ActiveSource,
    cache: SyncMutex<TokenCache>,
    /// Held by the one who fetches.
    flight: Mutex<Flight>,
    /// Since the process began.
    pub fetches: PerFetchOutcome<AtomicU64>,
}

#[derive(Default)]
struct Flight {
    /// How the fetch ended that those in the queue have waited for.
    failed: Option<(Instant, FailedFetch)>,
    /// How many fetches there were.
    fetches: u64,
}

impl AccessTokens {
    pub fn new(app_id: AppId, source: TokenSource) -> AccessTokens {
        AccessTokens {
            app_id,
            source: source.into(),
            cache: SyncMutex::default(),
            flight: Mutex::default(),
            fetches: PerFetchOutcome::new(|_| AtomicU64::default()),
        }
    }

    /// The cached token, or a new one. Of any number of callers one fetches, the others get what it got: also its error,
    /// so that a dead source is not asked by each of them in turn.
    ///
    /// # Errors
    /// [`FailedFetch`] with the source's error, which each of those who waited gets.
    pub async fn get(
        &self,
        transport: &dyn Transport,
        clock: &UpstreamClock,
        base_url: &str,
    ) -> Result<AccessToken, FailedFetch> {
        if let Some(token) = self.cached() {
            return Ok(token);
        }
        let requested_at = Instant::now();
        // Whoever comes after a fetch has failed begins one of his own; only those who waited for it share its error.
        let waited = self.flight.try_lock().is_err();
        let mut flight = self.flight.lock().await;
        // Whoever was before may have brought one.
        if let Some(token) = self.cached() {
            return Ok(token);
        }
        match &flight.failed {
            Some((at, error)) if waited && *at >= requested_at => return Err(error.clone()),
            _ => {}
        }
        flight.fetches += 1;
        match fetch::fetch(&self.source, &self.app_id, transport, clock, base_url).await {
            Ok(fetched) => {
                flight.failed = None;
                Ok(self.keep(fetched, flight.fetches))
            }
            Err(error) => {
                self.fetches.failed.fetch_add(1, Ordering::Relaxed);
                let failed = FailedFetch { error, fetch: flight.fetches };
                flight.failed = Some((Instant::now(), failed.clone()));
                Err(failed)
            }
        }
    }

    /// To be called when the upstream has rejected `token`. Does nothing where another one is cached by now, or where
    /// the source has already given this one back after a rejection (until it is due anyway).
    pub(crate) fn reject(&self, token: &AccessToken) {
        let mut cache = self.cache.lock();
        let Some(current) = &cache.current else { return };
        let is_fetched_lately = current.came_back && current.fetched.elapsed() < KEPT_AT_LEAST;
        if current.token == *token && !is_fetched_lately {
            cache.current = None;
            cache.rejected = Some(token.clone());
        }
    }

    /// How long the token in use is kept before another one is asked for; nothing where there is none.
    pub(crate) fn kept_for(&self) -> Option<Duration> {
        let cache = self.cache.lock();
        let current = cache.current.as_ref()?;
        Some(current.kept_for.saturating_sub(current.fetched.elapsed())).filter(|left| !left.is_zero())
    }

    fn cached(&self) -> Option<AccessToken> {
        let cache = self.cache.lock();
        let current = cache.current.as_ref()?;
        (current.fetched.elapsed() < current.kept_for).then(|| current.token.clone())
    }

    fn keep(&self, fetched: fetch::Fetched, fetch: u64) -> AccessToken {
        let token = AccessToken { text: Arc::new(fetched.text.into()), fetch };
        let kept_for = match (&self.source, fetched.life) {
            // What the file says of its life counts from when it was written, which nobody knows.
            (ActiveSource::File(_), _) => KEPT_AT_LEAST,
            (_, Some(life)) => life.min(LIFE_MAX).saturating_sub(MARGIN).max(KEPT_AT_LEAST),
            (_, None) => KEPT_FROM_URL,
        };
        let mut cache = self.cache.lock();
        let came_back = cache.rejected.as_ref() == Some(&token);
        let is_same = came_back || cache.current.as_ref().is_some_and(|current| current.token == token);
        self.fetches[if is_same { FetchOutcome::Same } else { FetchOutcome::New }].fetch_add(1, Ordering::Relaxed);
        // Its life counts from when it was asked for: the answer may have taken long.
        cache.current = Some(CachedToken { token: token.clone(), fetched: fetched.requested_at, kept_for, came_back });
        token
    }

    /// Whether the upstream's own hosts are asked for the token.
    pub(super) fn is_from_upstream(&self) -> bool {
        matches!(self.source, ActiveSource::Stable(_) | ActiveSource::Classic(_))
    }

    /// What `tell` makes of what must never be shown of this app: the token, its secret, or what its source is told.
    pub(super) fn hiding<R>(&self, token: &AccessToken, tell: impl FnOnce(&[&str]) -> R) -> R {
        let own = self.source.secrets();
        let secrets: Vec<&str> =
            std::iter::once(token.expose()).chain(own.iter().map(ExposeSecret::expose_secret)).collect();
        tell(&secrets)
    }
}
