//! The cases of a test binary: what each needs, and how its end is told.

use std::any::Any;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use libtest_mimic::{Arguments, Completion, Conclusion, Failed, Trial};

use super::availability::{Brokers, Unavailable, must_run_everything};
use super::context::Context;
use super::distribution::Distribution;
use super::kafka::Broker;
use super::way_in::Prepare;

/// More cases at once than a small machine has cores: most of a case's time is waiting, for a timeout or a rebalance.
const THREADS: usize = 6;
const LOG_TAIL_LINES: usize = 30;
/// Cases of which it is told how long they took.
const SLOWEST: usize = 12;

type Run = fn(&Context) -> Result<()>;

#[derive(Clone, Copy)]
pub struct Case {
    name: &'static str,
    run: Run,
    broker: Need,
    /// Says why a program that is needed beside the broker is not there.
    others: &'static [Check],
    /// Runs only when asked for, by `-- --ignored` or `-- --include-ignored`.
    long: bool,
}

type Check = fn() -> std::result::Result<(), String>;

#[derive(Clone, Copy)]
enum Need {
    /// A broker that other cases use at the same time.
    Shared,
    /// A broker that this case may kill and pause, with these properties beside those of the harness.
    Own(&'static [(&'static str, &'static str)]),
    /// A broker that asks who is there, which other such cases use at the same time.
    Secured,
    /// A broker with one more way in.
    Special(Prepare),
    /// A broker of this version, which still has a ZooKeeper.
    Old(&'static str),
}

impl Case {
    pub const fn shared(name: &'static str, run: Run) -> Case {
        Case { name, run, broker: Need::Shared, others: &[], long: false }
    }

    pub const fn own(name: &'static str, run: Run) -> Case {
        Case { name, run, broker: Need::Own(&[]), others: &[], long: false }
    }

    pub const fn own_with(name: &'static str, properties: &'static [(&'static str, &'static str)], run: Run) -> Case {
        Case { name, run, broker: Need::Own(properties), others: &[], long: false }
    }

    pub const fn secured(name: &'static str, run: Run) -> Case {
        Case { name, run, broker: Need::Secured, others: &[], long: false }
    }

    pub const fn special(name: &'static str, prepare: Prepare, run: Run) -> Case {
        Case { name, run, broker: Need::Special(prepare), others: &[], long: false }
    }

    pub const fn old(name: &'static str, version: &'static str, run: Run) -> Case {
        Case { name, run, broker: Need::Old(version), others: &[], long: false }
    }

    /// The same case, with programs that it needs beside the broker.
    pub const fn with(self, others: &'static [Check]) -> Case {
        Case { others, ..self }
    }

    /// The same case, which takes minutes or most of a small machine: a soak, and no part of the usual run.
    pub const fn long(self) -> Case {
        Case { long: true, ..self }
    }
}

/// Runs the cases that the command line asks for.
pub fn main(cases: impl IntoIterator<Item = Case>) -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(THREADS);
    let stock = Arc::new(Stock::default());
    let durations = Arc::new(Mutex::new(Vec::new()));
    let trials = cases.into_iter().map(|case| {
        let (stock, durations) = (Arc::clone(&stock), Arc::clone(&durations));
        Trial::ignorable_test(case.name, move || {
            let begun = Instant::now();
            let completion = conclude(&stock, &case);
            durations.lock().expect("no holder of this lock panics").push((begun.elapsed(), case.name));
            completion
        })
        .with_ignored_flag(case.long)
    });
    let conclusion = libtest_mimic::run(&arguments, trials.collect());
    // The shared broker stops here and takes its files along.
    drop(stock);
    tell_slowest(&mut durations.lock().expect("no holder of this lock panics"));
    match &arguments.filter {
        Some(filter) if !arguments.list && is_empty(&conclusion) => {
            eprintln!("no case has \"{filter}\" in its name");
            ExitCode::FAILURE
        }
        _ => conclusion.exit_code(),
    }
}

/// What a run waits for: the cases that took longest, beside others as they were.
fn tell_slowest(durations: &mut [(Duration, &str)]) {
    durations.sort_unstable_by(|one, other| other.cmp(one));
    for (duration, name) in durations.iter().take(SLOWEST) {
        println!("took {:.0} s: {name}", duration.as_secs_f64());
    }
}

/// Whether there was nothing to run: a name that is misspelt must not pass for a case that has passed.
fn is_empty(conclusion: &Conclusion) -> bool {
    let Conclusion { num_passed, num_failed, num_ignored, num_measured, .. } = conclusion;
    num_passed + num_failed + num_ignored + num_measured == 0
}

/// Brokers, looked for only when the first case needs one: listing the cases fetches nothing.
#[derive(Default)]
struct Stock {
    brokers: OnceLock<Result<Brokers, Unavailable>>,
    shared: OnceLock<Result<Arc<Broker>, String>>,
    secured: OnceLock<Result<Arc<Broker>, String>>,
}

impl Stock {
    /// The broker for a case, or why there can be none.
    fn broker(&self, need: Need) -> Result<Result<Arc<Broker>, Unavailable>> {
        let brokers = match self.brokers.get_or_init(Brokers::find) {
            Ok(brokers) => brokers,
            Err(unavailable) => return Ok(Err(unavailable.clone())),
        };
        match (need, brokers) {
            (Need::Own(_) | Need::Secured | Need::Special(_) | Need::Old(_), Brokers::Given { bootstrap }) => {
                Ok(Err(Unavailable(format!("it needs a broker of the harness's own, and not {bootstrap}"))))
            }
            (Need::Old(version), Brokers::Own(_)) => match Distribution::fetch(version) {
                Ok(distribution) => Ok(Ok(Arc::new(Broker::start_old(&distribution)?))),
                Err(unavailable) => Ok(Err(unavailable)),
            },
            (Need::Own(properties), Brokers::Own(_)) => Ok(Ok(Arc::new(Broker::start(brokers, properties)?))),
            (Need::Special(prepare), Brokers::Own(distribution)) => {
                Ok(Ok(Arc::new(Broker::start_with_way_in(distribution, prepare)?)))
            }
            (Need::Shared, _) => started(&self.shared, || Broker::start(brokers, &[])).map(Ok),
            (Need::Secured, Brokers::Own(distribution)) => {
                started(&self.secured, || Broker::start_secured(distribution)).map(Ok)
            }
        }
    }
}

/// The broker that several cases use, started by the first of them.
fn started(
    place: &OnceLock<Result<Arc<Broker>, String>>,
    start: impl FnOnce() -> Result<Broker>,
) -> Result<Arc<Broker>> {
    let broker = place.get_or_init(|| start().map(Arc::new).map_err(|error| format!("{error:#}")));
    broker.clone().map_err(|error| anyhow!("the broker of several cases does not start: {error}"))
}

fn conclude(stock: &Stock, case: &Case) -> Result<Completion, Failed> {
    let missing = case.others.iter().find_map(|check| check().err()).map(Unavailable);
    let broker = match missing.map_or_else(|| stock.broker(case.broker), |missing| Ok(Err(missing))).map_err(failed)? {
        Ok(broker) => broker,
        Err(unavailable) if must_run_everything() => return Err(Failed::from(unavailable.0)),
        Err(unavailable) => return Ok(Completion::ignored_with(unavailable.0)),
    };
    let context = Context::new(broker).map_err(failed)?;
    let error = match catch_unwind(AssertUnwindSafe(|| (case.run)(&context))) {
        Ok(Ok(())) => return Ok(Completion::Completed),
        Ok(Err(error)) => format!("{error:#}"),
        Err(panic) => panic_message(panic),
    };
    Err(Failed::from(error + &log_tails(context.directory())))
}

fn failed(error: anyhow::Error) -> Failed {
    Failed::from(format!("{error:#}"))
}

fn panic_message(panic: Box<dyn Any + Send>) -> String {
    match panic.downcast::<String>() {
        Ok(text) => *text,
        Err(panic) => panic.downcast_ref::<&str>().map_or("the case panicked", |text| text).to_owned(),
    }
}

/// The ends of the logs that the case's processes have left.
pub fn log_tails(directory: &Path) -> String {
    let mut tails = String::new();
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.extension().is_some_and(|extension| extension == "err") {
            let bytes = fs::read(&path).unwrap_or_default();
            let text = String::from_utf8_lossy(&bytes);
            let lines: Vec<&str> = text.lines().collect();
            let tail = lines[lines.len().saturating_sub(LOG_TAIL_LINES)..].join("\n");
            tails.push_str(&format!("\n--- the end of {}\n{tail}", entry.file_name().to_string_lossy()));
        }
    }
    tails
}
