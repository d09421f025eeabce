use proptest::prelude::*;

use super::*;
use crate::registry::record::PromoterRecord;
use crate::registry::table::SourceUpdate;

const TEN: RemovalLimit = RemovalLimit::Percent(10);

fn promoter(number: usize) -> Promoter {
    Promoter::from_key(&format!("wx1/o{number}")).unwrap()
}

fn authorised() -> Listed {
    Listed { is_authorised: Some(true), tags: Tags::default() }
}

fn list(numbers: impl IntoIterator<Item = usize>) -> DiscoveryList {
    let listed = numbers.into_iter().map(|number| (promoter(number), authorised())).collect();
    DiscoveryList { listed, ..DiscoveryList::default() }
}

fn known(promoters: impl IntoIterator<Item = (usize, DiscoveryStatus)>) -> PromoterTable {
    let mut table = PromoterTable::default();
    for (number, status) in promoters {
        let found = DiscoveredPromoter { status, tags: Tags::default() };
        table.apply(&promoter(number), SourceUpdate::Discovery(Some(found)));
    }
    table
}

fn found(count: usize) -> PromoterTable {
    known((0..count).map(|number| (number, DiscoveryStatus::Authorized)))
}

fn carry_out(table: &mut PromoterTable, plan: &DiscoveryPlan) {
    for (promoter, written) in &plan.writes {
        table.apply(promoter, SourceUpdate::Discovery(written.clone()));
    }
}

#[test]
fn no_more_than_the_limit_vanish_at_once_and_at_least_one_may() {
    for (count, listed, removed, held_back) in
        [(100, 90, 10, 0), (100, 89, 0, 11), (5, 4, 1, 0), (5, 3, 0, 2), (1, 0, 0, 1), (19, 18, 1, 0)]
    {
        let plan = DiscoveryPlan::new(&list(0..listed), &found(count), TEN);
        assert_eq!((plan.counts.removed, plan.counts.held_back), (removed, held_back), "{listed} of {count}");
        assert_eq!(plan.writes.len(), removed);
    }
    let unlimited = DiscoveryPlan::new(&list([0]), &found(100), RemovalLimit::Unlimited);
    assert_eq!((unlimited.counts.removed, unlimited.held_back_by), (99, None));
    let never = DiscoveryPlan::new(&list(0..99), &found(100), RemovalLimit::Percent(0));
    assert_eq!((never.counts.held_back, never.held_back_by), (1, Some(HeldBack::Limit)));
}

#[test]
fn a_list_that_is_empty_or_cut_or_has_a_row_that_names_nobody_removes_nobody_whoever_says_so() {
    let empty = DiscoveryPlan::new(&list([]), &found(3), RemovalLimit::Unlimited);
    assert_eq!((empty.writes.len(), empty.held_back_by), (0, Some(HeldBack::Empty)));
    let odd = DiscoveryList { unreadable: 1, ..list([0, 1, 7]) };
    let odd = DiscoveryPlan::new(&odd, &found(3), RemovalLimit::Unlimited);
    assert_eq!((odd.counts.held_back, odd.held_back_by), (1, Some(HeldBack::Unreadable)));
    assert_eq!(odd.counts.found, 1, "who is named is found all the same");
    let cut = DiscoveryPlan::new(&DiscoveryList { is_cut: true, ..list([0]) }, &found(3), RemovalLimit::Unlimited);
    assert_eq!((cut.writes.len(), cut.held_back_by), (0, Some(HeldBack::Cut)));
}

#[test]
fn who_loses_the_authorisation_is_parked_and_who_never_had_one_is_nobody() {
    let mut table = found(1);
    let lost = Listed { is_authorised: Some(false), tags: Tags::default() };
    let listed = [(promoter(0), lost.clone()), (promoter(1), lost)].into();
    let plan = DiscoveryPlan::new(&DiscoveryList { listed, ..DiscoveryList::default() }, &table, TEN);
    assert_eq!((plan.counts.parked, plan.counts.not_authorised, plan.writes.len()), (1, 1, 1));
    carry_out(&mut table, &plan);
    assert!(table.get(&promoter(0)).is_some_and(|merged| merged.is_paused.value));
    let untold = [(promoter(0), Listed::default())].into();
    let plan = DiscoveryPlan::new(&DiscoveryList { listed: untold, ..DiscoveryList::default() }, &table, TEN);
    assert_eq!((plan.counts.unchanged, plan.writes.len()), (1, 0), "what is not told changes nothing");
    let plan = DiscoveryPlan::new(&list([0]), &table, TEN);
    assert_eq!(plan.counts.resumed, 1);
}

#[test]
fn who_was_removed_by_an_operator_stays_so_without_the_tombstone_until_he_is_listed_no_longer() {
    let mut table = found(2);
    table.apply(&promoter(0), SourceUpdate::Registry(None));
    let plan = DiscoveryPlan::new(&list(0..2), &table, TEN);
    assert_eq!((plan.counts.kept_removed, plan.counts.unchanged, plan.writes.len()), (1, 1, 1));
    // Kafka has compacted the tombstone away.
    let mut table = known([(0, DiscoveryStatus::Removed), (1, DiscoveryStatus::Authorized)]);
    let plan = DiscoveryPlan::new(&list(0..2), &table, TEN);
    assert_eq!((plan.counts.kept_removed, plan.writes.len()), (1, 0));
    assert!(table.get(&promoter(0)).is_none());
    // An operator's record counts.
    table.apply(&promoter(0), SourceUpdate::Registry(Some(PromoterRecord::default())));
    assert!(table.get(&promoter(0)).is_some());
    let plan = DiscoveryPlan::new(&list([1]), &table, RemovalLimit::Percent(0));
    assert_eq!((plan.writes, plan.counts.removed), (vec![(promoter(0), None)], 0));
}

