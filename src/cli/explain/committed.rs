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

/// `answered` is what instances have said of themselves. Blocks until the promoter's partition of the state is read to where it ends
/// now.
///
/// # Errors
/// Where that does not come about in the view's time. A group that can't be looked at is said on stderr.
pub fn findings(
    view: &RegistryView,
    promoter: Promoter,
    answered: &[PromoterPlace],
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
        place: place(view, partition, answered),
        registration: merged.map_or(FoundRegistration::Nobody, registration),
        feeds: Feed::ALL.into_iter().filter(is_wanted).map(finding).collect(),
        causes: Vec::new(),
        calls: Vec::new(),
        promoter,
    })
}

fn place(view: &RegistryView, partition: i32, answered: &[PromoterPlace]) -> PromoterPlace {
    if let Some(claimed) = claimed(answered) {
        return claimed.clone();
    }
    match partition_owners::owner(&view.settings.kafka, partition) {
        Ok(Some(PartitionOwner::Instance(instance))) => owned(instance, answered),
        Ok(Some(PartitionOwner::Foreign(member))) => PromoterPlace::Foreign(member.named()),
        Ok(None) => PromoterPlace::Nobody,
        Err(error) => {
            last_words::say(&format_args!("{error:#}"));
            PromoterPlace::Unknown
        }
    }
}

/// Whoever says that the partition is its own knows that better than the group. Of two, as between two generations, the one that polls.
fn claimed(answered: &[PromoterPlace]) -> Option<&PromoterPlace> {
    let polls = answered.iter().find(|place| matches!(place, PromoterPlace::Here(_)));
    polls.or_else(|| answered.iter().find(|place| matches!(place, PromoterPlace::Restoring(_))))
}

/// By this instance, as the group says.
fn owned(instance: String, answered: &[PromoterPlace]) -> PromoterPlace {
    let idle = PromoterPlace::NoSession(instance.clone());
    if answered.contains(&idle) { idle } else { PromoterPlace::Untold(instance) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `pc-0` and the like have answered.
    fn answered(answers: &[(&str, &str)]) -> Vec<PromoterPlace> {
        answers.iter().filter_map(|(word, name)| PromoterPlace::of_answer(word, (*name).to_owned())).collect()
    }

    #[test]
    fn an_instance_that_answers_is_told_as_it_answers() {
        let restoring = answered(&[("elsewhere", "pc-0"), ("restoring", "pc-1")]);
        assert_eq!(claimed(&restoring), Some(&PromoterPlace::Restoring("pc-1".into())));
        let both = answered(&[("restoring", "pc-1"), ("here", "pc-2")]);
        assert_eq!(claimed(&both), Some(&PromoterPlace::Here("pc-2".into())));
        let idle = answered(&[("no_session", "pc-0")]);
        assert_eq!(claimed(&idle), None, "the group tells whose it is");
        assert_eq!(owned("pc-0".into(), &idle), PromoterPlace::NoSession("pc-0".into()));
        assert_eq!(owned("pc-1".into(), &idle), PromoterPlace::Untold("pc-1".into()), "it was not asked");
    }
}
