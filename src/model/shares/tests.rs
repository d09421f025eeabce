//! Instances that share budgets, whatever happens in which order: never more than the whole, and soon where it is needed.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::divider::Divider;
use super::held::HeldShares;
use super::note::{DivisionNumber, PartitionNote, ShareNote, divided};
use super::wanted::{BudgetSize, ShareNeed, wanted};
use super::{WHOLE, equal, least};
use crate::model::shard::OwnedShards;

const INSTANCES: usize = 4;
const NAMES: [&str; 2] = ["wx1/getorder", "wx1/getrelation"];
const SIZE: BudgetSize = BudgetSize { per_minute: 600, per_day: 0 };
/// Owns nothing.
const NOBODY: usize = INSTANCES;

fn budgets() -> BTreeMap<String, BudgetSize> {
    NAMES.iter().map(|name| ((*name).to_owned(), SIZE)).collect()
}

#[derive(Default)]
struct Instance {
    /// It knows nothing of shares, and has equal parts.
    is_old: bool,
    held: HeldShares,
    divider: Option<Divider>,
    /// What it may tell: the divider whose ledger is durable.
    told: Option<Divider>,
    /// The notes as they were when its reading began.
    reading: Option<(u64, Vec<PartitionNote>)>,
    /// What it saw last.
    seen: Vec<PartitionNote>,
}

/// A transaction that the broker has checked, and that has not ended.
struct OpenTransaction {
    by: usize,
    /// When it was sent.
    sent: u64,
    commits: bool,
    write: OpenWrite,
}

enum OpenWrite {
    Note(usize, PartitionNote),
    Ledger(Vec<u8>),
}

/// Everything durable, and who is alive.
struct Fleet {
    /// Instances hear of a generation in which they are given nothing when they do, and not at once.
    is_heard_late: bool,
    generation: i32,
    owners: Vec<usize>,
    /// Each with when it was sent.
    notes: Vec<(u64, PartitionNote)>,
    open: Vec<OpenTransaction>,
    ledger: Option<Vec<u8>>,
    /// Of whatever is sent, and of ledgers.
    count: u64,
    needs: Vec<BTreeMap<String, ShareNeed>>,
    instances: Vec<Instance>,
    /// The divider's shard was restored by its owner.
    divider_restored: bool,
}

#[derive(Clone, Debug)]
enum Step {
    BeginReading(usize),
    /// Whether it counts on those who have not heard of its generation to be no members, where that is so.
    EndReading(usize, bool),
    Hear(usize),
    /// The owner of a partition writes its note.
    Note(usize),
    /// It does, and its transaction stays open; later it is committed or not.
    BeginNote(usize, bool),
    /// One of the open transactions ends.
    End(usize),
    /// The owner of the divider's shard, or one that has been, makes a division; it may end before it knows what has become of that.
    Divide(usize, Option<bool>),
    /// The divider's shard is restored.
    Restore,
    /// Somebody damages the ledger, or removes it.
    Damage(bool),
    /// A partition goes to an instance.
    Move(usize, usize),
    /// An instance ends, and another takes over.
    Kill(usize, usize),
    /// An instance ends and is back with what it had, in the same generation.
    Restart(usize),
    /// It ends, and is back with another version.
    Change(usize, usize),
    Need(usize, usize, u64, u64),
}

impl Fleet {
    fn new(partitions: usize, is_heard_late: bool) -> Fleet {
        let mut fleet = Fleet {
            is_heard_late,
            generation: 1,
            owners: (0..partitions).map(|partition| partition % INSTANCES).collect(),
            notes: vec![(0, PartitionNote::Absent); partitions],
            open: Vec::new(),
            ledger: None,
            count: 0,
            needs: vec![NAMES.iter().map(|name| ((*name).to_owned(), ShareNeed::default())).collect(); partitions],
            instances: (0..INSTANCES).map(|_| Instance::default()).collect(),
            divider_restored: false,
        };
        (0..INSTANCES).for_each(|number| fleet.hear(number));
        fleet
    }

    fn count(&mut self) -> u64 {
        self.count += 1;
        self.count
    }

