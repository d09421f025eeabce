use proptest::prelude::*;

use super::*;
use crate::model::feed::Feed;
use crate::model::time::{UnixMillis, UnixTime};

fn promoter() -> Promoter {
    Promoter::from_key("wx1/o1").unwrap()
}

fn feed_set() -> impl Strategy<Value = FeedSet> {
    prop::sample::subsequence(Feed::ALL.to_vec(), 0..=3).prop_map(FeedSet::from_iter)
}

fn start() -> impl Strategy<Value = Option<StartFrom>> {
    let time = StartFrom::At(UnixTime(1_700_000_000));
    prop::sample::select(vec![None, Some(StartFrom::Now), Some(StartFrom::Earliest), Some(time)])
}

fn tags() -> impl Strategy<Value = Tags> {
    prop::collection::vec(("[ab]", "[xy]"), 0..3).prop_map(|tags| Tags::new(tags).unwrap())
}

fn configured() -> impl Strategy<Value = SourceUpdate> {
    let promoter = (feed_set(), start())
        .prop_map(|(feeds, start_from)| ConfiguredPromoter { feeds, start_from: start_from.into() });
    prop::option::of(promoter).prop_map(SourceUpdate::Configuration)
}

fn registered() -> impl Strategy<Value = SourceUpdate> {
    let fields = (feed_set(), start(), any::<bool>(), tags(), 1..9i64);
    let record = fields.prop_map(|(feeds, start_from, paused, tags, time)| {
        let updated_at = UnixMillis(time);
        PromoterRecord { feeds, start_from, paused, tags, updated_at }
    });
    prop::option::of(record).prop_map(SourceUpdate::Registry)
}

fn discovered() -> impl Strategy<Value = SourceUpdate> {
    let found = (prop::sample::select(DiscoveryStatus::ALL.to_vec()), tags());
    let found = found.prop_map(|(status, tags)| DiscoveredPromoter { status, tags });
    prop::option::of(found).prop_map(SourceUpdate::Discovery)
}

fn any_update() -> impl Strategy<Value = SourceUpdate> {
    prop_oneof![configured(), registered(), discovered()]
}

fn table(updates: impl IntoIterator<Item = SourceUpdate>) -> PromoterTable {
    let mut table = PromoterTable::default();
    for update in updates {
        table.apply(&promoter(), update);
    }
    table
}

/// What is said of the promoter, and by his record, but for the times of its records.
fn without_times(table: &PromoterTable) -> (Option<MergedPromoter<'_>>, Option<PromoterRecord>) {
    let merged = table.get(&promoter()).map(|merged| MergedPromoter { registered: None, ..merged });
    let record = table.registered(&promoter());
    (merged, record.map(|record| PromoterRecord { updated_at: UnixMillis(0), ..record }))
}

proptest! {
    #[test]
    fn the_order_in_which_sources_speak_does_not_matter(
        updates in (configured(), registered(), discovered()),
        history in prop::collection::vec(any_update(), 0..6),
        order in Just([0, 1, 2]).prop_shuffle(),
    ) {
        let updates = [updates.0, updates.1, updates.2];
        let as_given = table(updates.clone());
        // What each has said before does not matter either.
        let shuffled = table(history.into_iter().chain(order.map(|index| updates[index].clone())));
        prop_assert_eq!(without_times(&as_given), without_times(&shuffled));
    }

    #[test]
    fn a_tombstone_never_removes_whom_the_configuration_names(updates in prop::collection::vec(any_update(), 0..6)) {
        let named = SourceUpdate::Configuration(Some(ConfiguredPromoter::default()));
        let mut table = table(updates.into_iter().chain([named]));
        let change = table.apply(&promoter(), SourceUpdate::Registry(None));
        prop_assert!(!matches!(change, TableChange::Removed(_) | TableChange::Added(_)), "{:?}", change);
        prop_assert!(table.get(&promoter()).is_some_and(|merged| merged.registered.is_none()));
    }

    #[test]
    fn what_is_said_twice_changes_nothing(updates in prop::collection::vec(any_update(), 1..6)) {
        let mut table = table(updates.clone());
        let last = updates.last().unwrap().clone();
        prop_assert_eq!(table.apply(&promoter(), last), TableChange::Unchanged);
    }

    #[test]
    fn changes_add_up_to_what_the_table_holds(updates in prop::collection::vec(any_update(), 0..12)) {
        let (mut table, mut followed) = (PromoterTable::default(), None);
        for update in updates {
            match table.apply(&promoter(), update) {
                TableChange::Unchanged => {}
                TableChange::Added(to) => prop_assert_eq!(followed.replace(to), None),
                TableChange::Changed { from, to } => prop_assert_eq!(followed.replace(to), Some(from)),
                TableChange::Removed(from) => prop_assert_eq!(followed.take(), Some(from)),
            }
            prop_assert_eq!(followed, table.entries.get(&promoter()).and_then(Entry::effective));
        }
    }

    #[test]
    fn a_record_is_kept_as_it_was_registered(update in registered()) {
        let SourceUpdate::Registry(record) = update.clone() else { panic!() };
        prop_assert_eq!(table([update]).registered(&promoter()), record);
    }
}

