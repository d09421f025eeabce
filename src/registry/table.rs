//! The table of promoters: what each source says of each, and what they come to together.
//!
//! Field by field the registry's record wins over the configuration, and both over discovery. A record without value (a
//! tombstone) takes away what the registry and discovery have brought, and not what the configuration names:
//!
//! | configuration | registry | discovery | promoter |
//! |---|---|---|---|
//! | names it | record | - or finds it | there: the record's fields, else the configured ones |
//! | names it | nothing or tombstone | - or finds it | there, as configured |
//! | - | record | - or finds it | there: the record's fields |
//! | - | nothing | finds it, authorised | there, as its app is configured |
//! | - | nothing | finds it, not authorised | there, and paused |
//! | - | nothing | found it, and it was removed | not there |
//! | - | nothing or tombstone | - | not there |
//! | - | tombstone | finds it | not there |
//!
//! What counts of a source is the last that it said, so it does not matter in which order the sources speak, nor how often
//! one repeats itself. For the last row a tombstone is remembered like a record, which Kafka itself does
//! for a while only: the next discovery writes down what it has met (the row of whom was removed).

use super::discovered::{DiscoveredPromoter, DiscoveryStatus};
use super::packed_map::PackedMap;
use super::packed_start::PackedStart;
use super::record::{PromoterRecord, RegistryContent};
use super::registered_since::RegisteredSince;
use super::tags::{BothTags, SourceTags, Tags};
use crate::model::feed::StartFrom;
use crate::model::feed_set::FeedSet;
use crate::model::promoter::Promoter;

/// Where something that is known of a promoter comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PromoterSource {
    Configuration,
    Registry,
    Discovery,
}

impl PromoterSource {
    pub fn name(self) -> &'static str {
        match self {
            PromoterSource::Configuration => "configuration",
            PromoterSource::Registry => "registry",
            PromoterSource::Discovery => "discovery",
        }
    }
}

/// What the configuration says of a promoter that it names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConfiguredPromoter {
    /// Empty for the feeds that its app polls.
    pub feeds: FeedSet,
    /// Nothing for where the feeds of its app begin.
    pub start_from: PackedStart,
}

/// What a source says of one promoter now, in place of all that it said before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceUpdate {
    /// Nothing where it does not name the promoter any more.
    Configuration(Option<ConfiguredPromoter>),
    /// Nothing is a tombstone.
    Registry(Option<PromoterRecord>),
    /// Nothing where it does not find the promoter any more.
    Discovery(Option<DiscoveredPromoter>),
}

impl RegistryContent {
    /// What it says of whom to poll; nothing of a rewind.
    pub fn update(self) -> Option<SourceUpdate> {
        match self {
            RegistryContent::Record(record) => Some(SourceUpdate::Registry(record)),
            RegistryContent::Discovery(found) => Some(SourceUpdate::Discovery(found)),
            RegistryContent::Rewind(..) => None,
        }
    }
}

/// What is polled for a promoter, as all sources together say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EffectivePromoter {
    /// Empty for the feeds that its app polls.
    pub feeds: FeedSet,
    /// Nothing for where the feeds of its app begin.
    pub start_from: Option<StartFrom>,
    pub is_paused: bool,
}

/// What an update has changed for whoever polls. Tags are nothing to him.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TableChange {
    Unchanged,
    Added(EffectivePromoter),
    Changed { from: EffectivePromoter, to: EffectivePromoter },
    Removed(EffectivePromoter),
}

impl TableChange {
    fn between(before: Option<EffectivePromoter>, after: Option<EffectivePromoter>) -> TableChange {
        match (before, after) {
            (None, Some(added)) => TableChange::Added(added),
            (Some(removed), None) => TableChange::Removed(removed),
            (Some(from), Some(to)) if from != to => TableChange::Changed { from, to },
            _ => TableChange::Unchanged,
        }
    }
}

/// A value, and the source that gave it; without one nobody has said anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sourced<T> {
    pub value: T,
    pub source: Option<PromoterSource>,
}

/// One promoter as all sources together describe it, field by field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MergedPromoter<'a> {
    pub feeds: Sourced<FeedSet>,
    pub start_from: Sourced<Option<StartFrom>>,
    pub is_paused: Sourced<bool>,
    pub tags: Sourced<&'a Tags>,
    pub is_configured: bool,
    pub is_discovered: bool,
    /// When the registry's records were written, where there is one.
    pub registered: Option<RegisteredSince>,
}

