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

    /// The numbers of the verdict, whose two lines must be the last ones of an exit with 0.
    fn verdict(&self) -> Verdict {
        let status = self.process.wait_exit(END).unwrap();
        let output = self.process.output().unwrap();
        assert_eq!(status.code(), Some(0), "{output}{}", self.process.errors_tail());
        let mut lines = output.lines().rev();
        let facts = numbers(lines.next().unwrap(), ["shown", "published", "missing", "twice"]);
        let materials = numbers(lines.next().unwrap(), ["materials asked", "answered", "touches that came from them"]);
        assert_eq!(events(&output) as u64, facts[1], "every event has its line:\n{output}");
        let [asked, answered, touches] = materials;
        assert_eq!(lines_of(&output, ": asks for material for ") as u64, asked, "{output}");
        assert_eq!(lines_of(&output, "  promoter.material.results ") as u64, answered, "{output}");
        assert_eq!(lines_of(&output, FROM_MATERIAL) as u64, touches, "{output}");
        Verdict { facts, materials }
    }
}

struct Verdict {
    /// Shown, published, missing, twice.
    facts: [u64; 4],
    /// Asked, answered, touches that came from them.
    materials: [u64; 3],
}

/// What a touch that came from material has at its end.
const FROM_MATERIAL: &str = "  <- asked for above";

fn numbers<const N: usize>(line: &str, words: [&str; N]) -> [u64; N] {
    let mut parts = line.split(", ");
    let numbers = words.map(|word| {
        let number = parts.next().and_then(|part| part.strip_prefix(word)).and_then(|part| part.trim().parse().ok());
        number.unwrap_or_else(|| panic!("no {word} in the verdict: {line}"))
    });
    assert_eq!(parts.next(), None, "more than that in the verdict: {line}");
    numbers
}

fn lines_of(output: &str, part: &str) -> usize {
    output.lines().filter(|line| line.contains(part)).count()
}

/// Lines of facts begin with a time and name their topic.
fn events(output: &str) -> usize {
    let is_event = |line: &&str| line.as_bytes().get(2) == Some(&b':') && line.contains("  promoter.");
    output.lines().filter(is_event).filter(|line| !line.contains("  promoter.material.")).count()
}

#[test]
fn everything_shown_is_published_once_and_the_first_event_comes_soon() {
    let demo = Demo::start(&["--seed", "7", "--for", "8s"]);
    demo.wait_events(1, FIRST_EVENT);
    let verdict = demo.verdict();
    let [shown, published, missing, twice] = verdict.facts;
    assert!(shown > 50, "only {shown} facts were shown");
    assert_eq!((published, missing, twice), (shown, 0, 0));
    let [asked, answered, _] = verdict.materials;
    assert!(asked > 0, "nothing was asked for");
    assert_eq!(answered, asked);
    let output = demo.process.output().unwrap();
    assert!(output.contains("proves nothing about exactly-once"), "{output}");
    for word in [" touch ", " PAID ¥", " REFUNDED ¥", "poster-1: short link #", ", QR code of "] {
        assert!(output.contains(word), "no{word}in:\n{output}");
    }
}

#[test]
fn ctrl_c_in_the_middle_stops_in_order_with_a_verdict() {
    let demo = Demo::start(&["--seed", "7"]);
    demo.wait_events(60, END);
    let came_back = || {
        demo.process.must_run()?;
        Ok((lines_of(&demo.process.output()?, FROM_MATERIAL) > 0).then_some(()))
    };
    wait_until("a touch comes from material that was asked for", END, came_back).unwrap();
    demo.process.interrupt().unwrap();
    let verdict = demo.verdict();
    let [shown, published, missing, twice] = verdict.facts;
    assert!(shown >= 60, "only {shown} facts were shown");
    assert_eq!((published, missing, twice), (shown, 0, 0));
    let [asked, answered, touches] = verdict.materials;
    assert_eq!(answered, asked);
    assert!(touches > 0, "a touch that was seen is counted");
}
