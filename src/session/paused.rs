//! How many promoters of a shard are paused: kept as that changes, so that whoever looks walks over nobody.

use std::collections::BTreeMap;

use super::PolledApp;
use crate::model::feed::{Feed, PerFeed};
use crate::model::promoter::Promoter;
use crate::registry::table::{EffectivePromoter, TableChange};

/// By the place of the app among those of the session: of how many of its promoters a feed would be polled.
#[derive(Debug, Default)]
pub(super) struct PausedPromoters(BTreeMap<usize, PerFeed<usize>>);

impl PausedPromoters {
    pub fn of_app(&self, index: usize) -> PerFeed<usize> {
        self.0.get(&index).copied().unwrap_or_default()
    }

    pub fn change(&mut self, apps: &[PolledApp], promoter: &Promoter, change: TableChange) {
        let (before, after) = match change {
            TableChange::Unchanged => return,
            TableChange::Added(to) => (None, Some(to)),
            TableChange::Changed { from, to } => (Some(from), Some(to)),
            TableChange::Removed(from) => (Some(from), None),
        };
        self.note(apps, promoter, before, after);
    }

    /// The promoter is described otherwise than before; nothing before it comes, and nothing after it has gone.
    pub fn note(
        &mut self,
        apps: &[PolledApp],
        promoter: &Promoter,
        before: Option<EffectivePromoter>,
        after: Option<EffectivePromoter>,
    ) {
        let is_paused = |effective: &EffectivePromoter| effective.is_paused;
        let (before, after) = (before.filter(is_paused), after.filter(is_paused));
        if before.is_none() && after.is_none() {
            return;
        }
        let Some(index) = apps.iter().position(|app| app.app.is_of(promoter)) else { return };
        let counts = self.0.entry(index).or_default();
        let would_be_polled = |effective: EffectivePromoter, feed: Feed| {
            apps[index].feeds.polled[feed].is_some() && effective.feeds.asks_for(feed)
        };
        for feed in Feed::ALL {
            counts[feed] += usize::from(after.is_some_and(|after| would_be_polled(after, feed)));
            let has_gone = usize::from(before.is_some_and(|before| would_be_polled(before, feed)));
            counts[feed] = counts[feed].saturating_sub(has_gone);
        }
    }
}
