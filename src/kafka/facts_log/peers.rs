//! Whether the other instances of the connector know the same promoters, and are configured alike where that matters.
//!
//! Each transaction carries offsets, and one of them a note of what its instance polls ([`crate::model::roster`]), and of its
//! configuration ([`crate::model::configuration_digest`]). Kafka keeps the last one of every partition for whoever asks. An
//! instance that owns nothing writes no note.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::KafkaResult;
use tokio::sync::watch::Receiver;
use tokio_util::sync::CancellationToken;

use super::state_ends::{self, WITHDRAWN};
use crate::kafka::client::CALL_TIMEOUT;
use crate::kafka::client::settings::Settings;
use crate::kafka::client::supplied::LoggedConsumer;
use crate::model::configuration_digest::ConfigurationDigest;
use crate::model::roster::{Difference, Roster};
use crate::model::shard::AssignedShard;
use crate::model::shares::note::{NotedShares, PartitionNote, ShareNote};

/// Others open their logs about when this one does: the first looks come soon.
const FIRST_LOOKS: [Duration; 4] =
    [Duration::from_secs(1), Duration::from_secs(2), Duration::from_secs(5), Duration::from_secs(15)];
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// What the instances compare with each other.
#[derive(Clone)]
pub struct InstanceProfile {
    /// The latest.
    pub roster: Receiver<Roster>,
    pub digest: ConfigurationDigest,
    pub shares: Arc<dyn NotedShares>,
}

impl InstanceProfile {
    /// A text of less than 600 bytes, and behind it what is said of shares. The name holds no white space. It tells the generation
    /// under which it goes: by that whoever reads it knows that the shard was the instance's then.
    ///
    /// # Errors
    /// None that can be met: what is said of shares are numbers and texts.
    pub(super) fn note(&self, instance: &str, assigned: AssignedShard, generation: i32) -> serde_json::Result<String> {
        let shares = ShareNote { generation, ..self.shares.note(assigned) }.encode()?;
        Ok(format!("{} {} {shares}", self.roster.borrow().note(instance), self.digest))
    }

    /// The sections in which the configuration of the instance that has written `note` is another; none where it tells of none.
    fn differing(&self, note: &str) -> Vec<&str> {
        let theirs = note.split(' ').nth(DIGEST_AT).map(ConfigurationDigest::read).unwrap_or_default();
        self.digest.differing(&theirs)
    }
}

/// The place of the digest in a note: behind what the roster says.
const DIGEST_AT: usize = 4;
/// Behind that, to the end.
const SHARES_AT: usize = 5;

/// What a note says of shares.
pub(super) fn shares_of(note: &str) -> PartitionNote {
    if note.is_empty() || note == WITHDRAWN {
        return PartitionNote::Absent;
    }
    let shares = note.splitn(SHARES_AT + 1, ' ').nth(SHARES_AT).and_then(ShareNote::decode);
    shares.map_or(PartitionNote::Unfollowed, PartitionNote::Shares)
}

/// A note without that, which changes as it likes.
fn compared(note: &str) -> String {
    note.splitn(SHARES_AT + 1, ' ').take(SHARES_AT).collect::<Vec<_>>().join(" ")
}

/// Says of every other instance that polls something else, or is configured otherwise, what the difference is, once, until `end`.
/// `partitions` are all of the registry's; own notes are known by the name in them.
///
/// A note counts when it is found a second time: the first look may come before the new owner of a partition has replaced
/// what the last one had noted.
pub async fn watch(settings: Settings, profile: InstanceProfile, partitions: Vec<i32>, end: CancellationToken) {
    let own = settings.instance_id.clone();
    let requested = Arc::new((settings, partitions));
    let (mut reported, mut reported_sections, mut last) = (HashSet::new(), HashSet::new(), HashSet::new());
    let mut compared_with = String::new();
    for pause in FIRST_LOOKS.into_iter().chain(std::iter::repeat(LOOK_EVERY)) {
        // The pause first: what is found at once is mostly what an earlier owner has left.
        if end.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
            return;
        }
        let requested = requested.clone();
        let notes = tokio::task::spawn_blocking(move || notes(&requested.0, &requested.1)).await;
        // Whoever can't be asked now is asked again.
        let notes: HashSet<String> = notes.into_iter().flatten().flatten().map(|note| compared(&note)).collect();
        let roster = profile.roster.borrow().clone();
        // What was no difference may be one now.
        let own_note = roster.note(&own);
        if own_note != compared_with {
            reported.clear();
            compared_with = own_note;
        }
        // What two looks have found is no leftover. It is told once, for it stays until somebody changes a configuration.
        for note in notes.intersection(&last) {
            let Some(instance) = Roster::instance_of(note).filter(|instance| *instance != own) else { continue };
            if !reported.insert(note.clone()) {
                continue;
            }
            roster.difference(note).iter().for_each(report);
            report_sections(instance, &profile.differing(note), &mut reported_sections);
        }
        last = notes;
    }
}

/// The notes of the owners of `partitions`. The client lives only for the request.
///
/// # Errors
/// That of the request; the next look asks again.
fn notes(settings: &Settings, partitions: &[i32]) -> KafkaResult<Vec<String>> {
    let consumer: LoggedConsumer = state_ends::uncommitted(settings)?;
    notes_by(&*consumer, &settings.topics.registry, partitions)
}