#[test]
fn each_field_is_the_registrys_then_the_configurations_then_discoverys() {
    let feeds = FeedSet::from_iter([Feed::Orders]);
    let configured = ConfiguredPromoter { feeds, start_from: Some(StartFrom::Earliest).into() };
    let record = PromoterRecord { start_from: Some(StartFrom::Now), paused: true, ..PromoterRecord::default() };
    let found = Tags::new([("retail", "7")]).unwrap();
    let table = table([
        SourceUpdate::Discovery(Some(DiscoveredPromoter { tags: found.clone(), ..DiscoveredPromoter::default() })),
        SourceUpdate::Registry(Some(record)),
        SourceUpdate::Configuration(Some(configured)),
    ]);
    let merged = table.get(&promoter()).unwrap();
    assert_eq!(merged.feeds, Sourced { value: feeds, source: Some(PromoterSource::Configuration) });
    let start_from = Sourced { value: Some(StartFrom::Now), source: Some(PromoterSource::Registry) };
    assert_eq!(merged.start_from, start_from);
    assert_eq!(merged.tags, Sourced { value: &found, source: Some(PromoterSource::Discovery) });
    assert!(merged.is_paused.value);
    let all = [PromoterSource::Configuration, PromoterSource::Registry, PromoterSource::Discovery];
    assert!(merged.sources().eq(all));
}

#[test]
fn a_tombstone_takes_away_what_discovery_finds_until_it_is_registered_again() {
    let mut table = table([SourceUpdate::Discovery(Some(DiscoveredPromoter::default()))]);
    assert!(matches!(table.apply(&promoter(), SourceUpdate::Registry(None)), TableChange::Removed(_)));
    let found_again = SourceUpdate::Discovery(Some(DiscoveredPromoter::default()));
    assert_eq!(table.apply(&promoter(), found_again), TableChange::Unchanged);
    assert_eq!(table.iter().count(), 0);
    let again = SourceUpdate::Registry(Some(PromoterRecord::default()));
    assert!(matches!(table.apply(&promoter(), again), TableChange::Added(_)));
}

#[test]
fn whoever_loses_the_authorisation_is_paused_where_discovery_alone_names_it_and_whoever_was_removed_is_not_there() {
    let found = |status| SourceUpdate::Discovery(Some(DiscoveredPromoter { status, ..DiscoveredPromoter::default() }));
    let paused = |updates: Vec<SourceUpdate>| table(updates).get(&promoter()).map(|merged| merged.is_paused.value);
    let named = || SourceUpdate::Configuration(Some(ConfiguredPromoter::default()));
    let record = || SourceUpdate::Registry(Some(PromoterRecord::default()));
    assert_eq!(paused(vec![found(DiscoveryStatus::Authorized)]), Some(false));
    assert_eq!(paused(vec![found(DiscoveryStatus::Unauthorized)]), Some(true));
    assert_eq!(paused(vec![found(DiscoveryStatus::Unauthorized), named()]), Some(false));
    assert_eq!(paused(vec![found(DiscoveryStatus::Unauthorized), record()]), Some(false));
    assert_eq!(paused(vec![found(DiscoveryStatus::Removed)]), None);
    assert_eq!(paused(vec![found(DiscoveryStatus::Removed), record()]), Some(false));
    assert_eq!(paused(vec![found(DiscoveryStatus::Unauthorized), SourceUpdate::Registry(None)]), None);
}

#[test]
fn what_no_source_knows_any_more_takes_no_memory() {
    let mut table = table([SourceUpdate::Configuration(Some(ConfiguredPromoter::default()))]);
    assert!(matches!(table.apply(&promoter(), SourceUpdate::Configuration(None)), TableChange::Removed(_)));
    assert_eq!(table.apply(&promoter(), SourceUpdate::Discovery(None)), TableChange::Unchanged);
    assert_eq!(table.entries.iter().count(), 0);
}

/// A million promoters take some 75 MB, and their keys.
#[test]
fn an_entry_is_small() {
    assert!(size_of::<(Promoter, Entry)>() <= 64, "{}", size_of::<(Promoter, Entry)>());
}
