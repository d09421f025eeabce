//! Reading the state back, each partition from one barrier to the next.
//!
//! The reader is `read_committed` and reads each partition from its beginning. It knows two barriers:
//!
//! - **The end as it is now**: the offset behind everything that anybody has got into the partition, committed or not, as
//!   a `read_uncommitted` client is told it. It is passed when the *position* of the reader has reached it, which also
//!   counts markers and aborted records. That the partition's end is reported is not enough: that is also said at an open
//!   transaction, below the barrier; the reader then stays there until the transaction ends, and so does this.
//! - **The own fence**: the record that this opening has just committed. It is passed when it is read. A leader that does
//!   not know yet that it was replaced could tell an end that is too low; a record that it does not have it can't show.
//!
//! What the second one makes sure is argued in [`crate::kafka::facts_log`].

use std::collections::BTreeMap;

use rdkafka::consumer::{Consumer, ConsumerContext};
use rdkafka::error::KafkaResult;
use rdkafka::message::Message;
use rdkafka::{Offset, TopicPartitionList};
use tokio_util::sync::CancellationToken;

use super::barriers::{Barrier, Stall};
use super::state_ends::{StateEnds, again};
use crate::commit::log::{LogError, OpenError};
use crate::kafka::client::CALL_TIMEOUT;
use crate::kafka::client::context::LogContext;
use crate::kafka::client::settings::Settings;
use crate::kafka::client::state_poll::next_record;
use crate::kafka::client::supplied::LoggedConsumer;
use crate::kafka::topics::watermarks;
use crate::model::fence::Fence;
use crate::model::shard::Shard;
use crate::model::state::State;
use crate::model::state_content::{StateContent, StatePlace, Stray, Unusable};

/// One reading of some partitions. All calls block, and end when the reading is given up.
pub struct StateReader<'a> {
    settings: &'a Settings,
    given_up: &'a CancellationToken,
    consumer: LoggedConsumer,
    /// Where each partition is read to; nothing where it has come there.
    barriers: BTreeMap<i32, Option<Barrier>>,
    /// Partitions that have come to their barriers without having been told so.
    reached: Vec<i32>,
    content: StateContent,
    stall: Stall,
}

/// Partitions whose ends nobody could tell.
pub type UnknownEnds = Vec<(i32, OpenError)>;

impl<'a> StateReader<'a> {
    /// Of partitions that are owned, of `partitions_in_all`, to where they end now. Tells
    /// those that can't be read now: they are left out.
    ///
    /// # Errors
    /// [`OpenError::Again`] where librdkafka can't begin to read.
    pub fn of_owned<C: ConsumerContext>(
        ends: &StateEnds<'a, C>,
        partitions: &[i32],
        partitions_in_all: i32,
        given_up: &'a CancellationToken,
    ) -> Result<(StateReader<'a>, UnknownEnds), OpenError> {
        let content = StateContent::new(move |promoter| Shard::of(promoter, partitions_in_all));
        StateReader::open(ends, partitions, content, given_up)
    }

