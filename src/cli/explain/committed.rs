//! What stands in Kafka of one promoter.

use crate::admin::explanation::{FeedFinding, FoundRegistration, PromoterFindings, PromoterPlace};
use crate::cli::promoters::registry_view::RegistryView;
use crate::clock;
use crate::kafka::client::topic_reader::ReadFrom;
use crate::kafka::client::whole_topic::WholeTopic;
use crate::kafka::group::partition_owners;
use crate::model::feed::{Feed, PerFeed};
use crate::model::promoter::Promoter;
use crate::model::shard::Shard;
use crate::model::state_record::{StateKey, StateValue};
use crate::model::time::UnixTime;
use crate::registry::known::KnownPromoter;
use crate::telemetry::last_words;

/// `polled_by` is the instance that has said that the promoter's partition is its own. Blocks until the promoter's partition of the
/// state is read to where it ends now.
///
/// # Errors
/// Where that does not come about in the view's time. A group that can't be looked at is said on stderr.
pub fn findings(
    view: &RegistryView,
    promoter: Promoter,
    polled_by: Option<String>,
) -> anyhow::Result<PromoterFindings> {
    let partition = Shard::of(&promoter, view.partitions).0;
    let merged = view.table.get(&promoter);
    let complete_before = complete_before(view, &promoter)?;
    let is_wanted = |feed: &Feed| {
        let is_polled = merged.as_ref().is_some_and(|merged| view.feeds(&promoter, merged).value.contains(*feed));
        is_polled || complete_before[*feed].is_some()
    };
    let finding = |feed| FeedFinding { complete_before: complete_before[feed], ..FeedFinding::not_begun(feed) };
    let registration = |merged| FoundRegistration::Known(KnownPromoter::from(merged));
    Ok(PromoterFindings {
        as_of: clock::now().as_seconds(),
        partition: Some(partition),
        place: place(view, partition, polled_by),
        registration: merged.map_or(FoundRegistration::Nobody, registration),
        feeds: Feed::ALL.into_iter().filter(is_wanted).map(finding).collect(),
        causes: Vec::new(),
        calls: Vec::new(),
        promoter,
    })
}

fn place(view: &RegistryView, partition: i32, polled_by: Option<String>) -> PromoterPlace {
    if let Some(instance) = polled_by {
        return PromoterPlace::Here(instance);
    }
    match partition_owners::owner(&view.config.kafka, partition) {
        Ok(Some(instance)) => PromoterPlace::Untold(instance),
        Ok(None) => PromoterPlace::Nobody,
        Err(error) => {
            last_words::say(&format_args!("{error:#}"));
            PromoterPlace::Unknown
        }
    }
}

/// The cursors of feeds that have begun, as they are committed.
///
/// # Errors
/// Where the promoter's partition of the state is not read to its end in time, or a cursor in it can't be understood.
fn complete_before(view: &RegistryView, promoter: &Promoter) -> anyhow::Result<PerFeed<Option<UnixTime>>> {
    let settings = &view.config.kafka;
    let state = WholeTopic::of_promoter(settings, &settings.topics.state, promoter, ReadFrom::Beginning, view.until)?;
    let keys = PerFeed::new(|feed| StateKey::Cursor(promoter.clone(), feed));
    let encoded = PerFeed::new(|feed| keys[feed].encode());
    let mut complete_before = PerFeed::default();
    while let Some(record) = state.next_record()? {
        let is_its = |feed: &Feed| record.key.as_deref() == Some(encoded[*feed].as_bytes());
        let Some(feed) = Feed::ALL.into_iter().find(is_its) else { continue };
        let value = record.value.as_deref().map(|value| StateValue::decode(&keys[feed], value)).transpose()?;
        complete_before[feed] = match value {
            Some(StateValue::Cursor(cursor)) if cursor.polled => Some(cursor.complete_before),
            _ => None,
        };
    }
    Ok(complete_before)
}
