//! When promoters were first told of who have not begun yet, kept beyond the change or the session in which that was: whoever is to
//! begin "now" begins there, though he is paused meanwhile, his shard is lost and comes back, or the log is opened again.
//!
//! Elsewhere he may have begun later, have been removed, and been forgotten; what he would begin with here were he named again then,
//! would be published once more. That takes longer than removed promoters are remembered (`registry.forget`), and an earlier time than
//! that is given to nobody.

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::model::promoter::Promoter;

/// Of one app. It holds those alone who were waiting when their session or their polls ended, or their shard was lost.
#[derive(Debug, Default)]
pub(super) struct BeginTimes(Mutex<HashMap<Promoter, Instant>>);

impl BeginTimes {
    /// Keeps when they were told of; of somebody who is there already the earlier time.
    pub fn keep(&self, times: impl IntoIterator<Item = (Promoter, Instant)>) {
        let mut kept = self.0.lock();
        for (promoter, since) in times {
            let earliest = kept.entry(promoter).or_insert(since);
            *earliest = since.min(*earliest);
        }
    }

    /// Tells the time that is kept of each promoter, if there is one. It is kept no longer, nor is any that has been longer than `forget`.
    pub fn take<'a>(&self, promoters: impl Iterator<Item = (&'a Promoter, impl FnOnce(Instant))>, forget: Duration) {
        let mut kept = self.0.lock();
        kept.retain(|_, since| since.elapsed() < forget);
        if kept.is_empty() {
            // As nearly always, where there may be a million who are told of.
            return;
        }
        for (promoter, tell) in promoters {
            if let Some(first) = kept.remove(promoter) {
                tell(first);
            }
        }
        if kept.is_empty() {
            *kept = HashMap::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn whoever_is_told_of_again_has_the_first_time_once() {
        let began = Instant::now() + Duration::from_secs(9);
        let at = |seconds| began + Duration::from_secs(seconds);
        let [one, two] = ["wx1/o1", "wx1/o2"].map(|key| Promoter::from_key(key).unwrap());
        let times = BeginTimes::default();
        times.keep([(one.clone(), at(2))]);
        times.keep([(one.clone(), at(1))]);
        times.keep([(one.clone(), at(3))]);
        let told = |seconds| {
            let mut told = [at(seconds); 2];
            let promoters = [&one, &two].into_iter().zip(&mut told);
            times.take(promoters.map(|(promoter, told)| (promoter, |first| *told = first)), Duration::from_secs(1));
            told
        };
        assert_eq!(told(5), [at(1), at(5)]);
        assert_eq!(told(6), [at(6), at(6)]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_longer_ago_than_a_removed_promoter_is_remembered_is_nobodys_time() {
        let promoter = Promoter::from_key("wx1/o1").unwrap();
        let (times, began, forget) = (BeginTimes::default(), Instant::now(), Duration::from_secs(3600));
        let told_after = async |seconds| {
            times.keep([(promoter.clone(), began)]);
            tokio::time::sleep_until(began + Duration::from_secs(seconds)).await;
            let mut told = Instant::now();
            times.take([(&promoter, |first| told = first)].into_iter(), forget);
            told - began
        };
        assert_eq!(told_after(3599).await, Duration::ZERO);
        assert_eq!(told_after(3600).await, forget);
        assert!(times.0.lock().is_empty());
    }
}
