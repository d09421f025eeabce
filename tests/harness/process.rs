//! A child process that cannot outlive the test: the broker, the connector, the simulator.
//!
//! Each child leads its own process group and has a watcher in it, which reads a pipe whose other end only this
//! process holds. However this process ends, the kernel closes the pipe and the watcher kills the group. A parent
//! death signal would not do: it fires when the *thread* that started the child ends, and tests run on short-lived
//! threads. The group also keeps its number from being used again for as long as the watcher lives.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use super::wait::wait_until;

/// The watcher takes the pipe as descriptor 3, because a background job's own standard input is /dev/null.
const LEASH: &str = r#"exec 3<&0; (cat <&3; kill -s KILL -- -$$) >/dev/null 2>&1 & exec "$@" 3<&- </dev/null"#;

pub struct Process {
    name: String,
    state: Mutex<State>,
    id: Pid,
    /// Never written to: that it closes is the message.
    _leash: ChildStdin,
    output: PathBuf,
    errors: PathBuf,
}

struct State {
    child: Child,
    /// After that the group's number is anybody's.
    group_killed: bool,
}

impl Process {
    /// Starts `command` with its output and its errors appended to `<name>.out` and `<name>.err` in `directory`.
    pub fn start(name: &str, command: &Command, directory: &Path) -> Result<Process> {
        let errors = appending(&directory.join(format!("{name}.err")))?;
        Process::start_with_errors(name, command, directory, errors.into())
    }

    /// Starts `command` with its errors going elsewhere: [`Process::errors`] knows nothing of them then.
    pub fn start_with_errors(name: &str, command: &Command, directory: &Path, to: Stdio) -> Result<Process> {
        let (output, errors) = (directory.join(format!("{name}.out")), directory.join(format!("{name}.err")));
        let mut leashed = Command::new("sh");
        leashed.args(["-c", LEASH, name]).arg(command.get_program()).args(command.get_args());
        for (key, value) in command.get_envs() {
            match value {
                Some(value) => leashed.env(key, value),
                None => leashed.env_remove(key),
            };
        }
        std::os::unix::process::CommandExt::process_group(&mut leashed, 0);
        let mut child = leashed
            .current_dir(command.get_current_dir().unwrap_or(directory))
            .stdin(Stdio::piped())
            .stdout(appending(&output)?)
            .stderr(to)
            .spawn()
            .with_context(|| format!("{name} does not start"))?;
        let leash = child.stdin.take().context("the child has no pipe")?;
        let id = Pid::from_child(&child);
        let state = Mutex::new(State { child, group_killed: false });
        Ok(Process { name: name.to_owned(), state, id, _leash: leash, output, errors })
    }

    /// SIGKILL, at once, for the process and whatever it started.
    pub fn kill9(&self) -> Result<()> {
        let mut state = self.state();
        if !state.group_killed {
            kill_process_group(self.id, Signal::KILL).with_context(|| format!("{} can't be killed", self.name))?;
            state.group_killed = true;
        }
        state.child.wait().with_context(|| format!("{} can't be waited for", self.name))?;
        Ok(())
    }

    /// SIGSTOP: it stands still, with its connections and sessions open.
    pub fn pause(&self) -> Result<()> {
        self.signal(Signal::STOP)
    }

    /// SIGCONT.
    pub fn resume(&self) -> Result<()> {
        self.signal(Signal::CONT)
    }

    /// SIGTERM, and nothing more.
    pub fn ask_to_end(&self) -> Result<()> {
        self.signal(Signal::TERM)
    }

    /// SIGTERM, then its exit within `bound`.
    pub fn terminate(&self, bound: Duration) -> Result<ExitStatus> {
        self.ask_to_end()?;
        self.wait_exit(bound)
    }

    /// SIGHUP, as from a terminal that is closed, or from whoever wants a configuration to be read again.
    pub fn hang_up(&self) -> Result<()> {
        self.signal(Signal::HUP)
    }

    /// SIGINT, as from Ctrl-C.
    pub fn interrupt(&self) -> Result<()> {
        self.signal(Signal::INT)
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        // The lock is held until the signal is sent: nobody can reap the child and free its number in between.
        let mut state = self.state();
        if let Some(status) = state.child.try_wait()? {
            bail!("{} has ended already with {status}{}", self.name, self.errors_tail());
        }
        kill_process(self.id, signal).with_context(|| format!("{} can't be signalled", self.name))
    }

    pub fn wait_exit(&self, bound: Duration) -> Result<ExitStatus> {
        wait_until(&format!("{} ends", self.name), bound, || self.exit())
            .with_context(|| format!("{} still runs{}", self.name, self.errors_tail()))
    }

    /// How it ended, if it has.
    pub fn exit(&self) -> Result<Option<ExitStatus>> {
        Ok(self.state().child.try_wait()?)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder of this lock panics")
    }

    /// An error with the end of its log where the process has ended, though it should still be running.
    pub fn must_run(&self) -> Result<()> {
        match self.exit()? {
            Some(status) => bail!("{} ended with {status}{}", self.name, self.errors_tail()),
            None => Ok(()),
        }
    }

    /// Everything it has written to standard output so far, over all its starts in this directory.
    pub fn output(&self) -> Result<String> {
        read(&self.output)
    }

    /// Everything it has written to standard error so far, over all its starts in this directory.
    pub fn errors(&self) -> Result<String> {
        read(&self.errors)
    }

    /// The end of its standard error, to stand behind an error message.
    pub fn errors_tail(&self) -> String {
        const LINES: usize = 40;
        let text = self.errors().unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        format!("; the end of its log:\n{}", lines[lines.len().saturating_sub(LINES)..].join("\n"))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // A failure here has nobody to be told to, and the closing pipe kills the group as well.
        let _ = self.kill9();
    }
}

fn appending(path: &Path) -> Result<File> {
    File::options().create(true).append(true).open(path).with_context(|| format!("{} can't be written", path.display()))
}

fn read(path: &Path) -> Result<String> {
    let bytes = fs::read(path).with_context(|| format!("{} can't be read", path.display()))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
