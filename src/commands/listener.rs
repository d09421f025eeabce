//! The lane: takes commands as they come, has them answered side by side, and commits the answers.
//!
//! An answer is committed at once, with all that have come meanwhile; while one transaction commits, the next is
//! gathered. Bounded are the commands in memory ([`HELD_MAX`], [`HELD_BYTES_MAX`]), the span between the first without an
//! answer and the last that is begun (`window`), and, by the permits that come with them, the answers of calls. A
//! partition whose window is full is paused: those of the others are begun meanwhile.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::command::{Answer, Command, Place};
use super::executor::{AnswerPermit, Executor};
use super::log::{AnswerBatch, CommandLog, OpenedCommands};
use super::totals::CommandTotals;
use super::window::Window;
use crate::commit::committer::{RECALL_GRACE, commit_again};
use crate::commit::log::{CommitError, Ended};
use crate::wechat::transport::Transport;

/// Commands in memory, not yet answered and committed.
pub const HELD_MAX: usize = 1024;
/// Their bytes; one command always fits.
pub const HELD_BYTES_MAX: usize = 16 * 1024 * 1024;

type Task = (Arc<Command>, Option<(Answer, Option<AnswerPermit>)>);
type Commit<L> = Pin<Box<dyn Future<Output = (L, Arc<AnswerBatch>, Result<(), CommitError>)> + Send>>;

/// One session: from an open log to its end. Everything it holds is dropped with it.
struct Session<L, T> {
    executor: Arc<Executor<T>>,
    totals: Arc<CommandTotals>,
    windows: HashMap<i32, Window>,
    tasks: JoinSet<Task>,
    held: usize,
    held_bytes: usize,
    /// Came when their partition's window was full.
    waiting: HashMap<i32, VecDeque<Command>>,
    paused: watch::Sender<BTreeSet<i32>>,
    gathered: Vec<(Arc<Command>, Answer)>,
    /// With the answers that were gathered.
    permits: Vec<AnswerPermit>,
    /// Absent while a transaction commits.
    log: Option<L>,
    /// Ends the calls.
    cancel: CancellationToken,
}

/// Runs until `stop` is cancelled, the partitions are recalled, or the log has to be opened again. Gives the log back
/// unless it is lost in a transaction that did not end in time.
pub async fn run<L: CommandLog, T: Transport>(
    log: L,
    opened: OpenedCommands,
    executor: Arc<Executor<T>>,
    totals: Arc<CommandTotals>,
    stop: &CancellationToken,
) -> (Option<L>, Ended) {
    let OpenedCommands { progress, mut commands, paused, recalled } = opened;
    let windows = progress.iter().map(|progress| {
        let window = Window::resume(progress).unwrap_or_else(|error| {
            let (partition, offset) = (progress.partition, progress.offset);
            tracing::warn!(partition, offset, %error, "every request from there on is answered");
            Window::at(progress.offset)
        });
        (progress.partition, window)
    });
    let session = Session {
        executor,
        totals,
        windows: windows.collect(),
        tasks: JoinSet::new(),
        held: 0,
        held_bytes: 0,
        waiting: HashMap::new(),
        paused,
        gathered: Vec::new(),
        permits: Vec::new(),
        log: Some(log),
        cancel: CancellationToken::new(),
    };
    session.run(&mut commands, &recalled, stop).await
}

impl<L: CommandLog, T: Transport> Session<L, T> {
    async fn run(
        mut self,
        commands: &mut tokio::sync::mpsc::Receiver<Command>,
        recalled: &CancellationToken,
        stop: &CancellationToken,
    ) -> (Option<L>, Ended) {
        let mut commit: Option<Commit<L>> = None;
        let mut ended = None;
        let mut patience = None;
        loop {
            if commit.is_none() {
                let log = self.log.take().expect("the log is here while nothing commits");
                if self.gathered.is_empty() {
                    if let Some(ended) = ended {
                        return (Some(log), ended);
                    }
                    self.log = Some(log);
                } else {
                    commit = Some(self.commit(log));
                }
            }
            let has_room = ended.is_none() && self.has_room();
            tokio::select! {
                biased;
                (log, batch, result) = finished(&mut commit) => {
                    commit = None;
                    self.log = Some(log);
                    match result {
                        Ok(()) => self.committed(&batch),
                        Err(error) => {
                            let log = self.log.take().expect("it was put there just now");
                            return (Some(log), error.into());
                        }
                    }
                }
                () = stop.cancelled(), if ended.is_none() => ended = Some(self.stop_calls(Ended::Drained)),
                () = recalled.cancelled(), if patience.is_none() => {
                    patience = Some(Instant::now() + RECALL_GRACE);
                    if ended.is_none() {
                        ended = Some(self.stop_calls(Ended::Recalled));
                    }
                }
                () = come(patience) => return (None, Ended::Recalled),
                Some(task) = self.tasks.join_next(), if ended.is_none() => {
                    self.gather(task.expect("nobody aborts a task, and a panic ends the process"));
                }
                command = commands.recv(), if has_room => match command {
                    Some(command) => self.take(command),
                    None => ended = Some(self.stop_calls(Ended::Reopen("the requests can't be read any more".into()))),
                },
            }
        }
    }