    /// Of partitions that others own: only their fences are kept.
    ///
    /// # Errors
    /// As [`of_owned`](Self::of_owned), and where one of them can't be read now.
    pub fn of_others<C: ConsumerContext>(
        ends: &StateEnds<'a, C>,
        partitions: &[i32],
        given_up: &'a CancellationToken,
    ) -> Result<StateReader<'a>, OpenError> {
        StateReader::of_all(ends, partitions, StateContent::fences_only(), given_up)
    }

    /// Of all partitions, to tell whether they could be taken over: little is held of what they hold.
    ///
    /// # Errors
    /// As [`of_others`](Self::of_others).
    pub fn of_inspected<C: ConsumerContext>(
        ends: &StateEnds<'a, C>,
        partitions: i32,
        given_up: &'a CancellationToken,
    ) -> Result<StateReader<'a>, OpenError> {
        let content = StateContent::faults_only(move |promoter| Shard::of(promoter, partitions));
        StateReader::of_all(ends, &(0..partitions).collect::<Vec<_>>(), content, given_up)
    }

    /// Of partitions that are wanted together.
    ///
    /// # Errors
    /// [`OpenError`] where one of them can't be read now, or librdkafka can't begin to read.
    fn of_all<C: ConsumerContext>(
        ends: &StateEnds<'a, C>,
        partitions: &[i32],
        content: StateContent,
        given_up: &'a CancellationToken,
    ) -> Result<StateReader<'a>, OpenError> {
        let (reader, unknown) = StateReader::open(ends, partitions, content, given_up)?;
        match unknown.into_iter().next() {
            Some((_, error)) => Err(error),
            None => Ok(reader),
        }
    }

    /// Of some partitions, to where they end now. Those whose ends nobody could tell are left out, and told beside.
    ///
    /// # Errors
    /// [`OpenError::Again`] where librdkafka can't begin to read the others.
    fn open<C: ConsumerContext>(
        ends: &StateEnds<'a, C>,
        partitions: &[i32],
        content: StateContent,
        given_up: &'a CancellationToken,
    ) -> Result<(StateReader<'a>, UnknownEnds), OpenError> {
        let settings = ends.settings;
        let topic = &settings.topics.state;
        let (mut barriers, mut reached, mut unknown) = (BTreeMap::new(), Vec::new(), UnknownEnds::new());
        for (partition, end) in ends.of(partitions) {
            match end {
                Ok(Some(end)) => drop(barriers.insert(partition, Some(Barrier::End(end)))),
                Ok(None) => {
                    // Nothing will be read of it by which it could come to a barrier.
                    barriers.insert(partition, None);
                    reached.push(partition);
                }
                Err(error) => unknown.push((partition, error)),
            }
        }
        let consumer: LoggedConsumer =
            settings.reader_config().create_with_context(LogContext::default()).map_err(again)?;
        let mut assignment = TopicPartitionList::new();
        for partition in barriers.keys() {
            // A leader that is not yet connected when the reading begins is tried again only half a second later.
            let _ = watermarks::of_partition(consumer.client(), topic, *partition, CALL_TIMEOUT);
            assignment.add_partition_offset(topic, *partition, Offset::Beginning).map_err(again)?;
        }
        consumer.incremental_assign(&assignment).map_err(again)?;
        let stall = Stall::begin();
        Ok((StateReader { settings, given_up, consumer, barriers, reached, content, stall }, unknown))
    }

    /// The partition is read to this fence from now on.
    pub fn read_to(&mut self, partition: i32, fence: &Fence) {
        if let Some(barrier) = self.barriers.get_mut(&partition) {
            *barrier = Some(Barrier::fence(fence));
        }
    }

    /// Gives up a partition that was read whole: its state, and the records that were skipped.
    ///
    /// # Errors
    /// [`OpenError::Again`] where librdkafka goes on reading it.
    pub fn finish(&mut self, partition: i32) -> Result<(State, Vec<Stray>), OpenError> {
        self.barriers.remove(&partition);
        let mut left = TopicPartitionList::new();
        left.add_partition(&self.settings.topics.state, partition);
        self.consumer.incremental_unassign(&left).map_err(again)?;
        Ok(self.content.finish(partition))
    }

    /// The partitions that have not come to their barriers.
    pub fn unfinished(&self) -> impl Iterator<Item = i32> {
        self.barriers.iter().filter_map(|(partition, barrier)| barrier.as_ref().map(|_| *partition))
    }

    /// Whether there is still something to be told by [`read_on`](Self::read_on).
    pub fn is_reading(&self) -> bool {
        !self.reached.is_empty() || self.unfinished().next().is_some()
    }

    /// What was read so far.
    pub fn content(&self) -> &StateContent {
        &self.content
    }

    /// For what is asked of the brokers beside the reading.
    pub fn consumer(&self) -> &LoggedConsumer {
        &self.consumer
    }

    /// Whether what was read so far of a partition is that of an owner with the fence `own`.
    ///
    /// # Errors
    /// [`OpenError::Stop`] where it is another's, was laid out in another way, or can't be understood.
    pub fn check(&self, own: &Fence, partition: i32) -> Result<(), OpenError> {
        self.content.check(own, partition).map_err(|unusable| self.refused(unusable))
    }

    /// As [`check`](Self::check), of an owner that takes over what other connectors have left.
    ///
    /// # Errors
    /// As [`check`](Self::check), but for their names.
    pub fn check_adopted(&self, own: &Fence, partition: i32) -> Result<(), OpenError> {
        self.content.check_adopted(own, partition).map_err(|unusable| self.refused(unusable))
    }

    fn refused(&self, unusable: Unusable) -> OpenError {
        OpenError::Stop(LogError::because(format!("topic {}", self.settings.topics.state), unusable))
    }

    /// Reads until all of them have come to their barriers.
    ///
    /// # Errors
    /// As [`read_on`](Self::read_on).
    pub fn read_to_end(&mut self) -> Result<(), OpenError> {
        while self.is_reading() {
            self.read_on()?;
        }
        Ok(())
    }

    /// Reads until partitions have come to their barriers, and tells which; none where nothing has come for a while.
    ///
    /// A record counts as progress, and so does a position that moves past its barrier, where nothing is left to read but
    /// markers and aborted records.
    ///
    /// # Errors
    /// [`OpenError::Again`] where the topic can't be read, nothing comes for too long, or the reading is given up.
    pub fn read_on(&mut self) -> Result<Vec<i32>, OpenError> {
        loop {
            // In each round, none of which waits for more than one poll: a reading that is held up may last for minutes.
            if self.given_up.is_cancelled() {
                return Err(OpenError::Again("the partitions were revoked during the restore".into()));
            }
            if !self.reached.is_empty() {
                self.stall.end();
                return Ok(std::mem::take(&mut self.reached));
            }
            // While records come the barriers are met by them, and asking for positions would only cost.
            if self.take_next()? {
                self.stall.end();
            } else {
                self.look_at_positions()?;
                if self.reached.is_empty() && self.stall.is_held_up() {
                    let unfinished: Vec<i32> = self.unfinished().collect();
                    self.stall.check(&self.settings.topics.state, &unfinished)?;
                    // Back to the caller, who can do something about whoever holds it up.
                    return Ok(Vec::new());
                }
            }
        }
    }

    /// Takes one record, and says whether there was one.
    ///
    /// # Errors
    /// As [`next_record`]: [`OpenError::Again`] where this consumer can't go on.
    fn take_next(&mut self) -> Result<bool, OpenError> {
        let topic = &self.settings.topics.state;
        let Some(message) = next_record(&self.consumer, topic, "reading the state topic", again)? else {
            return Ok(false);
        };
        let place = StatePlace { partition: message.partition(), offset: message.offset() };
        // It may have been polled before its partition was given up.
        let Some(barrier) = self.barriers.get_mut(&place.partition) else { return Ok(true) };
        self.content.take(place, message.key().unwrap_or_default(), message.payload());
        if barrier.take_if(|barrier| barrier.is_met_by(&message)).is_some() {
            self.reached.push(place.partition);
        }
        Ok(true)
    }

    /// # Errors
    /// [`OpenError::Again`] where librdkafka does not tell them.
    fn look_at_positions(&mut self) -> Result<(), OpenError> {
        for (partition, position) in positions(&self.consumer).map_err(again)? {
            let barrier = self.barriers.get_mut(&partition);
            if barrier.is_some_and(|barrier| barrier.take_if(|barrier| barrier.is_passed_at(position)).is_some()) {
                self.reached.push(partition);
            }
        }
        Ok(())
    }
}

/// Where the reading of each partition goes on, as far as it has begun.
///
/// # Errors
/// Where librdkafka does not tell them.
fn positions(consumer: &LoggedConsumer) -> KafkaResult<Vec<(i32, i64)>> {
    let positions = consumer.position()?;
    let elements = positions.elements();
    let known = elements.iter().filter_map(|element| match element.offset() {
        Offset::Offset(position) => Some((element.partition(), position)),
        _ => None,
    });
    Ok(known.collect())
}