impl MergedPromoter<'_> {
    /// What is polled, whoever said so.
    pub(crate) fn effective(&self) -> EffectivePromoter {
        let MergedPromoter { feeds, start_from, is_paused, .. } = self;
        EffectivePromoter { feeds: feeds.value, start_from: start_from.value, is_paused: is_paused.value }
    }

    /// Those that know the promoter.
    pub fn sources(&self) -> impl Iterator<Item = PromoterSource> {
        let known = [
            (self.is_configured, PromoterSource::Configuration),
            (self.registered.is_some(), PromoterSource::Registry),
            (self.is_discovered, PromoterSource::Discovery),
        ];
        known.into_iter().filter(|(is_known, _)| *is_known).map(|(_, source)| source)
    }
}

/// What is known of every promoter. A promoter takes its key and [`Entry`], which has no memory of its own unless there are
/// tags.
#[derive(Clone, Default)]
pub struct PromoterTable {
    entries: PackedMap<Entry>,
}

impl PromoterTable {
    /// Takes what a source says of a promoter.
    pub fn apply(&mut self, promoter: &Promoter, update: SourceUpdate) -> TableChange {
        let entry = self.entries.entry(promoter);
        let before = entry.effective();
        entry.take(update);
        let after = entry.effective();
        if entry.is_blank() {
            self.entries.remove(promoter);
        }
        TableChange::between(before, after)
    }

    /// The promoter, unless no source knows it or it was deregistered.
    pub fn get(&self, promoter: &Promoter) -> Option<MergedPromoter<'_>> {
        self.entries.get(promoter)?.merged()
    }

    /// The registry's own record of the promoter.
    pub fn registered(&self, promoter: &Promoter) -> Option<PromoterRecord> {
        self.entries.get(promoter)?.record()
    }

    /// Whether the registry has a record of the promoter's own.
    pub fn is_registered(&self, promoter: &Promoter) -> bool {
        self.entries.get(promoter).is_some_and(Entry::is_registered)
    }

    /// Whether discovery has found the promoter, and that the app is not authorised by it: by others it may be polled all the same.
    pub fn is_unauthorised(&self, promoter: &Promoter) -> bool {
        self.entries.get(promoter).is_some_and(|entry| entry.discovery == Some(DiscoveryStatus::Unauthorized))
    }

    /// Whether the topic or the configuration says anything of the promoter, if only that it was deregistered.
    pub(crate) fn holds(&self, promoter: &Promoter) -> bool {
        self.entries.get(promoter).is_some()
    }

    /// What discovery has last found of the promoter, whatever the other sources say.
    pub fn discovered(&self, promoter: &Promoter) -> Option<DiscoveredPromoter> {
        self.entries.get(promoter)?.discovered()
    }

    /// Whether the last that stands under the promoter's own key is a tombstone.
    pub(crate) fn is_deregistered(&self, promoter: &Promoter) -> bool {
        self.entries.get(promoter).is_some_and(|entry| entry.registration == Registration::Tombstone)
    }

    /// All of whom discovery has found something, in no order.
    pub(crate) fn all_discovered(&self) -> impl Iterator<Item = (&Promoter, DiscoveredPromoter)> {
        self.entries.iter().filter_map(|(promoter, entry)| Some((promoter, entry.discovered()?)))
    }

    /// All promoters that are there, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (&Promoter, MergedPromoter<'_>)> {
        self.entries.iter().filter_map(|(promoter, entry)| Some((promoter, entry.merged()?)))
    }
}

/// What each source says of one promoter, packed: there may be a million of them.
#[derive(Clone, Default)]
struct Entry {
    configured_start: PackedStart,
    registered_start: PackedStart,
    tags: SourceTags,
    registered_since: RegisteredSince,
    configured_feeds: FeedSet,
    registered_feeds: FeedSet,
    registration: Registration,
    discovery: Option<DiscoveryStatus>,
    is_configured: bool,
    is_paused: bool,
}

/// What the registry's last record of a promoter is.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Registration {
    #[default]
    Nothing,
    Record,
    Tombstone,
}

