//! A request topic in memory: what Kafka promises, without Kafka, and with every way in which it can fail at hand.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::command::{Answer, Command, Place};
use super::log::{AnswerBatch, CHUNK_MAX, Chunk, OpenedCommands, ReadAgain};
use super::progress::{Progress, Restored};
use crate::commit::failpoint::Failpoint;
use crate::commit::fault_script::FaultScript;
use crate::commit::log::{CommitError, CommitLog, OpenError};

/// What survives a crash: the records, how far they are answered, and their answers as a `read_committed` consumer sees
/// them. Clones are the same topic.
#[derive(Clone)]
pub struct Topic(Arc<Mutex<Durable>>);

struct Durable {
    records: BTreeMap<i32, BTreeMap<i64, Command>>,
    /// The records that compaction leaves.
    progress: BTreeMap<String, Vec<u8>>,
    answers: Vec<Answered>,
    /// How often the topic has lost its tail.
    cuts: usize,
    /// The places of the records that were read again, each as often as it was.
    read_again: Vec<Place>,
    /// Records that are read again at once, at most.
    piece_max: usize,
    /// Told of each record that comes.
    grown: watch::Sender<()>,
    /// Whoever opened last; an earlier one is refused.
    epoch: u64,
    /// The right of whoever opened last.
    revoked: CancellationToken,
}

/// A committed answer.
#[derive(Clone, Debug)]
pub struct Answered {
    pub place: Place,
    /// Of the record at that place: the topic may have lost it, and have another one there by now.
    pub fingerprint: u64,
    pub answer: Answer,
    /// When it was committed.
    pub at: Instant,
}

