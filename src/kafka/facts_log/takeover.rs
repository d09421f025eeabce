//! The state of shards that this instance was assigned: read, fenced, and compared with everybody else's, beside the shards
//! that it has. The numbers are those of the steps that [`super`] argues for.

use std::collections::{HashMap, HashSet};

use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use super::state_reader::{self, StateReader};
use crate::commit::failpoint::{Failpoint, reach};
use crate::commit::log::{LogError, OpenError};
use crate::commit::queue::{Closed, FenceSender, WriteOutcome};
use crate::kafka::client::settings::Settings;
use crate::model::batch::ShardRecord;
use crate::model::fence::Fence;
use crate::model::shard::{AssignedShard, Shard};
use crate::model::state::State;
use crate::model::state_content::Stray;

/// How many stray records are told one by one.
const STRAYS_TOLD: usize = 10;

/// Of shards that were assigned together. All calls block.
pub struct Takeover<'a> {
    pub settings: &'a Settings,
    pub shards: &'a [AssignedShard],
    /// To the one writer, which puts them into transactions of their own or into those of other shards.
    pub fences: &'a FenceSender,
    pub runtime: &'a Handle,
    /// Cancelled when the shards are to be given back.
    pub given_up: &'a CancellationToken,
}

/// What some partitions have of this connector's fences.
pub struct FoundFences {
    /// Those that have one.
    fenced: HashSet<i32>,
    /// Those whose one is confirmed.
    pub confirmed: HashSet<i32>,
}

impl FoundFences {
    /// Those of the connector `name` in what was read so far.
    pub fn new(reader: &StateReader<'_>, name: &str) -> FoundFences {
        let (mut fenced, mut confirmed) = (HashSet::new(), HashSet::new());
        for (partition, earlier) in reader.content().fences_of(name) {
            fenced.insert(partition);
            if earlier.is_confirmed() {
                confirmed.insert(partition);
            }
        }
        FoundFences { fenced, confirmed }
    }
}

