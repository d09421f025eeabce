//! Who owns which shards of a log in memory: what a consumer group does, without Kafka, and moved about as a test likes.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::durable_topics::{DurableTopics, PARTITIONS, whole};
use crate::commit::log::{
    LogError, NotesReader, OpenError, OwnershipChange, Restore, RestoredShard, Restores, ShardOwnership,
};
use crate::commit::queue::FenceSender;
use crate::commit::registry_topic::RegistryTopic;
use crate::model::batch::ShardRecord;
use crate::model::promoter::{AppId, Promoter};
use crate::model::shard::{AssignedShard, Shard};
use crate::model::shares::note::PartitionNote;
use crate::registry::compacted_events::CompactedEvents;
use crate::registry::discovery::DiscoveryWrite;
use crate::registry::event::{EventBurst, RegistryEvent};
use crate::registry::record::{PromoterRecord, RegistryContent};
use crate::registry::table::PromoterTable;

/// The group of all instances. Clones are the same group.
#[derive(Clone, Default)]
pub struct MemoryGroup(Arc<Mutex<Members>>);

#[derive(Default)]
struct Members {
    owners: BTreeMap<Shard, Owner>,
    /// Those whose logs are open.
    open: HashMap<String, mpsc::UnboundedSender<OwnershipChange>>,
    last_number: u64,
    /// What the registry says, in order.
    registry: Vec<(Promoter, RegistryContent)>,
    /// What was taken away from whom, where that one has not heard of it yet.
    untold: Vec<(String, AssignedShard)>,
    /// How often a shard was begun to be restored, of each assignment.
    attempts: HashMap<AssignedShard, u64>,
}

struct Owner {
    instance: String,
    number: u64,
}

impl MemoryGroup {
    /// A group of one instance, which owns every shard of `partitions` as soon as it is there.
    pub fn of_one(instance: &str, partitions: i32) -> MemoryGroup {
        let group = MemoryGroup::default();
        (0..partitions).for_each(|partition| group.take_away(Shard(partition), instance));
        group
    }

    /// Says something of a promoter in the registry, whose owner hears of it.
    pub fn register(&self, promoter: &Promoter, record: Option<PromoterRecord>) {
        self.say(promoter, RegistryContent::Record(record));
    }

    /// Writes a record of the registry.
    pub fn say(&self, promoter: &Promoter, content: RegistryContent) {
        let mut members = self.members();
        members.registry.push((promoter.clone(), content.clone()));
        let shard = Shard::of(promoter, PARTITIONS);
        let said = RegistryEvent::Said { promoter: promoter.clone(), content };
        if let Some(Owner { instance, number }) = members.owners.get(&shard) {
            let assigned = AssignedShard { shard, number: *number };
            members.tell(
                instance,
                OwnershipChange::Registered(assigned, EventBurst { received: Instant::now(), events: vec![said] }),
            );
        }
    }

    /// Leaves the last record under each key, and no tombstone, as Kafka does after a day.
    pub fn compact(&self) {
        let mut members = self.members();
        let key = |(promoter, content): &(Promoter, RegistryContent)| (promoter.clone(), content.key());
        let last: HashMap<_, _> = members.registry.drain(..).map(|record| (key(&record), record)).collect();
        members.registry = last.into_values().filter(|(_, content)| !is_tombstone(content)).collect();
    }

    /// The last that was said under each key.
    fn said_in(&self, shard: Shard) -> Vec<RegistryEvent> {
        let members = self.members();
        let of_shard = members.registry.iter().filter(|(promoter, _)| Shard::of(promoter, PARTITIONS) == shard);
        let mut events = CompactedEvents::default();
        for (promoter, content) in of_shard {
            events.take(RegistryEvent::Said { promoter: promoter.clone(), content: content.clone() });
        }
        events.into_events()
    }

    fn members(&self) -> MutexGuard<'_, Members> {
        // A poisoned lock means that a test has failed already.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives a shard to another instance at once: whoever owned it hears of that afterwards.
    pub fn take_away(&self, shard: Shard, to: &str) {
        let mut members = self.members();
        members.take_away(shard, to);
        members.tell_losses(None);
    }

