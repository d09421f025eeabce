//! The lane: takes commands as they come, has them answered side by side, and commits the answers.
//!
//! An answer is committed at once, with all that have come meanwhile; while one transaction commits, the next is
//! gathered. Reading goes on whatever waits: a command whose app has no room left in memory is parked, which leaves its
//! offset in that app's window, and is read again when the room is half empty (`again`); one whose schema is not known
//! yet begins a strand, or waits in one ([`super::strand`]), and is read again when the schema is known (`strands`). So
//! bounded are the commands in memory, app by app ([`super::rooms`]), what is noted of those that are answered out of
//! order ([`super::window`]), and, by the permits that come with them, the answers of calls.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use self::again::Jobs;
use super::command::{Answer, Command, Place};
use super::executor::{AnswerPermit, Errand, Executor, Reading};
use super::log::{AnswerBatch, CommandLog, OpenedCommands, ReadAgain};
use super::partition::Partition;
use super::rooms::{Keeper, Rooms};
use super::strand::{StrandNumber, WindowKey};
use super::totals::CommandTotals;
use crate::commit::committer::{REVOCATION_GRACE, attempts};
use crate::commit::log::{CommitError, Ended};
use crate::upstream::transport::Transport;

mod again;
mod strands;

/// How often it is looked whether something parked is to be read again, besides whenever a transaction has committed.
const LOOK_EVERY: Duration = Duration::from_secs(1);

struct Task {
    command: Arc<Command>,
    key: WindowKey,
    /// Absent where the lane ended first.
    answer: Option<(Answer, Option<AnswerPermit>)>,
}

/// An answer that no transaction holds yet.
struct Gathered {
    command: Arc<Command>,
    keeper: Keeper,
    answer: Answer,
}

type Commit<L> = Pin<Box<dyn Future<Output = (L, Vec<Keeper>, Arc<AnswerBatch>, Result<(), CommitError>)> + Send>>;

/// One session: from an open log to its end. Everything it holds is dropped with it.
struct Session<L, T> {
    executor: Arc<Executor<T>>,
    totals: Arc<CommandTotals>,
    partitions: BTreeMap<i32, Partition>,
    rooms: Rooms,
    tasks: JoinSet<Task>,
    jobs: Jobs,
    again: mpsc::Sender<ReadAgain>,
    gathered: Vec<Gathered>,
    /// With the answers that were gathered.
    permits: Vec<AnswerPermit>,
    /// Absent while a transaction commits.
    log: Option<L>,
    /// Ends the calls.
    cancel: CancellationToken,
}

/// Runs until `stop` is cancelled, the partitions are revoked, or the log has to be opened again. Gives the log back
/// unless it is lost in a transaction that did not end in time.
pub async fn run<L: CommandLog, T: Transport>(
    log: L,
    opened: OpenedCommands,
    executor: Arc<Executor<T>>,
    totals: Arc<CommandTotals>,
    stop: &CancellationToken,
) -> (Option<L>, Ended) {
    let OpenedCommands { progress, mut commands, again, revoked } = opened;
    let partitions = progress.into_iter().map(|progress| (progress.partition, Partition::resume(progress)));
    let session = Session {
        executor,
        totals,
        partitions: partitions.collect(),
        rooms: Rooms::default(),
        tasks: JoinSet::new(),
        jobs: Jobs::default(),
        again,
        gathered: Vec::new(),
        permits: Vec::new(),
        log: Some(log),
        cancel: CancellationToken::new(),
    };
    session.run(&mut commands, &revoked, stop).await
}