/// The same by a client that is told of things as they are, whatever transactions are open.
///
/// # Errors
/// That of the request, or of one of the partitions.
pub(super) fn notes_by<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    registry: &str,
    partitions: &[i32],
) -> KafkaResult<Vec<String>> {
    let mut requested = TopicPartitionList::new();
    for partition in partitions {
        requested.add_partition(registry, *partition);
    }
    let committed = consumer.committed_offsets(requested, CALL_TIMEOUT)?;
    let note = |partition: &i32| {
        let Some(element) = committed.find_partition(registry, *partition) else { return Ok(String::new()) };
        element.error().map(|()| element.metadata().to_owned())
    };
    partitions.iter().map(note).collect()
}

fn report(Difference { instance, unknown_there, feeds_here, feeds_there }: &Difference) {
    let promoters: Vec<&str> = unknown_there.iter().map(|promoter| promoter.key()).collect();
    let unknown_there = (!promoters.is_empty()).then(|| promoters.join(", "));
    tracing::error!(
        other_instance = instance,
        unknown_there,
        feeds_here,
        feeds_there,
        "another instance is configured with other promoters; one whose partition's owner does not know it is not polled"
    );
}

/// Once for each instance and its sections, whomever it polls meanwhile.
fn report_sections(instance: &str, sections: &[&str], reported: &mut HashSet<(String, String)>) {
    let sections = sections.join(", ");
    if !sections.is_empty() && reported.insert((instance.to_owned(), sections.clone())) {
        tracing::warn!(
            other_instance = instance,
            sections,
            "another instance is configured otherwise: how a promoter is polled and published depends on which of them has it"
        );
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use tokio::sync::watch;

    use super::*;
    use crate::model::feed::Feed;
    use crate::model::shard::Shard;
    use crate::model::shares::WHOLE;
    use crate::model::shares::note::{Division, DivisionNumber, divided};
    use crate::model::shares::wanted::ShareNeed;

    /// What Kafka keeps beside an offset, unless `offset.metadata.max.bytes` says otherwise.
    const KEPT_BYTES: usize = 4096;
    const APPS: usize = 40;
    const DIVIDER: AssignedShard = AssignedShard { shard: Shard(0), number: 1 };

    struct Long(ShareNote);

    impl NotedShares for Long {
        fn note(&self, _: AssignedShard) -> ShareNote {
            self.0.clone()
        }

        fn shorten(&self) -> bool {
            false
        }
    }

    /// The longest that the divider may have to tell, for as many budgets as there is room for.
    fn longest(partitions: usize) -> (usize, String) {
        let name = |app| ["getorder", "getrelation"].map(|interface| format!("wx{app:016}/{interface}"));
        let names: Vec<String> = (0..APPS).flat_map(name).collect();
        let told = divided(names.iter().map(String::as_str), partitions);
        let number = DivisionNumber { ledger: u64::MAX, division: u64::MAX };
        let need = ShareNeed { usual: u64::MAX, pasts: u64::MAX };
        let granted: BTreeMap<_, _> = told.iter().map(|name| ((*name).to_owned(), vec![WHOLE; partitions])).collect();
        let note = ShareNote {
            generation: i32::MAX,
            goes_by: Some(number),
            is_lifted: true,
            needs: Some(told.iter().map(|name| ((*name).to_owned(), need)).collect()),
            division: Some(Division::new(number, partitions, &granted)),
        };
        let (_tell, roster) = watch::channel(Roster::new(|_| {}));
        let sections = ["apps", "records", "topics", "schema_registry", "commands"].map(str::to_owned);
        let sections = sections.into_iter().chain(Feed::ALL.map(|feed| format!("feeds.{feed}")));
        let digest = ConfigurationDigest::new(sections.map(|section| (section, String::new())));
        let profile = InstanceProfile { roster, digest, shares: Arc::new(Long(note)) };
        (told.len(), profile.note(&"i".repeat(100), DIVIDER, i32::MAX).unwrap())
    }

    #[test]
    fn the_longest_note_has_room_beside_an_offset_and_is_read_as_it_was_written() {
        for (partitions, budgets) in [(3, 22), (12, 17), (100, 5), (300, 2), (1000, 0)] {
            let (told, note) = longest(partitions);
            assert_eq!(told, budgets, "of {partitions} partitions");
            assert!(note.len() <= KEPT_BYTES, "{} bytes of {partitions} partitions", note.len());
            let PartitionNote::Shares(read) = shares_of(&note) else { panic!("{note} can't be read") };
            assert_eq!(read.needs.map_or(0, |needs| needs.len()), budgets);
            assert!(Roster::instance_of(&note).is_some());
        }
    }

    #[test]
    fn what_another_version_notes_tells_that_it_knows_of_no_shares() {
        let (_, note) = longest(12);
        for other in [compared(&note), format!("{} more", compared(&note)), "1".to_owned()] {
            assert_eq!(shares_of(&other), PartitionNote::Unfollowed, "{other}");
        }
        assert_eq!([shares_of(""), shares_of(WITHDRAWN)], [PartitionNote::Absent, PartitionNote::Absent]);
    }
}
