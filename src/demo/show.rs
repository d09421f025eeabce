//! Where everything comes together: each record is printed and entered into the ledger as it arrives.

use std::io::Stdout;
use std::pin::pin;
use std::time::Duration;

use anyhow::Context;
use tokio::sync::mpsc;
use tokio::time::{Instant, Interval, interval_at};

use super::materials::Materials;
use super::outcome::DemoOutcome;
use super::requester::DemoRequest;
use super::screen::Screen;
use crate::avro::decode::Decoder;
use crate::avro::schemas::RecordKind;
use crate::clock;
use crate::kafka::topics::reader::ReadRecord;
use crate::simulator::SharedWorld;
use crate::simulator::fact_key::{published_key, shown_key};
use crate::simulator::ledger::Ledger;

const TOTALS_EVERY: Duration = Duration::from_secs(5);

/// What there is to show.
pub struct Sources {
    pub records: mpsc::Receiver<ReadRecord>,
    /// Requests for material, each there before its reply.
    pub requested: mpsc::Receiver<DemoRequest>,
    pub request_topic: String,
    pub world: SharedWorld,
}

pub struct Show {
    screen: Screen<Stdout>,
    sources: Sources,
    decoder: Decoder,
    ledger: Ledger,
    /// How many events and dead letters were read, repeated ones included.
    published: u64,
    materials: Materials,
    began: Instant,
    totals: Interval,
}

impl Show {
    pub fn new(screen: Screen<Stdout>, sources: Sources) -> Show {
        let began = Instant::now();
        Show {
            screen,
            sources,
            decoder: Decoder::new([]),
            ledger: Ledger::default(),
            published: 0,
            materials: Materials::default(),
            began,
            totals: interval_at(began + TOTALS_EVERY, TOTALS_EVERY),
        }
    }

    /// Shows what arrives until `end` is over.
    ///
    /// # Errors
    /// Where standard output is closed, or a record can't be read.
    pub async fn until<T>(&mut self, end: impl Future<Output = T>) -> anyhow::Result<T> {
        let mut end = pin!(end);
        loop {
            tokio::select! {
                // A request is shown before its reply.
                biased;
                result = &mut end => return Ok(result),
                _ = self.totals.tick() => self.print_totals()?,
                Some(request) = self.sources.requested.recv() => self.request(request)?,
                Some(record) = self.sources.records.recv() => self.record(&record)?,
            }
        }
    }

    /// Whether the upstream has shown all there is, as many facts have arrived, and every request has a reply.
    pub fn is_settled(&self) -> bool {
        let settlement = self.sources.world.with(|world| world.settlement(clock::now(), None));
        let answered = self.sources.requested.is_empty() && self.materials.answered() == self.materials.requested();
        settlement.settled && self.published >= settlement.shown && answered
    }

    /// A line of its own.
    ///
    /// # Errors
    /// Where standard output is closed.
    pub fn say(&mut self, text: &str) -> anyhow::Result<()> {
        self.screen.text(text).context("stdout")
    }

    /// Takes what is still on its way from the consumer, which has ended, and gives the verdict.
    ///
    /// # Errors
    /// Where standard output is closed, or a record can't be read.
    pub async fn verdict(mut self) -> anyhow::Result<DemoOutcome> {
        while let Some(record) = self.sources.records.recv().await {
            self.record(&record)?;
        }
        self.print_totals()?;
        let materials = self.materials;
        self.screen.verdict(&materials.to_string(), materials.is_exact()).context("stdout")?;
        let truth = self.sources.world.with(|world| world.truth());
        truth.iter().filter_map(|shown| shown_key(&shown.to_json())).for_each(|key| self.ledger.show(key));
        let facts = self.ledger.verdict();
        self.screen.verdict(&facts.to_string(), facts.is_exact()).context("stdout")?;
        Ok(DemoOutcome { facts, materials })
    }

    /// # Errors
    /// Where stdout takes nothing.
    fn request(&mut self, request: DemoRequest) -> anyhow::Result<()> {
        self.screen.request(&self.sources.request_topic, &request).context("stdout")?;
        self.materials.request(request);
        Ok(())
    }

    /// # Errors
    /// Where the record can't be read, or stdout takes nothing.
    fn record(&mut self, record: &ReadRecord) -> anyhow::Result<()> {
        let place = || format!("{} partition {} offset {}", record.topic, record.partition, record.offset);
        let value = record.value.as_deref().with_context(|| format!("{} is a tombstone", place()))?;
        let event = self.decoder.decode(value).with_context(place)?;
        let from_material = self.materials.touch(&event);
        if event.record == RecordKind::MaterialResult {
            self.materials.reply(&event);
        } else if let Some(key) = published_key(event.record, |name| event.field(name)) {
            self.published += 1;
            self.ledger.publish(key);
        }
        self.screen.event(&record.topic, &event, from_material).context("stdout")
    }

    fn print_totals(&mut self) -> anyhow::Result<()> {
        let shown = self.sources.world.with(|world| world.settlement(clock::now(), None)).shown;
        self.screen.totals(self.began.elapsed(), shown, &self.materials).context("stdout")
    }
}
