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
use crate::commands::executor::{Errand, Executor, Reading};
use crate::commands::log::{CHUNK_MAX, Chunk, CommandLog, ReadAgain};
use crate::commands::partition::Sweep;
use crate::commands::progress::Progress;
use crate::domain::time::UnixMillis;
use crate::wechat::transport::Transport;

/// Before it is tried again where nothing could be read.
const STALLED: Duration = Duration::from_secs(1);

/// How many schemas are asked for at once for what is read again.
const LESSONS_MAX: usize = 64;
/// How many ids are kept that no request can be read with.
const BARREN_MAX: usize = 1024;

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
    /// Put off, and not in memory.
    unread: BTreeMap<i32, BTreeSet<i64>>,
    /// The registry is asked for schemas of what was read again: each ends with its id, and whether the schema is known.
    pub lessons: JoinSet<(i32, bool)>,
    /// The ids of those that are under way,
    asked: BTreeSet<i32>,
    /// and of those that no request can be read with.
    barren: BTreeSet<i32>,
}

/// Why something is read again.
#[derive(Clone, Debug)]
pub(super) struct Job {
    partition: i32,
    kind: Kind,
    from: i64,
    to: i64,
    /// Records, at least one.
    most: usize,
}

#[derive(Clone, Debug)]
enum Kind {
    Unread,
    /// For the room of an app.
    CatchUp(String),
    /// For what has a deadline that has passed by a time.
    Sweep(String, UnixMillis),
}

/// Commands, with what they say, and up to where nothing else stands.
pub(super) struct ReadBack {
    commands: Vec<(Command, Reading)>,
    next: i64,
}

/// What a command that was read again says to an app.
enum Reread {
    Errand(Box<Errand>),
    Nothing,
    /// It may be a request of the app; its schema is not known now.
    Doubtful,
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
        Jobs {
            running: JoinSet::new(),
            last: (i32::MIN, String::new()),
            in_a_row: 0,
            stalled_until: None,
            unread,
            lessons: JoinSet::new(),
            asked: BTreeSet::new(),
            barren: BTreeSet::new(),
        }
    }

    /// It is read again when there is room for it.
    pub fn put_off(&mut self, Place { partition, offset }: Place) {
        self.unread.entry(partition).or_default().insert(offset);
    }

    /// Asks for a schema beside everything else. Those beyond [`LESSONS_MAX`] are met again when one of them is known.
    fn ask<T: Transport>(&mut self, id: i32, executor: &Arc<Executor<T>>) {
        if self.asked.len() < LESSONS_MAX && self.asked.insert(id) {
            let executor = executor.clone();
            self.lessons.spawn(async move { (id, executor.learn(id).await.is_ok()) });
        }
    }

    fn start<T: Transport>(&mut self, job: Job, executor: Arc<Executor<T>>, again: mpsc::Sender<ReadAgain>) {
        self.running.spawn(async move {
            let read = read(&job, &executor, &again).await;
            (job, read)
        });
    }
}

/// Nothing where nobody reads any more. Never waits for a schema: what has to wait for one must hold up nothing else.
async fn read<T: Transport>(job: &Job, executor: &Executor<T>, again: &mpsc::Sender<ReadAgain>) -> Option<ReadBack> {
    let (chunk, answer) = oneshot::channel();
    let Job { partition, from, to, most, .. } = *job;
    again.send(ReadAgain { partition, from, to, most, chunk }).await.ok()?;
    let Chunk { commands, next } = answer.await.ok()?;
    let read = |command: Command| {
        let reading = executor.read(&command);
        (command, reading)
    };
    Some(ReadBack { commands: commands.into_iter().map(read).collect(), next })
}

impl<L: CommandLog, T: Transport> Session<L, T> {
    /// Begins to read something again, where that is due.
    pub(super) fn look_back(&mut self, has_ended: bool) {
        let now = Instant::now();
        if has_ended || !self.jobs.running.is_empty() || self.jobs.stalled_until.is_some_and(|until| until > now) {
            return;
        }
        if let Some(job) = self.next_job(now) {
            self.jobs.start(job, self.executor.clone(), self.again.clone());
        }
    }

