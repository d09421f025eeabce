//! Reads again what was left in the topic: what is parked, when its app has room again or its deadline passes, and what
//! could not be read before the last start.
//!
//! One piece at a time, by turns: as large as the backlog of one app may be, what is read again for it is bounded, and so
//! is its share of the reading.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::Session;
use crate::commands::command::{Command, Place};
use crate::commands::executor::{Errand, Executor};
use crate::commands::log::{Chunk, CommandLog, ReadAgain};
use crate::commands::progress::Progress;
use crate::domain::time::UnixMillis;
use crate::wechat::transport::Transport;

/// Before it is tried again where nothing could be read.
const STALLED: Duration = Duration::from_secs(1);

/// How many pieces of one partition are read for one app before it is another's turn: going on where the last piece ended
/// costs least.
const IN_A_ROW_MAX: u32 = 16;

/// What is read again, and what is to be.
pub(super) struct Jobs {
    /// One at most.
    pub running: JoinSet<(Job, Option<ReadBack>)>,
    /// Whose turn it was last, and how often it was in a row.
    last: (i32, String),
    in_a_row: u32,
    /// Nothing is tried before.
    stalled_until: Option<Instant>,
    /// Put off before the last start, and not yet in memory again.
    unread: BTreeMap<i32, BTreeSet<i64>>,
}

/// Why something is read again.
#[derive(Clone, Debug)]
pub(super) struct Job {
    partition: i32,
    kind: Kind,
    from: i64,
}

#[derive(Clone, Debug)]
enum Kind {
    Unread,
    /// For the room of an app.
    CatchUp(String),
    /// For what has a deadline that has passed by a time.
    Sweep(String, UnixMillis),
}

/// Commands, with what they say where that is a request, and up to where nothing else stands.
pub(super) struct ReadBack {
    commands: Vec<(Command, Option<Box<Errand>>)>,
    next: i64,
}

/// What to do with a command that was read again.
enum Step {
    Skip,
    Stop,
    Answer(crate::commands::command::Answer),
    Begin,
}

impl Jobs {
    pub fn new(progress: &[Progress]) -> Jobs {
        let unread = progress.iter().filter(|progress| !progress.unread.is_empty());
        let unread = unread.map(|progress| (progress.partition, progress.unread.clone())).collect();
        Jobs { running: JoinSet::new(), last: (i32::MIN, String::new()), in_a_row: 0, stalled_until: None, unread }
    }

    fn start<T: Transport>(&mut self, job: Job, to: i64, executor: Arc<Executor<T>>, again: mpsc::Sender<ReadAgain>) {
        self.running.spawn(async move {
            let read = read(&job, to, &executor, &again).await;
            (job, read)
        });
    }
}

/// Nothing where nobody reads any more.
async fn read<T: Transport>(
    job: &Job,
    to: i64,
    executor: &Executor<T>,
    again: &mpsc::Sender<ReadAgain>,
) -> Option<ReadBack> {
    let (chunk, answer) = oneshot::channel();
    again.send(ReadAgain { partition: job.partition, from: job.from, to, chunk }).await.ok()?;
    let Chunk { commands, next } = answer.await.ok()?;
    let mut read = Vec::with_capacity(commands.len());
    for command in commands {
        let errand = match job.kind {
            Kind::Unread => None,
            // What is no request was answered when it came.
            Kind::CatchUp(_) | Kind::Sweep(..) => executor.read_to_the_end(&command).await.ok(),
        };
        read.push((command, errand));
    }
    Some(ReadBack { commands: read, next })
}

impl<L: CommandLog, T: Transport> Session<L, T> {
    /// Begins to read something again, where that is due.
    pub(super) fn look_back(&mut self, has_ended: bool) {
        let now = Instant::now();
        if has_ended || !self.jobs.running.is_empty() || self.jobs.stalled_until.is_some_and(|until| until > now) {
            return;
        }
        if let Some((job, to)) = self.next_job(now) {
            self.jobs.start(job, to, self.executor.clone(), self.again.clone());
        }
    }

    fn next_job(&mut self, now: Instant) -> Option<(Job, i64)> {
        let has_room = self.rooms.has_room_for_others();
        if let Some((partition, unread)) = self.jobs.unread.first_key_value().filter(|_| has_room) {
            let (from, last) = (*unread.first()?, *unread.last()?);
            return Some((Job { partition: *partition, kind: Kind::Unread, from }, last + 1));
        }
        let parked = self.partitions.iter().flat_map(|(number, partition)| {
            let parked = partition.apps.iter().filter(|(_, backlog)| backlog.window.parked_from().is_some());
            parked.map(|(app, _)| (*number, app.clone()))
        });
        let parked: BTreeSet<(i32, String)> = parked.collect();
        let last = self.jobs.last.clone();
        let same = parked.get(&last).filter(|_| self.jobs.in_a_row < IN_A_ROW_MAX);
        let behind = parked.iter().filter(|key| **key > last);
        let others = behind.chain(parked.iter().filter(|key| **key <= last));
        for key in same.into_iter().chain(others) {
            if let Some(job) = self.job_for(key.0, &key.1, has_room, now) {
                self.jobs.in_a_row = if *key == last { self.jobs.in_a_row + 1 } else { 0 };
                self.jobs.last = key.clone();
                return Some(job);
            }
        }
        None
    }