impl Topic {
    pub fn new(partitions: i32) -> Topic {
        Topic(Arc::new(Mutex::new(Durable {
            records: (0..partitions).map(|partition| (partition, BTreeMap::new())).collect(),
            progress: BTreeMap::new(),
            answers: Vec::new(),
            cuts: 0,
            read_again: Vec::new(),
            piece_max: PIECE_MAX,
            grown: watch::Sender::new(()),
            epoch: 0,
            revoked: CancellationToken::new(),
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

    /// The partition loses its records from `offset` on, as with the broker that led it.
    pub fn cut(&self, partition: i32, offset: i64) {
        self.with(|durable| {
            durable.records.entry(partition).or_default().split_off(&offset);
            durable.cuts += 1;
            durable.grown.send_replace(());
        });
    }

    /// Asks whoever opened the topic last to give it back.
    pub fn revoke(&self) {
        self.with(|durable| durable.revoked.cancel());
    }

    /// Where all records stand that have come.
    pub fn places(&self) -> Vec<Place> {
        self.with(|durable| durable.records.values().flat_map(BTreeMap::values).map(|command| command.place).collect())
    }

    /// In the order in which they were committed.
    pub fn answers(&self) -> Vec<Answered> {
        self.with(|durable| durable.answers.clone())
    }

    /// The places of the records that were read again, each as often as it was.
    pub fn read_again(&self) -> Vec<Place> {
        self.with(|durable| durable.read_again.clone())
    }

    /// Gives as many records at once as Kafka does to whoever reads again.
    pub fn give_large_pieces(&self) {
        self.with(|durable| durable.piece_max = CHUNK_MAX);
    }

    pub fn answers_count(&self) -> usize {
        self.with(|durable| durable.answers.len())
    }

    /// How far each partition is answered, as whoever opens the topic finds it.
    pub fn progress(&self) -> BTreeMap<i32, Progress> {
        self.with(|durable| {
            let mut restored = Restored::default();
            durable.progress.iter().for_each(|(key, value)| restored.take(key, Some(value)));
            let settled = durable.records.iter().map(|(partition, records)| {
                let progress = restored.progress(*partition).unwrap_or_else(|error| unreachable!("{error}"));
                let mut progress = progress.unwrap_or_else(|| Progress::at(*partition, 0));
                let found = records.iter().map(|(offset, command)| (*offset, command.fingerprint()));
                progress.settle(0, &found.collect());
                (*partition, progress)
            });
            settled.collect()
        })
    }

    /// The first record at `offset` or behind it.
    fn record(&self, partition: i32, offset: i64) -> Option<Command> {
        self.with(|durable| Some(durable.records.get(&partition)?.range(offset..).next()?.1.clone()))
    }

    fn chunk(&self, partition: i32, from: i64, to: i64, most: usize) -> Chunk {
        let most = self.with(|durable| most.min(durable.piece_max));
        let range = |durable: &mut Durable| {
            let records = durable.records.get(&partition).map(|records| records.range(from..to.max(from)));
            records.into_iter().flatten().take(most).map(|(_, command)| command.clone()).collect()
        };
        let commands: Vec<Command> = self.with(range);
        self.with(|durable| durable.read_again.extend(commands.iter().map(|command| command.place)));
        let last = commands.last().filter(|_| commands.len() == most);
        Chunk { next: last.map_or(to, |last| last.place.offset + 1), commands }
    }
}

impl Durable {
    fn write(&mut self, batch: &AnswerBatch, epoch: u64) -> Result<(), CommitError> {
        if self.epoch != epoch {
            return Err(CommitError::Reopen("fenced".into()));
        }
        let at = Instant::now();
        let answered = |(command, answer): &(Arc<Command>, Answer)| {
            let (place, fingerprint) = (command.place, command.fingerprint());
            Answered { place, fingerprint, answer: answer.clone(), at }
        };
        self.answers.extend(batch.answers.iter().map(answered));
        for record in &batch.progress {
            match &record.value {
                Some(value) => drop(self.progress.insert(record.key.clone(), value.clone())),
                None => drop(self.progress.remove(&record.key)),
            }
        }
        Ok(())
    }
}

/// The topic as one process opens it, and answers it.
pub struct MemoryTopic {
    topic: Topic,
    script: FaultScript,
    epoch: u64,
}

impl MemoryTopic {
    pub fn new(topic: Topic, script: FaultScript) -> MemoryTopic {
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
        self.script.reach(Failpoint::CommandsFenced, fault).await;
        let progress: Vec<Progress> = self.topic.progress().into_values().collect();
        self.script.reach(Failpoint::ProgressRead, fault).await;
        self.script.opens(fault)?;
        let revoked = CancellationToken::new();
        self.topic.with(|durable| durable.revoked = revoked.clone());
        let (commands, receiver) = mpsc::channel(1);
        let (again, wishes) = mpsc::channel(1);
        let cuts = self.topic.with(|durable| durable.cuts);
        for Progress { partition, next, .. } in &progress {
            tokio::spawn(deliver(self.topic.clone(), cuts, *partition, *next, commands.clone()));
        }
        tokio::spawn(deliver_again(self.topic.clone(), wishes));
        Ok(OpenedCommands { progress, commands: receiver, again, revoked })
    }

    async fn commit(&mut self, batch: Arc<AnswerBatch>) -> Result<(), CommitError> {
        let (topic, epoch) = (&self.topic, self.epoch);
        self.script.commit(|| topic.with(|durable| durable.write(&batch, epoch))).await
    }

    async fn release(&mut self) {}
}

/// Fewer than Kafka gives, so that a backlog has many pieces.
const PIECE_MAX: usize = 16;

/// The records of one partition from `offset` on as they come, until nobody takes them or the topic has lost some.
async fn deliver(topic: Topic, cuts: usize, partition: i32, mut offset: i64, commands: mpsc::Sender<Command>) {
    let mut grown = topic.with(|durable| durable.grown.subscribe());
    while topic.with(|durable| durable.cuts) == cuts {
        grown.mark_unchanged();
        let Some(command) = topic.record(partition, offset) else {
            tokio::select! {
                biased;
                () = commands.closed() => return,
                _ = grown.changed() => continue,
            }
        };
        offset = command.place.offset + 1;
        if commands.send(command).await.is_err() {
            return;
        }
    }
}

async fn deliver_again(topic: Topic, mut wishes: mpsc::Receiver<ReadAgain>) {
    while let Some(ReadAgain { partition, from, to, most, chunk }) = wishes.recv().await {
        // Whoever wished for it may be gone.
        let _ = chunk.send(topic.chunk(partition, from, to, most));
    }
}
