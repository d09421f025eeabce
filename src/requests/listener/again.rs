//! Reads again what was left in the topic: what is parked, when its app has room again or its deadline passes, and what
//! waits for a schema.
//!
//! One piece at a time, by turns: as large as the backlog of one app may be, what is read again for it is bounded, and so
//! is its share of the reading.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::Session;
use super::strands::Lessons;
use crate::model::time::UnixMillis;
use crate::requests::command::{Command, Place};
use crate::requests::executor::{Errand, Executor, Reading};
use crate::requests::log::{CHUNK_MAX, Chunk, CommandLog, ReadAgain};
use crate::requests::partition::Sweep;
use crate::requests::strand::{StrandNumber, WindowKey};
use crate::upstream::transport::Transport;

/// Before it is tried again where nothing could be read.
const STALLED: Duration = Duration::from_secs(1);

/// How many pieces of one partition are read for one app before it is another's turn: going on where the last piece ended
/// costs least.
const IN_A_ROW_MAX: u32 = 16;

/// What is read again, and what is to be.
#[derive(Default)]
pub(super) struct Jobs {
    /// One at most.
    pub running: JoinSet<(Job, Option<ReadBack>)>,
    /// Whose turn it was last, and how often it was in a row.
    last: Option<(i32, WindowKey)>,
    in_a_row: u32,
    /// The strand that was read on last,
    last_strand: Option<(i32, StrandNumber)>,
    /// and whether nothing else was read again since.
    strand_was_last: bool,
    /// Nothing is tried before.
    stalled_until: Option<Instant>,
    pub lessons: Lessons,
}

/// Why something is read again.
#[derive(Clone, Debug)]
pub(super) struct Job {
    pub partition: i32,
    kind: Kind,
    from: i64,
    to: i64,
    /// Records, at least one.
    most: usize,
}

#[derive(Clone, Debug)]
enum Kind {
    Strand(StrandNumber),
    /// For the room of an app.
    CatchUp(WindowKey),
    /// For what has a deadline that has passed by a time.
    Sweep(WindowKey, UnixMillis),
}

/// Commands, with what they say, and up to where nothing else stands.
pub(super) struct ReadBack {
    pub commands: Vec<(Command, Reading)>,
    pub next: i64,
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
    Answer(crate::requests::command::Answer),
    Begin,
}

impl Jobs {
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

    /// Strands and what is parked take turns.
    fn next_job(&mut self, now: Instant) -> Option<Job> {
        let strand = self.strand_job();
        let job = match strand {
            Some(strand) if self.jobs.strand_was_last => self.window_job(now).or(Some(strand)),
            None => self.window_job(now),
            strand => strand,
        }?;
        self.jobs.strand_was_last = match job.kind {
            Kind::Strand(number) => {
                self.jobs.last_strand = Some((job.partition, number));
                true
            }
            Kind::CatchUp(_) | Kind::Sweep(..) => false,
        };
        Some(job)
    }

    /// The next strand that can be read on, by turns.
    fn strand_job(&self) -> Option<Job> {
        if !self.rooms.has_room_for_others() {
            return None;
        }
        let strands = || {
            self.partitions.iter().flat_map(|(partition, strands)| {
                let to = strands.next();
                strands.readable_strands().map(move |(number, from)| (*partition, number, from, to))
            })
        };
        let last = self.jobs.last_strand;
        let behind = strands().find(|(partition, number, ..)| Some((*partition, *number)) > last);
        let (partition, number, from, to) = behind.or_else(|| strands().next())?;
        Some(Job { partition, kind: Kind::Strand(number), from, to, most: CHUNK_MAX })
    }

    fn window_job(&mut self, now: Instant) -> Option<Job> {
        let has_room = self.rooms.has_room_for_others();
        let parked = self.partitions.iter().flat_map(|(number, partition)| {
            let parked = partition.backlogs.iter().filter(|(_, backlog)| backlog.window.parked_from().is_some());
            parked.map(|(key, _)| (*number, key.clone()))
        });
        let parked: BTreeSet<(i32, WindowKey)> = parked.collect();
        let last = self.jobs.last.clone();
        let is_again = self.jobs.in_a_row < IN_A_ROW_MAX;
        let same = parked.iter().filter(|key| is_again && Some(*key) == last.as_ref());
        let behind = parked.iter().filter(|key| Some(*key) > last.as_ref());
        let others = behind.chain(parked.iter().filter(|key| Some(*key) <= last.as_ref()));
        for key in same.chain(others) {
            if let Some(job) = self.job_for(key.0, &key.1, has_room, now) {
                self.jobs.in_a_row = if Some(key) == last.as_ref() { self.jobs.in_a_row + 1 } else { 0 };
                self.jobs.last = Some(key.clone());
                return Some(job);
            }
        }
        None
    }

