//! A request topic in memory: what Kafka promises, without Kafka, and with every way in which it can fail at hand.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::command::{Answer, Command, Place};
use super::log::{AnswerBatch, OpenedCommands};
use super::window::Progress;
use crate::commit::crash_point::CrashPoint;
use crate::commit::log::{CommitError, CommitLog, OpenError};
use crate::commit::script::Script;

/// What survives a crash: the records, how far they are answered, and their answers as a `read_committed` consumer sees
/// them. Clones are the same topic.
#[derive(Clone)]
pub struct Topic(Arc<Mutex<Durable>>);

struct Durable {
    records: BTreeMap<i32, BTreeMap<i64, Command>>,
    progress: BTreeMap<i32, Progress>,
    answers: Vec<Answered>,
    /// Told of each record that comes.
    grown: watch::Sender<()>,
    /// Whoever opened last; an earlier one is refused.
    epoch: u64,
    /// The right of whoever opened last.
    recalled: CancellationToken,
}

/// A committed answer.
#[derive(Clone, Debug)]
pub struct Answered {
    pub place: Place,
    pub answer: Answer,
    /// When it was committed.
    pub at: Instant,
}

impl Topic {
    pub fn new(partitions: i32) -> Topic {
        let progress = |partition| (partition, Progress { partition, offset: 0, note: String::new() });
        Topic(Arc::new(Mutex::new(Durable {
            records: (0..partitions).map(|partition| (partition, BTreeMap::new())).collect(),
            progress: (0..partitions).map(progress).collect(),
            answers: Vec::new(),
            grown: watch::Sender::new(()),
            epoch: 0,
            recalled: CancellationToken::new(),
        })))
    }

    fn with<R>(&self, act: impl FnOnce(&mut Durable) -> R) -> R {
        // A poisoned lock means that a test has failed already; its content is still whole.
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A record comes. Its partition is one of the topic's, its offset behind those before it.
    pub fn put(&self, command: Command) {
        let Place { partition, offset } = command.place;
        self.with(|durable| {
            durable.records.entry(partition).or_default().insert(offset, command);
            durable.grown.send_replace(());
        });
    }

    /// Asks whoever opened the topic last to give it back.
    pub fn recall(&self) {
        self.with(|durable| durable.recalled.cancel());
    }

    /// Where all records stand that have come.
    pub fn places(&self) -> Vec<Place> {
        self.with(|durable| durable.records.values().flat_map(BTreeMap::values).map(|command| command.place).collect())
    }

    /// In the order in which they were committed.
    pub fn answers(&self) -> Vec<Answered> {
        self.with(|durable| durable.answers.clone())
    }

    pub fn answers_count(&self) -> usize {
        self.with(|durable| durable.answers.len())
    }

    /// How far each partition is answered.
    pub fn progress(&self) -> BTreeMap<i32, Progress> {
        self.with(|durable| durable.progress.clone())
    }

    /// The first record at `offset` or behind it.
    fn record(&self, partition: i32, offset: i64) -> Option<Command> {
        self.with(|durable| Some(durable.records.get(&partition)?.range(offset..).next()?.1.clone()))
    }
}

impl Durable {
    fn write(&mut self, batch: &AnswerBatch, epoch: u64) -> Result<(), CommitError> {
        if self.epoch != epoch {
            return Err(CommitError::Reopen("fenced".into()));
        }
        let at = Instant::now();
        let answered =
            |(command, answer): &(Arc<Command>, Answer)| Answered { place: command.place, answer: answer.clone(), at };
        self.answers.extend(batch.answers.iter().map(answered));
        self.progress.extend(batch.progress.iter().map(|progress| (progress.partition, progress.clone())));
        Ok(())
    }
}

/// The topic as one process opens it, and answers it.
pub struct MemoryTopic {
    topic: Topic,
    script: Script,
    epoch: u64,
}

impl MemoryTopic {
    pub fn new(topic: Topic, script: Script) -> MemoryTopic {
        MemoryTopic { topic, script, epoch: 0 }
    }
}

impl CommitLog for MemoryTopic {
    type Opened = OpenedCommands;
    type Batch = AnswerBatch;

    async fn open(&mut self) -> Result<OpenedCommands, OpenError> {
        let fault = self.script.next().await;
        self.epoch = self.topic.with(|durable| {
            durable.epoch += 1;
            durable.epoch
        });
        self.script.reach(CrashPoint::CommandsFenced, fault).await;
        let progress: Vec<Progress> = self.topic.progress().into_values().collect();
        self.script.reach(CrashPoint::ProgressRead, fault).await;
        self.script.opens(fault)?;
        let recalled = CancellationToken::new();
        self.topic.with(|durable| durable.recalled = recalled.clone());
        let (commands, receiver) = mpsc::channel(1);
        let (paused, _) = watch::channel(BTreeSet::new());
        for Progress { partition, offset, .. } in &progress {
            tokio::spawn(deliver(self.topic.clone(), *partition, *offset, commands.clone(), paused.subscribe()));
        }
        Ok(OpenedCommands { progress, commands: receiver, paused, recalled })
    }

    async fn commit(&mut self, batch: Arc<AnswerBatch>) -> Result<(), CommitError> {
        let (topic, epoch) = (&self.topic, self.epoch);
        self.script.commit(|| topic.with(|durable| durable.write(&batch, epoch))).await
    }

    async fn release(&mut self) {}
}

/// The records of one partition from `offset` on as they come, whenever it is not paused, until nobody takes them.
async fn deliver(
    topic: Topic,
    partition: i32,
    mut offset: i64,
    commands: mpsc::Sender<Command>,
    mut paused: watch::Receiver<BTreeSet<i32>>,
) {
    let mut grown = topic.with(|durable| durable.grown.subscribe());
    loop {
        grown.mark_unchanged();
        let Some(command) = topic.record(partition, offset) else {
            tokio::select! {
                biased;
                () = commands.closed() => return,
                _ = grown.changed() => continue,
            }
        };
        offset = command.place.offset + 1;
        if paused.wait_for(|paused| !paused.contains(&partition)).await.is_err()
            || commands.send(command).await.is_err()
        {
            return;
        }
    }
}
