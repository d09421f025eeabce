//! What is known of all promoters at one moment: the configuration, and the registry topic read to its end.

use std::collections::BTreeMap;
use std::time::Instant;

use tokio::runtime::{Builder, Runtime};

use super::learnt_schemas::LearntSchemas;
use super::settings::{ChangeSettings, RegisteringApp};
use super::unreadable::UnreadableRecords;
use crate::avro::framing::Framing;
use crate::avro::promoter::PromoterDecoder;
use crate::avro::promoter_error::PromoterError;
use crate::kafka::registry_topic::reader::{RegistryReader, registry_record};
use crate::kafka::topics::reader::ReadRecord;
use crate::model::feed::Feed;
use crate::model::feed_set::FeedSet;
use crate::model::promoter::Promoter;
use crate::model::rewind::Rewind;
use crate::model::shard::Shard;
use crate::registry::record::RegistryContent;
use crate::registry::table::{MergedPromoter, PromoterTable, SourceUpdate, Sourced};
use crate::text::with_causes;

pub struct RegistryView {
    pub settings: ChangeSettings,
    pub table: PromoterTable,
    /// The last rewind that was asked for of a feed, whether it was met or not.
    pub rewinds: BTreeMap<(Promoter, Feed), Rewind>,
    pub unreadable: UnreadableRecords,
    /// Of the registry topic.
    pub partitions: i32,
    /// Goes on behind what was read.
    pub(super) reader: RegistryReader,
    /// What is done with the view has to be over by then.
    pub until: Instant,
}

impl RegistryView {
    /// Blocks until the topic is read to where it ends now.
    ///
    /// # Errors
    /// Where that does not come to its end by `until`, or a schema registry that has to tell a schema does not.
    pub fn read(settings: ChangeSettings, until: Instant) -> anyhow::Result<RegistryView> {
        let reader = RegistryReader::open(&settings.kafka, until)?;
        RegistryView::read_all(reader, settings, until, |_| true)
    }