    fn has_room(&self) -> bool {
        self.held < HELD_MAX && self.held_bytes < HELD_BYTES_MAX
    }

    /// Begins a command, or keeps it until its partition's window has room.
    fn take(&mut self, command: Command) {
        let Place { partition, offset } = command.place;
        // A partition that was not handed over with the others is not this session's.
        let Some(window) = self.windows.get(&partition) else { return };
        let has_room = window.has_room(offset) && !self.waiting.contains_key(&partition);
        self.hold(&command);
        if has_room {
            self.begin(command);
        } else {
            self.waiting.entry(partition).or_default().push_back(command);
            self.paused.send_if_modified(|paused| paused.insert(partition));
        }
    }

    fn begin(&mut self, command: Command) {
        let Place { partition, offset } = command.place;
        let is_open = self.windows.get_mut(&partition).is_some_and(|window| window.begin(offset));
        if !is_open {
            return self.let_go(&command);
        }
        let (executor, cancel, command) = (self.executor.clone(), self.cancel.clone(), Arc::new(command));
        self.tasks.spawn(async move {
            let answer = executor.answer(&command, &cancel).await;
            (command, answer)
        });
    }

    fn hold(&mut self, command: &Command) {
        self.held += 1;
        self.held_bytes += command.bytes();
    }

    fn let_go(&mut self, command: &Command) {
        self.held -= 1;
        self.held_bytes -= command.bytes();
    }

    fn gather(&mut self, (command, answer): Task) {
        let Some((answer, permit)) = answer else { return };
        let Place { partition, offset } = command.place;
        if let Some(window) = self.windows.get_mut(&partition) {
            window.answer(offset);
        }
        self.gathered.push((command, answer));
        self.permits.extend(permit);
        self.begin_waiting(partition);
    }

    /// As many of those that wait in the partition as its window has room for; then more may come.
    fn begin_waiting(&mut self, partition: i32) {
        let Some(mut waiting) = self.waiting.remove(&partition) else { return };
        while let Some(command) = waiting.pop_front() {
            let has_room = |window: &Window| window.has_room(command.place.offset);
            if !self.windows.get(&partition).is_some_and(has_room) {
                waiting.push_front(command);
                self.waiting.insert(partition, waiting);
                return;
            }
            self.begin(command);
        }
        self.paused.send_if_modified(|paused| paused.remove(&partition));
    }

    /// All that is gathered, as one transaction. Tried again as long as it is certain that nothing was written.
    fn commit(&mut self, mut log: L) -> Commit<L> {
        let answers = std::mem::take(&mut self.gathered);
        let mut partitions: Vec<i32> = answers.iter().map(|(command, _)| command.place.partition).collect();
        partitions.sort_unstable();
        partitions.dedup();
        let progress =
            partitions.iter().filter_map(|partition| Some(self.windows.get(partition)?.progress(*partition)));
        let batch = Arc::new(AnswerBatch { progress: progress.collect(), answers });
        self.permits.clear();
        let records = batch.answers.len();
        let span = tracing::info_span!("commit", pipeline = "requests", records);
        let committing = async move {
            let result = commit_again(&mut log, batch.clone(), records).await;
            (log, batch, result)
        };
        Box::pin(committing.instrument(span))
    }

    fn committed(&mut self, batch: &AnswerBatch) {
        self.totals.add(batch);
        for (command, _) in &batch.answers {
            self.let_go(command);
        }
    }

    /// Calls under way are given up: asked again later, their material is only made twice.
    fn stop_calls(&mut self, ended: Ended) -> Ended {
        self.cancel.cancel();
        self.tasks.abort_all();
        ended
    }
}

/// For ever where there is no such time.
async fn come(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}

/// For ever where nothing commits.
async fn finished<L>(commit: &mut Option<Commit<L>>) -> (L, Arc<AnswerBatch>, Result<(), CommitError>) {
    match commit {
        Some(commit) => commit.await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