impl<L: CommandLog, T: Transport> Session<L, T> {
    async fn run(
        mut self,
        commands: &mut mpsc::Receiver<Command>,
        revoked: &CancellationToken,
        stop: &CancellationToken,
    ) -> (Option<L>, Ended) {
        let mut commit: Option<Commit<L>> = None;
        let mut ended = None;
        let mut patience = None;
        let mut look = tokio::time::interval(LOOK_EVERY);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
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
            let may_gather = ended.is_none() && self.gathered.len() < self.executor.at_once.most();
            let has_room = may_gather && self.rooms.has_room_for_others();
            tokio::select! {
                biased;
                (log, keepers, batch, result) = finished(&mut commit) => {
                    commit = None;
                    if let Err(error) = result {
                        return (Some(log), error.into());
                    }
                    self.log = Some(log);
                    self.committed(&keepers, &batch);
                    self.look_back(ended.is_some());
                }
                () = stop.cancelled(), if ended.is_none() => ended = Some(self.stop_calls(Ended::Drained)),
                () = revoked.cancelled(), if patience.is_none() => {
                    patience = Some(Instant::now() + REVOCATION_GRACE);
                    if ended.is_none() {
                        ended = Some(self.stop_calls(Ended::Revoked));
                    }
                }
                () = come(patience) => return (None, Ended::Revoked),
                Some(task) = self.tasks.join_next(), if may_gather => {
                    self.finish(task.expect("nobody aborts a task, and a panic ends the process"));
                }
                Some(read) = self.jobs.running.join_next(), if may_gather => {
                    match read.expect("nobody aborts a job, and a panic ends the process") {
                        (job, Some(read)) => {
                            self.take_back(job, read);
                            self.look_back(false);
                        }
                        (_, None) => ended = Some(self.stop_calls(unreadable())),
                    }
                }
                Some(lesson) = self.jobs.lessons.running.join_next(), if ended.is_none() => {
                    self.reconsider(lesson.expect("nobody aborts a lesson before the end, and a panic ends the process"));
                }
                command = commands.recv(), if has_room => match command {
                    Some(command) => self.take(command),
                    None => ended = Some(self.stop_calls(unreadable())),
                },
                _ = look.tick(), if ended.is_none() => {
                    self.totals.schemas_asked.store(self.jobs.lessons.asked_count() as u64, Ordering::Relaxed);
                    self.look_back(false);
                }
            }
        }
    }

    /// Answers a command that has come, begins it, or leaves it for later.
    fn take(&mut self, command: Command) {
        let Place { partition, offset } = command.place;
        // A partition that was not handed over with the others is not this session's.
        let Some(partition) = self.partitions.get_mut(&partition) else { return };
        if !partition.read(&command) {
            return;
        }
        let strand = partition.strand_of(offset, self.executor.schema_id(&command));
        if strand.is_some_and(|strand| partition.is_behind(strand)) {
            // Its turn comes behind those before it.
            return;
        }
        strand.into_iter().for_each(|strand| partition.extend(strand, offset));
        match self.executor.read(&command) {
            Reading::Errand(errand) => self.give(command, errand, strand),
            Reading::DeadLetter(letter) => self.answer_at_once(command, Answer::DeadLetter(letter)),
            Reading::UnknownSchema(id) => self.put_off(command.place, id),
        }
    }

    /// Gives a request that can be read to the window of its app: one of a strand, or of none.
    fn give(&mut self, command: Command, errand: Box<Errand>, strand: Option<StrandNumber>) {
        let Place { partition, offset } = command.place;
        let Some(partition) = self.partitions.get_mut(&partition) else { return };
        let key = WindowKey::new(strand, errand.app_id());
        let room = self.executor.room(&key.app);
        let answer = self.executor.without_a_call(&errand, self.executor.now());
        let Some(window) = partition.window_for(&key, room.is_some()) else {
            let answer = answer.expect("the check refuses an app that is not known");
            return self.answer_at_once(command, answer);
        };
        let has_room = window.parked_from().is_none()
            && window.has_room()
            && room.is_none_or(|room| self.rooms.has_room(&key.app, room));
        match answer {
            Some(answer) => {
                if window.answer_at_once(offset) {
                    self.answer_at_once(command, answer);
                } else {
                    window.park(offset, errand.deadline());
                }
            }
            None if has_room => {
                window.begin(offset);
                self.begin(command, errand, key);
            }
            None => window.park(offset, errand.deadline()),
        }
    }

    fn answer_at_once(&mut self, command: Command, answer: Answer) {
        let (command, keeper) = (Arc::new(command), Keeper::Nobody);
        self.rooms.hold(&keeper, command.bytes());
        self.gathered.push(Gathered { command, keeper, answer });
    }

    fn begin(&mut self, command: Command, errand: Box<Errand>, key: WindowKey) {
        let (executor, cancel, command) = (self.executor.clone(), self.cancel.clone(), Arc::new(command));
        self.rooms.hold(&Keeper::App(key.clone()), command.bytes());
        self.tasks.spawn(async move {
            let answer = executor.carry_out(&errand, &cancel).await;
            Task { command, key, answer }
        });
    }

    fn finish(&mut self, Task { command, key, answer }: Task) {
        let Some((answer, permit)) = answer else { return };
        let Place { partition, offset } = command.place;
        let window = self.partitions.get_mut(&partition).and_then(|partition| partition.window(&key));
        window.into_iter().for_each(|window| window.answer(offset));
        self.permits.extend(permit);
        self.gathered.push(Gathered { command, keeper: Keeper::App(key), answer });
    }

    /// All that is gathered, as one transaction. Tried again as long as it is certain that nothing was written.
    fn commit(&mut self, mut log: L) -> Commit<L> {
        let (mut answers, mut keepers) = (Vec::new(), Vec::new());
        for Gathered { command, keeper, answer } in std::mem::take(&mut self.gathered) {
            answers.push((command, answer));
            keepers.push(keeper);
        }
        let touched: BTreeSet<i32> = answers.iter().map(|(command, _)| command.place.partition).collect();
        let (mut progress, mut positions) = (Vec::new(), Vec::new());
        for number in touched {
            let Some(partition) = self.partitions.get_mut(&number) else { continue };
            positions.push((number, partition.first()));
            progress.extend(partition.take_records());
        }
        let batch = Arc::new(AnswerBatch { answers, progress, positions });
        self.permits.clear();
        let records = batch.answers.len();
        let span = tracing::info_span!("commit", pipeline = "requests", records);
        let executor = self.executor.clone();
        let committing = async move {
            let result = attempts(&mut log, batch.clone(), records, records > 1).await;
            executor.at_once.learn(&result, records);
            (log, keepers, batch, result)
        };
        Box::pin(committing.instrument(span))
    }

    fn committed(&mut self, keepers: &[Keeper], batch: &AnswerBatch) {
        self.totals.add(batch);
        for ((command, _), keeper) in batch.answers.iter().zip(keepers) {
            self.rooms.let_go(keeper, command.bytes());
        }
    }

    /// Calls under way are given up: asked again later, their material is only made twice.
    fn stop_calls(&mut self, ended: Ended) -> Ended {
        self.cancel.cancel();
        self.tasks.abort_all();
        self.jobs.running.abort_all();
        self.jobs.lessons.running.abort_all();
        ended
    }
}

fn unreadable() -> Ended {
    Ended::Reopen("the requests can't be read any more".into())
}

/// For ever where there is no such time.
async fn come(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}

/// For ever where nothing commits.
async fn finished<L>(commit: &mut Option<Commit<L>>) -> (L, Vec<Keeper>, Arc<AnswerBatch>, Result<(), CommitError>) {
    match commit {
        Some(commit) => commit.await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
