//! The real binary, as a child: the connector, and the simulated upstream beside it.

use std::fs;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};

use super::process::Process;
use super::wait::wait_until;

/// From SIGTERM to the exit: the last transaction commits meanwhile.
const STOP_BOUND: Duration = Duration::from_secs(30);

pub const BINARY: &str = env!("CARGO_BIN_EXE_promoter-connector");

/// `promoter-connector run`. Killed when it is dropped.
pub struct Connector {
    process: Process,
}

impl Connector {
    /// Runs with `config` as its file and `environment` beside the test's own. `name` tells the instances in one
    /// directory apart; its log is `<name>.err` there.
    pub fn start(directory: &Path, name: &str, config: &str, environment: &[(&str, &str)]) -> Result<Connector> {
        let mut command = run(directory, name, config)?;
        command.envs(environment.iter().copied());
        Ok(Connector { process: Process::start(name, &command, directory)? })
    }

    /// As [`Connector::start`], with `arguments` behind `run`.
    pub fn start_with(directory: &Path, name: &str, config: &str, arguments: &[&str]) -> Result<Connector> {
        let mut command = run(directory, name, config)?;
        command.args(arguments);
        Ok(Connector { process: Process::start(name, &command, directory)? })
    }

    /// As [`Connector::start`], but its log goes to `log`.
    pub fn start_logging_to(directory: &Path, name: &str, config: &str, log: Stdio) -> Result<Connector> {
        let command = run(directory, name, config)?;
        Ok(Connector { process: Process::start_with_errors(name, &command, directory, log)? })
    }

    /// SIGKILL, and gone when this returns.
    pub fn kill9(&self) -> Result<()> {
        self.process.kill9()
    }

    /// SIGSTOP: a zombie in the making.
    pub fn stop(&self) -> Result<()> {
        self.process.pause()
    }

    /// SIGCONT.
    pub fn cont(&self) -> Result<()> {
        self.process.resume()
    }

    /// SIGHUP.
    pub fn hang_up(&self) -> Result<()> {
        self.process.hang_up()
    }

    /// SIGTERM, without waiting for what it does.
    pub fn ask_to_end(&self) -> Result<()> {
        self.process.ask_to_end()
    }

    /// SIGTERM, and how it ended.
    pub fn terminate(&self) -> Result<ExitStatus> {
        self.process.terminate(STOP_BOUND)
    }

    /// Its end by itself, as after a failpoint or a wrong configuration.
    pub fn wait_exit(&self, bound: Duration) -> Result<ExitStatus> {
        self.process.wait_exit(bound)
    }

    /// An error with the end of its log, if it has ended.
    pub fn must_run(&self) -> Result<()> {
        self.process.must_run()
    }

    /// Waits until its log holds `text` at least `times` times, over all starts under this name. An error if it ends.
    pub fn wait_logged(&self, text: &str, times: usize, bound: Duration) -> Result<()> {
        wait_until(&format!("the log says {text:?} {times} times"), bound, || {
            if self.log()?.matches(text).count() >= times {
                return Ok(Some(()));
            }
            self.must_run().map(|()| None)
        })
    }

    /// Its log so far, over all starts under this name.
    pub fn log(&self) -> Result<String> {
        self.process.errors()
    }
}

fn run(directory: &Path, name: &str, config: &str) -> Result<Command> {
    let file = directory.join(format!("{name}.toml"));
    fs::write(&file, config).context("the connector's configuration can't be written")?;
    let mut command = Command::new(BINARY);
    command.arg("run").arg("--config").arg(&file);
    Ok(command)
}
