//! What stands in the topics of one promoter: the cursors, the events, and the rows that are dead letters.

use std::time::Instant;

use anyhow::{Context, anyhow};
use serde_json::Value as Json;
use tokio::runtime::Handle;

use super::comparison::{ComparedFact, ComparedOrder, PublishedFacts};
use super::judged::JudgedFeed;
use crate::avro::decode::Decoded;
use crate::avro::schema_registry::SchemaRegistrySettings;
use crate::avro::schemas::RecordKind;
use crate::changes::committed_progress;
use crate::cli::learning_decoder::RecordDecoder;
use crate::kafka::client::settings::Settings;
use crate::kafka::topics::reader::{ReadFrom, ReadRecord};
use crate::kafka::topics::whole::WholeTopic;
use crate::model::cursor::Cursor;
use crate::model::fact::{FactId, dead_row_id};
use crate::model::feed::{EventTopic, Feed, PerFeed};
use crate::model::promoter::Promoter;
use crate::model::row::RowKind;
use crate::model::time::UnixTime;

#[derive(Clone)]
pub struct Published {
    pub kafka: Settings,
    pub schema_registry: Option<SchemaRegistrySettings>,
    /// Reading is given up then.
    pub until: Instant,
}

impl Published {
    /// How far each feed of the promoter is complete that has begun.
    ///
    /// # Errors
    /// Where the state can't be read to its end.
    pub async fn cursors(&self, promoter: &Promoter) -> anyhow::Result<PerFeed<Option<Cursor>>> {
        let (own, promoter) = (self.clone(), promoter.clone());
        let progress = blocking(move || committed_progress::of_promoter(&own.kafka, &promoter, own.until)).await?;
        Ok(PerFeed::new(|feed| Some(progress[feed].as_ref()?.cursor)))
    }

    /// The events and dead letters of the promoter from the first time on that is judged.
    ///
    /// # Errors
    /// Where a topic can't be read to its end, or a record of the promoter can't be read.
    pub async fn facts(&self, promoter: &Promoter, judged: &[JudgedFeed]) -> anyhow::Result<PublishedFacts> {
        let Some(from) = judged.iter().map(|judged| judged.from).min() else { return Ok(PublishedFacts::default()) };
        let (own, promoter, runtime) = (self.clone(), promoter.clone(), Handle::current());
        blocking(move || {
            let mut published = PublishedFacts::default();
            for topic in EventTopic::ALL {
                let decoder = own.decoder(RecordKind::of_events(topic), &runtime)?;
                own.events(topic, &promoter, from, decoder, &mut published)?;
            }
            let decoder = own.decoder(RecordKind::DeadLetter, &runtime)?;
            own.dead_letters(&promoter, decoder, &mut published)?;
            Ok(published)
        })
        .await
    }

    /// # Errors
    /// As [`RecordDecoder::new`].
    fn decoder(&self, kind: RecordKind, runtime: &Handle) -> anyhow::Result<RecordDecoder> {
        RecordDecoder::new(kind, self.schema_registry.clone(), runtime.clone())
    }

    /// A record's time is its fact's, so none that is wanted stands before the first of that time.
    ///
    /// # Errors
    /// Where the topic can't be read, or a record under the key of the promoter is no event.
    fn events(
        &self,
        topic: EventTopic,
        promoter: &Promoter,
        from: UnixTime,
        mut decoder: RecordDecoder,
        published: &mut PublishedFacts,
    ) -> anyhow::Result<()> {
        self.read(&self.kafka.topics.events[topic], promoter, ReadFrom::Time(from.as_millis()), |record| {
            if record.key.as_deref() != Some(promoter.key().as_bytes()) {
                return Ok(());
            }
            let place = place(&record);
            let decoded = decoder.decode(record.value.as_deref())?.map_err(|why| anyhow!("{place}: {why}"))?;
            let fact = decoded
                .as_ref()
                .and_then(|event| compared(topic, event))
                .with_context(|| format!("{place} is no event"))?;
            published.facts.entry(fact.id).or_insert((fact, 0)).1 += 1;
            Ok(())
        })
    }