    fn next_job(&mut self, now: Instant) -> Option<Job> {
        let has_room = self.rooms.has_room_for_others();
        let may_learn = self.rooms.has_room_for_unread();
        if let Some((partition, unread)) = self.jobs.unread.first_key_value().filter(|_| may_learn) {
            let (from, last) = (*unread.first()?, *unread.last()?);
            return Some(Job { partition: *partition, kind: Kind::Unread, from, to: last + 1, most: CHUNK_MAX });
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
    fn job_for(&mut self, number: i32, app: &str, has_room: bool, now: Instant) -> Option<Job> {
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
        let job = |kind, from, to, most| Job { partition: number, kind, from, to, most };
        match (sweep, sweeps) {
            (Some(Sweep { time, next, to, .. }), true) => {
                Some(job(Kind::Sweep(app.to_owned(), time), next, to, CHUNK_MAX))
            }
            // No more than there is room for: what is read beyond it has to be read once more, and the next piece would not
            // begin where this one ended, which costs the broker's answer to a new question.
            _ if catches_up => {
                let most = room.map_or(CHUNK_MAX, |room| self.rooms.left(app, room).clamp(1, CHUNK_MAX));
                Some(job(Kind::CatchUp(app.to_owned()), backlog.window.parked_from()?, end, most))
            }
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

    /// The schema is known now, or it is known that no request can be read with it.
    pub(super) fn reconsider(&mut self, (id, is_known): (i32, bool)) {
        self.jobs.asked.remove(&id);
        if !is_known {
            if self.jobs.barren.len() >= BARREN_MAX {
                self.jobs.barren.clear();
            }
            self.jobs.barren.insert(id);
        }
        let backlogs = self.partitions.values_mut().flat_map(|partition| partition.apps.values_mut());
        backlogs.for_each(|backlog| backlog.window.reconsider());
        self.look_back(false);
    }

    /// Of a command that was read again, what it says where that is a request of `app`. One that can't be read now leaves
    /// its offset behind, unless it was put off when it came: then it is answered apart.
    fn errand_of(&mut self, app: &str, command: &Command, reading: Reading) -> Reread {
        let Place { partition, offset } = command.place;
        match reading {
            Reading::Errand(errand) if errand.app_id() == app => Reread::Errand(errand),
            // What is no request was answered when it came.
            Reading::Errand(_) | Reading::DeadLetter(_) => Reread::Nothing,
            Reading::UnknownSchema(id) => {
                let Some(partition) = self.partitions.get(&partition) else { return Reread::Nothing };
                if partition.unread().contains(&offset) || self.jobs.barren.contains(&id) {
                    return Reread::Nothing;
                }
                self.jobs.ask(id, &self.executor);
                Reread::Doubtful
            }
        }
    }

    fn catch_up(&mut self, number: i32, app: &str, ReadBack { commands, mut next }: ReadBack) {
        let time = self.executor.now();
        for (command, reading) in commands {
            let offset = command.place.offset;
            let errand = match self.errand_of(app, &command, reading) {
                Reread::Errand(errand) => errand,
                Reread::Nothing => continue,
                Reread::Doubtful => {
                    let partition = self.partitions.get_mut(&number);
                    let window = partition.and_then(|partition| partition.window(app));
                    window.into_iter().for_each(|window| window.doubt(offset));
                    continue;
                }
            };
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
        let mut from = job.from;
        for (command, reading) in commands {
            let reread = self.errand_of(app, &command, reading);
            let Some(partition) = self.partitions.get_mut(&job.partition) else { return };
            let (offset, is_put_off) = (command.place.offset, partition.unread().contains(&command.place.offset));
            let Some(backlog) = partition.apps.get_mut(app) else { return };
            match reread {
                Reread::Nothing => {}
                Reread::Errand(errand) => {
                    if is_put_off || !backlog.window.is_unanswered(offset, errand.deadline()) {
                        continue;
                    }
                    let has_passed = errand.deadline().is_some_and(|deadline| deadline <= time);
                    match self.executor.without_a_call(&errand, time).filter(|_| has_passed) {
                        Some(answer) if backlog.window.expire_one(offset) => self.answer_at_once(command, answer),
                        _ => backlog.window.note_deadline(errand.deadline()),
                    }
                }
                // Nobody knows whether it has expired.
                Reread::Doubtful => {
                    backlog.window.expire(from, offset, time);
                    if !backlog.window.has_room_for_step() {
                        backlog.window.note_deadline(Some(time));
                        return backlog.end_sweep(Instant::now());
                    }
                    from = offset + 1;
                }
            }
        }
        let Some(partition) = self.partitions.get_mut(&job.partition) else { return };
        let Some(backlog) = partition.apps.get_mut(app) else { return };
        backlog.window.expire(from, next, time);
        backlog.swept(next, Instant::now());
    }
}
