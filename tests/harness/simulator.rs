//! `promoter-connector simulate`, as a child, and its own endpoints over plain HTTP.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::connector::BINARY;
use super::http;
use super::process::Process;
use super::wait::wait_until;

const START_BOUND: Duration = Duration::from_secs(20);
const CALL_BOUND: Duration = Duration::from_secs(30);

/// Killed when it is dropped.
pub struct Simulator {
    process: Process,
    url: String,
}

impl Simulator {
    /// Starts it on a free port with `arguments` beside the address, and waits until it says where it listens.
    pub fn start(directory: &Path, arguments: &[&str]) -> Result<Simulator> {
        let mut command = Command::new(BINARY);
        command.args(["simulate", "--listen", "127.0.0.1:0"]).args(arguments);
        let process = Process::start(&unused_name(directory), &command, directory)?;
        let url = wait_until("the simulator says where it listens", START_BOUND, || {
            process.must_run()?;
            Ok(printed_url(&process.output()?))
        })?;
        Ok(Simulator { process, url })
    }

    /// What an app's `base_url` is set to.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Every fact it has shown so far.
    pub fn truth(&self) -> Result<Vec<Value>> {
        let text = self.get("_truth")?;
        text.lines().map(|line| serde_json::from_str(line).context("a line of the truth is not JSON")).collect()
    }

    /// Its counters.
    pub fn stats(&self) -> Result<Value> {
        serde_json::from_str(&self.get("_stats")?).context("the statistics are not JSON")
    }

    /// The body that GET `/<path>` answers.
    pub fn get(&self, path: &str) -> Result<String> {
        self.process.must_run()?;
        let (status, body) = http::get(&format!("{}/{path}", self.url), CALL_BOUND)?;
        ensure!(status == 200, "/{path} answers {status}: {body}");
        Ok(body)
    }
}

/// Of a simulator that is not the first one of its directory, too: each says in an output of its own where it listens.
fn unused_name(directory: &Path) -> String {
    let is_unused = |name: &String| !directory.join(name).with_extension("out").exists();
    (1..).map(|number| format!("simulator-{number}")).find(is_unused).expect("there is always another number")
}

/// The address in a line that is complete.
fn printed_url(output: &str) -> Option<String> {
    let (_, rest) = output.split_once("http://127.0.0.1:")?;
    let (port, _) = rest.split_once(|character: char| !character.is_ascii_digit())?;
    (!port.is_empty()).then(|| format!("http://127.0.0.1:{port}"))
}
