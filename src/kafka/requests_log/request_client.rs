//! The other side of the request topic: puts one request, and sees the replies that come from then on.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer;
use rdkafka::error::KafkaError;
use rdkafka::error::RDKafkaErrorCode::OperationTimedOut;
use rdkafka::message::Message;
use rdkafka::{Offset, TopicPartitionList};

use super::request_producer::RequestProducer;
use crate::kafka::client::CALL_TIMEOUT;
use crate::kafka::client::acknowledged_producer::PutError;
use crate::kafka::client::error::ClientError;
use crate::kafka::client::rights;
use crate::kafka::client::settings::{RequestTopics, Settings};
use crate::kafka::client::supplied::LoggedConsumer;
use crate::kafka::topics::lookup::{LookupError, TopicLookup};
use crate::kafka::topics::watermarks;
use crate::text;

const POLL: Duration = Duration::from_millis(100);
/// What fails where the replies can't be had.
const UNREAD: &str = "the replies can't be read";

/// How long one call may take that has to be over by `until`.
fn left(until: Instant) -> Duration {
    // librdkafka takes none for "for ever" or for "not at all".
    until.saturating_duration_since(Instant::now()).clamp(Duration::from_millis(1), CALL_TIMEOUT)
}

/// Why no request can be put.
#[derive(Debug, thiserror::Error)]
pub enum RequestClientError {
    /// All that is wrong with the topics, one line each.
    #[error("{}", lines(.0))]
    Topics(Vec<TopicProblem>),
    #[error("{}", rights::may_not_read(.0))]
    NoRightToRead(String),
    #[error(transparent)]
    Client(#[from] ClientError),
}

/// What is wrong with one of the topics.
#[derive(Debug, thiserror::Error)]
pub enum TopicProblem {
    #[error("topic {0} does not exist; does a connector run?")]
    Missing(String),
    #[error(transparent)]
    Refused(LookupError),
}

/// Each with its causes: an error has no more than one source.
fn lines(problems: &[TopicProblem]) -> String {
    problems.iter().map(|problem| text::with_causes(problem)).collect::<Vec<_>>().join("\n")
}

/// All calls block.
pub struct RequestClient {
    requests: RequestProducer,
    replies: LoggedConsumer,
}

impl RequestClient {
    /// From here on no reply is missed, whenever it comes. Given up at `until`. What is in the way of the request or of
    /// reading the reply is found here, before it is put.
    ///
    /// # Errors
    /// All that is in the way of a request or of reading its reply, found before anything is put.
    pub fn open(
        settings: &Settings,
        topics: &RequestTopics,
        until: Instant,
    ) -> Result<RequestClient, RequestClientError> {
        let failed = |error| ClientError::new(UNREAD, error);
        let lookup = TopicLookup::of_reader(settings).map_err(failed)?;
        let partitions = partitions(&lookup, topics, until)?;
        let unread = |error| lookup.failed(UNREAD, error);
        let mut assignment = TopicPartitionList::new();
        for partition in 0..partitions {
            // A number, and not "the end": that would be looked for later, when the reply may stand before it.
            let ends = watermarks::of_partition(lookup.consumer().client(), &topics.results, partition, left(until));
            let (_, end) = ends.map_err(unread)?;
            assignment.add_partition_offset(&topics.results, partition, Offset::Offset(end)).map_err(failed)?;
        }
        lookup.consumer().assign(&assignment).map_err(failed)?;
        read_once(&lookup, &topics.results, partitions, until)?;
        Ok(RequestClient {
            requests: RequestProducer::open(settings, &topics.requests)?,
            replies: lookup.into_consumer(),
        })
    }

    /// Puts a request in Avro, and waits until it is acknowledged, or until `until`.
    ///
    /// # Errors
    /// [`PutError`] where the topic refuses it, or nobody knows whether it is taken.
    pub fn put(&self, key: &str, value: &[u8], until: Instant) -> Result<(), PutError> {
        self.requests.put(key, "application/avro", value, left(until))
    }

    /// The value of the next reply to anybody, or nothing where none came before `until`.
    ///
    /// # Errors
    /// [`ClientError`] where nothing more can be read.
    pub fn next_reply(&self, until: Instant) -> Result<Option<Vec<u8>>, ClientError> {
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            match self.replies.poll(left) {
                Some(Ok(message)) => return Ok(Some(message.payload().unwrap_or_default().to_vec())),
                None | Some(Err(KafkaError::PartitionEOF(_))) => {}
                Some(Err(error @ KafkaError::MessageConsumptionFatal(_))) => {
                    return Err(ClientError::new(UNREAD, error));
                }
                Some(Err(error)) => self.replies.context().error(&error, "waiting for the reply"),
            }
        }
    }
}

/// How many the topic of the replies has. Tells all that is wrong with both topics.
///
/// # Errors
/// [`RequestClientError::Topics`], or that of a call which no topic is to blame for.
fn partitions(lookup: &TopicLookup<'_>, topics: &RequestTopics, until: Instant) -> Result<i32, RequestClientError> {
    let mut problems = Vec::new();
    let mut look = |topic: &str, rights| match lookup.count(topic, rights, left(until)) {
        Ok(Some(count)) => Ok(count.partitions),
        Ok(None) => {
            problems.push(TopicProblem::Missing(topic.to_owned()));
            Ok(0)
        }
        Err(LookupError::Call(error)) => Err(error),
        Err(refused) => {
            problems.push(TopicProblem::Refused(refused));
            Ok(0)
        }
    };
    look(&topics.requests, "DESCRIBE and WRITE")?;
    let partitions = look(&topics.results, "DESCRIBE and READ")?;
    if problems.is_empty() { Ok(partitions) } else { Err(RequestClientError::Topics(problems)) }
}

/// Waits until each partition was read, if only to its end: a right that is missing is told by no other call. What
/// comes meanwhile answers somebody else.
///
/// # Errors
/// [`RequestClientError::NoRightToRead`]; else that the reading has ended, or is not through by `until`.
fn read_once(lookup: &TopicLookup<'_>, topic: &str, partitions: i32, until: Instant) -> Result<(), RequestClientError> {
    let mut unread: HashSet<i32> = (0..partitions).collect();
    while !unread.is_empty() {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(lookup.failed(UNREAD, KafkaError::Global(OperationTimedOut)).into());
        }
        match lookup.consumer().poll(left.min(POLL)) {
            Some(Ok(message)) => drop(unread.remove(&message.partition())),
            Some(Err(KafkaError::PartitionEOF(partition))) => drop(unread.remove(&partition)),
            Some(Err(error)) if rights::may_not(&error) => {
                return Err(RequestClientError::NoRightToRead(topic.to_owned()));
            }
            Some(Err(error @ KafkaError::MessageConsumptionFatal(_))) => {
                return Err(ClientError::new(UNREAD, error).into());
            }
            Some(Err(error)) => lookup.consumer().context().error(&error, "reading the replies"),
            None => {}
        }
    }
    Ok(())
}
