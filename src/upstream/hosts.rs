//! Which of an app's hosts is asked: the first one, unless it failed lately and a spare one worked, or it asked to be left
//! alone for a while.

use parking_lot::{Mutex, MutexGuard};
use std::time::Duration;

use tokio::time::Instant;

/// So long a spare host is kept before the first one is tried again.
const SPARE_FOR: Duration = Duration::from_secs(600);

/// Never empty: the first host, then the spare ones.
pub struct Hosts {
    base_urls: Vec<String>,
    seen: Mutex<HostsState>,
}

struct HostsState {
    /// The spare host in use, and until when.
    spare: Option<(usize, Instant)>,
    /// By host: until when it asked to be left alone.
    rests_until: Vec<Option<Instant>>,
}

/// One of the hosts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Host(usize);

impl Host {
    pub fn index(self) -> usize {
        self.0
    }
}

impl Hosts {
    pub fn new(first: String, spare_urls: Vec<String>) -> Hosts {
        let base_urls: Vec<_> = std::iter::once(first).chain(spare_urls).collect();
        let base_urls: Vec<_> = base_urls.iter().map(|url| url.trim_end_matches('/').to_owned()).collect();
        let seen = HostsState { spare: None, rests_until: vec![None; base_urls.len()] };
        Hosts { base_urls, seen: Mutex::new(seen) }
    }

    pub fn base_url(&self, host: Host) -> &str {
        &self.base_urls[host.0]
    }

    /// At least 1.
    pub fn count(&self) -> usize {
        self.base_urls.len()
    }

    pub fn current(&self) -> Host {
        let seen = self.seen();
        match seen.spare {
            Some((spare, until)) if Instant::now() < until => self.awake_from(&seen, spare),
            _ => self.awake_from(&seen, 0),
        }
    }

    /// The one to ask after `host` gave no answer; it may be the same.
    pub fn after(&self, host: Host) -> Host {
        self.awake_from(&self.seen(), host.0 + 1)
    }

    /// `host` has answered: a spare one becomes the current one for a while, the first one ends that.
    pub fn answered(&self, host: Host) {
        let mut seen = self.seen();
        match seen.spare {
            Some((current, until)) if current == host.0 && Instant::now() < until => {}
            _ if host.0 == 0 => seen.spare = None,
            _ => seen.spare = Some((host.0, Instant::now() + SPARE_FOR)),
        }
    }

    /// `host` asked to be left alone so long.
    pub fn rest(&self, host: Host, pause: Duration) {
        self.seen().rests_until[host.0] = Some(Instant::now() + pause);
    }

    /// How long this host still wants to be left alone.
    pub fn rests_for(&self, host: Host) -> Option<Duration> {
        let until = self.seen().rests_until[host.0]?;
        Some(until.saturating_duration_since(Instant::now())).filter(|left| !left.is_zero())
    }

    /// The first one from `from` on that does not rest; where all do, the one that rests the shortest.
    fn awake_from(&self, seen: &HostsState, from: usize) -> Host {
        let now = Instant::now();
        let in_turn = (0..self.count()).map(|step| (from + step) % self.count());
        Host(in_turn.min_by_key(|host| seen.rests_until[*host].filter(|until| *until > now)).unwrap_or(0))
    }

    fn seen(&self) -> MutexGuard<'_, HostsState> {
        self.seen.lock()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn hosts() -> Hosts {
        Hosts::new("http://a/".into(), vec!["http://b".into(), "http://c".into()])
    }

    #[tokio::test(start_paused = true)]
    async fn a_spare_host_that_answered_is_kept_for_ten_minutes() {
        let hosts = hosts();
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

    #[tokio::test(start_paused = true)]
    async fn a_host_that_asked_for_rest_is_passed_over_until_it_is_over() {
        let hosts = hosts();
        let a = hosts.current();
        hosts.rest(a, 2 * MINUTE);
        assert_eq!((hosts.rests_for(a), hosts.base_url(hosts.current())), (Some(2 * MINUTE), "http://b"));
        hosts.rest(hosts.current(), MINUTE);
        assert_eq!(hosts.base_url(hosts.current()), "http://c");
        assert_eq!(hosts.base_url(hosts.after(hosts.current())), "http://c");
        tokio::time::advance(2 * MINUTE).await;
        assert_eq!((hosts.rests_for(a), hosts.current()), (None, a));
    }

    #[tokio::test(start_paused = true)]
    async fn of_hosts_that_all_rest_the_one_that_is_over_first_is_named() {
        let hosts = hosts();
        for (host, minutes) in [3, 1, 2].into_iter().enumerate() {
            hosts.rest(Host(host), minutes * MINUTE);
        }
        assert_eq!((hosts.current(), hosts.rests_for(hosts.current())), (Host(1), Some(MINUTE)));
    }
}
