//! How far the partitions of the request topic are answered.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{Offset, TopicPartitionList};

use super::command_reader::again;
use super::context::LogContext;
use crate::commands::command::Place;
use crate::commands::window::Progress;
use crate::commit::log::OpenError;

const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// Partitions whose records came again from an offset that had been passed, as after the topic was made anew or was cut
/// by an unclean election. Their committed offset means nothing any more.
#[derive(Debug, Default)]
pub(super) struct GoneBack(Mutex<HashMap<i32, i64>>);

impl GoneBack {
    /// A record came at a place before `next`.
    pub fn note(&self, topic: &str, Place { partition, offset }: Place, next: i64) {
        tracing::error!(
            topic,
            partition,
            offset,
            next,
            "the offsets of the partition have gone back: was the topic made anew? its requests are answered from there"
        );
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(partition, offset);
    }

    /// `committed`, or where the partition has gone back to.
    fn correct(&self, committed: Progress) -> Progress {
        let began = self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&committed.partition);
        match began {
            Some(offset) if offset < committed.offset => Progress { offset, note: String::new(), ..committed },
            _ => committed,
        }
    }
}

/// How far each partition is answered; from its beginning where nothing ever was.
pub(super) fn committed(
    consumer: &BaseConsumer<LogContext>,
    topic: &str,
    partitions: &[i32],
    gone_back: &GoneBack,
) -> Result<Vec<Progress>, OpenError> {
    let mut asked = TopicPartitionList::new();
    for partition in partitions {
        asked.add_partition(topic, *partition);
    }
    let answered = consumer.committed_offsets(asked, CALL_TIMEOUT).map_err(again)?;
    let progress = answered.elements().into_iter().map(|element| {
        element.error().map_err(again)?;
        let partition = element.partition();
        let (offset, note) = match element.offset() {
            Offset::Offset(offset) => (offset, element.metadata().to_owned()),
            _ => (consumer.fetch_watermarks(topic, partition, CALL_TIMEOUT).map_err(again)?.0, String::new()),
        };
        Ok(gone_back.correct(Progress { partition, offset, note }))
    });
    progress.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_that_has_gone_back_begins_there_once() {
        let (gone_back, committed) = (GoneBack::default(), Progress { partition: 3, offset: 90, note: "1:AQ".into() });
        assert_eq!(gone_back.correct(committed.clone()), committed);
        gone_back.note("requests", Place { partition: 3, offset: 5 }, 95);
        let other = Progress { partition: 4, ..committed.clone() };
        assert_eq!(gone_back.correct(other.clone()), other);
        assert_eq!(gone_back.correct(committed.clone()), Progress { partition: 3, offset: 5, note: String::new() });
        assert_eq!(gone_back.correct(committed.clone()), committed);
    }

    #[test]
    fn an_offset_that_the_broker_has_dropped_is_not_brought_back() {
        let (gone_back, committed) = (GoneBack::default(), Progress { partition: 3, offset: 2, note: String::new() });
        gone_back.note("requests", Place { partition: 3, offset: 5 }, 95);
        assert_eq!(gone_back.correct(committed.clone()), committed);
    }
}
