//! What each instance calls with, story by story.

use super::fleet::{Fleet, NAMES};
use super::step::Step;
use promoter_connector::model::shares::divider::Divider;
use promoter_connector::model::shares::note::{DivisionNumber, PartitionNote};
use promoter_connector::model::shares::{WHOLE, equal, least};

/// Three partitions of three instances, of which the second one needs all.
fn crowded() -> Fleet {
    let mut fleet = Fleet::new(3, false);
    fleet.act(&Step::Need(1, 0, 1_000_000, 0));
    (0..8).for_each(|_| fleet.round());
    assert!(fleet.share(1) > WHOLE / 10 * 9 && fleet.share(0) < equal(3));
    fleet
}

#[test]
fn in_a_new_generation_nobody_has_more_than_an_equal_part_until_all_are_known_to_be_in_it() {
    let mut fleet = crowded();
    let before = [0, 1, 2].map(|number| fleet.share(number));
    fleet.act(&Step::Move(2, 3));
    assert_eq!([fleet.share(0), fleet.share(1), fleet.share(3)], [before[0], equal(3), least(3)]);
    // All but the new owner have noted that they are in it.
    for _ in 0..3 {
        for number in 0..2 {
            fleet.act(&Step::BeginReading(number));
            fleet.act(&Step::EndReading(number, false));
            fleet.act(&Step::Note(number));
        }
    }
    assert_eq!(fleet.share(1), equal(3));
    (0..4).for_each(|_| fleet.round());
    assert_eq!([fleet.share(0), fleet.share(1), fleet.share(3)], before);
}

#[test]
fn beside_one_that_knows_nothing_of_shares_all_have_equal_parts() {
    let mut fleet = crowded();
    fleet.act(&Step::Change(3, 3));
    fleet.act(&Step::Move(2, 3));
    assert!(fleet.share(1) == equal(3) && fleet.share(0) < equal(3));
    (0..8).for_each(|_| fleet.round());
    assert_eq!([fleet.share(0), fleet.share(1)], [equal(3); 2], "what was moved goes back");
    // One that is new beside it has an equal part as well, though nobody tells it any division.
    fleet.act(&Step::Kill(0, 3));
    fleet.act(&Step::Move(1, 2));
    (0..3).for_each(|_| fleet.round());
    assert_eq!(fleet.share(2), equal(3));
}

#[test]
fn a_ledger_that_cannot_be_read_is_begun_anew_once_nobody_has_more_than_an_equal_part() {
    let mut fleet = crowded();
    let before = fleet.instances[1].held.goes_by(1).unwrap();
    fleet.act(&Step::Damage(false));
    fleet.act(&Step::Kill(0, 3));
    fleet.act(&Step::Restore);
    // Whoever goes by the last division still is told of no other.
    for _ in 0..3 {
        for number in [3, 1] {
            fleet.act(&Step::BeginReading(number));
            fleet.act(&Step::EndReading(number, false));
            fleet.act(&Step::Divide(number, None));
        }
        [0, 1].iter().for_each(|partition| fleet.act(&Step::Note(*partition)));
    }
    assert!(fleet.share(1) == equal(3) && fleet.instances[1].held.goes_by(1) == Some(before));
    assert!(!fleet.instances[3].divider.as_ref().unwrap().has_ledger(), "the third one has not noted that it is here");
    (0..8).for_each(|_| fleet.round());
    let after: DivisionNumber = fleet.instances[1].held.goes_by(1).unwrap();
    assert!(after.ledger != before.ledger && fleet.share(1) > WHOLE / 10 * 9);
}

/// Reads, and goes by that.
fn read(fleet: &mut Fleet, number: usize) {
    fleet.act(&Step::BeginReading(number));
    fleet.act(&Step::EndReading(number, false));
}

#[test]
fn whoever_has_more_than_an_equal_part_gives_it_up_where_a_process_takes_the_place_of_another() {
    let mut fleet = crowded();
    fleet.act(&Step::Restart(0));
    read(&mut fleet, 0);
    assert_eq!(fleet.share(0), least(3), "the second one may have more than an equal part");
    fleet.act(&Step::Note(0));
    read(&mut fleet, 1);
    assert_eq!(fleet.share(1), equal(3));
}

