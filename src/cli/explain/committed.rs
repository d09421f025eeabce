//! What stands in Kafka of one promoter.

use crate::admin::explanation::{FeedFinding, FoundRegistration, PromoterFindings, PromoterPlace};
use crate::changes::committed_progress;
use crate::changes::registry_view::RegistryView;
use crate::clock;
use crate::kafka::group::partition_owners::{self, PartitionOwner};
use crate::model::feed::{Feed, PerFeed};
use crate::model::promoter::Promoter;
use crate::model::shard::Shard;
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
    let progress = committed_progress::of_promoter(&view.settings.kafka, &promoter, view.until)?;
    let complete_before = PerFeed::new(|feed| Some(progress[feed].as_ref()?.cursor.complete_before));
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
    match partition_owners::owner(&view.settings.kafka, partition) {
        Ok(Some(PartitionOwner::Instance(instance))) => PromoterPlace::Untold(instance),
        Ok(Some(PartitionOwner::Foreign(member))) => PromoterPlace::Foreign(member.named()),
        Ok(None) => PromoterPlace::Nobody,
        Err(error) => {
            last_words::say(&format_args!("{error:#}"));
            PromoterPlace::Unknown
        }
    }
}
