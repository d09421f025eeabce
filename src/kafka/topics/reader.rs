//! Reads topics as an outside consumer does: read_committed, without a group, from the beginning or from later on.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer;
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::{Offset, TopicPartitionList};

use super::lookup::{LookupError, TopicLookup};
use super::watermarks;
use crate::kafka::client::context::LogContext;
use crate::kafka::client::error::ClientError;
use crate::kafka::client::headers::headers;
use crate::kafka::client::rights;
use crate::kafka::client::settings::Settings;
use crate::kafka::client::supplied::LoggedConsumer;
use crate::model::request::record::Header;
use crate::model::time::UnixMillis;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadRecord {
    pub topic: String,
    pub partition: i32,
    pub offset: i64,
    pub key: Option<Vec<u8>>,
    /// Absent in a tombstone.
    pub value: Option<Vec<u8>>,
    pub headers: Vec<Header>,
    /// The record's time; 0 where it has none.
    pub timestamp: UnixMillis,
}

/// Where reading begins in each partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadFrom {
    Beginning,
    /// Behind what is there now.
    End,
    /// With the first record of this time or a later one, in the order of the partition.
    Time(UnixMillis),
}

/// How long is looked for what holds a reading up.
const LOOK_MAX: Duration = Duration::from_secs(2);

/// A partition in which somebody has a transaction open, and where it begins: nothing from there on is read before it ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenTransaction {
    pub topic: String,
    pub partition: i32,
    pub offset: i64,
}

/// Why topics can't be read.
#[derive(Debug, thiserror::Error)]
pub enum TopicReadError {
    #[error("topic {0} does not exist")]
    Missing(String),
    #[error(transparent)]
    Lookup(#[from] LookupError),
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error("topic {0} could not be read to its end in time")]
    TooLate(String),
    #[error(
        "topic {topic} could not be read to its end in time: somebody has a transaction open in partition {partition} from \
         offset {offset} on, and what stands behind that is not known before it ends. End it where it was begun, or abort it: \
         kafka-transactions.sh describe-producers --topic {topic} --partition {partition} tells whose it is",
        topic = .0.topic, partition = .0.partition, offset = .0.offset
    )]
    HeldUp(OpenTransaction),
}

/// All calls block.
pub struct TopicReader {
    consumer: LoggedConsumer,
    /// Those that are read.
    partitions: Vec<(String, i32)>,
    /// Of all topics, read or not.
    partition_count: usize,
    call_timeout: Duration,
}

/// The beginning and the end of each partition, behind all that stands there, committed or not.
pub struct TopicEnds(BTreeMap<(String, i32), (i64, i64)>);

impl TopicReader {
    /// Reads `topics`, all of which exist. Each request to the brokers may take `call_timeout`.
    ///
    /// # Errors
    /// [`TopicReadError`] where a topic is missing or refused, or the brokers do not answer in time.
    pub fn open(
        settings: &Settings,
        topics: &[&str],
        from: ReadFrom,
        call_timeout: Duration,
    ) -> Result<TopicReader, TopicReadError> {
        TopicReader::open_some(settings, topics, |_, _| true, from, call_timeout)
    }