    /// What an instance owns, in the latest generation.
    fn hear(&mut self, number: usize) {
        let is_owned = |(_, owner): &(usize, &usize)| **owner == number;
        let owned = self.owners.iter().enumerate().filter(is_owned);
        let owned: BTreeSet<i32> = owned.map(|(partition, _)| i32::try_from(partition).unwrap()).collect();
        let now = OwnedShards { owned, in_all: self.owners.len(), generation: self.generation };
        self.instances[number].held.own(&now);
    }

    /// Whoever had them hears of that before whoever gets them, and the others when they do.
    fn give(&mut self, partitions: &[usize], to: usize) {
        self.generation += 1;
        let had: BTreeSet<usize> = partitions.iter().map(|partition| self.owners[*partition]).collect();
        for partition in partitions {
            self.owners[*partition] = NOBODY;
            self.divider_restored &= *partition != 0;
        }
        let is_late = self.is_heard_late;
        (0..INSTANCES).filter(|number| !is_late || had.contains(number)).for_each(|number| self.hear(number));
        partitions.iter().for_each(|partition| self.owners[*partition] = to);
        self.hear(to);
    }

    fn owned(&self, number: usize) -> Vec<usize> {
        (0..self.owners.len()).filter(|partition| self.owners[*partition] == number).collect()
    }

    fn seen(&self) -> Vec<PartitionNote> {
        self.notes.iter().map(|(_, note)| note.clone()).collect()
    }

    fn act(&mut self, step: &Step) {
        let partitions = self.owners.len();
        match *step {
            Step::BeginReading(number) => {
                // It has opened its log before, and what was left open under its name has ended with that.
                self.end_those(|open| open.by == number);
                let seen = self.seen();
                let instance = &mut self.instances[number];
                instance.reading = Some((instance.held.begin_reading(), seen));
            }
            Step::EndReading(number, counts_on_it) => self.end_reading(number, counts_on_it),
            Step::Hear(number) => self.hear(number),
            Step::Note(partition) => self.begin_note(partition % partitions, None),
            Step::BeginNote(partition, commits) => self.begin_note(partition % partitions, Some(commits)),
            Step::End(index) => {
                if let Some(index) = index.checked_rem(self.open.len()) {
                    let open = self.open.remove(index);
                    self.end(open);
                }
            }
            Step::Divide(number, end) => self.divide(number, end),
            Step::Restore => self.restore(),
            Step::Damage(is_removed) => self.ledger = (!is_removed).then(|| b"?".to_vec()),
            Step::Move(partition, to) => {
                let partition = partition % partitions;
                if self.owners[partition] != to {
                    self.give(&[partition], to);
                }
            }
            Step::Kill(number, to) => {
                self.instances[number] = Instance { is_old: self.instances[number].is_old, ..Instance::default() };
                self.give(&self.owned(number), to);
            }
            Step::Restart(number) if !self.instances[number].is_old => {
                self.instances[number] = Instance::default();
                self.divider_restored &= self.owners[0] != number;
                self.hear(number);
            }
            Step::Restart(_) => {}
            Step::Change(number, to) => {
                let is_old = !self.instances[number].is_old;
                self.instances[number] = Instance { is_old, ..Instance::default() };
                self.give(&self.owned(number), to);
            }
            Step::Need(partition, name, usual, pasts) => {
                self.needs[partition % partitions].insert(NAMES[name].to_owned(), ShareNeed { usual, pasts });
            }
        }
    }

    fn end_reading(&mut self, number: usize, counts_on_it: bool) {
        let is_heard = self.instances.iter().all(|instance| instance.held.generation() == self.generation);
        let instance = &mut self.instances[number];
        if let Some((reading, notes)) = instance.reading.take() {
            instance.held.take(reading, &notes, is_heard && counts_on_it);
            instance.seen = notes;
        }
    }