    /// Of one promoter alone, all of whose records stand in one partition.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn of_promoter(settings: ChangeSettings, promoter: &Promoter, until: Instant) -> anyhow::Result<RegistryView> {
        let reader = RegistryReader::of_promoter(&settings.kafka, promoter, until)?;
        // Keys of others may begin so, too: they are told apart when they are asked for.
        let is_wanted = |key: &[u8]| key.starts_with(promoter.key().as_bytes());
        RegistryView::read_all(reader, settings, until, is_wanted)
    }

    /// # Errors
    /// As [`read`](Self::read).
    fn read_all(
        reader: RegistryReader,
        settings: ChangeSettings,
        until: Instant,
        is_wanted: impl Fn(&[u8]) -> bool,
    ) -> anyhow::Result<RegistryView> {
        let mut decoder = LearningDecoder::new(&settings, until)?;
        let (mut table, mut unreadable) = (configured(&settings.apps), UnreadableRecords::default());
        let mut rewinds = BTreeMap::new();
        while let Some(record) = reader.next_record()? {
            if !is_wanted(record.key.as_deref().unwrap_or_default()) {
                continue;
            }
            match decoder.decode(&record)? {
                Ok((promoter, _)) if !reader.is_in_place(&promoter, record.partition) => unreadable.misplaced(&record),
                Ok((promoter, content)) => {
                    unreadable.heal(&record);
                    if let RegistryContent::Rewind(feed, rewind) = content {
                        let key = (promoter.clone(), feed);
                        match rewind {
                            Some(rewind) => rewinds.insert(key, rewind),
                            None => rewinds.remove(&key),
                        };
                    }
                    if let Some(update) = content.update() {
                        table.apply(&promoter, update);
                    }
                }
                // Whoever's key it is, the tombstone takes away what stands under it; itself it says nothing that could be lost.
                Err(_) if record.value.is_none() => unreadable.heal(&record),
                Err(error) => unreadable.add(&record, error.reason(), with_causes(&error)),
            }
        }
        Ok(RegistryView { table, rewinds, unreadable, partitions: reader.partitions(), reader, until, settings })
    }

    /// Says on stderr which records change nothing.
    pub fn tell_unreadable(&self) {
        self.unreadable.tell(&self.settings.kafka.topics.registry, self.partitions);
    }

    /// How many records can't be read under the keys of such promoters, where no record before them tells what acts.
    pub fn count_lacking(&self, is_asked_for: impl Fn(&Promoter) -> bool) -> usize {
        let is_lacking = |promoter: &Promoter| is_asked_for(promoter) && !self.table.is_registered(promoter);
        self.unreadable.count_lacking(self.partitions, is_lacking)
    }

    /// Whether the last record of the promoter can't be read.
    pub fn is_unreadable(&self, promoter: &Promoter) -> bool {
        self.unreadable.holds(Shard::of(promoter, self.partitions).0, promoter.key())
    }

    /// The feeds that are polled, and who says so: where nobody does, those of the app.
    pub fn feeds(&self, promoter: &Promoter, merged: &MergedPromoter<'_>) -> Sourced<FeedSet> {
        if merged.feeds.source.is_some() {
            return merged.feeds;
        }
        let app = RegisteringApp::of(&self.settings.apps, promoter);
        Sourced { value: app.map_or(FeedSet::default(), |app| app.feeds), source: None }
    }

    /// Whether the configuration names the promoter's app, or the registry does: by anything of the promoter's, or by others of the app.
    pub fn names_app_of(&self, promoter: &Promoter) -> bool {
        let is_of_app = |other: &Promoter| other.app_id() == promoter.app_id();
        self.is_of_configured_app(promoter)
            || self.table.holds(promoter)
            || self.is_unreadable(promoter)
            || self.table.iter().any(|(other, _)| is_of_app(other))
    }

    pub fn is_of_configured_app(&self, promoter: &Promoter) -> bool {
        RegisteringApp::of(&self.settings.apps, promoter).is_some()
    }
}

/// Those whom the configuration names, without the registry.
pub fn configured(apps: &[RegisteringApp]) -> PromoterTable {
    let mut table = PromoterTable::default();
    for (promoter, configured) in apps.iter().flat_map(|app| &app.promoters) {
        table.apply(promoter, SourceUpdate::Configuration(Some(*configured)));
    }
    table
}

/// Reads records, and asks the schema registry for the schemas that they are written in.
pub(super) struct LearningDecoder {
    decoder: PromoterDecoder,
    schemas: LearntSchemas,
    /// Where the schemas are asked for.
    _runtime: Runtime,
}

type DecodedPromoter = Result<(Promoter, RegistryContent), PromoterError>;

impl LearningDecoder {
    /// # Errors
    /// Where there is no client for the schema registry, or no runtime to ask it in.
    pub fn new(settings: &ChangeSettings, until: Instant) -> anyhow::Result<LearningDecoder> {
        // A thread of its own: the one that waits does not drive what is asked.
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let schemas = LearntSchemas::new(settings.schema_registry.clone(), runtime.handle().clone(), Some(until))?;
        Ok(LearningDecoder { decoder: PromoterDecoder::new(Framing::SingleObject), schemas, _runtime: runtime })
    }

    /// What a record says. A schema that is not known yet is asked for.
    ///
    /// # Errors
    /// The outer one ends the reading: the schema registry gives no answer. The inner one is the record's own.
    pub fn decode(&mut self, record: &ReadRecord) -> anyhow::Result<DecodedPromoter> {
        let whole = registry_record(record);
        let decoded = self.decoder.decode(whole);
        let Err(PromoterError::UnknownSchema(id)) = decoded else { return Ok(decoded) };
        Ok(match self.schemas.look_up(id, |id, text| self.decoder.learn(id, text))? {
            Err(why) => Err(PromoterError::WithoutSchema(why.to_string())),
            Ok(()) => self.decoder.decode(whole),
        })
    }
}
