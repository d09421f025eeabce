//! Instances that share budgets, whatever happens in which order: never more than the whole, and soon where it is needed.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::divider::Divider;
use super::held::HeldShares;
use super::note::{PartitionNote, ShareNote, ToldDivision, divided};
use super::wanted::{BudgetSize, ShareNeed, wanted};
use super::{WHOLE, equal, least};
use crate::model::shard::OwnedShards;

const INSTANCES: usize = 4;
const NAMES: [&str; 2] = ["wx1/getorder", "wx1/getrelation"];
const SIZE: BudgetSize = BudgetSize { per_minute: 600, per_day: 0 };

fn budgets() -> BTreeMap<String, BudgetSize> {
    NAMES.iter().map(|name| ((*name).to_owned(), SIZE)).collect()
}

#[derive(Default)]
struct Instance {
    held: HeldShares,
    divider: Option<Divider>,
    /// What it may tell: the divider whose ledger is durable.
    told: Option<Divider>,
    /// The notes as they were when its reading began.
    reading: Option<(u64, Vec<PartitionNote>)>,
    /// What it saw last.
    seen: Vec<PartitionNote>,
}

/// Everything durable, and who is alive.
struct Fleet {
    owners: Vec<usize>,
    notes: Vec<PartitionNote>,
    ledger: Option<Vec<u8>>,
    needs: Vec<BTreeMap<String, ShareNeed>>,
    instances: Vec<Instance>,
    /// The divider's shard was restored by its owner.
    divider_restored: bool,
}

#[derive(Clone, Debug)]
enum Step {
    BeginReading(usize),
    EndReading(usize),
    /// The owner of a partition writes its note.
    Note(usize),
    /// The owner of the divider's shard, or one that has been, makes a division; it may end before it tells anybody.
    Divide(usize, bool),
    /// The divider's shard is restored.
    Restore,
    /// A partition goes to an instance.
    Move(usize, usize),
    /// An instance ends, and another takes over.
    Kill(usize, usize),
    Need(usize, usize, u64, u64),
}

impl Fleet {
    fn new(partitions: usize) -> Fleet {
        let mut fleet = Fleet {
            owners: (0..partitions).map(|partition| partition % INSTANCES).collect(),
            notes: vec![PartitionNote::Absent; partitions],
            ledger: None,
            needs: vec![NAMES.iter().map(|name| ((*name).to_owned(), ShareNeed::default())).collect(); partitions],
            instances: (0..INSTANCES).map(|_| Instance::default()).collect(),
            divider_restored: false,
        };
        fleet.own();
        fleet
    }

    fn own(&mut self) {
        for (number, instance) in self.instances.iter_mut().enumerate() {
            let is_owned = |(_, owner): &(usize, &usize)| **owner == number;
            let owned = self.owners.iter().enumerate().filter(is_owned);
            let owned: BTreeSet<i32> = owned.map(|(partition, _)| i32::try_from(partition).unwrap()).collect();
            instance.held.own(&OwnedShards { owned, in_all: self.owners.len() });
        }
    }

    /// Whoever gets them is there already, and hears of them after whoever had them.
    fn give(&mut self, partitions: &[usize], to: usize) {
        for partition in partitions {
            self.owners[*partition] = INSTANCES;
        }
        self.own();
        for partition in partitions {
            self.owners[*partition] = to;
            self.divider_restored &= *partition != 0;
        }
        self.own();
    }

    fn act(&mut self, step: &Step) {
        let partitions = self.owners.len();
        match *step {
            Step::BeginReading(number) => {
                let instance = &mut self.instances[number];
                instance.reading = Some((instance.held.begin_reading(), self.notes.clone()));
            }
            Step::EndReading(number) => {
                let instance = &mut self.instances[number];
                if let Some((reading, notes)) = instance.reading.take() {
                    instance.held.take(reading, &ToldDivision::of(&notes), partitions);
                    instance.seen = notes;
                }
            }
            Step::Note(partition) => self.note(partition % partitions),
            Step::Divide(number, is_told) => self.divide(number, is_told),
            Step::Restore => {
                let divider = Divider::new(self.ledger.as_deref(), partitions);
                let owner = &mut self.instances[self.owners[0]];
                if !self.divider_restored {
                    (owner.divider, owner.told) = (Some(divider.clone()), Some(divider));
                    self.divider_restored = true;
                }
            }
            Step::Move(partition, to) => {
                let partition = partition % partitions;
                if self.owners[partition] != to {
                    self.give(&[partition], to);
                }
            }
            Step::Kill(number, to) => {
                let had: Vec<usize> = (0..partitions).filter(|partition| self.owners[*partition] == number).collect();
                self.instances[number] = Instance::default();
                self.give(&had, to);
            }
            Step::Need(partition, name, usual, pasts) => {
                self.needs[partition % partitions].insert(NAMES[name].to_owned(), ShareNeed { usual, pasts });
            }
        }
    }

    fn note(&mut self, partition: usize) {
        let owner = &self.instances[self.owners[partition]];
        let division = owner.told.as_ref().filter(|_| partition == 0 && self.divider_restored).map(Divider::division);
        let goes_by = owner.held.goes_by(i32::try_from(partition).unwrap());
        let note = ShareNote { goes_by, needs: Some(self.needs[partition].clone()), division };
        let read = ShareNote::decode(&note.encode().unwrap()).unwrap();
        assert_eq!(read, note);
        self.notes[partition] = PartitionNote::Shares(read);
    }