    /// The broker takes it only in the latest generation. `commits` where it stays open.
    fn begin_note(&mut self, partition: usize, commits: Option<bool>) {
        let by = self.owners[partition];
        let owner = &self.instances[by];
        if owner.held.generation() != self.generation {
            return;
        }
        let note = match owner.is_old {
            true => PartitionNote::Unfollowed,
            false => PartitionNote::Shares(self.note(owner, partition)),
        };
        let write = OpenWrite::Note(partition, note);
        let open = OpenTransaction { by, sent: self.count(), commits: commits != Some(false), write };
        match commits {
            Some(_) => self.open.push(open),
            None => self.end(open),
        }
    }

    fn note(&self, owner: &Instance, partition: usize) -> ShareNote {
        let divider = owner.told.as_ref().filter(|_| partition == 0 && self.divider_restored);
        let note = ShareNote {
            generation: owner.held.generation(),
            goes_by: owner.held.goes_by(i32::try_from(partition).unwrap()),
            is_lifted: owner.held.is_lifted(),
            needs: Some(self.needs[partition].clone()),
            division: divider.and_then(Divider::division),
        };
        let read = ShareNote::decode(&note.encode().unwrap()).unwrap();
        assert_eq!(read, note);
        read
    }

    fn end(&mut self, open: OpenTransaction) {
        match open.write {
            _ if !open.commits => {}
            OpenWrite::Note(partition, note) => {
                // What was sent later stays.
                if self.notes[partition].0 < open.sent {
                    self.notes[partition] = (open.sent, note);
                }
            }
            OpenWrite::Ledger(ledger) => self.ledger = Some(ledger),
        }
    }

    fn end_those(&mut self, ends: impl Fn(&OpenTransaction) -> bool) {
        let ended: Vec<_> = self.open.extract_if(.., |open| ends(open)).collect();
        ended.into_iter().for_each(|open| self.end(open));
    }

    fn restore(&mut self) {
        let number = self.owners[0];
        if self.divider_restored || self.instances[number].is_old {
            return;
        }
        // Its reader waits for what is open below the fence.
        self.end_those(|open| open.by == number || matches!(open.write, OpenWrite::Ledger(_)));
        let divider = Divider::new(self.ledger.as_deref(), self.owners.len());
        self.instances[number].know(divider);
        self.divider_restored = true;
    }

    fn divide(&mut self, number: usize, end: Option<bool>) {
        let is_owner = self.owners[0] == number
            && self.divider_restored
            && self.instances[number].held.generation() == self.generation;
        let name = self.count();
        let instance = &mut self.instances[number];
        let name = instance.held.may_begin(&instance.seen).then_some(name);
        let next = instance.divider.as_mut().and_then(|divider| divider.next(&instance.seen, &budgets(), name));
        let Some(next) = next else { return };
        // The transaction of one that is not the owner any more is refused.
        if !is_owner {
            instance.divider = None;
            return;
        }
        let ledger = next.encoded().unwrap();
        let Some(commits) = end else {
            self.ledger = Some(ledger);
            return instance.know(next);
        };
        // What will become of it is not known to it: it begins anew.
        (instance.divider, instance.told) = (None, None);
        self.divider_restored = false;
        let sent = self.count();
        self.open.push(OpenTransaction { by: number, sent, commits, write: OpenWrite::Ledger(ledger) });
    }

    fn in_force(&self, name: &str) -> f64 {
        let shares = self.instances.iter().enumerate().map(|(number, instance)| match instance.is_old {
            true => self.owned(number).len() as f64 / self.owners.len() as f64,
            false => instance.held.share(name).of(1.0),
        });
        shares.sum()
    }

    /// Everybody is alive and does what is to be done, once.
    fn round(&mut self) {
        self.act(&Step::Restore);
        for number in (0..INSTANCES).filter(|number| !self.instances[*number].is_old).collect::<Vec<_>>() {
            self.act(&Step::Hear(number));
            self.act(&Step::BeginReading(number));
            self.act(&Step::EndReading(number, false));
            self.act(&Step::Divide(number, None));
        }
        (0..self.owners.len()).for_each(|partition| self.act(&Step::Note(partition)));
    }

    /// In parts of the whole.
    fn share(&self, number: usize) -> u16 {
        self.instances[number].held.share(NAMES[0]).of(f64::from(WHOLE)).round() as u16
    }
}