impl Entry {
    fn take(&mut self, update: SourceUpdate) {
        match update {
            SourceUpdate::Configuration(configured) => {
                let ConfiguredPromoter { feeds, start_from } = configured.unwrap_or_default();
                self.is_configured = configured.is_some();
                self.configured_feeds = feeds;
                self.configured_start = start_from;
            }
            SourceUpdate::Registry(record) => {
                let since = self.is_registered().then_some(self.registered_since);
                self.registration = if record.is_some() { Registration::Record } else { Registration::Tombstone };
                let PromoterRecord { feeds, start_from, paused, tags, updated_at } = record.unwrap_or_default();
                self.registered_since = RegisteredSince::by(since, updated_at, feeds);
                self.registered_feeds = feeds;
                self.registered_start = start_from.into();
                self.is_paused = paused;
                self.tags.set_registered(tags);
            }
            SourceUpdate::Discovery(found) => {
                self.discovery = found.as_ref().map(|found| found.status);
                self.tags.set_discovered(found.unwrap_or_default().tags);
            }
        }
    }

    /// Whether no source has anything to say, not even that the promoter was deregistered.
    fn is_blank(&self) -> bool {
        !self.is_configured && self.discovery.is_none() && self.registration == Registration::Nothing
    }

    fn is_registered(&self) -> bool {
        self.registration == Registration::Record
    }

    /// Whether discovery has found the promoter, and nobody has deregistered it.
    fn is_found(&self) -> bool {
        let is_listed = matches!(self.discovery, Some(DiscoveryStatus::Authorized | DiscoveryStatus::Unauthorized));
        is_listed && self.registration != Registration::Tombstone
    }

    fn discovered(&self) -> Option<DiscoveredPromoter> {
        Some(DiscoveredPromoter { status: self.discovery?, tags: self.tags.get().discovered.clone() })
    }

    /// Paused by its record, or by its lost authorisation where discovery alone names it.
    fn is_paused(&self) -> Sourced<bool> {
        let is_named = self.is_configured || self.is_registered();
        let source = match self.discovery {
            _ if self.is_paused => Some(PromoterSource::Registry),
            Some(DiscoveryStatus::Unauthorized) if !is_named => Some(PromoterSource::Discovery),
            _ => None,
        };
        Sourced { value: source.is_some(), source }
    }

    fn effective(&self) -> Option<EffectivePromoter> {
        Some(self.merged()?.effective())
    }

    fn merged(&self) -> Option<MergedPromoter<'_>> {
        if !self.is_configured && !self.is_registered() && !self.is_found() {
            return None;
        }
        Some(MergedPromoter {
            feeds: self.feeds(),
            start_from: self.start_from(),
            is_paused: self.is_paused(),
            tags: self.tags(),
            is_configured: self.is_configured,
            is_discovered: self.is_found(),
            registered: self.is_registered().then_some(self.registered_since),
        })
    }

    fn feeds(&self) -> Sourced<FeedSet> {
        let (registered, configured) = (self.registered_feeds, self.configured_feeds);
        match (registered.is_empty(), configured.is_empty()) {
            (false, _) => Sourced { value: registered, source: Some(PromoterSource::Registry) },
            (true, false) => Sourced { value: configured, source: Some(PromoterSource::Configuration) },
            (true, true) => Sourced { value: FeedSet::default(), source: None },
        }
    }

    fn start_from(&self) -> Sourced<Option<StartFrom>> {
        let (registered, configured): (Option<StartFrom>, Option<StartFrom>) =
            (self.registered_start.into(), self.configured_start.into());
        let by_registry = registered.map(|_| PromoterSource::Registry);
        let by_configuration = configured.map(|_| PromoterSource::Configuration);
        Sourced { value: registered.or(configured), source: by_registry.or(by_configuration) }
    }

    fn tags(&self) -> Sourced<&Tags> {
        let BothTags { registered, discovered } = self.tags.get();
        if !registered.is_empty() {
            return Sourced { value: registered, source: Some(PromoterSource::Registry) };
        }
        if self.is_found() && !discovered.is_empty() {
            return Sourced { value: discovered, source: Some(PromoterSource::Discovery) };
        }
        // The registry's, which are none.
        Sourced { value: registered, source: None }
    }

    fn record(&self) -> Option<PromoterRecord> {
        self.is_registered().then(|| PromoterRecord {
            feeds: self.registered_feeds,
            start_from: self.registered_start.into(),
            paused: self.is_paused,
            tags: self.tags.get().registered.clone(),
            updated_at: self.registered_since.updated_at(),
        })
    }
}

#[cfg(test)]
mod tests;
