//! Partitions of the registry at which this instance stands, for somebody has a transaction open there: what is said behind it acts
//! only when it ends. That is said, once while it lasts and once when it is over, and told as a cause; whose transaction it is nobody
//! here knows.
//!
//! It costs the brokers nothing: where a partition ends, whatever transactions are open, comes with each fetch, and a fetch follows
//! on the other. So a partition is held up where the reader has met the end of what it may see, and the partition goes on behind it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::clock;
use crate::model::duration::milliseconds;
use crate::model::time::UnixMillis;
use crate::telemetry::health::PipelineHealth;
use crate::telemetry::health::hold_ups::HeldUpPartition;

/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// What ends sooner is nobody's business. A change of the registry is to act within half of it.
const TOLD_AFTER: Duration = Duration::from_secs(10);

/// Of one session. Tells until it is dropped.
pub(super) struct HoldUps {
    topic: String,
    health: Arc<PipelineHealth>,
    stands: Stands,
    looked: Instant,
}

/// Where each partition that is held up stands.
#[derive(Default)]
struct Stands(BTreeMap<i32, Stand>);

struct Stand {
    offset: i64,
    since: Instant,
    /// The same for people.
    met: UnixMillis,
    is_told: bool,
}

/// What is to be said after a look, by the numbers of the partitions.
#[derive(Debug, Default, PartialEq, Eq)]
struct StandNews {
    /// With the offset.
    begun: Vec<(i32, i64)>,
    /// With how long it has lasted.
    over: Vec<(i32, Duration)>,
}

impl HoldUps {
    pub fn new(topic: &str, health: Arc<PipelineHealth>) -> HoldUps {
        HoldUps { topic: topic.to_owned(), health, stands: Stands::default(), looked: Instant::now() }
    }

    /// To be called each few seconds. `followed` tells of each partition that is followed where it is held up, if it is.
    pub fn look<P: IntoIterator<Item = (i32, Option<i64>)>>(&mut self, followed: impl FnOnce() -> P) {
        let now = Instant::now();
        if now - self.looked < LOOK_EVERY {
            return;
        }
        self.looked = now;
        let news = self.stands.look(now, clock::now(), followed());
        self.say(&news);
        self.health.registry.set(self.stands.told(&self.topic).collect());
    }

    /// One line for all that is found at once: a transaction may have written to every partition.
    fn say(&self, StandNews { begun, over }: &StandNews) {
        let topic = &self.topic;
        if let Some((partition, offset)) = begun.first() {
            let since = self.stands.0.get(partition).map(|stand| stand.met.as_seconds().to_string());
            tracing::warn!(
                topic,
                partition,
                offset,
                since,
                partitions = begun.len(),
                "somebody has a transaction open in the registry: what is said there behind it acts only when it ends"
            );
        }
        if let Some((partition, lasted)) = over.first() {
            tracing::info!(
                topic,
                partition,
                milliseconds = milliseconds(*lasted),
                partitions = over.len(),
                "a transaction in the registry has ended, and what is said there acts again"
            );
        }
    }
}

impl Drop for HoldUps {
    fn drop(&mut self) {
        self.health.registry.set(Vec::new());
    }
}

impl Stands {
    /// One that has moved on and is held up again stands anew. One that is followed no more is forgotten: it is another's.
    fn look(
        &mut self,
        now: Instant,
        met: UnixMillis,
        followed: impl IntoIterator<Item = (i32, Option<i64>)>,
    ) -> StandNews {
        let mut before = std::mem::take(&mut self.0);
        let mut news = StandNews::default();
        for (partition, held_up_at) in followed {
            let stood = before.remove(&partition);
            let (same, moved) = match stood {
                Some(stand) if held_up_at == Some(stand.offset) => (Some(stand), None),
                other => (None, other),
            };
            if let Some(over) = moved.filter(|stand| stand.is_told) {
                news.over.push((partition, now - over.since));
            }
            let Some(offset) = held_up_at else { continue };
            let mut stand = same.unwrap_or(Stand { offset, since: now, met, is_told: false });
            if !stand.is_told && now - stand.since >= TOLD_AFTER {
                stand.is_told = true;
                news.begun.push((partition, offset));
            }
            self.0.insert(partition, stand);
        }
        news.begun.sort_unstable();
        news.over.sort_unstable();
        news
    }