    /// The same of one partition of one topic, which `partition` tells where it has so many.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_partition(
        settings: &Settings,
        topic: &str,
        partition: impl Fn(i32) -> i32,
        from: ReadFrom,
        call_timeout: Duration,
    ) -> Result<TopicReader, TopicReadError> {
        let is_wanted = |number, count| number == partition(count);
        TopicReader::open_some(settings, &[topic], is_wanted, from, call_timeout)
    }

    /// `is_wanted` is asked with the number of a partition, and how many there are.
    ///
    /// # Errors
    /// [`TopicReadError::Missing`] where one of `topics` is not there; else why it can't be looked at or read.
    fn open_some(
        settings: &Settings,
        topics: &[&str],
        is_wanted: impl Fn(i32, i32) -> bool,
        from: ReadFrom,
        call_timeout: Duration,
    ) -> Result<TopicReader, TopicReadError> {
        let lookup = TopicLookup::of_reader(settings).map_err(failed)?;
        let (mut partitions, mut partition_count) = (Vec::new(), 0);
        for &name in topics {
            let count = lookup.count(name, "DESCRIBE and READ", call_timeout)?;
            let Some(count) = count else { return Err(TopicReadError::Missing(name.to_owned())) };
            let wanted = (0..count.partitions).filter(|partition| is_wanted(*partition, count.partitions));
            partition_count += usize::try_from(count.partitions).unwrap_or_default();
            partitions.extend(wanted.map(|partition| (name.to_owned(), partition)));
        }
        let reader = TopicReader { consumer: lookup.into_consumer(), partitions, partition_count, call_timeout };
        let assignment = reader.assignment(from).map_err(failed)?;
        reader.consumer.assign(&assignment).map_err(failed)?;
        Ok(reader)
    }

    /// Each partition with the offset at which its reading begins.
    ///
    /// # Errors
    /// Where the brokers do not tell in time where a partition ends, or what stands at a time.
    fn assignment(&self, from: ReadFrom) -> KafkaResult<TopicPartitionList> {
        let mut assignment = TopicPartitionList::new();
        for (topic, partition) in &self.partitions {
            let offset = match from {
                ReadFrom::Beginning => Offset::Beginning,
                // A number, and not "the end": that would be looked for later, when more has come.
                ReadFrom::End => Offset::Offset(
                    watermarks::of_awaited_partition(self.consumer.client(), topic, *partition, self.call_timeout)?.1,
                ),
                ReadFrom::Time(time) => Offset::Offset(time.0),
            };
            assignment.add_partition_offset(topic, *partition, offset)?;
        }
        match from {
            // What has no such record begins at its end.
            ReadFrom::Time(_) => self.consumer.offsets_for_times(assignment, self.call_timeout),
            ReadFrom::Beginning | ReadFrom::End => Ok(assignment),
        }
    }

    /// Of all topics together, read or not.
    pub fn partition_count(&self) -> usize {
        self.partition_count
    }

    /// The next record, or nothing where none came within `wait`.
    ///
    /// # Errors
    /// [`ClientError`] where nothing more can be read: it is for good. Faults that pass are logged.
    pub fn next(&self, wait: Duration) -> Result<Option<ReadRecord>, ClientError> {
        match self.consumer.poll(wait) {
            None | Some(Err(KafkaError::PartitionEOF(_))) => Ok(None),
            Some(Ok(message)) => Ok(Some(record(&message))),
            Some(Err(error)) if rights::may_not(&error) => Err(ClientError::new(self.may_not_read(), error)),
            Some(Err(error)) if is_final(&error) => Err(failed(error)),
            Some(Err(error)) => {
                self.consumer.context().error(&error, "reading");
                Ok(None)
            }
        }
    }

    /// That a right is missing. Which topic's is not told.
    fn may_not_read(&self) -> String {
        let topics: BTreeSet<&str> = self.partitions.iter().map(|(topic, _)| topic.as_str()).collect();
        rights::may_not_read(&topics.into_iter().collect::<Vec<_>>().join(", "))
    }

    /// Where the partitions end now, behind open transactions, too. A reading that comes there has seen all that anybody was told is
    /// written; one that ended where the first open transaction begins would take for all what may be half, and whoever then writes
    /// by it would write over the rest.
    ///
    /// # Errors
    /// [`ClientError`] where a partition's leader does not answer within the call's time.
    pub fn ends(&self, settings: &Settings) -> Result<TopicEnds, ClientError> {
        let client = watermarks::uncommitted_client(settings, LogContext::outside_groups()).map_err(failed)?;
        let mut ends = BTreeMap::new();
        for (topic, partition) in &self.partitions {
            let (low, high) = watermarks::of_awaited_partition(client.client(), topic, *partition, self.call_timeout)
                .map_err(failed)?;
            // Of an empty partition nothing is read that would give the reader a position, so none is waited for.
            if high > low {
                ends.insert((topic.clone(), *partition), (low, high));
            }
        }
        Ok(TopicEnds(ends))
    }

    /// Whether everything below `ends` has been given out.
    ///
    /// # Errors
    /// [`ClientError`] where librdkafka does not tell its positions.
    pub fn has_reached(&self, ends: &TopicEnds) -> Result<bool, ClientError> {
        Ok(self.unreached(ends)?.next().is_none())
    }

    /// How many records, with marks of transactions among them, stand below `ends` that have not been given out.
    ///
    /// # Errors
    /// As [`has_reached`](Self::has_reached).
    pub fn count_left(&self, ends: &TopicEnds) -> Result<u64, ClientError> {
        Ok(self.unreached(ends)?.map(|(.., left)| left.end.abs_diff(left.start)).sum())
    }

    /// The partitions that have something below `ends` that has not been given out, with the offsets of that.
    ///
    /// # Errors
    /// As [`has_reached`](Self::has_reached).
    fn unreached<'a>(
        &self,
        ends: &'a TopicEnds,
    ) -> Result<impl Iterator<Item = (&'a str, i32, Range<i64>)>, ClientError> {
        let positions = self.consumer.position().map_err(failed)?;
        Ok(ends.0.iter().filter_map(move |((topic, partition), (low, high))| {
            let position = positions.find_partition(topic, *partition).and_then(|element| element.offset().to_raw());
            // There is none before the first record.
            let left = position.unwrap_or(*low).max(*low)..*high;
            (!left.is_empty()).then_some((topic.as_str(), *partition, left))
        }))
    }

    /// The open transaction, if it is one, that keeps the reading from `ends`. Blocks for two seconds at most.
    ///
    /// # Errors
    /// As [`has_reached`](Self::has_reached). That no leader answers is none: nothing is known then.
    pub fn held_up_by(&self, ends: &TopicEnds) -> Result<Option<OpenTransaction>, ClientError> {
        let until = Instant::now() + LOOK_MAX;
        for (topic, partition, unread) in self.unreached(ends)? {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            // This consumer reads what is committed, and is told that the partition ends where the first open transaction begins.
            match watermarks::of_partition(self.consumer.client(), topic, partition, left) {
                Ok((_, offset)) if offset < unread.end => {
                    return Ok(Some(OpenTransaction { topic: topic.to_owned(), partition, offset }));
                }
                Ok(_) | Err(_) => {}
            }
        }
        Ok(None)
    }
}

/// librdkafka recovers by itself from everything but these.
fn is_final(error: &KafkaError) -> bool {
    // Records were deleted before they were read.
    matches!(error, KafkaError::MessageConsumptionFatal(_))
        || error.rdkafka_error_code() == Some(RDKafkaErrorCode::AutoOffsetReset)
}

fn record(message: &BorrowedMessage<'_>) -> ReadRecord {
    ReadRecord {
        topic: message.topic().to_owned(),
        partition: message.partition(),
        offset: message.offset(),
        key: message.key().map(<[u8]>::to_owned),
        value: message.payload().map(<[u8]>::to_owned),
        headers: headers(message),
        timestamp: UnixMillis(message.timestamp().to_millis().unwrap_or_default()),
    }
}

fn failed(error: KafkaError) -> ClientError {
    ClientError::new("the topics can't be read", error)
}
