//! The harness's children: they end when they are told to, and never outlive the test. And the connector as a process,
//! whatever becomes of those who read its log.

#![allow(dead_code, reason = "each test binary uses its part of the harness")]
#![allow(clippy::unwrap_used, reason = "a test that meets an absent value has failed already")]

/// The part of the harness that is tested here.
mod harness {
    pub mod collector;
    pub mod directory;
    pub mod process;
    pub mod service_manager;
    pub mod wait;
}

mod telemetry {
    mod admin;
    mod log;
    mod service_manager;
    mod traces;
    mod whole_process;
}

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use harness::process::Process;
use harness::{directory, wait::wait_until};
use rustix::process::{Pid, test_kill_process};

const BOUND: Duration = Duration::from_secs(20);
const MIDDLE: &str = "PROCESS_TEST_MIDDLE";

fn shell(script: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", script]);
    command
}

fn lines(process: &Process) -> usize {
    process.output().unwrap().lines().count()
}

/// Waits for the number of a process that a script has written as its only line.
fn written_id(file: &Path) -> Pid {
    let id = wait_until("the number is written", BOUND, || {
        Ok(fs::read_to_string(file).ok().and_then(|text| text.strip_suffix('\n')?.parse().ok()))
    });
    Pid::from_raw(id.unwrap()).unwrap()
}

fn wait_gone(id: Pid) {
    wait_until("the process is gone", BOUND, || Ok(test_kill_process(id).is_err().then_some(()))).unwrap();
}

#[test]
fn an_end_by_itself_is_seen_with_its_code_and_its_words() {
    let directory = directory::temporary("process").unwrap();
    let process = Process::start("child", &shell("echo out; echo err >&2; exit 7"), directory.path()).unwrap();
    assert_eq!(process.wait_exit(BOUND).unwrap().code(), Some(7));
    assert_eq!((process.output().unwrap(), process.errors().unwrap()), ("out\n".to_owned(), "err\n".to_owned()));
    let error = process.must_run().unwrap_err().to_string();
    assert!(error.contains("exit status: 7") && error.ends_with("err"), "{error}");
    assert!(process.terminate(BOUND).is_err());
}

#[test]
fn sigterm_can_be_answered_in_order() {
    let directory = directory::temporary("process").unwrap();
    let script = "trap 'exit 3' TERM; echo ready; while :; do sleep 0.01; done";
    let process = Process::start("child", &shell(script), directory.path()).unwrap();
    wait_until("it is ready", BOUND, || Ok((lines(&process) == 1).then_some(()))).unwrap();
    assert_eq!(process.terminate(BOUND).unwrap().code(), Some(3));
}

#[test]
fn who_does_not_end_within_the_bound_is_reported() {
    let directory = directory::temporary("process").unwrap();
    let process = Process::start("child", &shell("sleep 600"), directory.path()).unwrap();
    assert!(process.wait_exit(Duration::from_millis(50)).is_err());
    assert!(process.must_run().is_ok());
}

#[test]
fn a_paused_process_stands_still_until_it_is_resumed() {
    let directory = directory::temporary("process").unwrap();
    let script = "while :; do echo tick; sleep 0.01; done";
    let process = Process::start("child", &shell(script), directory.path()).unwrap();
    let goes_on = |from: usize, bound| wait_until("it says more", bound, || Ok((lines(&process) > from).then_some(())));
    goes_on(0, BOUND).unwrap();
    process.pause().unwrap();
    assert!(goes_on(lines(&process) + 1, Duration::from_millis(200)).is_err());
    process.resume().unwrap();
    goes_on(lines(&process), BOUND).unwrap();
}

#[test]
fn kill9_takes_what_the_process_has_started_along() {
    let directory = directory::temporary("process").unwrap();
    let file = directory.path().join("grandchild");
    let script = format!("sleep 600 & echo $! > '{}'; wait", file.display());
    let process = Process::start("child", &shell(&script), directory.path()).unwrap();
    let grandchild = written_id(&file);
    process.kill9().unwrap();
    assert_eq!(process.exit().unwrap().unwrap().signal(), Some(9));
    wait_gone(grandchild);
    process.kill9().unwrap();
}

#[test]
fn a_child_ends_with_the_process_that_started_it() {
    let directory = directory::temporary("process").unwrap();
    let mut middle = Command::new(std::env::current_exe().unwrap());
    middle.args(["--exact", "middle_process", "--ignored"]).env(MIDDLE, directory.path());
    let mut middle = middle.stdout(Stdio::null()).spawn().unwrap();
    let child = written_id(&directory.path().join("child"));
    assert!(test_kill_process(child).is_ok());
    middle.kill().unwrap();
    middle.wait().unwrap();
    wait_gone(child);
}

/// Started by the test above, and killed by it.
#[test]
#[ignore = "a part of another test"]
fn middle_process() {
    let Some(directory) = std::env::var_os(MIDDLE) else { return };
    let directory = Path::new(&directory);
    let script = "echo $$ > child; exec sleep 600";
    let process = Process::start("child", &shell(script), directory).unwrap();
    let _ = process.wait_exit(BOUND * 2);
}
