//! `tail`: the records of a topic as they come, decoded, as an outside consumer reads them.

use std::path::Path;
use std::sync::LazyLock;
use std::time::Duration;

use clap::builder::PossibleValue;
use clap::{Args, ValueEnum};
use tokio_util::sync::CancellationToken;

use self::line::TailedRecord;
use super::learning_decoder::RecordDecoder;
use super::{Failure, signals, stdout};
use crate::avro::schemas::RecordKind;
use crate::config::RequestClientConfig;
use crate::kafka::client::CALL_TIMEOUT;
use crate::kafka::topics::reader::{ReadFrom, TopicReader};
use crate::model::feed::EventTopic;
use crate::model::time::UnixMillis;
use crate::telemetry::log;

mod line;

/// Also the longest it takes to notice that it should stop.
const POLL: Duration = Duration::from_millis(100);

#[derive(Clone, Debug, Args)]
pub struct TailOptions {
    #[arg(value_enum)]
    pub topic: TailedTopic,
    /// Where to begin: earliest, latest, or a time in RFC 3339. Records carry the time of their fact.
    #[arg(long, value_name = "START", value_parser = start, default_value = "latest")]
    pub from: ReadFrom,
    /// Stop after so many records.
    #[arg(long, value_name = "NUMBER")]
    pub limit: Option<u64>,
    /// Print a JSON object a line, with place, key, time and all fields.
    #[arg(long)]
    pub json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TailedTopic {
    Events(EventTopic),
    MaterialResults,
    DeadLetters,
    Ledger,
}

static TAILED_TOPICS: LazyLock<Vec<TailedTopic>> = LazyLock::new(|| {
    let others = [TailedTopic::MaterialResults, TailedTopic::DeadLetters, TailedTopic::Ledger];
    EventTopic::ALL.map(TailedTopic::Events).into_iter().chain(others).collect()
});

impl ValueEnum for TailedTopic {
    fn value_variants<'a>() -> &'a [TailedTopic] {
        &TAILED_TOPICS
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(match self {
            TailedTopic::Events(topic) => topic.name(),
            TailedTopic::MaterialResults => "material.results",
            TailedTopic::DeadLetters => "dead-letters",
            TailedTopic::Ledger => "ledger",
        }))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("write earliest, latest or a time with its offset such as 2026-01-01T00:00:00+08:00")]
pub(crate) struct InvalidStart;

fn start(text: &str) -> Result<ReadFrom, InvalidStart> {
    match text {
        "earliest" => Ok(ReadFrom::Beginning),
        "latest" => Ok(ReadFrom::End),
        time => {
            let time: jiff::Timestamp = time.parse().map_err(|_| InvalidStart)?;
            Ok(ReadFrom::Time(UnixMillis(time.as_millisecond())))
        }
    }
}

impl TailedTopic {
    /// # Errors
    /// [`Failure::Refused`] where no requests are answered, and so no topic of results is configured, or no ledger is kept.
    fn name(self, config: &RequestClientConfig) -> Result<&str, Failure> {
        let topics = &config.kafka.topics;
        match self {
            TailedTopic::Events(topic) => Ok(&topics.events[topic]),
            TailedTopic::DeadLetters => Ok(&topics.dead_letters),
            TailedTopic::Ledger => match &topics.ledger {
                Some(ledger) => Ok(ledger),
                None => Err(Failure::Refused("topics.ledger is \"off\": there is none".into())),
            },
            TailedTopic::MaterialResults => match &config.requests {
                Some(requests) => Ok(&requests.topics.results),
                None => Err(Failure::Refused("commands.enabled is false: there are no results".into())),
            },
        }
    }

    fn kind(self) -> RecordKind {
        match self {
            TailedTopic::Events(topic) => RecordKind::of_events(topic),
            TailedTopic::MaterialResults => RecordKind::MaterialResult,
            TailedTopic::DeadLetters => RecordKind::DeadLetter,
            TailedTopic::Ledger => RecordKind::LedgerDay,
        }
    }
}

/// Runs until it has shown as many as it should, until SIGTERM or SIGINT, or until nobody reads any more.
///
/// # Errors
/// [`Failure`] where the topic can't be read, or nothing can be written.
pub fn run(path: &Path, options: &TailOptions) -> Result<(), Failure> {
    let config = RequestClientConfig::load(path, &|name| std::env::var(name).ok())?;
    log::start(&config.log)?;
    let topic = options.topic.name(&config)?;
    let (runtime, stop) = (super::runtime()?, CancellationToken::new());
    runtime.block_on(async { signals::cancel_on_signal(stop.clone()) })?;
    let unread = stop.clone();
    runtime.spawn(async move {
        stdout::closed().await;
        unread.cancel();
    });
    let reader = TopicReader::open(&config.kafka, &[topic], options.from, CALL_TIMEOUT).map_err(anyhow::Error::from)?;
    let mut decoder =
        RecordDecoder::new(options.topic.kind(), config.schema_registry.clone(), runtime.handle().clone())?;
    let followed = follow(&reader, &mut decoder, options, &stop);
    runtime.shutdown_background();
    Ok(followed?)
}

/// # Errors
/// Where nothing more can be read, the schema registry gives no answer, or stdout takes nothing. A record that can't be read is
/// told in its line, and ends nothing.
fn follow(
    reader: &TopicReader,
    decoder: &mut RecordDecoder,
    options: &TailOptions,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    let mut left = options.limit.unwrap_or(u64::MAX);
    while left > 0 && !stop.is_cancelled() {
        let Some(record) = reader.next(POLL)? else { continue };
        let value = decoder.decode(record.value.as_deref())?;
        let line = TailedRecord { record: &record, value: &value };
        stdout::print(&if options.json { line.json()? } else { line.text() })?;
        left -= 1;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The topic that brings records of this kind, where it is one of those that the connector publishes to.
    fn published_to(kind: RecordKind) -> Option<TailedTopic> {
        match kind {
            RecordKind::Touch => Some(TailedTopic::Events(EventTopic::Touches)),
            RecordKind::Order => Some(TailedTopic::Events(EventTopic::Orders)),
            RecordKind::MaterialResult => Some(TailedTopic::MaterialResults),
            RecordKind::DeadLetter => Some(TailedTopic::DeadLetters),
            RecordKind::LedgerDay => Some(TailedTopic::Ledger),
            RecordKind::MaterialRequest | RecordKind::Promoter => None,
        }
    }

    #[test]
    fn whatever_is_published_can_be_looked_at() {
        let published: Vec<_> = RecordKind::ALL.into_iter().filter_map(published_to).collect();
        assert_eq!(published.len(), TAILED_TOPICS.len());
        assert!(published.iter().all(|topic| TAILED_TOPICS.contains(topic)));
    }

    #[test]
    fn a_start_is_an_end_of_the_topic_or_a_time() {
        assert_eq!(start("earliest"), Ok(ReadFrom::Beginning));
        assert_eq!(start("latest"), Ok(ReadFrom::End));
        assert_eq!(start("2022-11-17T00:00:00.5+08:00"), Ok(ReadFrom::Time(UnixMillis(1_668_614_400_500))));
        for text in ["", "now", "2022-11-17", "Latest"] {
            assert_eq!(start(text), Err(InvalidStart), "{text}");
        }
    }
}