    /// Those that have lasted.
    fn told(&self, topic: &str) -> impl Iterator<Item = HeldUpPartition> {
        let told = self.0.iter().filter(|(_, stand)| stand.is_told);
        told.map(|(partition, stand)| HeldUpPartition {
            topic: topic.to_owned(),
            partition: *partition,
            offset: stand.offset,
            since: stand.met,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// At which second, and what was found then.
    type Look<'a> = (u64, &'a [(i32, Option<i64>)]);

    /// What was said at each look that said something.
    fn said(looks: &[Look<'_>]) -> Vec<(u64, StandNews)> {
        let (mut stands, began) = (Stands::default(), Instant::now());
        let look = |(second, followed): &Look<'_>| {
            let now = began + Duration::from_secs(*second);
            let met = UnixMillis(i64::try_from(*second).unwrap() * 1000);
            (*second, stands.look(now, met, followed.iter().copied()))
        };
        looks.iter().map(look).filter(|(_, news)| *news != StandNews::default()).collect()
    }

    fn begun(partitions: &[(i32, i64)]) -> StandNews {
        StandNews { begun: partitions.to_vec(), over: Vec::new() }
    }

    fn over(partition: i32, seconds: u64) -> StandNews {
        StandNews { begun: Vec::new(), over: vec![(partition, Duration::from_secs(seconds))] }
    }

    #[test]
    fn what_lasts_is_said_once_and_once_that_it_is_over() {
        let held: &[_] = &[(0, Some(7)), (1, None)];
        let looks =
            [(0, held), (9, held), (10, held), (12, held), (60, held), (62, &[(0, None), (1, None)]), (64, held)];
        assert_eq!(said(&looks), [(10, begun(&[(0, 7)])), (62, over(0, 62))]);
    }

    #[test]
    fn what_ends_soon_is_not_said_however_often_it_comes() {
        let looks: Vec<Look<'_>> = vec![
            (0, &[(0, Some(7))]),
            (8, &[(0, Some(9))]),
            (16, &[(0, None)]),
            (18, &[(0, Some(11))]),
            (26, &[(0, Some(12))]),
        ];
        assert_eq!(said(&looks), []);
    }

    #[test]
    fn one_transaction_behind_the_other_is_said_as_two() {
        let looks: Vec<(u64, &[_])> =
            vec![(0, &[(0, Some(7))]), (10, &[(0, Some(7))]), (20, &[(0, Some(9))]), (30, &[(0, Some(9))])];
        assert_eq!(said(&looks), [(10, begun(&[(0, 7)])), (20, over(0, 20)), (30, begun(&[(0, 9)]))]);
    }

    #[test]
    fn all_that_one_transaction_holds_up_is_said_at_once_and_nothing_of_what_is_left() {
        let held: &[_] = &[(2, Some(5)), (0, Some(7)), (1, Some(0))];
        assert_eq!(said(&[(0, held), (11, held), (12, &[])]), [(11, begun(&[(0, 7), (1, 0), (2, 5)]))]);
    }

    #[test]
    fn who_asks_is_told_of_those_that_last_until_the_session_ends() {
        let health = Arc::new(PipelineHealth::default());
        let mut hold_ups = HoldUps::new("registry", health.clone());
        let ago = |seconds| Instant::now().checked_sub(Duration::from_secs(seconds)).unwrap();
        hold_ups.looked = ago(2);
        let since = ago(10);
        hold_ups.stands.0.insert(3, Stand { offset: 7, since, met: UnixMillis(5000), is_told: false });
        hold_ups.look(|| [(3, Some(7)), (4, Some(1))]);
        let told = HeldUpPartition { topic: "registry".to_owned(), partition: 3, offset: 7, since: UnixMillis(5000) };
        assert_eq!(health.registry.all(), [told]);
        drop(hold_ups);
        assert_eq!(health.registry.all(), []);
    }
}