    fn divide(&mut self, number: usize, is_told: bool) {
        let is_owner = self.owners[0] == number && self.divider_restored;
        let instance = &mut self.instances[number];
        let next = instance.divider.as_mut().and_then(|divider| divider.next(&instance.seen, &budgets()));
        let Some(next) = next else { return };
        // The transaction of one that is not the owner any more is refused.
        if !is_owner {
            instance.divider = None;
            return;
        }
        self.ledger = Some(next.ledger().encode().unwrap());
        if is_told {
            (instance.divider, instance.told) = (Some(next.clone()), Some(next));
        } else {
            // What became of it is not known to it: it begins anew.
            (instance.divider, instance.told) = (None, None);
            self.divider_restored = false;
        }
    }

    fn in_force(&self, name: &str) -> f64 {
        self.instances.iter().map(|instance| instance.held.share(name).of(1.0)).sum()
    }

    /// Everybody is alive and does what is to be done, once.
    fn round(&mut self) {
        self.act(&Step::Restore);
        for number in 0..INSTANCES {
            self.act(&Step::BeginReading(number));
            self.act(&Step::EndReading(number));
            self.act(&Step::Divide(number, true));
        }
        (0..self.owners.len()).for_each(|partition| self.act(&Step::Note(partition)));
    }
}

fn step() -> impl Strategy<Value = Step> {
    let (instance, partition) = (0..INSTANCES, 0..16_usize);
    prop_oneof![
        3 => instance.clone().prop_map(Step::BeginReading),
        3 => instance.clone().prop_map(Step::EndReading),
        6 => partition.clone().prop_map(Step::Note),
        3 => (instance.clone(), any::<bool>()).prop_map(|(number, is_told)| Step::Divide(number, is_told)),
        2 => Just(Step::Restore),
        1 => (partition.clone(), instance.clone()).prop_map(|(partition, to)| Step::Move(partition, to)),
        1 => (instance.clone(), instance).prop_map(|(number, to)| Step::Kill(number, to)),
        2 => (partition, 0..NAMES.len(), 0..1_000_000_u64, 0..3_u64)
            .prop_map(|(partition, name, usual, pasts)| Step::Need(partition, name, usual, pasts)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn all_together_never_have_more_than_the_whole(
        partitions in 1..10_usize,
        rounds in 0..4_usize,
        steps in proptest::collection::vec(step(), 0..300),
    ) {
        let mut fleet = Fleet::new(partitions);
        (0..rounds).for_each(|_| fleet.round());
        for (number, step) in steps.iter().enumerate() {
            fleet.act(step);
            for name in NAMES {
                let in_force = fleet.in_force(name);
                prop_assert!(in_force <= 1.0 + 1e-9, "{} of {} after step {}: {:?}", in_force, name, number, step);
            }
        }
    }

    #[test]
    fn whatever_has_happened_all_of_a_budget_is_soon_where_it_is_needed(
        partitions in 1..10_usize,
        steps in proptest::collection::vec(step(), 0..200),
        needs in proptest::collection::vec(0..1_000_000_u64, 10),
    ) {
        let mut fleet = Fleet::new(partitions);
        steps.iter().for_each(|step| fleet.act(step));
        for partition in 0..partitions {
            NAMES.iter().enumerate().for_each(|(name, _)| fleet.act(&Step::Need(partition, name, needs[partition], 0)));
        }
        (0..12).for_each(|_| fleet.round());
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

#[test]
fn where_somebody_knows_nothing_of_shares_nobody_has_more_than_an_equal_part() {
    let mut fleet = Fleet::new(3);
    fleet.act(&Step::Need(1, 0, 1_000_000, 0));
    (0..6).for_each(|_| fleet.round());
    let share =
        |fleet: &Fleet, number: usize| fleet.instances[number].held.share(NAMES[0]).of(f64::from(WHOLE)).round();
    assert!(share(&fleet, 1) > 0.9 * f64::from(WHOLE) && share(&fleet, 0) < f64::from(equal(3)));
    fleet.notes[2] = PartitionNote::Unfollowed;
    for number in 0..2 {
        fleet.act(&Step::BeginReading(number));
        fleet.act(&Step::EndReading(number));
    }
    assert!(share(&fleet, 1) <= f64::from(equal(3)) && share(&fleet, 0) < f64::from(equal(3)));
    let Instance { divider, seen, .. } = &mut fleet.instances[0];
    assert!(divider.as_mut().unwrap().next(seen, &budgets()).is_some(), "what was moved goes back");
}

#[test]
fn the_notes_of_many_partitions_have_room_for_fewer_budgets() {
    let names = ["a".repeat(40), "b".repeat(40), "c".repeat(40)];
    let divided = |partitions| divided(names.iter().map(String::as_str), partitions).len();
    assert_eq!((divided(12), divided(300), divided(1000)), (3, 2, 0));
}

#[test]
fn what_was_read_before_a_partition_was_assigned_tells_nothing_of_it() {
    let mut fleet = Fleet::new(3);
    fleet.act(&Step::Need(1, 0, 1_000_000, 0));
    (0..6).for_each(|_| fleet.round());
    // The fourth instance has nothing yet. What it begins to read now gives nearly all to the second partition.
    fleet.act(&Step::BeginReading(3));
    fleet.act(&Step::Need(1, 0, 0, 0));
    fleet.act(&Step::Need(2, 0, 1_000_000, 0));
    (0..6).for_each(|_| {
        fleet.act(&Step::Note(1));
        fleet.act(&Step::Note(2));
        for number in 0..3 {
            fleet.act(&Step::BeginReading(number));
            fleet.act(&Step::EndReading(number));
            fleet.act(&Step::Divide(number, true));
        }
        (0..3).for_each(|partition| fleet.act(&Step::Note(partition)));
    });
    fleet.act(&Step::Move(1, 3));
    fleet.act(&Step::EndReading(3));
    let in_force = fleet.in_force(NAMES[0]);
    assert!((0.9..=1.0).contains(&in_force), "{in_force}");
}
