//! Who is polled in the shards of this instance, as the configuration and the registry say together.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use super::paused::PausedPromoters;
use super::polls::PromotersChange;
use super::rewinds::PromoterRewinds;
use super::{PolledApp, PolledPromoter};
use crate::model::dead_letter::DeadLetter;
use crate::model::feed::PerFeed;
use crate::model::promoter::Promoter;
use crate::model::removal::{Removal, RemovalStep};
use crate::model::shard::{AssignedShard, Shard};
use crate::model::state::State;
use crate::registry::event::RegistryEvent;
use crate::registry::known::KnownPromoter;
use crate::registry::record::RegistryContent;
use crate::registry::registered_since::RegisteredSince;
use crate::registry::removed::{KnownClocks, RemovedPromoters};
use crate::registry::table::{
    ConfiguredPromoter, EffectivePromoter, MergedPromoter, PromoterSource, PromoterTable, SourceUpdate, TableChange,
};

/// How many apps are named that the registry knows and the configuration doesn't.
const UNKNOWN_APPS_MAX: usize = 100;
/// Of how many promoters of a shard it is written at once that they were removed, or are forgotten.
const REMOVALS_MAX: usize = 100;

/// One table for each shard, for they come and go as a whole.
#[derive(Default)]
pub(super) struct ShardPromoters {
    tables: HashMap<AssignedShard, PromoterTable>,
    /// Who is in none of the tables, though something is known of them.
    removed: HashMap<AssignedShard, RemovedPromoters>,
    /// How many of each that is polled are paused.
    paused: HashMap<AssignedShard, PausedPromoters>,
    unknown_apps: UnknownApps,
}

/// A promoter whom somebody names.
struct DescribedPromoter {
    effective: EffectivePromoter,
    registered: RegisteredSince,
}

/// Apps that the registry knows and the configuration doesn't, as far as they were named.
#[derive(Default)]
struct UnknownApps(HashSet<String>);

/// What changes for each app of a session, in their order.
pub(super) type AppChanges = Vec<PromotersChange>;

/// What is to be written of promoters that were removed, or have returned, before what changes for the apps is acted on.
pub(super) type ShardRemovals = Vec<(AssignedShard, Vec<Removal>)>;

/// What comes of what the registry has said in a shard.
#[derive(Default)]
pub(super) struct RegistryNews {
    pub changes: AppChanges,
    pub returned: Vec<Removal>,
    pub unreadable: UnreadableRegistrations,
}

/// Records of the registry that can't be read, with their offsets.
pub(super) type UnreadableRegistrations = Vec<(i64, DeadLetter)>;

/// What the registry says beside whom to poll.
#[derive(Default)]
pub(super) struct SaidBeside {
    pub unreadable: UnreadableRegistrations,
    pub rewinds: PromoterRewinds,
}