impl Instance {
    /// The ledger of this one is durable.
    fn know(&mut self, divider: Divider) {
        if let Some(division) = divider.division() {
            self.held.tell(&division);
        }
        (self.divider, self.told) = (Some(divider.clone()), Some(divider));
    }
}

fn step() -> impl Strategy<Value = Step> {
    let (instance, partition) = (0..INSTANCES, 0..16_usize);
    prop_oneof![
        4 => instance.clone().prop_map(Step::BeginReading),
        4 => (instance.clone(), any::<bool>()).prop_map(|(number, counts)| Step::EndReading(number, counts)),
        4 => instance.clone().prop_map(Step::Hear),
        8 => partition.clone().prop_map(Step::Note),
        2 => (partition.clone(), any::<bool>()).prop_map(|(partition, commits)| Step::BeginNote(partition, commits)),
        2 => partition.clone().prop_map(Step::End),
        4 => (instance.clone(), prop_oneof![3 => Just(None), 1 => any::<bool>().prop_map(Some)])
            .prop_map(|(number, end)| Step::Divide(number, end)),
        2 => Just(Step::Restore),
        1 => (partition.clone(), instance.clone()).prop_map(|(partition, to)| Step::Move(partition, to)),
        1 => (instance.clone(), instance.clone()).prop_map(|(number, to)| Step::Kill(number, to)),
        1 => instance.prop_map(Step::Restart),
        2 => (partition, 0..NAMES.len(), 0..1_000_000_u64, 0..3_u64)
            .prop_map(|(partition, name, usual, pasts)| Step::Need(partition, name, usual, pasts)),
    ]
}

/// Now and then one of `others`; and now and then everybody does what is to be done, or most would stand still.
fn steps(others: impl Strategy<Value = Step>) -> impl Strategy<Value = Vec<Option<Step>>> {
    let step = prop_oneof![30 => step().prop_map(Some), 1 => others.prop_map(Some), 6 => Just(None)];
    proptest::collection::vec(step, 0..200)
}

/// What comes to more than the whole, if anything does.
fn exceeded(fleet: &mut Fleet, rounds: usize, steps: &[Option<Step>]) -> Result<(), String> {
    (0..rounds).for_each(|_| fleet.round());
    for (number, step) in steps.iter().enumerate() {
        match step {
            Some(step) => fleet.act(step),
            None => fleet.round(),
        }
        for name in NAMES {
            let in_force = fleet.in_force(name);
            if in_force > 1.0 + 1e-9 {
                return Err(format!("{in_force} of {name} after step {number}: {step:?}"));
            }
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(768))]

    #[test]
    fn all_together_never_have_more_than_the_whole(
        partitions in 1..8_usize,
        rounds in 0..8_usize,
        steps in steps(any::<bool>().prop_map(Step::Damage)),
    ) {
        prop_assert_eq!(exceeded(&mut Fleet::new(partitions, true), rounds, &steps), Ok(()));
    }

    #[test]
    fn nor_beside_instances_that_know_nothing_of_shares(
        partitions in 1..8_usize,
        rounds in 0..8_usize,
        steps in steps((0..INSTANCES, 0..INSTANCES).prop_map(|(number, to)| Step::Change(number, to))),
    ) {
        prop_assert_eq!(exceeded(&mut Fleet::new(partitions, false), rounds, &steps), Ok(()));
    }

    #[test]
    fn whatever_has_happened_all_of_a_budget_is_soon_where_it_is_needed(
        partitions in 1..8_usize,
        steps in steps(any::<bool>().prop_map(Step::Damage)),
        needs in proptest::collection::vec(0..1_000_000_u64, 8),
    ) {
        let mut fleet = Fleet::new(partitions, true);
        prop_assert_eq!(exceeded(&mut fleet, 0, &steps), Ok(()));
        // Where the ledger was damaged, the next one begins with the next owner of the divider's partition.
        let next = (fleet.owners[0] + 1) % INSTANCES;
        fleet.act(&Step::Move(0, next));
        fleet.end_those(|_| true);
        for (partition, usual) in needs[..partitions].iter().enumerate() {
            NAMES.iter().enumerate().for_each(|(name, _)| fleet.act(&Step::Need(partition, name, *usual, 0)));
        }
        (0..20).for_each(|_| fleet.round());
        let needs: Vec<ShareNeed> = needs[..partitions].iter().map(|usual| ShareNeed { usual: *usual, pasts: 0 }).collect();
        let wanted = wanted(&needs, SIZE);
        for name in NAMES {
            prop_assert!(fleet.in_force(name) > 0.99, "{} is in force", fleet.in_force(name));
            for (number, instance) in fleet.instances.iter().enumerate() {
                let should = wanted.iter().zip(&fleet.owners).filter(|(_, owner)| **owner == number);
                let should = should.map(|(parts, _)| f64::from(*parts)).sum::<f64>() / f64::from(WHOLE);
                let has = instance.held.share(name).of(1.0);
                prop_assert!((has - should).abs() < 0.02, "{} instead of {}", has, should);
            }
        }
    }

    #[test]
    fn what_is_wanted_is_no_more_than_the_whole_and_leaves_everybody_something(
        needs in proptest::collection::vec((0..10_000_000_u64, 0..100_u64), 1..200),
        per_minute in prop_oneof![Just(0), 1..100_000_u32],
        per_day in prop_oneof![Just(0), 1..100_000_000_u32],
    ) {
        let needs: Vec<_> = needs.into_iter().map(|(usual, pasts)| ShareNeed { usual, pasts }).collect();
        let wanted = wanted(&needs, BudgetSize { per_minute, per_day });
        let all: u32 = wanted.iter().map(|parts| u32::from(*parts)).sum();
        prop_assert!(all <= WHOLE.into() && all > u32::from(WHOLE) - 2 * needs.len() as u32, "{} parts", all);
        prop_assert!(wanted.iter().all(|parts| *parts >= least(needs.len())));
    }
}