    /// As [`take_away`](Self::take_away), but whoever owned it hears nothing before that time is over, or it is given something.
    pub async fn take_away_unheard(&self, shard: Shard, to: &str, deaf: Duration) {
        self.members().take_away(shard, to);
        tokio::time::sleep(deaf).await;
        self.members().tell_losses(None);
    }

    /// Who owns a shard.
    pub fn owner(&self, shard: Shard) -> Option<String> {
        self.members().owners.get(&shard).map(|owner| owner.instance.clone())
    }

    /// The instance has opened its log: what it owns is assigned to it anew.
    pub fn join(&self, instance: &str, durable: Arc<Mutex<DurableTopics>>) -> Box<dyn ShardOwnership> {
        let mut members = self.members();
        let (sender, changes) = mpsc::unbounded_channel();
        members.untold.retain(|(loser, _)| loser != instance);
        members.open.insert(instance.to_owned(), sender);
        let owned = members.owners.iter().filter(|(_, owner)| owner.instance == instance);
        let owned: Vec<Shard> = owned.map(|(shard, _)| *shard).collect();
        let assigned: Vec<_> = owned.into_iter().map(|shard| members.number(shard, instance)).collect();
        members.tell(instance, OwnershipChange::Assigned(assigned));
        Box::new(MemoryOwnership { changes, durable, group: self.clone() })
    }

    pub(super) fn leave(&self, instance: &str) {
        self.members().open.remove(instance);
    }

    /// Which of `shards` the instance does not own any more, as `write` is to be told before it writes: nobody gets any of
    /// them meanwhile.
    pub(super) fn write<R>(
        &self,
        instance: &str,
        shards: &[AssignedShard],
        write: impl FnOnce(Vec<AssignedShard>) -> R,
    ) -> R {
        let members = self.members();
        let is_owned = |assigned: &&AssignedShard| {
            members
                .owners
                .get(&assigned.shard)
                .is_some_and(|owner| owner.instance == instance && owner.number == assigned.number)
        };
        write(shards.iter().filter(|assigned| !is_owned(assigned)).copied().collect())
    }
}

impl RegistryTopic for MemoryGroup {
    fn read(&self, app: AppId) -> BoxFuture<'_, Result<PromoterTable, LogError>> {
        Box::pin(async move {
            let mut table = PromoterTable::default();
            let members = self.members();
            for (promoter, content) in members.registry.iter().filter(|(promoter, _)| promoter.app_id() == app.as_str())
            {
                if let Some(update) = content.clone().update() {
                    table.apply(promoter, update);
                }
            }
            Ok(table)
        })
    }

    fn write(&self, writes: Vec<DiscoveryWrite>) -> BoxFuture<'_, Result<(), LogError>> {
        Box::pin(async move {
            for (promoter, found) in writes {
                self.say(&promoter, RegistryContent::Discovery(found));
            }
            Ok(())
        })
    }
}

impl Members {
    /// Counts an attempt to restore the shard.
    fn attempt(&mut self, assigned: AssignedShard) -> u64 {
        let attempts = self.attempts.entry(assigned).or_default();
        *attempts += 1;
        *attempts
    }

    fn take_away(&mut self, shard: Shard, to: &str) {
        if let Some(Owner { instance, number }) = self.owners.remove(&shard) {
            self.untold.push((instance, AssignedShard { shard, number }));
        }
        self.give(shard, to);
    }

    /// Tells whoever has lost something, or only `instance`.
    fn tell_losses(&mut self, instance: Option<&str>) {
        let is_told = |(loser, _): &mut (String, AssignedShard)| instance.is_none_or(|instance| instance == loser);
        let told: Vec<_> = self.untold.extract_if(.., is_told).collect();
        for (loser, lost) in told {
            self.tell(&loser, OwnershipChange::Revoked(vec![lost]));
        }
    }

    fn give(&mut self, shard: Shard, to: &str) {
        self.tell_losses(Some(to));
        let assigned = self.number(shard, to);
        self.tell(to, OwnershipChange::Assigned(vec![assigned]));
    }

