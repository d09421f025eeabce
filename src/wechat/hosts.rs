//! Which of an app's hosts is asked: the first one, unless it failed lately and a spare one worked.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// So long a spare host is kept before the first one is tried again.
const SPARE_FOR: Duration = Duration::from_secs(600);

/// Never empty: the first host, then the spare ones.
pub struct Hosts {
    base_urls: Vec<String>,
    /// The spare host in use, and until when.
    spare: Mutex<Option<(usize, Instant)>>,
}

/// One of the hosts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Host(usize);

impl Hosts {
    pub fn new(first: String, spare_urls: Vec<String>) -> Hosts {
        let base_urls = std::iter::once(first).chain(spare_urls);
        let base_urls = base_urls.map(|url| url.trim_end_matches('/').to_owned()).collect();
        Hosts { base_urls, spare: Mutex::new(None) }
    }

    pub fn base_url(&self, host: Host) -> &str {
        &self.base_urls[host.0]
    }

    pub fn current(&self) -> Host {
        match *self.spare.lock().unwrap_or_else(PoisonError::into_inner) {
            Some((spare, until)) if Instant::now() < until => Host(spare),
            _ => Host(0),
        }
    }

    /// The one to ask after `host` gave no answer.
    pub fn after(&self, host: Host) -> Host {
        Host((host.0 + 1) % self.base_urls.len())
    }

    /// `host` has answered: a spare one becomes the current one for a while, the first one ends that.
    pub fn answered(&self, host: Host) {
        let mut spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner);
        match *spare {
            Some((current, until)) if current == host.0 && Instant::now() < until => {}
            _ if host.0 == 0 => *spare = None,
            _ => *spare = Some((host.0, Instant::now() + SPARE_FOR)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_spare_host_that_answered_is_kept_for_ten_minutes() {
        let hosts = Hosts::new("http://a/".into(), vec!["http://b".into(), "http://c".into()]);
        assert_eq!(hosts.base_url(hosts.current()), "http://a");
        let b = hosts.after(hosts.current());
        hosts.answered(b);
        assert_eq!(hosts.base_url(hosts.current()), "http://b");
        tokio::time::advance(SPARE_FOR - Duration::from_secs(1)).await;
        hosts.answered(b);
        assert_eq!(hosts.current(), b);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(hosts.base_url(hosts.current()), "http://a");
    }

    #[tokio::test(start_paused = true)]
    async fn after_the_last_host_comes_the_first() {
        let hosts = Hosts::new("http://a".into(), vec!["http://b".into()]);
        let b = hosts.after(hosts.current());
        assert_eq!(hosts.after(b), hosts.current());
        hosts.answered(b);
        hosts.answered(hosts.after(b));
        assert_eq!(hosts.base_url(hosts.current()), "http://a");
        let alone = Hosts::new("http://a".into(), vec![]);
        assert_eq!(alone.after(alone.current()), alone.current());
    }
}
