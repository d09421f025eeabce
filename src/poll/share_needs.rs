//! What the feeds of an app would call, shard by shard: by this the instances share a budget.

use std::collections::HashMap;

use super::freshness::FeedStanding;
use crate::model::feed::{Feed, Interface};
use crate::model::pacing::PollSettings;
use crate::model::promoter::Promoter;
use crate::model::shard::Shard;
use crate::model::shares::wanted::ShareNeed;

const DAY_MILLISECONDS: u128 = 86_400_000;

/// Kept as feeds come, go, and end their pasts, so that whoever looks walks over nobody.
#[derive(Debug, Default)]
pub(super) struct ShareNeeds {
    /// Of the registry: promoters are placed by it.
    partitions: i32,
    needs: HashMap<(Shard, Interface), ShareNeed>,
}

impl ShareNeeds {
    /// Nothing is polled yet, of promoters in so many partitions.
    pub fn new(partitions: i32) -> ShareNeeds {
        ShareNeeds { partitions, needs: HashMap::new() }
    }

    /// A feed stands otherwise than before; nothing before it comes, and nothing after it has gone.
    pub fn stands(
        &mut self,
        promoter: &Promoter,
        feed: Feed,
        settings: PollSettings,
        [before, after]: [Option<FeedStanding>; 2],
    ) {
        let [before, after] = [before, after].map(|standing| need(settings, standing));
        if before == after {
            return;
        }
        let need = self.needs.entry((Shard::of(promoter, self.partitions), feed.interface())).or_default();
        need.usual = (need.usual + after.usual).saturating_sub(before.usual);
        need.pasts = (need.pasts + after.pasts).saturating_sub(before.pasts);
    }

    pub fn of(&self, shard: Shard, interface: Interface) -> ShareNeed {
        self.needs.get(&(shard, interface)).copied().unwrap_or_default()
    }
}

fn need(settings: PollSettings, standing: Option<FeedStanding>) -> ShareNeed {
    let usual = DAY_MILLISECONDS / settings.every.as_millis().clamp(1, DAY_MILLISECONDS);
    let usual = u64::try_from(usual).unwrap_or(u64::MAX);
    match standing {
        Some(FeedStanding::ReadTo(_)) => ShareNeed { usual, pasts: 0 },
        Some(FeedStanding::Backfilling(_)) => ShareNeed { usual, pasts: 1 },
        Some(FeedStanding::Parked) | None => ShareNeed::default(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::model::time::UnixTime;
    use FeedStanding::{Backfilling, Parked, ReadTo};

    #[test]
    fn what_a_shard_needs_is_what_its_feeds_would_call_and_nothing_once_they_have_gone() {
        let settings = |every| {
            let every = Duration::from_secs(every);
            PollSettings { every, idle_every: every, lateness: 600 }
        };
        let promoter = Promoter::from_key("wx1/o1").unwrap();
        let mut needs = ShareNeeds::new(3);
        let shard = Shard::of(&promoter, 3);
        let mut stands = |feed, every, before, after| {
            needs.stands(&promoter, feed, settings(every), [before, after]);
            [Interface::GetRelation, Interface::GetOrder].map(|interface| needs.of(shard, interface))
        };
        let need = |usual, pasts| ShareNeed { usual, pasts };
        assert_eq!(stands(Feed::Touches, 60, None, Some(Backfilling(UnixTime(5).into()))), [need(1440, 1), need(0, 0)]);
        assert_eq!(stands(Feed::Orders, 3600, None, Some(ReadTo(UnixTime(5).into()))), [need(1440, 1), need(24, 0)]);
        assert_eq!(
            stands(Feed::Touches, 60, Some(Backfilling(UnixTime(5).into())), Some(ReadTo(UnixTime(9).into()))),
            [need(1440, 0), need(24, 0)]
        );
        assert_eq!(
            stands(Feed::Orders, 3600, Some(ReadTo(UnixTime(5).into())), Some(Parked)),
            [need(1440, 0), need(0, 0)]
        );
        assert_eq!(stands(Feed::Touches, 60, Some(ReadTo(UnixTime(9).into())), None), [need(0, 0), need(0, 0)]);
    }
}