    /// A look for deadlines and the room of the app take turns.
    fn job_for(&mut self, number: i32, app: &str, has_room: bool, now: Instant) -> Option<(Job, i64)> {
        let time = self.executor.now();
        let room = self.executor.room(app);
        let has_place = match room {
            Some(room) => self.rooms.is_half_empty(app, room),
            // Each is refused at once.
            None => has_room,
        };
        let partition = self.partitions.get_mut(&number)?;
        let end = partition.next();
        let backlog = partition.apps.get_mut(app)?;
        backlog.begin_sweep(time, now, end);
        let sweep = backlog.sweep.filter(|_| has_room);
        let catches_up = has_place && backlog.window.may_catch_up();
        let sweeps = sweep.is_some() && !(catches_up && backlog.swept_last);
        backlog.swept_last = sweeps;
        let job = |kind, from| Job { partition: number, kind, from };
        match (sweep, sweeps) {
            (Some(sweep), true) => Some((job(Kind::Sweep(app.to_owned(), sweep.time), sweep.next), sweep.to)),
            _ if catches_up => Some((job(Kind::CatchUp(app.to_owned()), backlog.window.parked_from()?), end)),
            _ => None,
        }
    }

    pub(super) fn take_back(&mut self, job: Job, read: ReadBack) {
        if read.next <= job.from {
            self.jobs.stalled_until = Some(Instant::now() + STALLED);
        }
        match &job.kind {
            Kind::Unread => self.take_unread(job.partition, read),
            Kind::CatchUp(app) => self.catch_up(job.partition, app, read),
            Kind::Sweep(app, time) => self.sweep(&job, app, *time, read),
        }
    }

    fn take_unread(&mut self, number: i32, ReadBack { commands, next }: ReadBack) {
        let Some(unread) = self.jobs.unread.get_mut(&number) else { return };
        let behind = unread.split_off(&next);
        let mut wanted = std::mem::replace(unread, behind);
        if unread.is_empty() {
            self.jobs.unread.remove(&number);
        }
        for (command, _) in commands {
            if wanted.remove(&command.place.offset) {
                self.begin_unread(command);
            }
        }
        // The topic has dropped them.
        let partition = self.partitions.get_mut(&number);
        partition
            .into_iter()
            .for_each(|partition| wanted.iter().for_each(|offset| partition.answer_unread(*offset, None)));
    }

    fn catch_up(&mut self, number: i32, app: &str, ReadBack { commands, mut next }: ReadBack) {
        let time = self.executor.now();
        for (command, errand) in commands {
            let Some(errand) = errand.filter(|errand| errand.app_id() == app) else { continue };
            let offset = command.place.offset;
            match self.next_step(number, &command, &errand, time) {
                Step::Skip => {}
                Step::Answer(answer) => self.answer_at_once(command, answer),
                Step::Begin => self.begin(command, errand),
                Step::Stop => {
                    next = offset;
                    break;
                }
            }
        }
        let Some(partition) = self.partitions.get_mut(&number) else { return };
        let end = partition.next();
        partition.window(app).into_iter().for_each(|window| window.read_to(next, end));
    }

    fn next_step(&mut self, number: i32, command: &Command, errand: &Errand, time: UnixMillis) -> Step {
        let Place { offset, .. } = command.place;
        let room = self.executor.room(errand.app_id());
        let has_room = room.is_none_or(|room| self.rooms.has_room(errand.app_id(), room));
        let Some(partition) = self.partitions.get_mut(&number) else { return Step::Skip };
        let (is_put_off, end) = (partition.unread().contains(&offset), partition.next());
        let Some(window) = partition.window(errand.app_id()) else { return Step::Skip };
        // All that stands before it has been met.
        window.read_to(offset, end);
        if is_put_off || !window.is_unanswered(offset, errand.deadline()) {
            return Step::Skip;
        }
        match self.executor.without_a_call(errand, time) {
            Some(answer) if window.answer_at_once(offset) => Step::Answer(answer),
            None if has_room && window.has_room_for(offset) => {
                window.begin(offset);
                Step::Begin
            }
            _ => Step::Stop,
        }
    }

    /// Answers what has expired by `time`, and notes when the next does.
    fn sweep(&mut self, job: &Job, app: &str, time: UnixMillis, ReadBack { commands, next }: ReadBack) {
        let Some(partition) = self.partitions.get_mut(&job.partition) else { return };
        let unread = partition.unread().clone();
        let Some(backlog) = partition.apps.get_mut(app) else { return };
        let mut expired = Vec::new();
        for (command, errand) in commands {
            let Some(errand) = errand.filter(|errand| errand.app_id() == app) else { continue };
            let (offset, deadline) = (command.place.offset, errand.deadline());
            if unread.contains(&offset) || !backlog.window.is_unanswered(offset, deadline) {
                continue;
            }
            let has_passed = deadline.is_some_and(|deadline| deadline <= time);
            match self.executor.without_a_call(&errand, time).filter(|_| has_passed) {
                Some(answer) => expired.push((command, answer)),
                None => backlog.window.note_deadline(deadline),
            }
        }
        backlog.window.expire(job.from, next, time);
        backlog.swept(next, Instant::now());
        expired.into_iter().for_each(|(command, answer)| self.answer_at_once(command, answer));
    }
}
