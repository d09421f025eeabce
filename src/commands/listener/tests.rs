//! The lane on a topic in memory whose transactions fail before and after they count, on paused time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{mpsc, watch};

use super::*;
use crate::avro::framing::Framing;
use crate::avro::material::{RequestDecoder, RequestEncoder};
use crate::commands::command::Header;
use crate::commands::executor::CommandApp;
use crate::commands::window::Progress;
use crate::commit::log::{CommitLog, OpenError};
use crate::domain::material::MaterialRequest;
use crate::domain::promoter::{AppId, IdKind};
use crate::domain::time::UnixMillis;
use crate::retry::JITTER;
use crate::wechat::client::{Client, ClientSettings};
use crate::wechat::token::TokenSource;
use crate::wechat::transport::{Request, Response, Transport, TransportError};

const PATIENCE: RetrySettings = RetrySettings {
    initial: Duration::from_millis(10),
    max: Duration::from_millis(100),
    attempts: u32::MAX,
    jitter: JITTER,
    too_fast: Duration::from_secs(60),
};

/// Answers with material, at once or, where the path says so, after as many seconds.
#[derive(Clone)]
struct Upstream;

impl Transport for Upstream {
    async fn send(&self, request: Request) -> Result<Response, TransportError> {
        let answer = |body: &'static str| Response { status: 200, body: body.into(), date: None, retry_after: None };
        if request.path == "/cgi-bin/stable_token" {
            return Ok(answer(r#"{"access_token":"t","expires_in":7200}"#));
        }
        let body: serde_json::Value = serde_json::from_slice(&request.body.unwrap()).unwrap();
        let seconds = body["path"].as_str().unwrap().parse().unwrap();
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        Ok(answer(r##"{"tag":"#short"}"##))
    }

    fn now(&self) -> UnixMillis {
        UnixMillis(1_700_000_000_000)
    }
}

/// How a transaction ends.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Commits,
    /// It is certain that nothing was written.
    Aborts,
    /// Nothing was written, and nobody knows.
    IsLost,
    /// All was written, and nobody knows.
    IsDoubtful,
}

/// The topic with what is committed; it outlives the sessions, of which each has a clone.
#[derive(Clone, Default)]
struct MemoryTopic(Arc<Mutex<Topic>>);

#[derive(Default)]
struct Topic {
    records: BTreeMap<i32, Vec<Command>>,
    progress: BTreeMap<i32, Progress>,
    answers: Vec<Place>,
    fates: Vec<Fate>,
    recalled: CancellationToken,
}

impl MemoryTopic {
    fn with<R>(&self, act: impl FnOnce(&mut Topic) -> R) -> R {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Commands whose calls take as many seconds as are given, over two partitions by turns, with gaps in the offsets.
    fn holding(seconds: impl IntoIterator<Item = u64>) -> MemoryTopic {
        let topic = MemoryTopic::default();
        for (number, seconds) in seconds.into_iter().enumerate() {
            let partition = i32::try_from(number % 2).unwrap();
            let offset = i64::try_from(number / 2 + number / 10).unwrap();
            let command = command(Place { partition, offset }, seconds);
            topic.with(|topic| topic.records.entry(partition).or_default().push(command));
        }
        topic
    }

    fn answered(&self) -> Vec<Place> {
        let mut answers = self.with(|topic| topic.answers.clone());
        answers.sort_by_key(|place| (place.partition, place.offset));
        answers
    }

    fn places(&self) -> Vec<Place> {
        self.with(|topic| topic.records.values().flatten().map(|command| command.place).collect())
    }
}

impl CommitLog for MemoryTopic {
    type Opened = OpenedCommands;
    type Batch = AnswerBatch;

    async fn open(&mut self) -> Result<OpenedCommands, OpenError> {
        let (commands, receiver) = mpsc::channel(1);
        let (paused, _) = watch::channel(BTreeSet::new());
        let (progress, left, recalled) = self.with(|topic| {
            topic.recalled = CancellationToken::new();
            let progress = |partition: &i32| {
                let none = Progress { partition: *partition, offset: 0, note: String::new() };
                topic.progress.get(partition).cloned().unwrap_or(none)
            };
            let progress: Vec<Progress> = topic.records.keys().map(progress).collect();
            let left = progress.iter().map(|progress| {
                let records = &topic.records[&progress.partition];
                let left = records.iter().filter(|command| command.place.offset >= progress.offset);
                (progress.partition, left.cloned().collect::<Vec<_>>())
            });
            let left: Vec<_> = left.collect();
            (progress, left, topic.recalled.clone())
        });
        for (partition, left) in left {
            tokio::spawn(deliver(partition, left, commands.clone(), paused.subscribe()));
        }
        Ok(OpenedCommands { progress, commands: receiver, paused, recalled })
    }

    async fn commit(&mut self, batch: Arc<AnswerBatch>) -> Result<(), CommitError> {
        tokio::time::sleep(Duration::from_millis(5)).await;
        self.with(|topic| {
            let fate = topic.fates.pop().unwrap_or(Fate::Commits);
            if matches!(fate, Fate::Commits | Fate::IsDoubtful) {
                topic.answers.extend(batch.answers.iter().map(|(command, _)| command.place));
                topic.progress.extend(batch.progress.iter().map(|progress| (progress.partition, progress.clone())));
            }
            match fate {
                Fate::Commits => Ok(()),
                Fate::Aborts => Err(CommitError::NothingWritten("aborted".into())),
                Fate::IsLost | Fate::IsDoubtful => Err(CommitError::Reopen("doubt".into())),
            }
        })
    }

    async fn release(&mut self) {}
}

/// The records of one partition, whenever it is not paused.
async fn deliver(
    partition: i32,
    records: Vec<Command>,
    commands: mpsc::Sender<Command>,
    mut paused: watch::Receiver<BTreeSet<i32>>,
) {
    for command in records {
        if paused.wait_for(|paused| !paused.contains(&partition)).await.is_err()
            || commands.send(command).await.is_err()
        {
            return;
        }
    }
    // A topic has no end.
    commands.closed().await;
}

fn command(place: Place, seconds: u64) -> Command {
    let request = MaterialRequest {
        request_id: "r".into(),
        app_id: "wx1".into(),
        promoter_openid: "oP".into(),
        path: seconds.to_string(),
        ..MaterialRequest::default()
    };
    let mut value = Vec::new();
    RequestEncoder::new(Framing::SingleObject).encode(&request, &mut value).unwrap();
    let header = Header { name: "correlation-id".into(), value: Some(Bytes::from_static(b"c")) };
    Command { place, key: None, headers: vec![header], value: Some(value.into()) }
}

fn executor(concurrency: usize) -> Arc<Executor<Upstream>> {
    let settings = ClientSettings {
        app_id: AppId::new("wx1").unwrap(),
        id_kind: IdKind::OpenId,
        base_url: "http://a".into(),
        spare_urls: vec![],
        token_source: TokenSource::Stable("secret".into()),
        retry: PATIENCE,
        budgets: [].into(),
    };
    let app = CommandApp::new(Arc::new(Client::new(settings, Upstream)), Duration::from_secs(300), concurrency);
    let decoder = RequestDecoder::new(Framing::SingleObject);
    Arc::new(Executor::new([app], "requests".into(), decoder, None, PATIENCE))
}

/// One session, until it ends.
async fn session(topic: &MemoryTopic, concurrency: usize, stop: &CancellationToken) -> Ended {
    let mut log = topic.clone();
    let opened = log.open().await.unwrap();
    run(log, opened, executor(concurrency), Arc::default(), PATIENCE, stop).await.1
}

/// Sessions until everything is answered, or the bound is reached.
async fn sessions(topic: &MemoryTopic, concurrency: usize, bound: Duration) -> Vec<Ended> {
    let stop = CancellationToken::new();
    let wanted = topic.places().len();
    let watching = async {
        let deadline = tokio::time::Instant::now() + bound;
        while topic.answered().len() < wanted && tokio::time::Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        stop.cancel();
    };
    let running = async {
        let mut ends = Vec::new();
        while !stop.is_cancelled() {
            ends.push(session(topic, concurrency, &stop).await);
        }
        ends
    };
    tokio::join!(running, watching).0
}

fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(future)
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]
    #[test]
    fn every_command_is_answered_once_whatever_becomes_of_transactions(
        seconds in proptest::collection::vec(0..4u64, 1..60),
        fates in proptest::collection::vec(
            proptest::sample::select(vec![Fate::Commits, Fate::Aborts, Fate::IsLost, Fate::IsDoubtful]), 0..30),
        concurrency in 1..8usize,
    ) {
        let topic = MemoryTopic::holding(seconds);
        topic.with(|topic| topic.fates = fates);
        block_on(sessions(&topic, concurrency, Duration::from_secs(3600)));
        proptest::prop_assert_eq!(topic.answered(), topic.places());
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_call_holds_up_nobody_within_the_span() {
    let topic = MemoryTopic::holding([10].into_iter().chain(std::iter::repeat_n(0, 100)));
    sessions(&topic, 4, Duration::from_secs(5)).await;
    let places = topic.places();
    assert_eq!(topic.answered(), places[1..], "all but the first, which was given up at the stop");
    let progress = topic.with(|topic| topic.progress.clone());
    assert_eq!(progress[&0].offset, 0);
    assert!(!progress[&0].note.is_empty());
    // And the next start answers only that one.
    sessions(&topic, 4, Duration::from_secs(60)).await;
    assert_eq!(topic.answered(), places);
}

#[tokio::test(start_paused = true)]
async fn no_command_is_begun_a_span_behind_one_without_an_answer() {
    let span = usize::try_from(super::super::window::SPAN).unwrap();
    let topic = MemoryTopic::default();
    let commands = (0..span + 50).map(|number| {
        let place = Place { partition: 0, offset: i64::try_from(number).unwrap() };
        command(place, if number == 0 { 100 } else { 0 })
    });
    topic.with(|topic| topic.records.insert(0, commands.collect()));
    sessions(&topic, 16, Duration::from_secs(50)).await;
    assert_eq!(topic.answered().len(), span - 1);
    sessions(&topic, 16, Duration::from_secs(200)).await;
    assert_eq!(topic.answered(), topic.places());
}

#[tokio::test(start_paused = true)]
async fn a_partition_whose_window_is_full_holds_up_no_other() {
    let span = usize::try_from(super::super::window::SPAN).unwrap();
    let topic = MemoryTopic::default();
    for partition in 0..2 {
        let commands = (0..2 * span).map(|number| {
            let place = Place { partition, offset: i64::try_from(number).unwrap() };
            command(place, if (partition, number) == (0, 0) { 1000 } else { 0 })
        });
        topic.with(|topic| topic.records.insert(partition, commands.collect()));
    }
    sessions(&topic, 16, Duration::from_secs(50)).await;
    let answered = topic.answered();
    let of = |partition| answered.iter().filter(|place| place.partition == partition).count();
    assert_eq!((of(0), of(1)), (span - 1, 2 * span));
    sessions(&topic, 16, Duration::from_secs(2000)).await;
    assert_eq!(topic.answered(), topic.places());
}

#[tokio::test(start_paused = true)]
async fn a_recall_ends_the_session_with_what_is_answered_committed() {
    let topic = MemoryTopic::holding([0, 0, 50, 50]);
    let stop = CancellationToken::new();
    let recalling = async {
        tokio::time::sleep(Duration::from_secs(5)).await;
        topic.with(|topic| topic.recalled.cancel());
    };
    let (ended, ()) = tokio::join!(session(&topic, 4, &stop), recalling);
    assert_eq!(ended, Ended::Recalled);
    assert_eq!(topic.answered().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_batch_of_which_nothing_can_be_written_opens_the_topic_again() {
    let topic = MemoryTopic::holding([0]);
    topic.with(|topic| topic.fates = vec![Fate::Aborts; usize::try_from(COMMIT_ATTEMPTS).unwrap()]);
    let ended = session(&topic, 1, &CancellationToken::new()).await;
    assert_eq!(ended, Ended::Reopen("aborted".into()));
    sessions(&topic, 1, Duration::from_secs(60)).await;
    assert_eq!(topic.answered(), topic.places());
}
