//! The registry topic as discovery reads and writes it: all of it, whoever owns its partitions.
//!
//! Of an operator's records only that they are there counts, or that they are tombstones; so one in a schema that only its
//! writer knows needs none. Discovery's own are written by this connector, and by earlier releases of it, in schemas that the
//! registry of schemas has.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use tokio::runtime::Handle;

use super::reader::{RegistryReader, registry_record};
use super::writer::RegistryWriter;
use crate::avro::promoter::{PromoterDecoder, PromoterEncoder};
use crate::avro::promoter_error::PromoterError;
use crate::clock;
use crate::commit::log::LogError;
use crate::commit::registry_topic::RegistryTopic;
use crate::kafka::client::settings::Settings;
use crate::kafka::registry_topic::Registrations;
use crate::kafka::topics::reader::ReadRecord;
use crate::model::promoter::{AppId, Promoter};
use crate::registry::discovered::discovered_of_key;
use crate::registry::discovery::DiscoveryWrite;
use crate::registry::record::{PromoterRecord, RegistryContent};
use crate::registry::table::{PromoterTable, SourceUpdate};

/// How long all of the topic may take to be read, and what is written to be acknowledged.
const PATIENCE: Duration = Duration::from_secs(300);
const WRITE_PATIENCE: Duration = Duration::from_secs(60);

/// Why what discovery has written can't be read: what was found before is not known then.
#[derive(Debug, thiserror::Error)]
enum UnreadableDiscovery {
    #[error("the record under {key} can't be read")]
    Record {
        key: String,
        #[source]
        error: PromoterError,
    },
    #[error("no registry of schemas tells the one with the id {0}")]
    UnknownSchema(i32),
}

#[derive(Clone)]
pub struct DiscoveryTopic(Arc<TopicAccess>);

struct TopicAccess {
    settings: Settings,
    registrations: Registrations,
    /// All has to be over by then.
    until: Option<Instant>,
}

impl DiscoveryTopic {
    /// For as long as the process runs, or, where it is given, for a command that ends `until` then.
    pub fn new(settings: Settings, registrations: Registrations, until: Option<Instant>) -> DiscoveryTopic {
        DiscoveryTopic(Arc::new(TopicAccess { settings, registrations, until }))
    }
}

impl RegistryTopic for DiscoveryTopic {
    fn read(&self, app: AppId) -> BoxFuture<'_, Result<PromoterTable, LogError>> {
        let access = self.0.clone();
        Box::pin(blocking("reading the registry", move || access.read(&app)))
    }

    fn write(&self, writes: Vec<DiscoveryWrite>) -> BoxFuture<'_, Result<(), LogError>> {
        let access = self.0.clone();
        Box::pin(blocking("writing to the registry", move || access.write(writes)))
    }
}

/// # Errors
/// That of `work`, or that it was not run to its end.
async fn blocking<R: Send + 'static>(
    what: &'static str,
    work: impl FnOnce() -> Result<R, LogError> + Send + 'static,
) -> Result<R, LogError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(LogError::because(what, error)))
}

impl TopicAccess {
    /// When what may take `patience` from now on is given up.
    fn end_of(&self, patience: Duration) -> Instant {
        let end = Instant::now() + patience;
        self.until.map_or(end, |until| until.min(end))
    }

    /// What the registry says of the promoters of an app.
    ///
    /// # Errors
    /// [`LogError`] where it is not read to its end within [`PATIENCE`], as where somebody leaves a transaction open in it: what is
    /// written by half of it would be written over the rest. Or a record of discovery's own in it can't be read.
    fn read(&self, app: &AppId) -> Result<PromoterTable, LogError> {
        let failed = |error| LogError::because("the registry can't be read", error);
        let reader = RegistryReader::open(&self.settings, self.end_of(PATIENCE)).map_err(failed)?;
        let decoder = PromoterDecoder::new(self.registrations.framing);
        let mut table = PromoterTable::default();
        while let Some(record) = reader.next_record().map_err(failed)? {
            let Some(key) = key_of(&record, app) else { continue };
            if let Some((promoter, update)) = self.update(&decoder, &record, key)?
                // Elsewhere no owner of the promoter acts on it, so it must not count here either.
                && reader.is_in_place(&promoter, record.partition)
            {
                table.apply(&promoter, update);
            }
        }
        Ok(table)
    }

