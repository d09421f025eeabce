//! Shards in which no owner has ever confirmed a fence, as at the first start: taken over together, for they are compared with
//! all the others before anything is polled.

use super::Taking;
use crate::commit::failpoint::{Failpoint, reach};
use crate::commit::log::{LogError, OpenError};
use crate::commit::queue::{Closed, WriteOutcome};
use crate::kafka::facts_log::state_reader::StateReader;
use crate::model::batch::ShardRecord;
use crate::model::fence::Fence;
use crate::model::shard::AssignedShard;

impl Taking<'_> {
    /// Steps 3 to 6 for them, once every shard of the takeover is read to its end: nothing is written into one of them while
    /// another may still say that the topic is somebody else's.
    ///
    /// # Errors
    /// As [`Takeover::run`](super::Takeover::run).
    pub(super) fn take_unconfirmed(&mut self) -> Result<(), OpenError> {
        let shards = std::mem::take(&mut self.unconfirmed);
        if shards.is_empty() {
            return Ok(());
        }
        // (3)
        let begun = Fence { confirmed: false, ..self.fence.clone() };
        shards.iter().for_each(|assigned| self.reader.read_to(assigned.shard.0, &begun));
        self.write(self.takeover.records(&shards, |_| Some(begun.encode())))?;
        reach(Failpoint::FencesWritten);
        // (4) and (5)
        let compared = self.read_all(&shards).and_then(|()| self.check_others());
        // Only where somebody else was there first. What may pass is tried again, and that writes a fence behind this one.
        if let Err(OpenError::Stop(_)) = &compared {
            self.withdraw(&shards);
        }
        compared?;
        // (6)
        self.write(self.takeover.records(&shards, |_| Some(self.fence.encode())))?;
        shards.into_iter().try_for_each(|assigned| self.hand_over(assigned))
    }

    /// # Errors
    /// As [`StateReader::read_on`] and [`StateReader::check`].
    fn read_all(&mut self, shards: &[AssignedShard]) -> Result<(), OpenError> {
        while self.reader.is_reading() {
            self.read_on()?;
        }
        shards.iter().try_for_each(|assigned| self.reader.check(&self.fence, assigned.shard.0))
    }

    /// Step 5: of all that this takeover has not read itself.
    ///
    /// # Errors
    /// [`OpenError::Stop`] where one of them speaks against this connector; else as [`StateReader::of_others`].
    fn check_others(&mut self) -> Result<(), OpenError> {
        let others = (0..self.fence.partitions).filter(|partition| !self.compared.contains(partition));
        let others: Vec<i32> = others.collect();
        let mut reader = StateReader::of_others(&self.takeover.ends(), &others, self.takeover.given_up)?;
        while reader.is_reading() {
            if reader.read_on()?.is_empty() {
                self.abandoned.end(&reader);
            }
        }
        others.into_iter().try_for_each(|partition| reader.check(&self.fence, partition))
    }

    /// Takes the fence back from `shards`. Should that fail, its tombstone is an operator's to write.
    fn withdraw(&self, shards: &[AssignedShard]) {
        if let Err(error) = self.write(self.takeover.records(shards, |_| None)) {
            let (topic, key) = (&self.takeover.settings.topics.state, self.fence.key());
            tracing::warn!(topic, key, %error, "a fence could not be taken back; write a tombstone under its key");
        }
    }

    /// Durably. A failure of the log itself is told by its writer.
    ///
    /// # Errors
    /// [`OpenError::Again`] where the session is over, or the takeover given up.
    fn write(&self, records: Vec<ShardRecord>) -> Result<(), OpenError> {
        let written = async {
            match self.takeover.fences.write(records).await? {
                WriteOutcome::Durable => Ok(()),
                // Whoever has lost a shard is told so next, and gives this up.
                WriteOutcome::ShardLost => std::future::pending().await,
            }
        };
        match self.takeover.runtime.block_on(self.takeover.given_up.run_until_cancelled(written)) {
            Some(Ok(())) => Ok(()),
            Some(Err(closed @ Closed)) => {
                Err(OpenError::Again(LogError::because("the fences can't be written", closed)))
            }
            None => Err(OpenError::Again("the partitions were revoked before the log was open".into())),
        }
    }
}
