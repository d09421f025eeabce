//! Who has yet to begin, where many do at once. They begin in parts: the first of a million are polled while the first cursors of
//! others are still written, what a beginning needs is held for a part, and what changes of a promoter waits for a part and not for
//! all.

use std::collections::{HashSet, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

use super::begin_times::BeginTimes;
use super::polled_promoter::PolledPromoter;
use crate::commit::totals::IdleStarts;
use crate::model::promoter::Promoter;
use crate::poll::polled_feeds::PolledFeed;

/// How many promoters begin together at most. Fewer in tests: it takes long to simulate as many as begin in several parts.
pub(super) const BEGIN_MAX: usize = if cfg!(test) { 300 } else { 10_000 };

/// A promoter that is to be polled since then, and whom nothing polls before he has begun.
#[derive(Debug)]
pub(super) struct WaitingPromoter {
    pub promoter: PolledPromoter,
    pub since: Instant,
}

/// Promoters that came together.
#[derive(Debug, Default)]
pub(super) struct BeginGroup {
    /// In no order: whoever is told to the scheduler is polled in its own.
    waiting: Vec<WaitingPromoter>,
    /// Feeds of those who have begun that are told when all of the group have: they go through time together, and whoever came first
    /// would run ahead of the others.
    pub far_behind: Vec<PolledFeed>,
    pub idle_starts: IdleStarts,
}

/// Groups, each of which begins a part when it has its turn.
#[derive(Debug, Default)]
pub(super) struct BeginQueue(VecDeque<BeginGroup>);

impl BeginGroup {
    pub fn new(waiting: impl IntoIterator<Item = WaitingPromoter>) -> BeginGroup {
        BeginGroup { waiting: waiting.into_iter().collect(), ..BeginGroup::default() }
    }

    /// Whether it begins in more than one part.
    pub fn is_large(&self) -> bool {
        self.waiting.len() > BEGIN_MAX
    }

    pub fn is_begun(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Who begins next: [`BEGIN_MAX`] at most.
    pub fn next_part(&mut self) -> Vec<WaitingPromoter> {
        self.waiting.split_off(self.waiting.len().saturating_sub(BEGIN_MAX))
    }

    /// Since when those are to be polled who have not begun and may do so "now".
    pub fn times(self) -> impl Iterator<Item = (Promoter, Instant)> {
        let begins_now = self.waiting.into_iter().filter(|waiting| waiting.promoter.may_begin_now());
        begins_now.map(|WaitingPromoter { promoter, since }| (promoter.promoter, since))
    }

    /// Those of whom an earlier time is kept have waited since then, unless that is longer ago than `forget`.
    pub fn wait_since(&mut self, times: &BeginTimes, forget: Duration) {
        times.take(self.waiting.iter_mut().map(|waiting| (&waiting.promoter.promoter, &mut waiting.since)), forget);
    }
}

impl BeginQueue {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn push(&mut self, group: BeginGroup) {
        self.0.push_back(group);
    }

    /// The group that has waited longest.
    pub fn pop(&mut self) -> Option<BeginGroup> {
        self.0.pop_front()
    }

    /// Takes those who wait among `promoters`, and forgets the feeds of those among them that are still to be told.
    pub fn take(&mut self, promoters: &HashSet<&Promoter>) -> Vec<WaitingPromoter> {
        let mut taken = Vec::new();
        for group in &mut self.0 {
            group.far_behind.retain(|feed| !promoters.contains(&feed.promoter));
            let waits = |waiting: &mut WaitingPromoter| promoters.contains(&waiting.promoter.promoter);
            taken.extend(group.waiting.extract_if(.., waits));
        }
        taken
    }
}