#[test]
fn who_was_removed_and_is_registered_again_is_found_with_his_tags_by_the_next_list_that_tells_of_him() {
    let mut table =
        known([(0, DiscoveryStatus::Removed), (1, DiscoveryStatus::Removed), (2, DiscoveryStatus::Removed)]);
    for number in 0..3 {
        table.apply(&promoter(number), SourceUpdate::Registry(Some(PromoterRecord::default())));
    }
    let tags = Tags::new([("role_id", "7")]).unwrap();
    let listed = |is_authorised| Listed { is_authorised, tags: tags.clone() };
    let listed =
        [(promoter(0), listed(Some(true))), (promoter(1), listed(Some(false))), (promoter(2), listed(None))].into();
    let plan = DiscoveryPlan::new(&DiscoveryList { listed, ..DiscoveryList::default() }, &table, TEN);
    assert_eq!((plan.counts.found, plan.counts.changed, plan.counts.unchanged), (1, 1, 1));
    carry_out(&mut table, &plan);
    for (number, status) in [(0, DiscoveryStatus::Authorized), (1, DiscoveryStatus::Unauthorized)] {
        let found = table.discovered(&promoter(number)).unwrap();
        assert_eq!((found.status, &found.tags), (status, &tags));
        let merged = table.get(&promoter(number)).unwrap();
        assert_eq!((merged.tags.value, merged.is_paused.value), (&tags, false));
    }
    assert_eq!(table.discovered(&promoter(2)).unwrap().status, DiscoveryStatus::Removed, "nothing is told of him");
    // The tombstone of another writer acts as ever.
    table.apply(&promoter(0), SourceUpdate::Registry(None));
    assert!(table.get(&promoter(0)).is_none());
}

#[test]
fn a_list_by_which_nobody_goes_makes_nobody_forget_that_somebody_was_removed() {
    let polled = (1..20).map(|number| (number, DiscoveryStatus::Authorized));
    let mut table = known(polled.chain([(0, DiscoveryStatus::Removed)]));
    let plan = DiscoveryPlan::new(&list(6..20), &table, TEN);
    assert_eq!((plan.writes.len(), plan.held_back_by), (0, Some(HeldBack::Limit)));
    carry_out(&mut table, &plan);
    let plan = DiscoveryPlan::new(&list(0..20), &table, TEN);
    assert_eq!((plan.counts.found, plan.counts.kept_removed), (0, 1));
}

#[test]
fn who_was_removed_before_he_was_ever_found_is_not_polled() {
    let mut table = PromoterTable::default();
    table.apply(&promoter(0), SourceUpdate::Registry(None));
    let plan = DiscoveryPlan::new(&list([0]), &table, TEN);
    carry_out(&mut table, &plan);
    assert_eq!(table.discovered(&promoter(0)).map(|found| found.status), Some(DiscoveryStatus::Removed));
}

fn status() -> impl Strategy<Value = DiscoveryStatus> {
    prop::sample::select(DiscoveryStatus::ALL.to_vec())
}

fn any_list() -> impl Strategy<Value = DiscoveryList> {
    let tags = prop::sample::select(vec!["1", "2"]).prop_map(|text| Tags::new([("role_id", text)]).unwrap());
    let listed = (any::<Option<bool>>(), tags).prop_map(|(is_authorised, tags)| Listed { is_authorised, tags });
    let listed = prop::collection::hash_map((0..12usize).prop_map(promoter), listed, 0..12);
    let odd = (0..3usize, prop::bool::weighted(0.2));
    (listed, odd).prop_map(|(listed, (unreadable, is_cut))| DiscoveryList {
        listed,
        unreadable: unreadable / 2,
        is_cut,
    })
}

/// What an operator has said: nothing, a record, or a tombstone.
fn operators() -> impl Strategy<Value = HashMap<usize, Option<PromoterRecord>>> {
    let said = prop::sample::select(vec![Some(PromoterRecord::default()), None]);
    prop::collection::hash_map(0..12usize, said, 0..6)
}

proptest! {
    #[test]
    fn discovery_says_the_same_twice_and_never_brings_back_or_takes_away_what_an_operator_has_said(
        list in any_list(),
        before in prop::collection::hash_map(0..12usize, status(), 0..12),
        said in operators(),
        percent in 0..=100u8,
    ) {
        let mut table = known(before.clone());
        for (number, record) in &said {
            table.apply(&promoter(*number), SourceUpdate::Registry(record.clone()));
        }
        let plan = DiscoveryPlan::new(&list, &table, RemovalLimit::Percent(percent));
        prop_assert!(plan.counts.removed <= (before.len() * usize::from(percent) / 100).max(1));
        prop_assert!(percent > 0 || plan.counts.removed == 0);
        carry_out(&mut table, &plan);
        for (number, record) in &said {
            prop_assert_eq!(table.registered(&promoter(*number)), record.clone());
        }
        // Without the tombstones, as after a compaction, nobody is there whom an operator has removed.
        let mut compacted = PromoterTable::default();
        for (promoter, found) in table.all_discovered() {
            compacted.apply(promoter, SourceUpdate::Discovery(Some(found)));
        }
        for (number, _) in said.iter().filter(|(_, record)| record.is_none()) {
            prop_assert!(compacted.get(&promoter(*number)).is_none());
        }
        let again = DiscoveryPlan::new(&list, &table, RemovalLimit::Percent(0));
        prop_assert!(again.writes.is_empty(), "{:?}", again.writes);
    }
}