impl ShardPromoters {
    /// Takes up shards, of `partitions` in all, where the configuration names `configured`, and the registry says in them what
    /// `registered` tells. Gives what that says beside whom to poll.
    pub fn open<'a>(
        &mut self,
        configured: impl Iterator<Item = &'a (Promoter, ConfiguredPromoter)>,
        partitions: i32,
        registered: Vec<(AssignedShard, Vec<RegistryEvent>)>,
    ) -> Vec<(AssignedShard, SaidBeside)> {
        let mut tables: HashMap<Shard, (AssignedShard, PromoterTable)> =
            registered.iter().map(|(assigned, _)| (assigned.shard, (*assigned, PromoterTable::default()))).collect();
        for (promoter, configured) in configured {
            if let Some((_, table)) = tables.get_mut(&Shard::of(promoter, partitions)) {
                table.apply(promoter, SourceUpdate::Configuration(Some(*configured)));
            }
        }
        let mut beside = Vec::new();
        for (assigned, events) in registered {
            let Some((_, table)) = tables.get_mut(&assigned.shard) else { continue };
            // Whom to poll is told once all that is said of them is known.
            beside.push((assigned, apply(table, events, |_, _| {})));
        }
        self.tables.extend(tables.into_values());
        beside
    }

    /// Compares shards that were taken up with what is known of their promoters: who has progress and is named by nobody was
    /// removed, and who has a mark of that and is named has returned. Takes the marks out of the states.
    pub fn compare(&mut self, states: &mut [(AssignedShard, State)]) -> ShardRemovals {
        let mut returned = ShardRemovals::new();
        for (assigned, state) in states {
            let assigned = *assigned;
            let Some(table) = self.tables.get(&assigned) else { continue };
            let mut removed = RemovedPromoters::restored(state.take_removed());
            let is_named = |promoter: &Promoter| table.get(promoter).is_some();
            let named = table.iter().filter_map(|(promoter, _)| removed.put_back(promoter)).collect();
            let unnamed = state.promoters().filter(|promoter| !is_named(promoter) && removed.remove(promoter)).count();
            if unnamed > 0 {
                let shard = assigned.shard.0;
                tracing::info!(
                    shard,
                    promoters = unnamed,
                    "nobody names these promoters any more: their progress is kept for registry.forget"
                );
            }
            self.removed.insert(assigned, removed);
            returned.push((assigned, named));
        }
        returned
    }

    /// Marks who was removed, and forgets who has been away for longer than `forget`; of each shard a few at a time.
    pub fn due_removals(&mut self, clocks: KnownClocks, forget: Duration) -> ShardRemovals {
        let forget = i64::try_from(forget.as_secs()).unwrap_or(i64::MAX);
        let due = |(assigned, removed): (&AssignedShard, &mut RemovedPromoters)| {
            (*assigned, removed.due(clocks, forget, REMOVALS_MAX))
        };
        let due: ShardRemovals = self.removed.iter_mut().map(due).collect();
        let steps = due.iter().flat_map(|(_, removals)| removals);
        let forgotten = steps.filter(|removal| removal.step == RemovalStep::Forgotten).count();
        if forgotten > 0 {
            tracing::info!(promoters = forgotten, "the progress of promoters that were removed long ago is forgotten");
        }
        due
    }

    /// Whom to poll in shards that were taken up.
    pub fn polled(&mut self, apps: &[PolledApp], shards: &[AssignedShard]) -> AppChanges {
        let mut changes = unchanged(apps);
        for shard in shards {
            let Some(table) = self.tables.get(shard) else { continue };
            let mut paused = PausedPromoters::default();
            for (promoter, merged) in table.iter() {
                let Some(index) = app_of(apps, promoter) else {
                    self.unknown_apps.say(promoter.app_id());
                    continue;
                };
                let named = DescribedPromoter::of(merged);
                paused.note(apps, promoter, None, Some(named.effective));
                changes[index].polled.extend(polled(&apps[index], promoter, named));
            }
            self.paused.insert(*shard, paused);
        }
        changes
    }

    /// Of how many promoters of each app a feed would be polled that are paused, in the order of the apps.
    pub fn paused(&self, apps: &[PolledApp]) -> Vec<PerFeed<usize>> {
        let of_app = |index: usize| {
            let of_shards = || self.paused.values().map(|paused| paused.of_app(index));
            PerFeed::new(|feed| of_shards().map(|counts| counts[feed]).sum())
        };
        (0..apps.len()).map(of_app).collect()
    }

    /// What is known of a promoter of the shard, if the shard was taken up; nothing within where nobody names the promoter.
    pub fn known(&self, shard: Shard, promoter: &Promoter) -> Option<Option<KnownPromoter>> {
        let (_, table) = self.tables.iter().find(|(assigned, _)| assigned.shard == shard)?;
        Some(table.get(promoter).map(KnownPromoter::from))
    }

    /// How many shards were taken up.
    pub fn shards(&self) -> usize {
        self.tables.len()
    }

    /// Drops shards that are another's now. Gives whom they had.
    pub fn close(&mut self, apps: &[PolledApp], shards: &[AssignedShard]) -> AppChanges {
        let mut changes = unchanged(apps);
        for shard in shards {
            self.removed.remove(shard);
            self.paused.remove(shard);
        }
        for table in shards.iter().filter_map(|shard| self.tables.remove(shard)) {
            for (promoter, _) in table.iter() {
                if let Some(index) = app_of(apps, promoter) {
                    changes[index].gone.push(promoter.clone());
                }
            }
        }
        changes
    }

    /// Takes what the registry says of promoters of a shard. Nothing comes of a shard that is not there any more.
    pub fn take(&mut self, apps: &[PolledApp], assigned: AssignedShard, events: Vec<RegistryEvent>) -> RegistryNews {
        let Some(table) = self.tables.get_mut(&assigned) else { return Default::default() };
        // The last word on each counts.
        let (mut last, paused) = (HashSet::new(), self.paused.entry(assigned).or_default());
        let SaidBeside { unreadable, rewinds } = apply(table, events, |promoter, change| {
            paused.change(apps, &promoter, change);
            if change != TableChange::Unchanged {
                last.insert(promoter);
            }
        });
        let mut last: HashMap<Promoter, Option<DescribedPromoter>> =
            last.into_iter().map(|promoter| named_in(table, promoter)).collect();
        let removed = self.removed.entry(assigned).or_default();
        let returned = last.iter().filter_map(|(promoter, named)| removed.note(promoter, named.is_some())).collect();
        // The polls of whoever is asked again end, and begin again by the cursor that this leaves.
        last.extend(rewinds.iter().map(|(promoter, ..)| named_in(table, promoter.clone())));
        let mut changes = self.changes(apps, last);
        add_rewinds(apps, rewinds, &mut changes);
        RegistryNews { changes, returned, unreadable }
    }

    /// Takes what a source says of promoters, each named once, wherever `partitions` in all place them. Nothing comes of those
    /// in shards that are not there.
    pub fn update(
        &mut self,
        apps: &[PolledApp],
        partitions: i32,
        updates: Vec<(Promoter, SourceUpdate)>,
    ) -> (AppChanges, ShardRemovals) {
        let tables = self.tables.iter_mut().map(|(assigned, table)| (assigned.shard, (*assigned, table)));
        let mut tables: HashMap<Shard, (AssignedShard, &mut PromoterTable)> = tables.collect();
        let (mut changed, mut returned) = (HashMap::new(), HashMap::<AssignedShard, Vec<Removal>>::new());
        for (promoter, update) in updates {
            let Some((assigned, table)) = tables.get_mut(&Shard::of(&promoter, partitions)) else { continue };
            let change = table.apply(&promoter, update);
            self.paused.entry(*assigned).or_default().change(apps, &promoter, change);
            if change != TableChange::Unchanged {
                let (promoter, named) = named_in(table, promoter);
                let removed = self.removed.entry(*assigned).or_default();
                returned.entry(*assigned).or_default().extend(removed.note(&promoter, named.is_some()));
                changed.insert(promoter, named);
            }
        }
        (self.changes(apps, changed), returned.into_iter().collect())
    }

    /// Whether the promoter, of one of these shards, begins where the configuration says: not the registry, which others may
    /// write.
    pub fn begins_as_configured(&self, assigned: AssignedShard, promoter: &Promoter) -> bool {
        let merged = self.tables.get(&assigned).and_then(|table| table.get(promoter));
        merged.is_some_and(|merged| merged.is_configured && merged.start_from.source != Some(PromoterSource::Registry))
    }

    fn changes(&mut self, apps: &[PolledApp], last: HashMap<Promoter, Option<DescribedPromoter>>) -> AppChanges {
        let mut changes = unchanged(apps);
        for (promoter, named) in last {
            let Some(index) = app_of(apps, &promoter) else {
                self.unknown_apps.say(promoter.app_id());
                continue;
            };
            match named.and_then(|named| polled(&apps[index], &promoter, named)) {
                Some(polled) => changes[index].polled.push(polled),
                None => changes[index].gone.push(promoter),
            }
        }
        changes
    }
}

