//! Our records and our registry client, judged by programs that are not ours: fastavro, confluent-kafka, Apicurio.
//!
//! Without Python, or without Java and Maven, the cases are shown as ignored, with the reason; with `CI=true` they fail.
//! What the running connector writes is read by others in `tests/broker.rs`.

#![allow(dead_code, reason = "each test binary uses its part of the harness")]

mod elsewhere {
    pub mod readers;
    pub mod registry;
}
mod harness;

use std::process::ExitCode;
use std::sync::{Arc, OnceLock};

use elsewhere::{readers, registry};
use harness::apicurio::Apicurio;
use harness::availability::must_run_everything;
use harness::python::Python;
use libtest_mimic::{Arguments, Completion, Failed, Trial};

/// The programs that are not ours, started when the first case needs them.
#[derive(Default)]
struct Others {
    python: OnceLock<Result<Python, String>>,
    apicurio: OnceLock<Result<Apicurio, String>>,
}

impl Others {
    fn python(&self) -> Result<&Python, String> {
        self.python.get_or_init(Python::prepare).as_ref().map_err(Clone::clone)
    }

    fn apicurio(&self) -> Result<&Apicurio, String> {
        self.apicurio.get_or_init(Apicurio::start).as_ref().map_err(Clone::clone)
    }
}

type Check = fn() -> Result<(), String>;
type Run = fn(&Others) -> Result<(), String>;

const PYTHON: &[Check] = &[Python::available];
const JAVA: &[Check] = &[Apicurio::available];
const BOTH: &[Check] = &[Python::available, Apicurio::available];

const CASES: &[(&str, &[Check], Run)] = &[
    ("fastavro finds our fingerprints", PYTHON, |others| readers::fastavro_finds_our_fingerprints(others.python()?)),
    ("fastavro reads single objects", PYTHON, |others| readers::fastavro_reads_single_objects(others.python()?)),
    ("every schema is registered once", JAVA, |others| registry::every_schema_is_registered_once(others.apicurio()?)),
    ("an incompatible schema is refused by name", JAVA, |others| {
        registry::an_incompatible_schema_is_refused_by_name(others.apicurio()?)
    }),
    ("a URL without its path is told to be no registry", JAVA, |others| {
        registry::a_url_without_the_path_is_told_to_be_no_registry(others.apicurio()?)
    }),
    ("confluent-kafka reads records through the registry", BOTH, |others| {
        readers::confluent_kafka_reads_records_through_the_registry(others.python()?, others.apicurio()?)
    }),
];

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let others = Arc::new(Others::default());
    let trials = CASES.iter().map(|(name, checks, run)| {
        let others = Arc::clone(&others);
        Trial::ignorable_test(*name, move || conclude(checks, || run(&others)))
    });
    let conclusion = libtest_mimic::run(&arguments, trials.collect());
    // The registry stops here and takes its files along.
    drop(others);
    conclusion.exit_code()
}

fn conclude(checks: &[Check], run: impl FnOnce() -> Result<(), String>) -> Result<Completion, Failed> {
    match checks.iter().find_map(|check| check().err()) {
        Some(reason) if must_run_everything() => Err(Failed::from(reason)),
        Some(reason) => Ok(Completion::ignored_with(reason)),
        None => run().map(|()| Completion::Completed).map_err(Failed::from),
    }
}