#[test]
fn one_that_takes_an_equal_part_and_one_that_takes_more_do_not_miss_each_other() {
    // Everybody has noted the generation and the division, and nobody has taken more than an equal part yet.
    let ready = || {
        let mut fleet = crowded();
        fleet.act(&Step::Move(0, 3));
        fleet.act(&Step::Restore);
        (0..3).for_each(|partition| fleet.act(&Step::Note(partition)));
        assert_eq!(fleet.share(1), equal(3));
        fleet
    };
    // What the process before has noted is no note of this one.
    let mut fleet = ready();
    fleet.act(&Step::Restart(3));
    read(&mut fleet, 3);
    for _ in 0..3 {
        read(&mut fleet, 1);
        fleet.act(&Step::Note(1));
    }
    assert!(fleet.share(1) > WHOLE / 10 * 9 && fleet.in_force(NAMES[0]) <= 1.0, "{}", fleet.in_force(NAMES[0]));
    // A reading that began before the other one's note.
    let mut fleet = ready();
    fleet.act(&Step::BeginReading(1));
    fleet.act(&Step::Restart(3));
    fleet.act(&Step::Note(0));
    read(&mut fleet, 3);
    assert_eq!(fleet.share(3), equal(3));
    fleet.act(&Step::EndReading(1, false));
    assert!(fleet.in_force(NAMES[0]) <= 1.0, "{}", fleet.in_force(NAMES[0]));
}

#[test]
fn no_ledger_is_begun_beside_one_who_may_have_more_than_an_equal_part() {
    let mut fleet = crowded();
    fleet.act(&Step::Damage(true));
    fleet.act(&Step::Restart(0));
    fleet.act(&Step::Restore);
    let begins = |fleet: &mut Fleet| {
        fleet.act(&Step::Note(0));
        read(fleet, 0);
        fleet.act(&Step::Divide(0, None));
        fleet.instances[0].divider.as_ref().is_some_and(Divider::has_ledger)
    };
    assert!(!begins(&mut fleet));
    read(&mut fleet, 1);
    fleet.act(&Step::Note(1));
    assert!(begins(&mut fleet) && fleet.in_force(NAMES[0]) <= 1.0);
}

#[test]
fn beside_one_that_goes_by_another_ledger_and_has_no_room_to_tell_it_nobody_has_more_than_an_equal_part() {
    let mut fleet = crowded();
    fleet.act(&Step::Damage(true));
    fleet.act(&Step::Restart(0));
    fleet.instances[0].are_notes_short = true;
    (0..8).for_each(|_| fleet.round());
    let ledgers = [0, 1, 2].map(|number| fleet.instances[number].held.goes_by(number as i32).unwrap().ledger);
    assert!(ledgers[0] != ledgers[1] && ledgers[1] == ledgers[2], "{ledgers:?}");
    assert_eq!([fleet.share(0), fleet.share(1)], [equal(3); 2]);
    assert!(fleet.in_force(NAMES[0]) <= 1.0, "{}", fleet.in_force(NAMES[0]));
}

#[test]
fn behind_a_generation_that_was_missed_a_partition_goes_by_no_division() {
    let mut fleet = crowded();
    fleet.is_heard_late = true;
    fleet.act(&Step::Move(0, 3));
    fleet.act(&Step::Move(0, 0));
    fleet.act(&Step::Hear(1));
    assert_eq!((fleet.instances[1].held.goes_by(1), fleet.share(1)), (None, least(3)));
}

#[test]
fn what_a_divider_that_is_gone_left_open_replaces_no_later_note() {
    let mut fleet = crowded();
    fleet.act(&Step::Need(1, 0, 0, 0));
    fleet.act(&Step::Need(2, 0, 1_000_000, 0));
    (0..2).for_each(|_| fleet.round());
    fleet.act(&Step::BeginNote(0, true));
    let told = |fleet: &Fleet| match &fleet.notes[0].1 {
        PartitionNote::Shares(note) => note.division.as_ref().map(|division| division.number),
        PartitionNote::Absent | PartitionNote::Unfollowed => None,
    };
    fleet.act(&Step::Kill(0, 3));
    let by: Vec<usize> = fleet.open.iter().map(|open| open.by).collect();
    assert_eq!(by, [0]);
    (0..8).for_each(|_| fleet.round());
    let latest = told(&fleet);
    fleet.act(&Step::End(0));
    assert_eq!((told(&fleet), fleet.open.len()), (latest, 0));
    assert!(fleet.in_force(NAMES[0]) <= 1.0);
}

#[test]
fn what_was_read_before_a_partition_was_assigned_tells_nothing_of_it() {
    let mut fleet = crowded();
    // The fourth instance has nothing yet. What it begins to read now gives nearly all to the second partition.
    fleet.act(&Step::BeginReading(3));
    fleet.act(&Step::Need(1, 0, 0, 0));
    fleet.act(&Step::Need(2, 0, 1_000_000, 0));
    for _ in 0..8 {
        (0..3).for_each(|partition| fleet.act(&Step::Note(partition)));
        for number in 0..3 {
            fleet.act(&Step::BeginReading(number));
            fleet.act(&Step::EndReading(number, false));
            fleet.act(&Step::Divide(number, None));
        }
    }
    fleet.act(&Step::Move(1, 3));
    fleet.act(&Step::EndReading(3, false));
    assert_eq!((fleet.instances[3].held.goes_by(1), fleet.share(3)), (None, least(3)));
}
