//! The state of shards that this instance was assigned: read, fenced, and compared with everybody else's, beside the shards
//! that it has. The numbers are those of the steps that [`super`] argues for.
//!
//! ```text
//!                      confirmed ──> (3) fence ──> (4) read to it ──> handed over, whatever the others are at
//!  (2) read to its end ┤
//!                      not ──> wait for (2) of all ──> (3) … (6), together ──> handed over
//! ```

mod abandoned;

mod unconfirmed;

use rdkafka::consumer::BaseConsumer;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use self::abandoned::AbandonedTransactions;
use super::state_ends::StateEnds;
use super::state_reader::StateReader;
use crate::commit::failpoint::{Failpoint, reach};
use crate::commit::log::OpenError;
use crate::commit::queue::FenceSender;
use crate::kafka::client::settings::Settings;
use crate::kafka::group::callbacks::MemberContext;
use crate::model::batch::ShardRecord;
use crate::model::fence::Fence;
use crate::model::shard::{AssignedShard, Shard};
use crate::model::state::State;
use crate::model::state_content::{StateContent, Stray};

/// How many stray records are told one by one.
const STRAYS_TOLD: usize = 10;

/// What has become of the state of one shard.
pub type RestoredState = Result<State, OpenError>;

/// Of shards that were assigned together. All calls block.
pub struct Takeover<'a> {
    pub settings: &'a Settings,
    /// Is asked where the state ends, and what was written for it: another client would have to be connected first, while what is
    /// taken over stands still.
    pub member: &'a BaseConsumer<MemberContext>,
    pub shards: &'a [AssignedShard],
    /// To the one writer, which puts them into transactions of their own or into those of other shards.
    pub fences: &'a FenceSender,
    pub runtime: &'a Handle,
    /// Cancelled when the shards are another's, or the session is over.
    pub given_up: &'a CancellationToken,
    /// Is told of each shard as soon as it is known. One that is left out has failed with all that are left.
    pub tell: &'a dyn Fn(AssignedShard, RestoredState),
}

/// A takeover that is under way.
struct Taking<'a> {
    takeover: &'a Takeover<'a>,
    reader: StateReader<'a>,
    abandoned: AbandonedTransactions<'a>,
    /// The own one, confirmed, with what it has inherited so far.
    fence: Fence,
    /// Partitions that the group has written for.
    worked_on: Vec<i32>,
    /// Those that have passed (2): whatever they say is heard.
    compared: Vec<i32>,
    /// Those that are read to their own fence.
    fenced: Vec<AssignedShard>,
    /// Those without a confirmed fence, once they are read to their ends.
    unconfirmed: Vec<AssignedShard>,
}

impl Takeover<'_> {
    /// Steps 2 to 6, with `fence` as the own one, confirmed, before it has inherited anything.
    ///
    /// # Errors
    /// [`OpenError::Stop`] where the state is not this connector's to go on with, and [`OpenError::Again`] where it
    /// can't be read or fenced now, or is given up meanwhile.
    pub fn run(&self, fence: Fence) -> Result<(), OpenError> {
        let owned: Vec<i32> = self.shards.iter().map(|assigned| assigned.shard.0).collect();
        // Before anything is read: what is known of a partition now has left its fence in it already.
        let worked_on = self.ends().worked_on(&owned)?;
        let (reader, unreadable) = StateReader::of_owned(&self.ends(), &owned, fence.partitions, self.given_up)?;
        // At once: they are tried again with whatever else fails, and hold up none of the others.
        for (partition, error) in unreadable {
            self.assigned(partition).into_iter().for_each(|assigned| (self.tell)(assigned, Err(error.clone())));
        }
        let abandoned = AbandonedTransactions::new(self.settings);
        let (compared, fenced, unconfirmed) = (Vec::new(), Vec::new(), Vec::new());
        Taking { takeover: self, reader, abandoned, fence, worked_on, compared, fenced, unconfirmed }.run()
    }

    fn ends(&self) -> StateEnds<'_, MemberContext> {
        StateEnds { settings: self.settings, uncommitted: self.member }
    }

    fn assigned(&self, partition: i32) -> Option<AssignedShard> {
        self.shards.iter().find(|assigned| assigned.shard.0 == partition).copied()
    }

    /// The records of `fence` for some shards; no value is a tombstone.
    fn records(&self, shards: &[AssignedShard], value: impl Fn(Shard) -> Option<Vec<u8>>) -> Vec<ShardRecord> {
        let key = Fence::key_of(&self.settings.name);
        let record = |assigned: &AssignedShard| ShardRecord {
            assigned: *assigned,
            key: key.clone(),
            value: value(assigned.shard),
        };
        shards.iter().map(record).collect()
    }
}

