//! Members of the group that are no instances. Any consumer that shares out as instances do can join, and what it is given of the
//! topic nobody works on, though it is somebody's: no instance can be given it, and nothing else looks wrong.
//!
//! So each member looks when it looks for [what nobody owns](super::unowned), whether it owns something itself or not. Which member is
//! none of the instances, [`GroupMembers`] says.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::group_members::GroupMembers;
use crate::clock;
use crate::kafka::client::settings::Settings;
use crate::model::time::UnixMillis;
use crate::telemetry::health::PipelineHealth;
use crate::telemetry::health::foreign_members::{ForeignMember, SeenMember};

/// How often the log hears of one that stays.
const SAID_EVERY: Duration = Duration::from_secs(600);
/// Of more than this at once the log names none, but how many there are.
const SAID_MAX: usize = 5;

/// Those of one membership. Tells of them until it is dropped.
pub(super) struct ForeignWatch {
    topic: String,
    health: Arc<PipelineHealth>,
    seen: Sightings,
}

/// By their ids.
#[derive(Default)]
struct Sightings(BTreeMap<String, Sighting>);

struct Sighting {
    seen: SeenMember,
    /// When the log has heard of it last; nothing before it was seen twice in a row.
    said: Option<Instant>,
}

/// What is to be said after a look.
#[derive(Debug, Default, PartialEq, Eq)]
struct ForeignNews {
    there: Vec<SeenMember>,
    gone: Vec<SeenMember>,
}

impl ForeignWatch {
    pub fn new(topic: &str, health: Arc<PipelineHealth>) -> ForeignWatch {
        ForeignWatch { topic: topic.to_owned(), health, seen: Sightings::default() }
    }

    /// Takes who is in the group now. True where one was seen for the first time, which a look soon after is to confirm.
    pub fn look(&mut self, members: &GroupMembers, settings: &Settings) -> bool {
        // While a group shares out nobody has anything. And a group that does not show this member as the instance that it is, is not
        // to be judged by such names.
        if members.are_sharing_out() || !members.has(&settings.instance_id) {
            return false;
        }
        let mut found = members.foreign(settings, &self.topic);
        found.retain(|member| !member.partitions.is_empty());
        let news = self.seen.look(Instant::now(), clock::now(), found);
        news.say();
        self.health.foreign_members.set(self.seen.told().cloned().collect());
        self.seen.is_any_unconfirmed()
    }
}

impl Drop for ForeignWatch {
    fn drop(&mut self) {
        self.health.foreign_members.set(Vec::new());
    }
}

impl Sightings {
    /// One that is seen twice in a row is news: a member that comes with a rebalance and goes with the next is nobody's business.
    fn look(&mut self, now: Instant, met: UnixMillis, found: Vec<ForeignMember>) -> ForeignNews {
        let mut before = std::mem::take(&mut self.0);
        let mut news = ForeignNews::default();
        for member in found {
            let id = member.id.clone();
            let Some(Sighting { seen: SeenMember { since, .. }, said }) = before.remove(&id) else {
                self.0.insert(id, Sighting { seen: SeenMember { member, since: met }, said: None });
                continue;
            };
            let seen = SeenMember { member, since };
            let is_news = said.is_none_or(|said| now.duration_since(said) >= SAID_EVERY);
            if is_news {
                news.there.push(seen.clone());
            }
            self.0.insert(id, Sighting { seen, said: if is_news { Some(now) } else { said } });
        }
        news.gone.extend(before.into_values().filter(|gone| gone.said.is_some()).map(|gone| gone.seen));
        news
    }

    fn told(&self) -> impl Iterator<Item = &SeenMember> {
        self.0.values().filter(|sighting| sighting.said.is_some()).map(|sighting| &sighting.seen)
    }

    fn is_any_unconfirmed(&self) -> bool {
        self.0.values().any(|sighting| sighting.said.is_none())
    }
}

