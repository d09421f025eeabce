//! What waits for schemas ([`crate::requests::strand`]): asks for these, beside everything else, and reads on when they
//! are known.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;

use super::Session;
use super::again::ReadBack;
use crate::requests::command::{Answer, Place};
use crate::requests::executor::{Executor, Reading};
use crate::requests::log::CommandLog;
use crate::requests::strand::{StrandNumber, number};
use crate::upstream::transport::Transport;

/// How many schemas are asked for at once.
const ASKED_MAX: usize = 64;
/// How many ids are kept that no request can be read with.
const BARREN_MAX: usize = 1024;
/// And for how long: somebody may register the schema.
const BARREN_FOR: Duration = Duration::from_secs(60);

/// The schemas that are asked for.
#[derive(Default)]
pub(super) struct Lessons {
    /// Each ends with its id, and with the reason where no request can be read with it.
    pub running: JoinSet<(i32, Result<(), String>)>,
    asked: BTreeSet<i32>,
    /// Ids that no request can be read with: since when that is known, and why it is so.
    barren: BTreeMap<i32, (Instant, String)>,
    /// Whether a window has met what it can't read.
    is_doubted: bool,
}

impl Lessons {
    pub fn asked_count(&self) -> usize {
        self.asked.len()
    }

    /// Those beyond [`ASKED_MAX`] are met again when one of the others has ended.
    fn ask<T: Transport>(&mut self, id: i32, executor: &Arc<Executor<T>>) {
        if self.asked.len() < ASKED_MAX && self.asked.insert(id) {
            let executor = executor.clone();
            self.running.spawn(async move { (id, executor.learn(id).await) });
        }
    }

    /// A window can't read this any more. False where nobody can.
    pub fn doubt<T: Transport>(&mut self, id: i32, executor: &Arc<Executor<T>>) -> bool {
        let may_be_known = self.why_barren(id).is_none();
        if may_be_known {
            self.is_doubted = true;
            self.ask(id, executor);
        }
        may_be_known
    }

    /// Why no request can be read with the schema, where that is known.
    fn why_barren(&self, id: i32) -> Option<&str> {
        let (since, why) = self.barren.get(&id)?;
        (since.elapsed() < BARREN_FOR).then_some(why)
    }

    fn end(&mut self, id: i32, learnt: Result<(), String>) {
        self.asked.remove(&id);
        if let Err(why) = learnt {
            if self.barren.len() >= BARREN_MAX {
                self.barren.clear();
            }
            self.barren.insert(id, (Instant::now(), why));
        }
    }
}

impl<L: CommandLog, T: Transport> Session<L, T> {
    /// A request has come that nobody can read yet: it begins a strand, or the strand that it is in waits from here on.
    pub(super) fn put_off(&mut self, Place { partition, offset }: Place, id: i32) {
        let Some(partition) = self.partitions.get_mut(&partition) else { return };
        partition.put_off(offset, id, self.executor.own_schema_id());
        if self.jobs.lessons.why_barren(id).is_none() {
            partition.ask(number(id), id);
            self.jobs.lessons.ask(id, &self.executor);
        }
    }

    /// Gives what was read again of a strand to its windows, as far as it can be read.
    pub(super) fn read_on(&mut self, partition: i32, strand: StrandNumber, ReadBack { commands, mut next }: ReadBack) {
        for (command, reading) in commands {
            let offset = command.place.offset;
            let schema_id = self.executor.schema_id(&command);
            let found = self.partitions.get(&partition).and_then(|partition| partition.strand_of(offset, schema_id));
            if found != Some(strand) {
                continue;
            }
            match reading {
                Reading::Errand(errand) => self.give(command, errand, Some(strand)),
                Reading::DeadLetter(letter) => self.answer_at_once(command, Answer::DeadLetter(letter)),
                Reading::UnknownSchema(id) => {
                    if let Some(why) = self.jobs.lessons.why_barren(id) {
                        let letter = self.executor.without_schema(&command, why.to_owned());
                        self.answer_at_once(command, Answer::DeadLetter(letter));
                        continue;
                    }
                    self.jobs.lessons.ask(id, &self.executor);
                    let partition = self.partitions.get_mut(&partition);
                    partition.into_iter().for_each(|partition| partition.ask(strand, id));
                    next = offset;
                    break;
                }
            }
        }
        let partition = self.partitions.get_mut(&partition);
        partition.into_iter().for_each(|partition| partition.read_strand_to(strand, next));
    }

    /// The schema is known now, or it is known that no request can be read with it.
    pub(super) fn reconsider(&mut self, (id, learnt): (i32, Result<(), String>)) {
        let lessons = &mut self.jobs.lessons;
        lessons.end(id, learnt);
        let is_doubted = std::mem::take(&mut lessons.is_doubted);
        for partition in self.partitions.values_mut() {
            partition.go_on(&lessons.asked);
            let backlogs = partition.backlogs.values_mut().filter(|_| is_doubted);
            backlogs.for_each(|backlog| backlog.window.reconsider());
        }
        self.look_back(false);
    }
}