    fn number(&mut self, shard: Shard, to: &str) -> AssignedShard {
        self.last_number += 1;
        let number = self.last_number;
        self.owners.insert(shard, Owner { instance: to.to_owned(), number });
        AssignedShard { shard, number }
    }

    fn tell(&self, instance: &str, change: OwnershipChange) {
        if let Some(changes) = self.open.get(instance) {
            let _ = changes.send(change);
        }
    }
}

/// Of a log whose instances note nothing.
pub fn unnoted() -> NotesReader {
    Arc::new(|| Box::pin(std::future::pending()))
}

struct MemoryOwnership {
    changes: mpsc::UnboundedReceiver<OwnershipChange>,
    durable: Arc<Mutex<DurableTopics>>,
    group: MemoryGroup,
}

impl ShardOwnership for MemoryOwnership {
    fn next(&mut self) -> BoxFuture<'_, OwnershipChange> {
        Box::pin(async {
            match self.changes.recv().await {
                Some(change) => change,
                // Another opening of the same instance has taken its place.
                None => std::future::pending().await,
            }
        })
    }

    fn restore(&self, shards: Vec<AssignedShard>, fences: FenceSender, given_up: CancellationToken) -> Restores {
        let restore = |assigned: AssignedShard| {
            let restoring = self.restoring(assigned, fences.clone());
            let given_up = given_up.clone();
            let restore = async move {
                let restored = given_up.run_until_cancelled(restoring).await;
                (assigned, restored.unwrap_or_else(|| Err(OpenError::Again("given up".into()))))
            };
            Box::pin(restore) as Restore
        };
        shards.into_iter().map(restore).collect()
    }

    fn notes(&self) -> NotesReader {
        let durable = self.durable.clone();
        Arc::new(move || {
            let durable = durable.clone();
            Box::pin(async move {
                tokio::time::sleep(Duration::from_millis(5)).await;
                let durable = whole(&durable);
                let note = |partition| durable.notes.get(&Shard(partition)).cloned();
                let note = |partition| note(partition).map_or(PartitionNote::Absent, PartitionNote::Shares);
                Ok((0..PARTITIONS).map(note).collect())
            })
        })
    }

    /// As where nobody tells who would take over.
    fn hand_over(&self) -> BoxFuture<'static, ()> {
        Box::pin(std::future::ready(()))
    }
}

impl MemoryOwnership {
    /// A few milliseconds to a few seconds, another each time; some fail once or twice, at one step or another.
    ///
    /// # Errors
    /// Within the future [`OpenError::Again`], as scripted or where nobody writes fences any more; [`OpenError::Stop`] where a
    /// record below the fence can't be read.
    fn restoring(
        &self,
        assigned: AssignedShard,
        fences: FenceSender,
    ) -> impl Future<Output = Result<RestoredShard, OpenError>> + Send + use<> {
        let (durable, registry) = (self.durable.clone(), self.group.clone());
        let attempt = registry.members().attempt(assigned);
        let milliseconds = assigned.number * 7919 % 700;
        let fails = |step: u64| assigned.number.wrapping_mul(31).wrapping_add(step * 7) % 11 < 2 && attempt <= step;
        let (before, behind) = (fails(1), fails(2));
        async move {
            let failed = || OpenError::Again("scripted".into());
            tokio::time::sleep(Duration::from_millis(milliseconds)).await;
            if before {
                return Err(failed());
            }
            let fence = ShardRecord { assigned, key: "fence".into(), value: None };
            let written = fences.write(vec![fence]).await;
            written.map_err(|closed| OpenError::Again(LogError::new(closed)))?;
            drop(fences);
            tokio::time::sleep(Duration::from_millis(milliseconds / 7)).await;
            if behind {
                return Err(failed());
            }
            let found = whole(&durable).behind_fence(assigned)?;
            match found {
                Some(state) => Ok(RestoredShard { state, registered: registry.said_in(assigned.shard) }),
                // One that was not written is never met.
                None => std::future::pending().await,
            }
        }
    }
}

fn is_tombstone(content: &RegistryContent) -> bool {
    matches!(
        content,
        RegistryContent::Record(None) | RegistryContent::Discovery(None) | RegistryContent::Rewind(_, None)
    )
}
