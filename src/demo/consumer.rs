//! The consumer: a thread that reads the topics as an outside program does.

use std::time::{Duration, Instant};

use anyhow::{Error, bail};
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio_util::sync::CancellationToken;

use crate::kafka::client::CALL_TIMEOUT;
use crate::kafka::client::settings::Settings;
use crate::kafka::topics::reader::{ReadFrom, ReadRecord, TopicReader};

/// Enough to read on while a slow terminal scrolls.
const QUEUE: usize = 1024;
/// Also the longest it takes to notice that it should finish.
const POLL: Duration = Duration::from_millis(50);
/// How long the rest may take to read.
const CATCH_UP_MAX: Duration = Duration::from_secs(20);

pub struct DemoConsumer {
    pub thread: JoinHandle<anyhow::Result<()>>,
    /// Cancelled when nothing more is written: it reads to the end, then ends.
    pub finish: CancellationToken,
}

impl DemoConsumer {
    /// Reads events, dead letters and the replies in the topic `results` from the beginning.
    pub fn start(settings: &Settings, results: &str) -> (DemoConsumer, mpsc::Receiver<ReadRecord>) {
        let (sender, records) = mpsc::channel(QUEUE);
        let finish = CancellationToken::new();
        let (settings, results, finished) = (settings.clone(), results.to_owned(), finish.clone());
        let thread = spawn_blocking(move || follow(&settings, &results, &sender, &finished));
        (DemoConsumer { thread, finish }, records)
    }
}

/// # Errors
/// Where the topics can't be read, are not read to their ends within [`CATCH_UP_MAX`], or nobody takes the records.
fn follow(
    settings: &Settings,
    results: &str,
    records: &mpsc::Sender<ReadRecord>,
    finish: &CancellationToken,
) -> anyhow::Result<()> {
    let names = &settings.topics;
    let read = names.events.values().chain([&names.dead_letters]).map(String::as_str);
    let topics: Vec<&str> = read.chain([results]).collect();
    let reader = TopicReader::open(settings, &topics, ReadFrom::Beginning, CALL_TIMEOUT)?;
    let step = || -> anyhow::Result<()> {
        if let Some(record) = reader.next(POLL)? {
            records.blocking_send(record).map_err(|_| Error::msg("nobody looks at what is read"))?;
        }
        Ok(())
    };
    while !finish.is_cancelled() {
        step()?;
    }
    let ends = reader.ends(settings)?;
    let deadline = Instant::now() + CATCH_UP_MAX;
    while !reader.has_reached(&ends)? {
        if Instant::now() > deadline {
            bail!("the topics were not read to their ends within {} s", CATCH_UP_MAX.as_secs());
        }
        step()?;
    }
    Ok(())
}
