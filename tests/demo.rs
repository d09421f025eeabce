//! The demo as a user starts it: the real binary, which judges itself.

#![allow(dead_code, reason = "each test binary uses its part of the harness")]
#![allow(clippy::unwrap_used, reason = "a test that meets an absent value has failed already")]

/// The part of the harness that is used here.
mod harness {
    pub mod directory;
    pub mod process;
    pub mod wait;
}

use std::process::Command;
use std::time::Duration;

use harness::process::Process;
use harness::{directory, wait::wait_until};
use tempfile::TempDir;

/// From the start to the first event.
const FIRST_EVENT: Duration = Duration::from_secs(5);
/// From what ends it to the exit: the longest that settling and stopping may take.
const END: Duration = Duration::from_secs(60);

struct Demo {
    process: Process,
    /// Goes after the process that writes there.
    _directory: TempDir,
}

impl Demo {
    fn start(arguments: &[&str]) -> Demo {
        let directory = directory::temporary("demo").unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_promoter-connector"));
        command.arg("demo").args(arguments);
        Demo { process: Process::start("demo", &command, directory.path()).unwrap(), _directory: directory }
    }

    fn wait_events(&self, count: usize, bound: Duration) {
        let enough = || {
            self.process.must_run()?;
            Ok((events(&self.process.output()?) >= count).then_some(()))
        };
        wait_until(&format!("{count} events are shown"), bound, enough).unwrap();
    }

    /// The numbers of the verdict, which must be the last line of an exit with 0.
    fn verdict(&self) -> [u64; 4] {
        let status = self.process.wait_exit(END).unwrap();
        let output = self.process.output().unwrap();
        assert_eq!(status.code(), Some(0), "{output}{}", self.process.errors_tail());
        let last = output.lines().last().unwrap();
        let mut numbers = last.split(", ");
        let verdict = ["shown", "published", "missing", "twice"].map(|word| {
            let part = numbers.next().unwrap_or_else(|| panic!("no {word} in the verdict: {last}"));
            part.strip_prefix(word)
                .unwrap_or_else(|| panic!("no {word} in the verdict: {last}"))
                .trim()
                .parse()
                .unwrap()
        });
        assert_eq!(events(&output) as u64, verdict[1], "every event has its line:\n{output}");
        verdict
    }
}

/// Lines of events begin with a time and name their topic.
fn events(output: &str) -> usize {
    output.lines().filter(|line| line.as_bytes().get(2) == Some(&b':') && line.contains("  promoter.")).count()
}

#[test]
fn everything_shown_is_published_once_and_the_first_event_comes_soon() {
    let demo = Demo::start(&["--seed", "7", "--for", "8s"]);
    demo.wait_events(1, FIRST_EVENT);
    let [shown, published, missing, twice] = demo.verdict();
    assert!(shown > 50, "only {shown} facts were shown");
    assert_eq!((published, missing, twice), (shown, 0, 0));
    let output = demo.process.output().unwrap();
    assert!(output.contains("proves nothing about exactly-once"), "{output}");
    for word in [" touch ", " PAID ¥", " REFUNDED ¥"] {
        assert!(output.contains(word), "no{word}in:\n{output}");
    }
}

#[test]
fn ctrl_c_in_the_middle_stops_in_order_with_a_verdict() {
    let demo = Demo::start(&["--seed", "7"]);
    demo.wait_events(60, END);
    demo.process.interrupt().unwrap();
    let [shown, published, missing, twice] = demo.verdict();
    assert!(shown >= 60, "only {shown} facts were shown");
    assert_eq!((published, missing, twice), (shown, 0, 0));
}
