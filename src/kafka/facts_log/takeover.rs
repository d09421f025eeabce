//! The state of the partitions that this instance was given: read, fenced, and compared with everybody else's. The numbers
//! are those of the steps that [`super`] argues for.

use std::collections::HashSet;

use super::state_reader::{self, StateReader};
use crate::commit::failpoint::{Failpoint, reach};
use crate::commit::log::OpenError;
use crate::kafka::client::settings::Settings;
use crate::kafka::group::whole_assignment::Assignment;
use crate::kafka::transaction::Transactions;
use crate::kafka::transaction::error::TransactionError;
use crate::kafka::transaction::offsets::{CommittedOffset, OwnedOffsets};
use crate::kafka::transaction::partition_session::StartError;
use crate::kafka::transaction::record::{Record, RecordClock, RecordSink};
use crate::model::fence::Fence;
use crate::model::state::State;
use crate::model::state_content::Stray;
use crate::text;

/// How many stray records are told one by one.
const STRAYS_TOLD: usize = 10;

/// Of the partitions of one assignment. All calls block.
pub struct Takeover<'a> {
    pub settings: &'a Settings,
    pub transactions: &'a Transactions,
    pub assignment: &'a Assignment,
    /// Of all the partitions that are taken over.
    pub offsets: &'a OwnedOffsets,
    pub clock: &'a RecordClock,
}

/// What the owned partitions have of this connector's fences.
struct FoundFences {
    /// Those that have one.
    fenced: HashSet<i32>,
    /// Those whose one is confirmed.
    confirmed: HashSet<i32>,
}

impl FoundFences {
    fn new(reader: &StateReader<'_>, name: &str) -> FoundFences {
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
    pub fn run(&self, mut fence: Fence) -> Result<State, StartError> {
        let Assignment { partitions: owned, revoked, .. } = self.assignment;
        // Before anything is read: what is known of a partition now has left its fence in it already.
        let worked_on = state_reader::worked_on(self.settings, owned)?;
        let mut reader = StateReader::of_owned(self.settings, owned, fence.partitions, revoked)?;
        // (2)
        reader.read_to_end()?;
        reader.check(&fence)?;
        let found = FoundFences::new(&reader, &self.settings.name);
        reader.content().fences_of(&self.settings.name).for_each(|(_, earlier)| fence.inherit(earlier));
        self.refuse_emptied(&worked_on, &found, &reader)?;
        let new: Vec<i32> = owned.iter().copied().filter(|partition| !found.confirmed.contains(partition)).collect();
        // (3)
        let begun = |partition: i32| Fence { confirmed: found.confirmed.contains(&partition), ..fence.clone() };
        self.write_fences(owned, |partition| Some(begun(partition).encode()), self.offsets)?;
        reach(Failpoint::FencesWritten);
        // (4) and (5)
        let compared = reader.read_to(begun).and_then(|()| reader.check(&fence));
        let compared = compared.and_then(|()| if new.is_empty() { Ok(()) } else { self.check_others(&fence) });
        if let Err(OpenError::Stop(_)) = &compared {
            self.withdraw(&fence, &new);
        }
        compared?;
        // (6)
        if !new.is_empty() {
            self.write_fences(&new, |_| Some(fence.encode()), self.offsets)?;
        }
        let (state, strays) = reader.into_content().finish();
        tell(&self.settings.topics.state, &strays);
        Ok(state)
    }

    /// Step 5.
    fn check_others(&self, fence: &Fence) -> Result<(), OpenError> {
        let Assignment { partitions: owned, revoked, .. } = self.assignment;
        let others = (0..fence.partitions).filter(|partition| !owned.contains(partition)).collect();
        let mut reader = StateReader::of_others(self.settings, others, revoked)?;
        reader.read_to_end()?;
        reader.check(fence)
    }

    /// Takes the fence back from `partitions`. Should that fail, its tombstone is an operator's to write.
    fn withdraw(&self, fence: &Fence, partitions: &[i32]) {
        if partitions.is_empty() {
            return;
        }
        let committed_offset = |partition: &i32| CommittedOffset {
            partition: *partition,
            offset: 0,
            metadata: state_reader::WITHDRAWN.to_owned(),
        };
        let offsets = OwnedOffsets {
            owner: self.offsets.owner.clone(),
            topic: self.offsets.topic.clone(),
            committed: partitions.iter().map(committed_offset).collect(),
        };
        if let Err(failure) = self.write_fences(partitions, |_| None, &offsets) {
            let (topic, key) = (&self.settings.topics.state, fence.key());
            let error = text::with_causes(&failure);
            tracing::warn!(topic, key, %error, "a fence could not be taken back; write a tombstone under its key");
        }
    }

    /// Into each of `partitions`, with `offsets`; no value is a tombstone.
    fn write_fences(
        &self,
        partitions: &[i32],
        value: impl Fn(i32) -> Option<Vec<u8>>,
        offsets: &OwnedOffsets,
    ) -> Result<(), TransactionError> {
        let (key, now) = (Fence::key_of(&self.settings.name), (self.clock)());
        let values: Vec<(i32, Option<Vec<u8>>)> = partitions.iter().map(|part| (*part, value(*part))).collect();
        let write = |send: RecordSink<'_>| {
            values.iter().try_for_each(|(partition, value)| {
                send(Record {
                    topic: &self.settings.topics.state,
                    partition: Some(*partition),
                    key: Some(key.as_bytes()),
                    headers: &[],
                    value: value.as_deref(),
                    timestamp: now,
                })
            })
        };
        self.transactions.commit(write, offsets).map(drop)
    }

    /// Stops where the group has written for a partition that holds nothing of this connector, unless somebody has taken its
    /// fence away on purpose.
    fn refuse_emptied(
        &self,
        worked_on: &[i32],
        found: &FoundFences,
        reader: &StateReader<'_>,
    ) -> Result<(), OpenError> {
        let Settings { name, topics, .. } = self.settings;
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