impl Takeover<'_> {
    /// Steps 2 to 6, with `fence` as the own one, confirmed.
    ///
    /// # Errors
    /// [`OpenError::Stop`] where the state is not this connector's to go on with, and [`OpenError::Again`] where it
    /// can't be read or fenced now, or is given up meanwhile.
    pub fn run(&self, mut fence: Fence) -> Result<Vec<(AssignedShard, State)>, OpenError> {
        let owned: Vec<i32> = self.shards.iter().map(|assigned| assigned.shard.0).collect();
        // Before anything is read: what is known of a partition now has left its fence in it already.
        let worked_on = state_reader::worked_on(self.settings, &owned)?;
        let mut reader = StateReader::of_owned(self.settings, &owned, fence.partitions, self.given_up)?;
        // (2)
        reader.read_to_end()?;
        reader.check(&fence)?;
        let found = FoundFences::new(&reader, &self.settings.name);
        reader.content().fences_of(&self.settings.name).for_each(|(_, earlier)| fence.inherit(earlier));
        refuse_emptied(self.settings, &worked_on, &found, &reader)?;
        let is_new = |assigned: &&AssignedShard| !found.confirmed.contains(&assigned.shard.0);
        let new: Vec<AssignedShard> = self.shards.iter().filter(is_new).copied().collect();
        // (3)
        let begun = |partition: i32| Fence { confirmed: found.confirmed.contains(&partition), ..fence.clone() };
        self.write_fences(self.shards, |shard| Some(begun(shard.0).encode()))?;
        reach(Failpoint::FencesWritten);
        // (4) and (5)
        let compared = reader.read_to(begun).and_then(|()| reader.check(&fence));
        let compared = compared.and_then(|()| if new.is_empty() { Ok(()) } else { self.check_others(&fence, &owned) });
        if let Err(OpenError::Stop(_)) = &compared {
            self.withdraw(&fence, &new);
        }
        compared?;
        // (6)
        if !new.is_empty() {
            self.write_fences(&new, |_| Some(fence.encode()))?;
        }
        let (states, strays) = reader.into_content().finish();
        tell(&self.settings.topics.state, &strays);
        reach(Failpoint::Restored);
        Ok(self.with_states(states))
    }

    /// Each with its state; nothing is known yet of a new one.
    fn with_states(&self, mut states: HashMap<Shard, State>) -> Vec<(AssignedShard, State)> {
        let state = |assigned: &AssignedShard| (*assigned, states.remove(&assigned.shard).unwrap_or_default());
        self.shards.iter().map(state).collect()
    }

    /// Step 5.
    fn check_others(&self, fence: &Fence, owned: &[i32]) -> Result<(), OpenError> {
        let others = (0..fence.partitions).filter(|partition| !owned.contains(partition)).collect();
        let mut reader = StateReader::of_others(self.settings, others, self.given_up)?;
        reader.read_to_end()?;
        reader.check(fence)
    }

    /// Takes the fence back from `shards`. Should that fail, its tombstone is an operator's to write.
    fn withdraw(&self, fence: &Fence, shards: &[AssignedShard]) {
        if shards.is_empty() {
            return;
        }
        if let Err(error) = self.write_fences(shards, |_| None) {
            let (topic, key) = (&self.settings.topics.state, fence.key());
            tracing::warn!(topic, key, %error, "a fence could not be taken back; write a tombstone under its key");
        }
    }

    /// Into each of `shards`, durably; no value is a tombstone. A failure of the log itself is told by its writer.
    fn write_fences(
        &self,
        shards: &[AssignedShard],
        value: impl Fn(Shard) -> Option<Vec<u8>>,
    ) -> Result<(), OpenError> {
        let key = Fence::key_of(&self.settings.name);
        let record = |assigned: &AssignedShard| ShardRecord {
            assigned: *assigned,
            key: key.clone(),
            value: value(assigned.shard),
        };
        let records = shards.iter().map(record).collect();
        let written = async {
            match self.fences.write(records).await? {
                WriteOutcome::Durable => Ok(()),
                // Whoever has lost a shard is told so next, and gives this up.
                WriteOutcome::ShardLost => std::future::pending().await,
            }
        };
        match self.runtime.block_on(self.given_up.run_until_cancelled(written)) {
            Some(Ok(())) => Ok(()),
            Some(Err(closed @ Closed)) => {
                Err(OpenError::Again(LogError::because("the fences can't be written", closed)))
            }
            None => Err(OpenError::Again("the partitions were revoked before the log was open".into())),
        }
    }
}

/// Stops where the group has written for a partition that holds nothing of this connector, unless somebody has taken its
/// fence away on purpose.
///
/// # Errors
/// [`OpenError::Stop`] with what to do.
pub fn refuse_emptied(
    settings: &Settings,
    worked_on: &[i32],
    found: &FoundFences,
    reader: &StateReader<'_>,
) -> Result<(), OpenError> {
    let Settings { name, topics, .. } = settings;
    let is_emptied = |partition: &&i32| {
        !found.fenced.contains(partition) && !reader.content().is_fence_taken_away(**partition, name)
    };
    let Some(partition) = worked_on.iter().find(is_emptied) else { return Ok(()) };
    let reason = format!(
        "topic {} partition {partition} holds nothing of connector {name}, though the group {name} has written for it: it \
         was emptied or made anew, and what is published is not known any more. Put its records back; or, to begin \
         anew and publish again what lies behind start_from, delete topic {} as well",
        topics.state, topics.registry
    );
    Err(OpenError::Stop(reason.into()))
}

/// Records that were skipped do no harm, but somebody wrote them.
fn tell(topic: &str, strays: &[Stray]) {
    for Stray { place, fault } in strays.iter().take(STRAYS_TOLD) {
        let (partition, offset) = (place.partition, place.offset);
        tracing::error!(topic, partition, offset, error = %fault, "a stray record of the state is skipped; write a tombstone under its key");
    }
    if strays.len() > STRAYS_TOLD {
        tracing::error!(topic, records = strays.len() - STRAYS_TOLD, "more stray records of the state are skipped");
    }
}
