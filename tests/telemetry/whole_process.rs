//! What telemetry does to a whole process, in processes of their own.

use std::io::{BufRead, BufReader};
use std::process::Command;
use std::sync::mpsc;
use std::thread;

use serde_json::Value;

use super::log::{last_line, start_piped};
use crate::BOUND;
use crate::harness::process::Process;
use crate::harness::{directory, wait::wait_until};
use promoter_connector::telemetry::{last_words, log};

/// Asks for a part of a test; says which.
pub const PART: &str = "PROCESS_TEST_PART";
/// Far more than waits for a reader, each line having a kilobyte.
const FLOOD_LINES: u64 = 10_000;

/// Runs the ignored test `name` of this file as a process.
fn this_test(name: &str, part: &str) -> Command {
    this_test_of("whole_process", name, part)
}

/// Runs the ignored test `name` of the file `file` beside this one as a process.
pub fn this_test_of(file: &str, name: &str, part: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    let name = format!("telemetry::{file}::{name}");
    command.args(["--exact", &name, "--ignored", "--nocapture"]).env(PART, part);
    command
}

#[test]
fn each_line_of_the_log_is_read_or_counted_as_dropped() {
    let directory = directory::temporary("flood").unwrap();
    let (process, reader) = start_piped(&this_test("flooding_process", "flood"), directory.path());
    wait_until("everything is logged", BOUND, || {
        process.must_run()?;
        Ok(process.output()?.contains("flooded").then_some(()))
    })
    .unwrap();
    let (mut read, mut dropped) = (0, 0);
    let (lines, taken) = mpsc::channel();
    thread::spawn(move || BufReader::new(reader).lines().try_for_each(|line| lines.send(line)));
    while read + dropped < FLOOD_LINES {
        let line = taken.recv_timeout(BOUND).expect("each line is read or counted");
        let line: Value = serde_json::from_str(&line.unwrap()).unwrap();
        match line["message"].as_str() {
            Some("log lines were dropped") => dropped += line["lines"].as_u64().unwrap(),
            _ => read += 1,
        }
    }
    assert!(read > 100 && dropped > 100, "{read} read, {dropped} dropped");
}

/// Started by the test above, which ends it.
#[test]
#[ignore = "a part of another test"]
fn flooding_process() {
    if std::env::var_os(PART).is_none() {
        return;
    }
    log::start(&log::LogSettings { format: log::LogFormat::Json, ..Default::default() }).unwrap();
    let text = "x".repeat(1024);
    for number in 0..FLOOD_LINES {
        tracing::info!(number, text, "flood");
    }
    println!("flooded");
    loop {
        thread::park();
    }
}

#[test]
fn a_panic_in_any_thread_ends_the_process_with_its_last_words_in_the_log() {
    let directory = directory::temporary("panic").unwrap();
    for place in ["task", "thread", "blocking"] {
        let process = panicking(directory.path(), place);
        assert_eq!(process.wait_exit(BOUND).unwrap().code(), Some(1), "{place}{}", process.errors_tail());
        let line = last_line(&process.errors().unwrap());
        assert_eq!((&line["level"], &line["message"]), (&"ERROR".into(), &"giving up".into()), "{place}");
        let reason = line["reason"].as_str().unwrap();
        assert!(
            reason.contains("whole_process.rs") && reason.contains("a defect that was made for a test"),
            "{reason}"
        );
    }
}

fn panicking(directory: &std::path::Path, place: &str) -> Process {
    Process::start(place, &this_test("panicking_process", place), directory).unwrap()
}

/// Started by the test above, and ended by its own panic while its main thread waits for ever.
#[test]
#[ignore = "a part of another test"]
fn panicking_process() {
    let Some(place) = std::env::var_os(PART) else { return };
    last_words::exit_on_panic();
    log::start(&log::LogSettings { format: log::LogFormat::Json, ..Default::default() }).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    match place.to_str() {
        Some("task") => drop(runtime.spawn(async { panic!("a defect that was made for a test") })),
        Some("blocking") => drop(runtime.spawn_blocking(|| panic!("a defect that was made for a test"))),
        _ => drop(thread::spawn(|| panic!("a defect that was made for a test"))),
    }
    runtime.block_on(std::future::pending::<()>());
}