    /// A look for deadlines and the room of the app take turns.
    fn job_for(&mut self, number: i32, key: &WindowKey, has_room: bool, now: Instant) -> Option<Job> {
        let time = self.executor.now();
        let room = self.executor.room(&key.app);
        let has_place = match room {
            Some(room) => self.rooms.is_half_empty(&key.app, room),
            // Each is refused at once.
            None => has_room,
        };
        let partition = self.partitions.get_mut(&number)?;
        let end = partition.end_of(key.strand);
        let backlog = partition.backlogs.get_mut(key)?;
        backlog.begin_sweep(time, now, end);
        let sweep = backlog.sweep.filter(|_| has_room);
        let catches_up = has_place && backlog.window.may_catch_up();
        let sweeps = sweep.is_some() && !(catches_up && backlog.swept_last);
        backlog.swept_last = sweeps;
        let job = |kind, from, to, most| Job { partition: number, kind, from, to, most };
        match (sweep, sweeps) {
            (Some(Sweep { time, next, to, .. }), true) => {
                Some(job(Kind::Sweep(key.clone(), time), next, to, CHUNK_MAX))
            }
            // No more than there is room for: what is read beyond it has to be read once more, and the next piece would not
            // begin where this one ended, which costs the broker's answer to a new question.
            _ if catches_up => {
                let most = room.map_or(CHUNK_MAX, |room| self.rooms.left(&key.app, room).clamp(1, CHUNK_MAX));
                Some(job(Kind::CatchUp(key.clone()), backlog.window.parked_from()?, end, most))
            }
            _ => None,
        }
    }

    pub(super) fn take_back(&mut self, job: Job, read: ReadBack) {
        if read.next <= job.from {
            self.jobs.stalled_until = Some(Instant::now() + STALLED);
        }
        match &job.kind {
            Kind::Strand(number) => self.read_on(job.partition, *number, read),
            Kind::CatchUp(key) => self.catch_up(&job, key, read),
            Kind::Sweep(key, time) => self.sweep(&job, key, *time, read),
        }
    }

    /// Of a command that was read again, what it says where that is a request of which this window tells.
    fn errand_of(&mut self, key: &WindowKey, command: &Command, reading: Reading) -> Reread {
        let Place { partition, offset } = command.place;
        let Some(partition) = self.partitions.get(&partition) else { return Reread::Nothing };
        if partition.strand_of(offset, self.executor.schema_id(command)) != key.strand {
            return Reread::Nothing;
        }
        match reading {
            Reading::Errand(errand) if errand.app_id() == key.app => Reread::Errand(errand),
            // What is no request was answered when it came.
            Reading::Errand(_) | Reading::DeadLetter(_) => Reread::Nothing,
            Reading::UnknownSchema(id) if self.jobs.lessons.doubt(id, &self.executor) => Reread::Doubtful,
            Reading::UnknownSchema(_) => Reread::Nothing,
        }
    }

    fn catch_up(&mut self, job: &Job, key: &WindowKey, ReadBack { commands, mut next }: ReadBack) {
        let time = self.executor.now();
        for (command, reading) in commands {
            let offset = command.place.offset;
            let errand = match self.errand_of(key, &command, reading) {
                Reread::Errand(errand) => errand,
                Reread::Nothing => continue,
                Reread::Doubtful => {
                    let partition = self.partitions.get_mut(&job.partition);
                    let window = partition.and_then(|partition| partition.window(key));
                    window.into_iter().for_each(|window| window.doubt(offset));
                    continue;
                }
            };
            match self.next_step(job, key, offset, &errand, time) {
                Step::Skip => {}
                Step::Answer(answer) => self.answer_at_once(command, answer),
                Step::Begin => self.begin(command, errand, key.clone()),
                Step::Stop => {
                    next = offset;
                    break;
                }
            }
        }
        let Some(partition) = self.partitions.get_mut(&job.partition) else { return };
        let end = partition.end_of(key.strand);
        partition.window(key).into_iter().for_each(|window| window.read_again(job.from..next, end));
    }

    fn next_step(&mut self, job: &Job, key: &WindowKey, offset: i64, errand: &Errand, time: UnixMillis) -> Step {
        let room = self.executor.room(&key.app);
        let has_room = room.is_none_or(|room| self.rooms.has_room(&key.app, room));
        let Some(partition) = self.partitions.get_mut(&job.partition) else { return Step::Skip };
        let end = partition.end_of(key.strand);
        let Some(window) = partition.window(key) else { return Step::Skip };
        // All that stands before it has been met.
        window.read_again(job.from..offset, end);
        if !window.is_unanswered(offset, errand.deadline()) {
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
    fn sweep(&mut self, job: &Job, key: &WindowKey, time: UnixMillis, ReadBack { commands, next }: ReadBack) {
        let mut from = job.from;
        for (command, reading) in commands {
            let reread = self.errand_of(key, &command, reading);
            let Some(partition) = self.partitions.get_mut(&job.partition) else { return };
            let offset = command.place.offset;
            let Some(backlog) = partition.backlogs.get_mut(key) else { return };
            match reread {
                Reread::Nothing => {}
                Reread::Errand(errand) => {
                    if !backlog.window.is_unanswered(offset, errand.deadline()) {
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
        let Some(backlog) = partition.backlogs.get_mut(key) else { return };
        backlog.window.expire(from, next, time);
        backlog.swept(next, Instant::now());
    }
}