impl ForeignNews {
    fn say(&self) {
        for SeenMember { member, since } in self.there.iter().take(SAID_MAX) {
            let ForeignMember { id, client_id, host, topic, .. } = member;
            tracing::warn!(
                member = id,
                client_id,
                host,
                topic,
                partitions = member.partitions_named(),
                since = %since.as_seconds(),
                members = self.there.len(),
                "a member of the consumer group is no instance: what it owns nobody works on"
            );
        }
        for SeenMember { member, since } in self.gone.iter().take(SAID_MAX) {
            tracing::info!(
                member = member.id,
                client_id = member.client_id,
                host = member.host,
                topic = member.topic,
                since = %since.as_seconds(),
                members = self.gone.len(),
                "a member of the consumer group that is no instance owns nothing any more"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::group_members::tests::{UUID, owning, with_stranger};
    use super::*;
    use crate::kafka::client::settings::tests::settings;
    use crate::telemetry::captured::Captured;
    use crate::telemetry::health::foreign_members::tests::foreign;

    const THERE: &str = "a member of the consumer group is no instance: what it owns nobody works on";
    const GONE: &str = "a member of the consumer group that is no instance owns nothing any more";

    /// What is said at each look, which is so many seconds after the first: who is there, and who is gone.
    fn said(looks: &[(u64, &[&str])]) -> Vec<(u64, Vec<String>, Vec<String>)> {
        let (mut seen, began) = (Sightings::default(), Instant::now());
        let ids = |members: Vec<SeenMember>| members.into_iter().map(|seen| seen.member.id).collect::<Vec<_>>();
        let look = |(second, found): &(u64, &[&str])| {
            let found = found.iter().map(|id| foreign(id, &[0])).collect();
            let news = seen.look(began + Duration::from_secs(*second), UnixMillis(0), found);
            (*second, ids(news.there), ids(news.gone))
        };
        looks.iter().map(look).filter(|(_, there, gone)| !there.is_empty() || !gone.is_empty()).collect()
    }

    fn named(ids: &[&str]) -> Vec<String> {
        ids.iter().map(|id| (*id).to_owned()).collect()
    }

    #[test]
    fn who_is_seen_twice_in_a_row_is_said_then_each_ten_minutes_and_once_that_it_is_gone() {
        let one: &[_] = &["one"];
        let looks = [(0, one), (10, one), (30, one), (609, one), (610, one), (630, &[]), (650, &[])];
        assert_eq!(said(&looks), [(10, named(one), vec![]), (610, named(one), vec![]), (630, vec![], named(one))]);
    }

    #[test]
    fn who_is_seen_once_is_not_said() {
        assert_eq!(said(&[(0, &["one"]), (10, &[]), (30, &["one"]), (40, &["two"]), (60, &[])]), []);
    }

    #[test]
    fn who_asks_is_told_of_those_that_were_said_with_what_they_own_now_until_the_membership_ends() {
        let (captured, health) = (Captured::start(), Arc::new(PipelineHealth::default()));
        let settings = settings(&[]);
        let mut watch = ForeignWatch::new("topic", health.clone());
        let instances = || owning(&[("one", &[0])]);
        let id = format!("sarama-{UUID}");
        assert!(watch.look(&with_stranger(instances(), &id, "sarama", &[1, 2]), &settings), "to be confirmed");
        assert_eq!((health.foreign_members.all(), captured.events(THERE)), (vec![], vec![]));
        assert!(!watch.look(&with_stranger(instances(), &id, "sarama", &[2]), &settings));
        let told = health.foreign_members.all();
        assert_eq!(told.len(), 1);
        assert_eq!((&told[0].member.id, &told[0].member.partitions[..]), (&id, &[2][..]));
        let lines = captured.events(THERE);
        assert_eq!((lines.len(), &lines[0]["level"], &lines[0]["partitions"]), (1, &"WARN".into(), &"2".into()));
        assert_eq!((&lines[0]["member"], &lines[0]["client_id"]), (&id.as_str().into(), &"sarama".into()));

        let sharing_out = with_stranger(instances(), &id, "sarama", &[]).sharing_out();
        assert!(!watch.look(&sharing_out, &settings) && health.foreign_members.all() == told, "it says nothing");
        // The group names this member otherwise than an instance.
        let without = with_stranger(owning(&[("two", &[0])]), &id, "sarama", &[]);
        assert!(!watch.look(&without, &settings) && health.foreign_members.all() == told);

        assert!(!watch.look(&with_stranger(instances(), &id, "sarama", &[]), &settings));
        assert_eq!((health.foreign_members.all(), captured.events(GONE).len()), (vec![], 1));

        for is_new in [true, false] {
            assert_eq!(watch.look(&with_stranger(instances(), &id, "sarama", &[1]), &settings), is_new);
        }
        assert_eq!(health.foreign_members.all().len(), 1);
        drop(watch);
        assert_eq!(health.foreign_members.all(), []);
    }
}
