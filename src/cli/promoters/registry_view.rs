//! What is known of all promoters at one moment: the configuration, and the registry topic read to its end.

use std::time::Instant;

use tokio::runtime::Runtime;

use super::unreadable::UnreadableRecords;
use crate::avro::framing::Framing;
use crate::avro::promoter::{PromoterDecoder, RegistryRecord};
use crate::avro::promoter_error::PromoterError;
use crate::cli;
use crate::cli::learnt_schemas::LearntSchemas;
use crate::config::RegistryClientConfig;
use crate::kafka::client::topic_reader::ReadRecord;
use crate::kafka::registry_topic::reader::RegistryReader;
use crate::model::feed_set::FeedSet;
use crate::model::promoter::Promoter;
use crate::model::request::record::is_json;
use crate::model::shard::Shard;
use crate::registry::record::RegistryContent;
use crate::registry::table::{MergedPromoter, PromoterTable, SourceUpdate, Sourced};
use crate::text::with_causes;

pub struct RegistryView {
    pub config: RegistryClientConfig,
    pub table: PromoterTable,
    pub unreadable: UnreadableRecords,
    /// Of the registry topic.
    pub partitions: i32,
    /// What is done with the view has to be over by then.
    pub until: Instant,
}

impl RegistryView {
    /// Blocks until the topic is read to where it ends now.
    ///
    /// # Errors
    /// Where that does not come to its end by `until`, or a schema registry that has to tell a schema does not.
    pub fn read(config: RegistryClientConfig, until: Instant) -> anyhow::Result<RegistryView> {
        let reader = RegistryReader::open(&config.kafka, until)?;
        let mut decoder = LearningDecoder::new(&config, until)?;
        let (mut table, mut unreadable) = (configured(&config), UnreadableRecords::default());
        while let Some(record) = reader.next_record()? {
            match decoder.decode(&record)? {
                Ok((promoter, _)) if !reader.is_in_place(&promoter, record.partition) => unreadable.misplaced(&record),
                Ok((promoter, content)) => {
                    unreadable.heal(&record);
                    if let Some(update) = content.update() {
                        table.apply(&promoter, update);
                    }
                }
                Err(error) => unreadable.add(&record, error.reason(), with_causes(&error)),
            }
        }
        Ok(RegistryView { table, unreadable, partitions: reader.partitions(), until, config })
    }

    /// Says on stderr which records change nothing.
    pub fn tell_unreadable(&self) {
        self.unreadable.tell(&self.config.kafka.topics.registry);
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
        let app = self.config.apps.iter().find(|app| app.app_id.as_str() == promoter.app_id());
        Sourced { value: app.map_or(FeedSet::default(), |app| app.feeds), source: None }
    }

    pub fn is_of_configured_app(&self, promoter: &Promoter) -> bool {
        self.config.apps.iter().any(|app| app.app_id.as_str() == promoter.app_id())
    }
}

fn configured(config: &RegistryClientConfig) -> PromoterTable {
    let mut table = PromoterTable::default();
    for (promoter, configured) in config.apps.iter().flat_map(|app| &app.promoters) {
        table.apply(promoter, SourceUpdate::Configuration(Some(*configured)));
    }
    table
}

/// Reads records, and asks the schema registry for the schemas that they are written in.
struct LearningDecoder {
    decoder: PromoterDecoder,
    schemas: LearntSchemas,
    /// Where the schemas are asked for.
    _runtime: Runtime,
}

type DecodedPromoter = Result<(Promoter, RegistryContent), PromoterError>;

impl LearningDecoder {
    /// # Errors
    /// Where there is no client for the schema registry, or no runtime to ask it in.
    fn new(config: &RegistryClientConfig, until: Instant) -> anyhow::Result<LearningDecoder> {
        let runtime = cli::runtime()?;
        let schemas = LearntSchemas::new(config.schema_registry.clone(), runtime.handle().clone(), Some(until))?;
        Ok(LearningDecoder { decoder: PromoterDecoder::new(Framing::SingleObject), schemas, _runtime: runtime })
    }

    /// What a record says. A schema that is not known yet is asked for.
    ///
    /// # Errors
    /// The outer one ends the reading: the schema registry gives no answer. The inner one is the record's own.
    fn decode(&mut self, record: &ReadRecord) -> anyhow::Result<DecodedPromoter> {
        let whole = RegistryRecord {
            key: record.key.as_deref(),
            value: record.value.as_deref(),
            is_json: is_json(&record.headers),
            timestamp: record.timestamp,
        };
        let decoded = self.decoder.decode(whole);
        let Err(PromoterError::UnknownSchema(id)) = decoded else { return Ok(decoded) };
        Ok(match self.schemas.look_up(id, |id, text| self.decoder.learn(id, text))? {
            Err(why) => Err(PromoterError::WithoutSchema(why.to_string())),
            Ok(()) => self.decoder.decode(whole),
        })
    }
}