    /// Their records have the time at which they were written: all of them are read.
    ///
    /// # Errors
    /// Where the partition can't be read to its end in time, or the schema registry gives no answer.
    fn dead_letters(
        &self,
        promoter: &Promoter,
        mut decoder: RecordDecoder,
        published: &mut PublishedFacts,
    ) -> anyhow::Result<()> {
        let topic = self.kafka.topics.dead_letters.clone();
        self.read(&topic, promoter, ReadFrom::Beginning, |record| {
            if record.key.as_deref() != Some(promoter.key().as_bytes()) {
                return Ok(());
            }
            // One that can't be read tells of no row.
            if let Ok(Some(letter)) = decoder.decode(record.value.as_deref())? {
                published.dead_rows.extend(letter.bytes("raw").map(|raw| dead_row_id(promoter, &raw)));
            }
            Ok(())
        })
    }

    /// # Errors
    /// Where the partition can't be read to its end in time; else that of `take`.
    fn read(
        &self,
        topic: &str,
        promoter: &Promoter,
        from: ReadFrom,
        mut take: impl FnMut(ReadRecord) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let partition = WholeTopic::of_promoter(&self.kafka, topic, promoter, from, self.until)?;
        while let Some(record) = partition.next_record()? {
            take(record)?;
        }
        Ok(())
    }
}

fn place(record: &ReadRecord) -> String {
    format!("topic {} partition {} offset {}", record.topic, record.partition, record.offset)
}

fn compared(topic: EventTopic, event: &Decoded) -> Option<ComparedFact> {
    let time = |name| {
        let time: jiff::Timestamp = event.text(name)?.parse().ok()?;
        Some(UnixTime(time.as_second()))
    };
    let id = FactId::from_hex(event.text("event_id")?)?;
    if event.record != RecordKind::of_events(topic) {
        return None;
    }
    if topic.rows() != RowKind::Order {
        let feed = Feed::ALL.into_iter().find(|feed| feed.topic() == topic)?;
        return Some(ComparedFact { id, feed, time: Some(time("create_time")?), order: None });
    }
    let order = ComparedOrder {
        status: event.text("status")?.to_owned(),
        mch_id: event.text("mch_id")?.to_owned(),
        trade_no: event.text("trade_no")?.to_owned(),
        paid_amount: event.field("paid_amount").and_then(Json::as_i64)?,
        paid_time: time("paid_time")?,
    };
    let (feed, time) = match order.status.as_str() {
        "REFUNDED" => (Feed::Refunds, time("refunded_time")),
        _ => (Feed::Orders, Some(order.paid_time)),
    };
    Some(ComparedFact { id, feed, time, order: Some(order) })
}

/// # Errors
/// That of `read`, or that it was not run to its end.
async fn blocking<R: Send + 'static>(read: impl FnOnce() -> anyhow::Result<R> + Send + 'static) -> anyhow::Result<R> {
    tokio::task::spawn_blocking(read).await.context("reading the topics")?
}

#[cfg(test)]
mod tests {
    use super::super::shown;
    use super::*;
    use crate::avro::decode::Decoder;
    use crate::avro::encode::{Encoders, Framings};
    use crate::model::promoter::IdKind;
    use crate::model::time::UnixMillis;
    use crate::poll::poller::tests::first_page;

    /// Otherwise what a feed has shown would be missing, and what was published of it strange, though nothing is wrong.
    #[test]
    fn an_event_is_compared_with_what_its_own_feed_shows() {
        let promoter = Promoter::from_key("wx1/o1").unwrap();
        for feed in Feed::ALL {
            let (_, page) = first_page(&promoter, feed);
            let fact = &page.facts.iter().find(|observed| observed.fact.memory == feed).unwrap().fact;
            let mut event = Vec::new();
            let encoders = Encoders::new(Framings::SINGLE_OBJECT);
            encoders.fact(fact, &promoter, IdKind::OpenId, UnixMillis(0), &mut event).unwrap();
            let event = Decoder::new([]).decode(&event).unwrap();
            assert_eq!(compared(feed.topic(), &event), Some(shown::compared(fact)));
        }
    }
}