impl DescribedPromoter {
    fn of(merged: MergedPromoter<'_>) -> DescribedPromoter {
        DescribedPromoter { effective: merged.effective(), registered: merged.registered.unwrap_or_default() }
    }
}

impl UnknownApps {
    /// Once for each app.
    fn say(&mut self, app: &str) {
        if !self.0.contains(app) && self.0.len() < UNKNOWN_APPS_MAX {
            self.0.insert(app.to_owned());
            tracing::warn!(app, "the registry names promoters of an app that is not configured: they are not polled");
        }
    }
}

/// Nothing, for each of `apps`.
fn unchanged(apps: &[PolledApp]) -> AppChanges {
    apps.iter().map(|_| PromotersChange::default()).collect()
}

/// Adds rewinds to what changes for the apps of their promoters. An app that is not configured polls nobody: its rewinds are met when
/// it is.
pub(super) fn add_rewinds(apps: &[PolledApp], rewinds: PromoterRewinds, changes: &mut AppChanges) {
    for rewind in rewinds {
        if let Some(index) = app_of(apps, &rewind.0) {
            changes[index].rewinds.push(rewind);
        }
    }
}

/// Applies what the registry says to a table, and tells what that changes. Gives what it says beside that, in the order of the
/// partition.
fn apply(
    table: &mut PromoterTable,
    events: Vec<RegistryEvent>,
    mut tell: impl FnMut(Promoter, TableChange),
) -> SaidBeside {
    let SaidBeside { mut unreadable, mut rewinds } = SaidBeside::default();
    for event in events {
        match event {
            RegistryEvent::Said { promoter, content: RegistryContent::Rewind(feed, rewind) } => {
                rewinds.extend(rewind.map(|rewind| (promoter, feed, rewind)));
            }
            RegistryEvent::Said { promoter, content } => {
                let Some(update) = content.update() else { continue };
                let change = table.apply(&promoter, update);
                tell(promoter, change);
            }
            RegistryEvent::Unreadable { offset, letter } => unreadable.push((offset, *letter)),
        }
    }
    unreadable.sort_by_key(|(offset, _)| *offset);
    SaidBeside { unreadable, rewinds }
}

/// What a table says of a promoter; nothing where nobody names him.
fn named_in(table: &PromoterTable, promoter: Promoter) -> (Promoter, Option<DescribedPromoter>) {
    let named = table.get(&promoter).map(DescribedPromoter::of);
    (promoter, named)
}

fn app_of(apps: &[PolledApp], promoter: &Promoter) -> Option<usize> {
    apps.iter().position(|app| app.app.is_of(promoter))
}

/// The promoter as its app polls it, unless it is paused.
fn polled(app: &PolledApp, promoter: &Promoter, named: DescribedPromoter) -> Option<PolledPromoter> {
    let DescribedPromoter { effective: EffectivePromoter { feeds, start_from, is_paused }, registered } = named;
    (!is_paused).then(|| PolledPromoter { registered, ..app.feeds.polled_for(promoter.clone(), feeds, start_from) })
}