#[test]
fn a_budget_goes_where_it_is_needed_but_for_a_call_a_minute_or_a_fiftieth_of_an_equal_part() {
    let of = |usual: [u64; 3], per_minute| {
        wanted(&usual.map(|usual| ShareNeed { usual, pasts: 0 }), BudgetSize { per_minute, per_day: 0 })
    };
    let calls = |parts: &u16, per_minute: u32| f64::from(*parts) / f64::from(WHOLE) * f64::from(per_minute);
    let small = of([1440 * 300, 0, 0], 120);
    assert!(calls(&small[0], 120) > 117.9 && small[1..].iter().all(|parts| (1.0..1.01).contains(&calls(parts, 120))));
    let large = of([1440 * 300, 0, 0], 30_000);
    assert_eq!(large[1..], [least(3); 2]);
    assert_eq!(of([0; 3], 120), [equal(3); 3]);
    assert_eq!(of([5, 5, 5], 2), [equal(3); 3], "there are fewer calls than partitions");
    let twice = of([1440 * 200, 1440 * 100, 0], 30_000);
    assert!((f64::from(twice[0]) / f64::from(twice[1]) - 2.0).abs() < 0.05);
}

#[test]
fn pasts_leave_usual_turns_what_they_need_or_half_of_the_budget() {
    let of = |usual, per_minute| {
        let needs = [ShareNeed { usual, pasts: 0 }, ShareNeed { usual: 0, pasts: 1000 }];
        let wanted = wanted(&needs, BudgetSize { per_minute, per_day: 0 });
        f64::from(wanted[0]) / f64::from(WHOLE)
    };
    // Sixty thousand calls a minute are wanted for the past.
    assert!((0.24..0.27).contains(&of(1440 * 1500, 6000)));
    assert!((0.49..0.52).contains(&of(1440 * 60_000, 6000)));
}

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
fn the_notes_of_many_partitions_have_room_for_fewer_budgets() {
    let names = ["a".repeat(40), "b".repeat(40), "c".repeat(40)];
    let divided = |partitions| divided(names.iter().map(String::as_str), partitions).len();
    assert_eq!((divided(12), divided(300), divided(1000)), (3, 2, 0));
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
