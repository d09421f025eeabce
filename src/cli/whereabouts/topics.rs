//! What stands of an order in the topics, as far as it is committed.

use std::time::Instant;

use anyhow::{Context, anyhow};
use serde::Serialize;
use tokio::runtime::Handle;

use crate::avro::schema_registry::SchemaRegistrySettings;
use crate::avro::schemas::RecordKind;
use crate::changes::committed_progress;
use crate::cli::learning_decoder::RecordDecoder;
use crate::kafka::client::settings::Settings;
use crate::kafka::topics::reader::{ReadFrom, ReadRecord};
use crate::kafka::topics::whole::WholeTopic;
use crate::model::cursor::Cursor;
use crate::model::feed::{EventTopic, Feed};
use crate::model::promoter::Promoter;

#[derive(Clone)]
pub struct TopicSearch {
    pub kafka: Settings,
    pub schema_registry: Option<SchemaRegistrySettings>,
    /// Reading is given up then.
    pub until: Instant,
}

/// What was found, in the order of partitions and offsets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FoundRecords {
    pub events: Vec<FoundEvent>,
    pub dead_letters: Vec<FoundLetter>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RecordPlace {
    pub topic: String,
    pub partition: i32,
    pub offset: i64,
    /// Whom it is of.
    pub promoter: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FoundEvent {
    #[serde(flatten)]
    pub place: RecordPlace,
    pub event_id: String,
    /// PAID, REFUNDED, or what the upstream's code is called.
    pub status: String,
    /// RFC 3339.
    pub paid_time: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refunded_time: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FoundLetter {
    #[serde(flatten)]
    pub place: RecordPlace,
    pub source: String,
    pub reason: String,
    pub detail: String,
}

impl FoundRecords {
    pub fn is_empty(&self) -> bool {
        self.events.is_empty() && self.dead_letters.is_empty()
    }
}

impl TopicSearch {
    /// How far the promoter's orders are complete; nothing where they have not begun.
    ///
    /// # Errors
    /// Where the state can't be read to its end.
    pub async fn orders_cursor(&self, promoter: &Promoter) -> anyhow::Result<Option<Cursor>> {
        let (own, promoter) = (self.clone(), promoter.clone());
        let read = move || committed_progress::of_promoter(&own.kafka, &promoter, own.until);
        let progress = tokio::task::spawn_blocking(read).await.context("reading the state")??;
        Ok(progress[Feed::Orders].as_ref().map(|progress| progress.cursor))
    }

    /// Every event and dead letter that has the number: of everybody, or of the promoter who is named.
    ///
    /// # Errors
    /// Where a topic can't be read to its end, or a record that has the number can't be read.
    pub async fn find(&self, trade_no: &str, promoter: Option<&Promoter>) -> anyhow::Result<FoundRecords> {
        let (own, runtime) = (self.clone(), Handle::current());
        let (trade_no, promoter) = (trade_no.to_owned(), promoter.cloned());
        let read = move || {
            let mut found = FoundRecords::default();
            own.events(&trade_no, promoter.as_ref(), &runtime, &mut found)?;
            own.dead_letters(&trade_no, promoter.as_ref(), &runtime, &mut found)?;
            Ok(found)
        };
        tokio::task::spawn_blocking(read).await.context("reading the topics")?
    }

    fn events(
        &self,
        trade_no: &str,
        promoter: Option<&Promoter>,
        runtime: &Handle,
        found: &mut FoundRecords,
    ) -> anyhow::Result<()> {
        let mut decoder = self.decoder(RecordKind::of_events(EventTopic::Orders), runtime)?;
        self.read(&self.kafka.topics.events[EventTopic::Orders], promoter, trade_no, |record| {
            let place = place(&record);
            let decoded = decoder.decode(record.value.as_deref())?;
            let decoded =
                decoded.map_err(|why| anyhow!("{} {}@{}: {why}", place.topic, place.partition, place.offset))?;
            let Some(event) = decoded.filter(|event| event.text("trade_no") == Some(trade_no)) else { return Ok(()) };
            let text = |name| event.text(name).unwrap_or_default().to_owned();
            found.events.push(FoundEvent {
                event_id: text("event_id"),
                status: text("status"),
                paid_time: text("paid_time"),
                refunded_time: event.text("refunded_time").map(str::to_owned),
                place,
            });
            Ok(())
        })
    }

    /// One that can't be read tells of no order.
    fn dead_letters(
        &self,
        trade_no: &str,
        promoter: Option<&Promoter>,
        runtime: &Handle,
        found: &mut FoundRecords,
    ) -> anyhow::Result<()> {
        let mut decoder = self.decoder(RecordKind::DeadLetter, runtime)?;
        self.read(&self.kafka.topics.dead_letters, promoter, trade_no, |record| {
            let Ok(Some(letter)) = decoder.decode(record.value.as_deref())? else { return Ok(()) };
            let raw = letter.bytes("raw").unwrap_or_default();
            if names(&raw, trade_no.as_bytes()) {
                let text = |name| letter.text(name).unwrap_or_default().to_owned();
                let (source, reason, detail) = (text("source"), text("reason"), text("detail"));
                found.dead_letters.push(FoundLetter { place: place(&record), source, reason, detail });
            }
            Ok(())
        })
    }

    /// # Errors
    /// As [`RecordDecoder::new`].
    fn decoder(&self, kind: RecordKind, runtime: &Handle) -> anyhow::Result<RecordDecoder> {
        RecordDecoder::new(kind, self.schema_registry.clone(), runtime.clone())
    }

    /// Takes the records in which the number stands somewhere: texts stand in Avro as they are, and to decode all others would only
    /// cost.
    ///
    /// # Errors
    /// Where the topic can't be read to its end in time; else that of `take`.
    fn read(
        &self,
        topic: &str,
        promoter: Option<&Promoter>,
        trade_no: &str,
        mut take: impl FnMut(ReadRecord) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let records = match promoter {
            Some(promoter) => WholeTopic::of_promoter(&self.kafka, topic, promoter, ReadFrom::Beginning, self.until)?,
            None => WholeTopic::open(&self.kafka, topic, self.until)?,
        };
        while let Some(record) = records.next_record()? {
            let is_of = promoter.is_none_or(|promoter| record.key.as_deref() == Some(promoter.key().as_bytes()));
            if is_of && record.value.as_deref().is_some_and(|value| has(value, trade_no.as_bytes())) {
                take(record)?;
            }
        }
        Ok(())
    }
}

/// Whether `part`, which is not empty, stands in `bytes`.
fn has(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

/// Whether `number` stands in `raw`, and is not a part of a longer one.
fn names(raw: &[u8], number: &[u8]) -> bool {
    let goes_on = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    raw.windows(number.len()).enumerate().any(|(begin, window)| {
        let before = begin.checked_sub(1).and_then(|before| raw.get(before));
        window == number && !goes_on(before) && !goes_on(raw.get(begin + number.len()))
    })
}

fn place(record: &ReadRecord) -> RecordPlace {
    let key = record.key.as_deref().unwrap_or_default();
    RecordPlace {
        topic: record.topic.clone(),
        partition: record.partition,
        offset: record.offset,
        promoter: String::from_utf8_lossy(key).into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_names_an_order_by_its_whole_number() {
        let row = br#"{"trade_no":"4200001","out_trade_no":"1-4200002","mch_id":4200003}"#;
        for number in ["4200001", "4200002", "4200003"] {
            assert!(names(row, number.as_bytes()), "{number}");
        }
        for number in ["420000", "200001", "42000011", "4200004"] {
            assert!(!names(row, number.as_bytes()), "{number}");
        }
        assert!(names(b"4200001", b"4200001"));
    }
}
