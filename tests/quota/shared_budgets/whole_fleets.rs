//! Whatever happens, in which order.

use proptest::prelude::*;

use super::fleet::{Fleet, INSTANCES, NAMES, SIZE};
use super::step::{Step, steps};
use promoter_connector::model::shares::WHOLE;
use promoter_connector::model::shares::wanted::{ShareNeed, wanted};

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
}
