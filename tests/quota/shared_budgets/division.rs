//! What a divider makes of what is needed.

use proptest::prelude::*;

use promoter_connector::model::shares::note::divided;
use promoter_connector::model::shares::wanted::{BudgetSize, ShareNeed, wanted};
use promoter_connector::model::shares::{WHOLE, equal, least};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(768))]

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
fn the_notes_of_many_partitions_have_room_for_fewer_budgets() {
    let names = ["a".repeat(40), "b".repeat(40), "c".repeat(40)];
    let divided = |partitions| divided(names.iter().map(String::as_str), partitions).len();
    assert_eq!((divided(12), divided(300), divided(1000)), (3, 2, 0));
}
