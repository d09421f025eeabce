//! Where everything comes together: each record is printed and entered into the ledger as it arrives.

use std::io::Stdout;
use std::pin::pin;
use std::time::Duration;

use anyhow::Context;
use tokio::sync::mpsc;
use tokio::time::{Instant, Interval, interval_at};

use super::ledger::{Ledger, Verdict};
use super::screen::Screen;
use crate::avro::decode::Decoder;
use crate::kafka::reader::ReadRecord;
use crate::simulator::{SharedWorld, wall_clock};

const TOTALS_EVERY: Duration = Duration::from_secs(5);

pub struct Show {
    screen: Screen<Stdout>,
    records: mpsc::Receiver<ReadRecord>,
    world: SharedWorld,
    decoder: Decoder,
    ledger: Ledger,
    began: Instant,
    totals: Interval,
}

impl Show {
    pub fn new(screen: Screen<Stdout>, records: mpsc::Receiver<ReadRecord>, world: SharedWorld) -> Show {
        let began = Instant::now();
        Show {
            screen,
            records,
            world,
            decoder: Decoder::new([]),
            ledger: Ledger::default(),
            began,
            totals: interval_at(began + TOTALS_EVERY, TOTALS_EVERY),
        }
    }

    /// Shows what arrives until `end` is over.
    pub async fn until<T>(&mut self, end: impl Future<Output = T>) -> anyhow::Result<T> {
        let mut end = pin!(end);
        loop {
            tokio::select! {
                result = &mut end => return Ok(result),
                Some(record) = self.records.recv() => self.record(&record)?,
                _ = self.totals.tick() => self.print_totals()?,
            }
        }
    }

    /// Whether the upstream has shown all there is, and as many facts have arrived.
    pub fn is_settled(&self) -> bool {
        let settlement = self.world.with(|world| world.settlement(wall_clock(), None));
        settlement.settled && self.ledger.total() >= settlement.shown
    }

    pub fn say(&mut self, text: &str) -> anyhow::Result<()> {
        self.screen.text(text).context("stdout")
    }

    /// Takes what is still on its way from the consumer, which has ended, and judges.
    pub async fn verdict(mut self) -> anyhow::Result<Verdict> {
        while let Some(record) = self.records.recv().await {
            self.record(&record)?;
        }
        self.print_totals()?;
        let verdict = self.ledger.verdict(&self.world.with(|world| world.truth()));
        self.screen.verdict(&verdict.to_string(), verdict.is_exact()).context("stdout")?;
        Ok(verdict)
    }

    fn record(&mut self, record: &ReadRecord) -> anyhow::Result<()> {
        let place = || format!("{} partition {} offset {}", record.topic, record.partition, record.offset);
        let value = record.value.as_deref().with_context(|| format!("{} is a tombstone", place()))?;
        let event = self.decoder.decode(value).with_context(place)?;
        self.ledger.enter(&event);
        self.screen.event(&record.topic, &event).context("stdout")
    }

    fn print_totals(&mut self) -> anyhow::Result<()> {
        let shown = self.world.with(|world| world.settlement(wall_clock(), None)).shown;
        self.screen.totals(self.began.elapsed(), shown).context("stdout")
    }
}
