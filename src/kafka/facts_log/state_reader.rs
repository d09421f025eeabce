//! Reading the state back, from one barrier to the next.
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

use std::collections::HashMap;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::{Offset, TopicPartitionList};
use tokio_util::sync::CancellationToken;

use crate::commit::log::{LogError, OpenError};
use crate::kafka::client::context::LogContext;
use crate::kafka::client::error::ClientError;
use crate::kafka::client::rights;
use crate::kafka::client::settings::Settings;
use crate::kafka::client::supplied::LoggedConsumer;
use crate::model::fence::Fence;
use crate::model::shard::Shard;
use crate::model::state_content::{StateContent, StatePlace};

const CALL_TIMEOUT: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(50);
/// How long a restore may go without progress. An open transaction of another instance holds it for that one's
/// `transaction.timeout.ms` at most, which brokers limit to 15 minutes.
const STALL_MAX: Duration = Duration::from_secs(16 * 60);
const STALL_REPORT: Duration = Duration::from_secs(10);

/// One reading of some partitions. All calls block, and end when the partitions are revoked.
pub struct StateReader<'a> {
    settings: &'a Settings,
    revoked: &'a CancellationToken,
    consumer: LoggedConsumer,
    partitions: Vec<i32>,
    content: StateContent,
}

/// Where each partition that is still read is read to.
enum Barriers {
    Ends(HashMap<i32, i64>),
    /// The record under `key` that is expected in each.
    Fences {
        open: HashMap<i32, Vec<u8>>,
        key: Vec<u8>,
    },
}

