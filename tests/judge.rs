//! The judge is judged: whatever is dropped, doubled, invented or misordered, it says so.

#![allow(dead_code, reason = "each test binary uses its part of the harness")]

#[path = "harness/judge.rs"]
mod judge;

use judge::{Sighting, judge};
use proptest::prelude::*;

fn sighting(stream: &str, time: i64, key: &str) -> Sighting {
    Sighting { key: key.to_owned(), stream: stream.to_owned(), time }
}

fn keys(sightings: &[Sighting]) -> Vec<String> {
    sightings.iter().map(|sighting| sighting.key.clone()).collect()
}

/// Some facts of several streams, each stream in the order of its times, all keys different.
fn published() -> impl Strategy<Value = Vec<Sighting>> {
    proptest::collection::vec((0..4_u8, 0..3_i64), 2..60).prop_map(|steps| {
        let mut clocks = [0; 4];
        let facts = steps.into_iter().enumerate().map(|(index, (stream, step))| {
            let clock = &mut clocks[usize::from(stream)];
            *clock += step;
            sighting(&format!("stream {stream}"), *clock, &format!("fact {index}"))
        });
        facts.collect()
    })
}

#[test]
fn what_was_shown_once_and_found_once_is_exact() {
    let found = [sighting("a", 1, "x"), sighting("b", 0, "y"), sighting("a", 1, "z")];
    let verdict = judge(keys(&found), found);
    assert!(verdict.is_exact());
    assert_eq!(verdict.to_string(), "shown 3, published 3, missing 0, twice 0, foreign 0, misordered 0");
    assert!(verdict.must_be_exact().is_ok());
}

#[test]
fn nothing_shown_proves_nothing() {
    assert!(judge([], []).must_be_exact().is_err());
}

#[test]
fn the_verdict_names_the_first_few_of_each_fault() {
    let missing = (0..7).map(|index| format!("lost {index}"));
    let verdict = judge(missing.chain(["x".to_owned()]), [sighting("a", 5, "x"), sighting("a", 4, "alien")]);
    assert_eq!(
        verdict.must_be_exact().expect_err("it is not exact").to_string(),
        "shown 8, published 2, missing 7, twice 0, foreign 1, misordered 1\n  missing: lost 0\n  missing: lost 1\n  \
         missing: lost 2\n  missing: lost 3\n  missing: lost 4\n  missing: … and 2 more\n  foreign: alien\n  \
         misordered: alien"
    );
}

#[test]
fn one_fact_shown_twice_must_be_found_twice() {
    let shown = || ["x".to_owned(), "x".to_owned()];
    assert!(judge(shown(), [sighting("a", 1, "x"), sighting("a", 1, "x")]).is_exact());
    assert_eq!(judge(shown(), [sighting("a", 1, "x")]).missing, ["x"]);
}

proptest! {
    #[test]
    fn any_order_between_streams_is_fine(found in published()) {
        let mut other = found.clone();
        other.sort_by(|one, two| one.stream.cmp(&two.stream));
        prop_assert!(judge(keys(&found), found.clone()).is_exact());
        prop_assert!(judge(keys(&found), other).is_exact());
    }

    #[test]
    fn a_dropped_fact_is_missing(found in published(), at in any::<prop::sample::Index>()) {
        let mut mutated = found.clone();
        let dropped = mutated.remove(at.index(found.len()));
        let verdict = judge(keys(&found), mutated);
        prop_assert_eq!(&verdict.missing, &[dropped.key]);
        prop_assert!(verdict.twice.is_empty() && verdict.foreign.is_empty() && verdict.misordered.is_empty());
    }

    #[test]
    fn a_doubled_fact_is_there_twice(found in published(), at in any::<prop::sample::Index>(), to in any::<prop::sample::Index>()) {
        let mut mutated = found.clone();
        let doubled = found[at.index(found.len())].clone();
        mutated.insert(to.index(found.len() + 1), doubled.clone());
        let verdict = judge(keys(&found), mutated);
        prop_assert_eq!(&verdict.twice, &[doubled.key]);
        prop_assert!(verdict.missing.is_empty() && verdict.foreign.is_empty());
    }

    #[test]
    fn a_fact_in_the_place_of_another_is_both_missing_and_twice(
        found in published(),
        at in any::<prop::sample::Index>(),
        distance in any::<prop::sample::Index>(),
    ) {
        let lost = at.index(found.len());
        let copied = (lost + 1 + distance.index(found.len() - 1)) % found.len();
        let mut mutated = found.clone();
        mutated[lost] = found[copied].clone();
        let verdict = judge(keys(&found), mutated);
        prop_assert_eq!(&verdict.missing, &[found[lost].key.clone()]);
        prop_assert_eq!(&verdict.twice, &[found[copied].key.clone()]);
    }

    #[test]
    fn a_fact_that_was_never_shown_is_foreign(found in published(), at in any::<prop::sample::Index>()) {
        let mut mutated = found.clone();
        mutated[at.index(found.len())].key.push('!');
        let verdict = judge(keys(&found), mutated);
        prop_assert_eq!(verdict.foreign.len(), 1);
        prop_assert_eq!(verdict.missing.len(), 1);
    }

    #[test]
    fn a_fact_behind_a_later_one_of_its_stream_is_misordered(found in published(), at in any::<prop::sample::Index>()) {
        let mut mutated = found.clone();
        let moved = mutated.remove(at.index(found.len()));
        mutated.push(Sighting { time: moved.time, ..moved.clone() });
        let later = found.iter().any(|other| other.stream == moved.stream && other.time > moved.time);
        let verdict = judge(keys(&found), mutated);
        let expected = if later { vec![moved.key] } else { vec![] };
        prop_assert_eq!(verdict.misordered, expected);
        prop_assert!(verdict.missing.is_empty() && verdict.twice.is_empty() && verdict.foreign.is_empty());
    }
}