    /// What a record under `key` says; nothing where it changes nothing.
    ///
    /// # Errors
    /// [`LogError`] where a record of discovery's own can't be read, or its schema is not to be had. One of somebody else's fails
    /// nothing.
    fn update(
        &self,
        decoder: &PromoterDecoder,
        record: &ReadRecord,
        key: &str,
    ) -> Result<Option<(Promoter, SourceUpdate)>, LogError> {
        let registry_record = registry_record(record);
        let is_discoverys = discovered_of_key(key).is_some();
        match decoder.decode(registry_record) {
            Ok((promoter, content)) => Ok(content.update().map(|update| (promoter, update))),
            Err(PromoterError::UnknownSchema(id)) if is_discoverys => {
                self.learn(decoder, id)?;
                let (promoter, content) = decoder.decode(registry_record).map_err(|error| unreadable(key, error))?;
                Ok(content.update().map(|update| (promoter, update)))
            }
            Err(PromoterError::UnknownSchema(_)) => {
                let there = SourceUpdate::Registry(Some(PromoterRecord::default()));
                Ok(Promoter::from_key(key).ok().map(|promoter| (promoter, there)))
            }
            // Somebody else has written it: it is told by whoever follows the partition.
            Err(PromoterError::OfAnotherSource { .. }) => Ok(None),
            Err(error) if is_discoverys => Err(unreadable(key, error)),
            Err(_) => Ok(None),
        }
    }

    /// # Errors
    /// Where no schema registry is configured, it does not answer, or it knows no usable schema of this id.
    fn learn(&self, decoder: &PromoterDecoder, id: i32) -> Result<(), LogError> {
        let unknown = || LogError::new(UnreadableDiscovery::UnknownSchema(id));
        let source = self.registrations.schemas.as_ref().ok_or_else(unknown)?;
        let text = Handle::current().block_on(source.schema(id)).map_err(LogError::new)?.ok_or_else(unknown)?;
        decoder.learn(id, &text).map_err(LogError::new)
    }

    /// # Errors
    /// [`LogError`] where the registry can't be reached or has not taken all of it within [`WRITE_PATIENCE`]: nobody knows then
    /// which of it.
    fn write(&self, writes: Vec<DiscoveryWrite>) -> Result<(), LogError> {
        let failed = |error| LogError::because("the registry can't be written", error);
        let until = self.end_of(WRITE_PATIENCE);
        // Read again: they may have been raised.
        let partitions = RegistryReader::open(&self.settings, until)
            .map_err(|error| LogError::because("the registry can't be read", error))?
            .partitions();
        let encoder = PromoterEncoder::new(self.registrations.framing);
        let mut writer = RegistryWriter::open(&self.settings, encoder, partitions, until)
            .map_err(|error| LogError::because("the registry can't be written", error))?;
        let (now, records) = (clock::now(), writes.len() as u64);
        for (promoter, found) in writes {
            writer.put(&promoter, &RegistryContent::Discovery(found), now).map_err(failed)?;
        }
        writer.finish(records, |_| {}).map_err(failed)
    }
}

/// The key of a record of this app.
fn key_of<'a>(record: &'a ReadRecord, app: &AppId) -> Option<&'a str> {
    let key = std::str::from_utf8(record.key.as_deref()?).ok()?;
    key.strip_prefix(app.as_str())?.starts_with('/').then_some(key)
}

fn unreadable(key: &str, error: PromoterError) -> LogError {
    LogError::new(UnreadableDiscovery::Record { key: key.to_owned(), error })
}