impl<'a> StateReader<'a> {
    /// Of partitions that are owned, of `partitions_in_all`.
    ///
    /// # Errors
    /// [`OpenError::Again`] where librdkafka can't begin to read.
    pub fn of_owned(
        settings: &'a Settings,
        partitions: &[i32],
        partitions_in_all: i32,
        revoked: &'a CancellationToken,
    ) -> Result<StateReader<'a>, OpenError> {
        let content = StateContent::new(move |promoter| Shard::of(promoter, partitions_in_all));
        StateReader::open(settings, partitions.to_vec(), content, revoked)
    }

    /// Of partitions that others own: only their fences are kept.
    ///
    /// # Errors
    /// As [`of_owned`](Self::of_owned).
    pub fn of_others(
        settings: &'a Settings,
        partitions: Vec<i32>,
        revoked: &'a CancellationToken,
    ) -> Result<StateReader<'a>, OpenError> {
        StateReader::open(settings, partitions, StateContent::fences_only(), revoked)
    }

    /// Of all partitions, to tell whether they could be taken over: little is held of what they hold.
    ///
    /// # Errors
    /// As [`of_owned`](Self::of_owned).
    pub fn of_inspected(
        settings: &'a Settings,
        partitions: i32,
        given_up: &'a CancellationToken,
    ) -> Result<StateReader<'a>, OpenError> {
        let content = StateContent::faults_only(move |promoter| Shard::of(promoter, partitions));
        StateReader::open(settings, (0..partitions).collect(), content, given_up)
    }

    fn open(
        settings: &'a Settings,
        partitions: Vec<i32>,
        content: StateContent,
        revoked: &'a CancellationToken,
    ) -> Result<StateReader<'a>, OpenError> {
        let topic = &settings.topics.state;
        let consumer: LoggedConsumer =
            settings.reader_config().create_with_context(LogContext::default()).map_err(again)?;
        let mut assignment = TopicPartitionList::new();
        for partition in &partitions {
            // A leader that is not yet connected when the reading begins is tried again only half a second later.
            let _ = consumer.fetch_watermarks(topic, *partition, CALL_TIMEOUT);
            assignment.add_partition_offset(topic, *partition, Offset::Beginning).map_err(again)?;
        }
        consumer.assign(&assignment).map_err(again)?;
        Ok(StateReader { settings, revoked, consumer, partitions, content })
    }

    /// Reads on to where the partitions end now.
    ///
    /// # Errors
    /// [`OpenError::Again`] where the topic can't be read, nothing comes for too long, or the partitions are revoked
    /// meanwhile.
    pub fn read_to_end(&mut self) -> Result<(), OpenError> {
        let ends = ends(self.settings, &self.partitions)?;
        self.read(Barriers::Ends(ends))
    }

    /// Reads on until the fence that `own` tells for a partition was read in each of them.
    ///
    /// # Errors
    /// As [`read_to_end`](Self::read_to_end).
    pub fn read_to(&mut self, own: impl Fn(i32) -> Fence) -> Result<(), OpenError> {
        let fences: Vec<_> = self.partitions.iter().map(|partition| (*partition, own(*partition))).collect();
        let Some((_, fence)) = fences.first() else { return Ok(()) };
        let key = fence.key().into_bytes();
        let open = fences.iter().map(|(partition, fence)| (*partition, fence.encode())).collect();
        self.read(Barriers::Fences { open, key })
    }

    /// What was read so far.
    pub fn content(&self) -> &StateContent {
        &self.content
    }

    pub fn into_content(self) -> StateContent {
        self.content
    }

    /// Whether what was read so far is that of an owner with the fence `own`.
    ///
    /// # Errors
    /// [`OpenError::Stop`] where it is another's, was laid out in another way, or can't be understood.
    pub fn check(&self, own: &Fence) -> Result<(), OpenError> {
        let topic = &self.settings.topics.state;
        self.content
            .check(own)
            .map_err(|unusable| OpenError::Stop(LogError::because(format!("topic {topic}"), unusable)))
    }

    /// Reads on until every barrier is passed.
    ///
    /// A record counts as progress, and so does a position that moves past its barrier, where nothing is left to read but
    /// markers and aborted records.
    fn read(&mut self, mut barriers: Barriers) -> Result<(), OpenError> {
        let mut stall = Stall::begin();
        while barriers.open() > 0 {
            if self.revoked.is_cancelled() {
                return Err(OpenError::Again("the partitions were revoked during the restore".into()));
            }
            // While records come the barriers are met by them, and asking for positions would only cost.
            if self.take_next(&mut barriers)? {
                stall = stall.ended();
                continue;
            }
            if barriers.pass(&self.consumer)? {
                stall = stall.ended();
            }
            stall.check(&self.settings.topics.state, barriers.open())?;
        }
        Ok(())
    }

    /// Takes one record, and says whether there was one. The error is for good; librdkafka recovers from all others by itself.
    fn take_next(&mut self, barriers: &mut Barriers) -> Result<bool, OpenError> {
        match self.consumer.poll(POLL) {
            Some(Ok(message)) => {
                let place = StatePlace { partition: message.partition(), offset: message.offset() };
                self.content.take(place, message.key().unwrap_or_default(), message.payload());
                barriers.meet(&message);
                return Ok(true);
            }
            // The end may be that of what an open transaction lets be seen, below the barrier.
            Some(Err(KafkaError::PartitionEOF(_))) | None => {}
            Some(Err(error @ KafkaError::MessageConsumptionFatal(_))) => return Err(again(error)),
            Some(Err(error)) if rights::may_not(&error) => {
                return Err(OpenError::Stop(rights::may_not_read(&self.settings.topics.state).into()));
            }
            Some(Err(error)) => self.consumer.context().error(&error, "reading the state topic"),
        }
        Ok(false)
    }
}

/// How long a reading has made no progress.
struct Stall {
    since: Instant,
    reported: Instant,
}

impl Stall {
    fn begin() -> Stall {
        Stall { since: Instant::now(), reported: Instant::now() }
    }

    /// When it was last reported is kept: many short ones are not reported more often than a long one.
    fn ended(self) -> Stall {
        Stall { since: Instant::now(), ..self }
    }