impl Taking<'_> {
    /// # Errors
    /// [`OpenError::Stop`] where a shard speaks against this connector, [`OpenError::Again`] where it can't be read, or the
    /// takeover is given up. Shards that were handed over by then stay so.
    fn run(mut self) -> Result<(), OpenError> {
        while self.reader.is_reading() {
            let mut confirmed = Vec::new();
            for partition in self.read_on()? {
                let Some(assigned) = self.takeover.assigned(partition) else { continue };
                match self.fenced.iter().position(|fenced| *fenced == assigned) {
                    Some(at) => {
                        self.fenced.swap_remove(at);
                        self.hand_over(assigned)?;
                    }
                    // It is taken over while others are still read; one without a confirmed fence waits for them.
                    None if self.compare(partition)? => confirmed.push(assigned),
                    None => self.unconfirmed.push(assigned),
                }
            }
            // Together, so that what has come to its end at once costs one write.
            self.fence(confirmed);
        }
        self.take_unconfirmed()
    }

    /// Reads on; while nothing comes, looks after whoever holds it up.
    ///
    /// # Errors
    /// As [`StateReader::read_on`].
    fn read_on(&mut self) -> Result<Vec<i32>, OpenError> {
        let reached = self.reader.read_on()?;
        if reached.is_empty() {
            self.abandoned.end(&self.reader);
        }
        Ok(reached)
    }

    /// (2) of one partition: it is read to its end, and no fence in it may speak against the own one. Tells whether it has a
    /// confirmed one of this connector.
    ///
    /// # Errors
    /// [`OpenError::Stop`] where one does, or the state was emptied.
    fn compare(&mut self, partition: i32) -> Result<bool, OpenError> {
        let settings = self.takeover.settings;
        self.reader.check(&self.fence, partition)?;
        // Behind the check: (5) asks no partition again that is among these.
        self.compared.push(partition);
        refuse_emptied(settings, &self.worked_on, self.reader.content(), partition)?;
        let Some(earlier) = self.reader.content().fence_of(&settings.name, partition) else { return Ok(false) };
        self.fence.inherit(earlier);
        Ok(earlier.is_confirmed())
    }

    /// (3) for shards that have a confirmed fence. Nobody waits for the end of it: that it stands there is known when it is
    /// read. Where it never will, because the shard is lost or the session over, this is given up.
    fn fence(&mut self, shards: Vec<AssignedShard>) {
        if shards.is_empty() {
            return;
        }
        shards.iter().for_each(|assigned| self.reader.read_to(assigned.shard.0, &self.fence));
        let own = self.fence.encode();
        let fences = self.takeover.records(&shards, |_| Some(own.clone()));
        self.fenced.extend(shards);
        let sender = self.takeover.fences.clone();
        self.takeover.runtime.spawn(async move { drop(sender.write(fences).await) });
    }

    /// Tells of a shard whose own fence was met.
    ///
    /// # Errors
    /// [`OpenError::Stop`] where what was read meanwhile speaks against it.
    fn hand_over(&mut self, assigned: AssignedShard) -> Result<(), OpenError> {
        // Once more: until the own fence was written somebody else may have written one, too.
        self.reader.check(&self.fence, assigned.shard.0)?;
        let (state, strays) = self.reader.finish(assigned.shard.0)?;
        tell_strays(&self.takeover.settings.topics.state, &strays);
        reach(Failpoint::Restored);
        (self.takeover.tell)(assigned, Ok(state));
        Ok(())
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
    content: &StateContent,
    partition: i32,
) -> Result<(), OpenError> {
    let Settings { name, topics, .. } = settings;
    let has_fence = content.fence_of(name, partition).is_some() || content.is_fence_taken_away(partition, name);
    if has_fence || !worked_on.contains(&partition) {
        return Ok(());
    }
    let reason = format!(
        "topic {} partition {partition} holds nothing of connector {name}, though the group {name} has written for it: it \
         was emptied or made anew, and what is published is not known any more. Put its records back; or, to begin \
         anew and publish again what lies behind start_from, delete topic {} as well",
        topics.state, topics.registry
    );
    Err(OpenError::Stop(reason.into()))
}

/// Records that were skipped do no harm, but somebody wrote them.
fn tell_strays(topic: &str, strays: &[Stray]) {
    for Stray { place, fault } in strays.iter().take(STRAYS_TOLD) {
        let (partition, offset) = (place.partition, place.offset);
        tracing::error!(topic, partition, offset, error = %fault, "a stray record of the state is skipped; write a tombstone under its key");
    }
    if strays.len() > STRAYS_TOLD {
        tracing::error!(topic, records = strays.len() - STRAYS_TOLD, "more stray records of the state are skipped");
    }
}
