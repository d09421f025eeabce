//! Whom the configuration names, which changes while the process lives: it is read again.
//!
//! A session takes up shards by the lists that it knows, and what it is told of later lists is what makes those of the ones it
//! knows. So wherever a change falls between two shards that come, each promoter is polled as the latest list says.

use std::future::pending;
use std::ops::AddAssign;
use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::watch;

use super::PolledApp;
use crate::model::feed::Feed;
use crate::model::promoter::Promoter;
use crate::model::roster::Roster;
use crate::registry::configured::updates;
use crate::registry::table::{ConfiguredPromoter, SourceUpdate};

/// Whom the configuration names for one app, each once. Lives as long as the process.
pub struct ConfiguredPromoters {
    latest: watch::Sender<Arc<ConfiguredList>>,
}

/// What one reading of the configuration says.
#[derive(Debug)]
pub struct ConfiguredList {
    pub promoters: Vec<(Promoter, ConfiguredPromoter)>,
    /// That with which the process began is 0.
    reading: u64,
    /// What it says otherwise than the reading before.
    updates: Vec<(Promoter, Option<ConfiguredPromoter>)>,
}

/// How many promoters are named otherwise than before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ListChange {
    pub added: usize,
    pub changed: usize,
    pub removed: usize,
}

impl From<Vec<(Promoter, ConfiguredPromoter)>> for ConfiguredPromoters {
    fn from(promoters: Vec<(Promoter, ConfiguredPromoter)>) -> ConfiguredPromoters {
        let first = ConfiguredList { promoters, reading: 0, updates: Vec::new() };
        ConfiguredPromoters { latest: watch::Sender::new(Arc::new(first)) }
    }
}

impl ConfiguredPromoters {
    pub fn latest(&self) -> Arc<ConfiguredList> {
        self.latest.borrow().clone()
    }

    /// The configuration has been read again, and names these. Whoever polls acts on what that changes. Compares both lists: there
    /// may be a million promoters.
    pub fn replace(&self, promoters: Vec<(Promoter, ConfiguredPromoter)>) -> ListChange {
        let before = self.latest();
        let updates = updates(&before.promoters, &promoters);
        let change = ListChange::of(&before.promoters, &promoters, &updates);
        if !updates.is_empty() {
            let reading = before.reading + 1;
            self.latest.send_replace(Arc::new(ConfiguredList { promoters, reading, updates }));
        }
        change
    }
}

impl ListChange {
    fn of<T, U>(before: &[T], after: &[T], updates: &[(Promoter, Option<U>)]) -> ListChange {
        let removed = updates.iter().filter(|(_, configured)| configured.is_none()).count();
        let added = after.len() + removed - before.len();
        ListChange { added, changed: updates.len() - removed - added, removed }
    }

    pub fn is_empty(self) -> bool {
        self == ListChange::default()
    }
}

impl AddAssign for ListChange {
    fn add_assign(&mut self, other: ListChange) {
        self.added += other.added;
        self.changed += other.changed;
        self.removed += other.removed;
    }
}

/// Whom `apps` poll as the configuration alone has them, wherever they are polled.
pub fn roster(apps: &[PolledApp]) -> Roster {
    let lists: Vec<_> = apps.iter().map(|app| (app.feeds, app.promoters.latest())).collect();
    Roster::new(move |visit| {
        for (feeds, list) in &lists {
            for (promoter, ConfiguredPromoter { feeds: only, start_from }) in &list.promoters {
                let polled = feeds.polled_for(promoter.clone(), *only, *start_from);
                let feeds = Feed::ALL.into_iter().filter(|feed| polled.feeds[*feed].is_some());
                feeds.for_each(|feed| visit(promoter, feed));
            }
        }
    })
}

/// The lists that one session acts by, in the order of its apps.
pub(super) struct ConfigurationFollower {
    apps: Vec<FollowedList>,
}

struct FollowedList {
    latest: watch::Receiver<Arc<ConfiguredList>>,
    known: Arc<ConfiguredList>,
}

impl ConfigurationFollower {
    pub fn new(apps: &[PolledApp]) -> ConfigurationFollower {
        let follow = |app: &PolledApp| {
            let mut latest = app.promoters.latest.subscribe();
            let known = latest.borrow_and_update().clone();
            FollowedList { latest, known }
        };
        ConfigurationFollower { apps: apps.iter().map(follow).collect() }
    }

    /// Those of all apps.
    pub fn promoters(&self) -> impl Iterator<Item = &(Promoter, ConfiguredPromoter)> {
        self.apps.iter().flat_map(|app| &app.known.promoters)
    }

    /// Whether the list of the app of this place is not the one with which the process began.
    pub fn is_reloaded(&self, app: usize) -> bool {
        self.apps.get(app).is_some_and(|app| app.known.reading > 0)
    }

    /// Waits until there is a later list. May be dropped and called again.
    pub async fn changed(&mut self) {
        // Which app's it was does not matter, for `take` compares the readings of all. So nothing is missed where this is
        // dropped.
        let mut changes: FuturesUnordered<_> = self.apps.iter_mut().map(|app| app.latest.changed()).collect();
        // The apps outlive their sessions, so there is an end only where there is no app.
        let Some(Ok(())) = changes.next().await else { return pending().await };
    }

    /// Goes by the latest lists from now on. Gives what they say otherwise than those that were known.
    pub fn take(&mut self) -> Vec<(Promoter, SourceUpdate)> {
        let updates = self.apps.iter_mut().flat_map(FollowedList::take);
        updates.map(|(promoter, configured)| (promoter, SourceUpdate::Configuration(configured))).collect()
    }
}

impl FollowedList {
    fn take(&mut self) -> Vec<(Promoter, Option<ConfiguredPromoter>)> {
        let latest = self.latest.borrow_and_update().clone();
        let before = std::mem::replace(&mut self.known, latest.clone());
        match latest.reading - before.reading {
            0 => Vec::new(),
            1 => latest.updates.clone(),
            // The one between was missed.
            _ => updates(&before.promoters, &latest.promoters),
        }
    }
}