    /// Says from time to time that it lasts. The error gives the reading up.
    fn check(&mut self, topic: &str, partitions: usize) -> Result<(), OpenError> {
        let lasted = self.since.elapsed();
        if lasted > STALL_MAX {
            return Err(OpenError::Again(format!("the state topic {topic} could not be read to its end").into()));
        }
        if lasted > STALL_REPORT && self.reported.elapsed() > STALL_REPORT {
            self.reported = Instant::now();
            tracing::info!(topic, partitions, "waiting for an open transaction or an unreachable broker");
        }
        Ok(())
    }
}

impl Barriers {
    /// How many partitions are still to be read.
    fn open(&self) -> usize {
        match self {
            Barriers::Ends(open) => open.len(),
            Barriers::Fences { open, .. } => open.len(),
        }
    }

    /// Takes note of a record that was read.
    fn meet(&mut self, message: &BorrowedMessage<'_>) {
        match self {
            Barriers::Ends(open) => {
                if open.get(&message.partition()).is_some_and(|end| message.offset() + 1 >= *end) {
                    open.remove(&message.partition());
                }
            }
            Barriers::Fences { open, key } => {
                if message.key() == Some(key.as_slice())
                    && open.get(&message.partition()).map(Vec::as_slice) == message.payload()
                {
                    open.remove(&message.partition());
                }
            }
        }
    }

    /// Positions also count what a reader never sees: markers of transactions, and aborted records. Says whether one has
    /// passed its barrier.
    fn pass(&mut self, consumer: &BaseConsumer<LogContext>) -> Result<bool, OpenError> {
        let Barriers::Ends(open) = self else { return Ok(false) };
        let before = open.len();
        for element in consumer.position().map_err(again)?.elements() {
            let Offset::Offset(position) = element.offset() else { continue };
            if open.get(&element.partition()).is_some_and(|end| position >= *end) {
                open.remove(&element.partition());
            }
        }
        Ok(open.len() < before)
    }
}

/// The end of each partition that is not empty.
fn ends(settings: &Settings, partitions: &[i32]) -> Result<HashMap<i32, i64>, OpenError> {
    let consumer = uncommitted(settings).map_err(again)?;
    let mut ends = HashMap::new();
    for &partition in partitions {
        let (low, high) = consumer.fetch_watermarks(&settings.topics.state, partition, CALL_TIMEOUT).map_err(again)?;
        if high > low {
            ends.insert(partition, high);
        }
    }
    Ok(ends)
}

/// Stands with the offset of a partition whose fence was taken back: nothing else was ever written for it.
pub const WITHDRAWN: &str = "withdrawn";

/// Which of the registry's `partitions` the group has ever written for, as far as Kafka remembers: offsets are
/// committed with every transaction, the first of which writes the fences.
///
/// # Errors
/// [`OpenError::Again`] where the group's offsets can't be asked for: one that nobody tells of would pass for one that
/// was never worked on.
pub fn worked_on(settings: &Settings, partitions: &[i32]) -> Result<Vec<i32>, OpenError> {
    let mut asked = TopicPartitionList::new();
    for partition in partitions {
        asked.add_partition(&settings.topics.registry, *partition);
    }
    // Not to wait for transactions that are open: what they would tell is told by the fences.
    let committed = uncommitted(settings).and_then(|client| client.committed_offsets(asked, CALL_TIMEOUT));
    let committed = committed.map_err(again)?;
    let mut known = Vec::new();
    for element in committed.elements() {
        // One that nobody could tell of looks like one that was never worked on.
        element.error().map_err(again)?;
        if matches!(element.offset(), Offset::Offset(_)) && element.metadata() != WITHDRAWN {
            known.push(element.partition());
        }
    }
    Ok(known)
}

/// A client that is told of things as they are, whatever transactions are open.
///
/// # Errors
/// Where librdkafka makes no client of the settings.
pub fn uncommitted(settings: &Settings) -> KafkaResult<LoggedConsumer> {
    let mut config = settings.reader_config();
    config.set("isolation.level", "read_uncommitted");
    config.create_with_context(LogContext::default())
}

fn again(error: KafkaError) -> OpenError {
    OpenError::Again(ClientError::new("the state topic can't be read", error).into())
}
