//! The pipeline of the requests for material on paused time against the simulated upstream, many seeds of it.
//!
//! Everything is real but the network, Kafka and the clock: listener, trackers, executor, client, tokens, retries and
//! supervisor run against a seeded world with every class of error, and a request topic in memory that aborts, loses
//! answers, revocations and dies at its named points. Processes are killed between any two steps, or told to stop, and the
//! next one goes on. In the end each request must have exactly one answer, and one that the world gave cause for.
//!
//! ```text
//! cargo test --test requests                            # SIMULATION_SEEDS of them, 300 by default
//! SIMULATION_SEED=17 cargo test --test requests         # one of them again
//! ```

#![allow(clippy::unwrap_used, reason = "a test that can't go on fails")]

mod requests {
    pub mod judge;
    pub mod plan;
    pub mod process_runs;
    pub mod upstream;
}
#[path = "harness/requests.rs"]
mod sample_requests;
#[path = "harness/seeds.rs"]
mod seeds;

use std::collections::{BTreeMap, BTreeSet};

use promoter_connector::model::feed::{Interface, InterfaceCaller};
use promoter_connector::model::material::{self, MaterialRefusal};
use promoter_connector::model::request::record::RequestAnswer;
use promoter_connector::model::time::UnixMillis;
use requests::judge::{Ended, judge};
use requests::plan::Kind;
use requests::process_runs::{Outcome, run_seed};
use requests::upstream::Call;

/// So many seeds bring every fault and every end.
const SEEDS: u64 = 300;
/// What the world must have answered a call for material with.
const STRUCK: [&str; 26] = [
    "0",
    "-1",
    "40001",
    "40014",
    "42001",
    "45009",
    "45011",
    "48001",
    "50002",
    "103005",
    "103006",
    "103009",
    "103011",
    "103012",
    "103013",
    "9300001",
    "61007",
    "-605",
    "error-500",
    "error-502",
    "too-many-requests",
    "hang",
    "reset",
    "empty-body",
    "html-body",
    "truncated",
];
/// And a call for a token.
const TOKEN_STRUCK: [&str; 8] = ["0", "-1", "40125", "40164", "error-500", "hang", "reset", "empty-body"];

struct Judged {
    ends: BTreeMap<Ended, usize>,
    outcome: Outcome,
}

fn run(seed: u64) -> Result<Judged, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let outcome = runtime.block_on(run_seed(seed))?;
    Ok(Judged { ends: judge(&outcome.requests, &outcome.answers, &outcome.calls)?, outcome })
}

#[test]
fn whatever_happens_each_request_is_answered_once_and_as_the_world_gave_cause() {
    let judged = seeds::each("requests", SEEDS, run);
    let mut ends: BTreeMap<Ended, usize> = BTreeMap::new();
    let mut process_ends: BTreeMap<&str, usize> = BTreeMap::new();
    let mut struck: BTreeMap<String, BTreeMap<String, u64>> = BTreeMap::new();
    for Judged { ends: of_seed, outcome } in &judged {
        of_seed.iter().for_each(|(ended, count)| *ends.entry(*ended).or_default() += count);
        outcome
            .process_ends
            .iter()
            .for_each(|(process_end, count)| *process_ends.entry(process_end).or_default() += count);
        for (path, outcomes) in &outcome.struck {
            let all = struck.entry(path.clone()).or_default();
            outcomes.iter().for_each(|(outcome, count)| *all.entry(outcome.clone()).or_default() += count);
        }
    }
    println!("{} seeds, {ends:?}\nends of processes {process_ends:?}\n{struck:#?}", judged.len());
    if (judged.len() as u64) < SEEDS {
        return;
    }
    let missing = |path: &str, names: &[&'static str]| -> BTreeSet<&str> {
        let struck = struck.get(path);
        names.iter().copied().filter(|name| !struck.is_some_and(|struck| struck.contains_key(*name))).collect()
    };
    for interface in Interface::ALL {
        let planned = struck.contains_key(interface.path());
        assert_eq!(
            planned,
            interface.called_by() == InterfaceCaller::Requests,
            "{interface}, by the requests of the plan"
        );
    }
    assert_eq!(missing("/promoter/getsharematerial", &STRUCK), BTreeSet::new(), "never struck a call for material");
    assert_eq!(missing("/cgi-bin/stable_token", &TOKEN_STRUCK), BTreeSet::new(), "never struck a call for a token");
    assert_eq!(ends.keys().copied().collect::<Vec<_>>(), Ended::ALL, "some end was never reached");
}

#[test]
fn whatever_is_wrong_with_one_answer_or_call_is_caught() {
    let Outcome { requests, answers, calls, .. } = run(1).unwrap().outcome;
    let of_kind = |kind| requests.iter().position(|planned| planned.kind == kind).expect("this seed has of each kind");
    let (flawed, whole) = (of_kind(Kind::Flawed), of_kind(Kind::Whole));
    assert!(requests.iter().all(|planned| !planned.is_lost), "this seed loses no request");
    let at = |number: usize| answers.iter().position(|answer| answer.location == requests[number].location).unwrap();
    let caught = |change: &dyn Fn(&mut Vec<_>, &mut requests::upstream::Calls)| {
        let (mut answers, mut calls) = (answers.clone(), calls.clone());
        change(&mut answers, &mut calls);
        judge(&requests, &answers, &calls).is_err()
    };
    assert!(!caught(&|_, _| {}));
    for number in 0..answers.len() {
        assert!(caught(&|answers, _| drop(answers.remove(number))), "a dropped answer was not missed");
        assert!(caught(&|answers, _| answers.push(answers[number].clone())), "a doubled answer went unnoticed");
    }
    assert!(
        caught(&|answers, _| {
            let (one, other) = (answers[at(flawed)].answer.clone(), answers[at(whole)].answer.clone());
            (answers[at(flawed)].answer, answers[at(whole)].answer) = (other, one);
        }),
        "answers that were mixed up went unnoticed"
    );
    for errcode in [None, Some(-1), Some(103_006), Some(9_300_001), Some(48_001)] {
        let failed = |answers: &mut Vec<requests::judge::Committed>| {
            let RequestAnswer::Reply(result) = &mut answers[at(whole)].answer else {
                panic!("a whole request has a reply")
            };
            result.outcome = material::MaterialOutcome::Failed(MaterialRefusal { errcode, message: "failed".into() });
        };
        assert!(caught(&|answers, _| failed(answers)), "a failure without a cause went unnoticed: {errcode:?}");
    }
    let call = |began| Call { began, ended: None };
    assert!(
        caught(&|_, calls| calls.of_requests.entry(flawed).or_default().push(call(UnixMillis(0)))),
        "a call that was spent went unnoticed"
    );
    assert!(
        caught(&|_, calls| calls.of_requests.entry(whole).or_default().push(call(UnixMillis(i64::MAX)))),
        "a call for what is answered went unnoticed"
    );
}
