//! The processes that answer a seed's requests, one after the other.

use std::collections::{BTreeMap, HashSet};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use promoter_connector::avro::framing::Framing;
use promoter_connector::avro::material::RequestDecoder;
use promoter_connector::avro::schema_lookup::{SchemaFuture, SchemaSource};
use promoter_connector::avro::schema_registry::{ExchangeError, SchemaRegistryError};
use promoter_connector::avro::schemas::RecordKind;
use promoter_connector::commit::failpoint::Failpoint;
use promoter_connector::commit::testing::fault_script::{FaultScript, ScriptedFault};
use promoter_connector::model::request::record::RecordOffset;
use promoter_connector::model::time::UnixMillis;
use promoter_connector::requests::executor::{Executor, MaterialApp};
use promoter_connector::requests::pipeline::RequestPipeline;
use promoter_connector::requests::testing::memory_topic::{CommittedAnswer, MemoryAnswerLog, MemoryRequestTopic};
use promoter_connector::simulator::{SharedWorld, SimulatedTransport, World};
use promoter_connector::supervisor;
use promoter_connector::upstream::client::{Client, ClientSettings};
use promoter_connector::upstream::token::TokenSource;
use promoter_connector::upstream::transport::Transport;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::judge::Committed;
use super::plan::{FOREIGN_IDS, Loss, Plan, Planned, START, plan};
use super::upstream::{Calls, WatchedUpstream};

/// Within this time of a quiet world everything must be answered.
const SETTLE_MAX: Duration = Duration::from_secs(3600);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);
const REQUEST_TOPIC: &str = "requests";

/// What came of a seed.
pub struct Outcome {
    pub requests: Vec<Planned>,
    pub answers: Vec<Committed>,
    pub calls: Calls,
    /// The world's own count: outcomes by path.
    pub struck: BTreeMap<String, BTreeMap<String, u64>>,
    /// How often processes came to which end.
    pub process_ends: BTreeMap<&'static str, usize>,
}

struct Scene {
    plan: Plan,
    registry: Arc<SimulatedRegistry>,
    upstream: WatchedUpstream,
    topic: MemoryRequestTopic,
    /// Nothing goes wrong any more.
    calm: Arc<AtomicBool>,
}

/// Has the schemas of requesters, and is away for a while.
struct SimulatedRegistry {
    began: Instant,
    away: Vec<Range<Duration>>,
}

impl SchemaSource for SimulatedRegistry {
    fn schema(&self, id: i32) -> SchemaFuture<'_> {
        Box::pin(async move {
            sleep(Duration::from_millis(20)).await;
            if self.away.iter().any(|away| away.contains(&self.began.elapsed())) {
                return Err(SchemaRegistryError::Unavailable {
                    url: "http://registry".into(),
                    cause: ExchangeError::Timeout,
                });
            }
            Ok(FOREIGN_IDS.contains(&id).then(|| RecordKind::MaterialRequest.text().to_owned()))
        })
    }
}

/// Lives through a seed. The error says what was not answered.
pub async fn run_seed(seed: u64) -> Result<Outcome, String> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let plan = plan(seed, &mut random);
    let world = World::new(&plan.options, START).map_err(|error| error.to_string())?;
    let simulated = SimulatedTransport::new(SharedWorld::new(world), REQUEST_TIMEOUT);
    let upstream = WatchedUpstream { simulated, calls: Arc::default(), outage: plan.outage.clone() };
    let topic = MemoryRequestTopic::new(plan.partitions);
    let began = Instant::now();
    let registry = Arc::new(SimulatedRegistry { began, away: plan.registry_away.clone() });
    let scene = Scene { plan, registry, upstream, topic, calm: Arc::default() };
    let revocations = random.random();
    let process_ends = tokio::select! {
        biased;
        process_ends = process_runs(&scene, &mut random) => process_ends?,
        () = around(&scene, revocations) => unreachable!("what happens around has no end"),
    };
    let time = |at: Instant| UnixMillis(START.0 + i64::try_from((at - began).as_millis()).unwrap());
    let committed = scene.topic.answers().into_iter();
    let answers = committed.map(|answered| {
        let CommittedAnswer { location, fingerprint, answer, at } = answered;
        Committed { location, fingerprint, answer, at: time(at) }
    });
    let now = scene.upstream.now();
    let statistics = scene.upstream.simulated.world().with(|world| world.statistics(now));
    Ok(Outcome {
        answers: answers.collect(),
        calls: scene.upstream.calls.lock().unwrap().clone(),
        struck: serde_json::from_value(statistics["calls"].clone()).map_err(|error| error.to_string())?,
        process_ends,
        requests: scene.plan.requests,
    })
}

/// Requests come, partitions are revoked, and in the end the world is calm.
async fn around(scene: &Scene, seed: u64) {
    let began = Instant::now();
    let coming = async {
        for planned in &scene.plan.requests {
            sleep_until(began + planned.at).await;
            scene.topic.put(planned.record());
        }
    };
    let losing = async {
        if let Some(Loss { at, location: RecordOffset { partition, offset } }) = scene.plan.loss {
            sleep_until(began + at).await;
            scene.topic.cut(partition, offset);
        }
    };
    let revoking = async {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        while !scene.calm.load(Ordering::Relaxed) {
            sleep(Duration::from_millis(random.random_range(1..300_000))).await;
            scene.topic.revoke();
        }
    };
    let calming = async {
        sleep(scene.plan.options.quiet_after.unwrap_or_default()).await;
        scene.calm.store(true, Ordering::Relaxed);
    };
    tokio::join!(losing, coming, revoking, calming);
    std::future::pending::<()>().await;
}

async fn process_runs(scene: &Scene, random: &mut ChaCha8Rng) -> Result<BTreeMap<&'static str, usize>, String> {
    let began = Instant::now();
    let mut process_ends = BTreeMap::new();
    loop {
        let calm = scene.calm.load(Ordering::Relaxed);
        let process_end = process_run(scene, random, calm).await?;
        *process_ends.entry(process_end).or_default() += 1;
        if is_everything_answered(scene) {
            return Ok(process_ends);
        }
        if began.elapsed() > scene.plan.options.quiet_after.unwrap_or_default() + SETTLE_MAX {
            let answered: Vec<RecordOffset> = scene.topic.answers().iter().map(|answered| answered.location).collect();
            let mut open = scene.topic.locations();
            open.retain(|location| !answered.contains(location));
            return Err(format!("no answer to {open:?}, and none comes any more: {process_ends:?}"));
        }
        // Until somebody starts the next one.
        sleep(Duration::from_millis(random.random_range(0..60_000))).await;
    }
}

/// One process. Tells what ended it; the error is an end that nothing explains.
async fn process_run(scene: &Scene, random: &mut ChaCha8Rng, calm: bool) -> Result<&'static str, String> {
    let pipeline = pipeline(scene);
    let (stop, crashed) = (CancellationToken::new(), CancellationToken::new());
    let mut scripts = ChaCha8Rng::seed_from_u64(random.random());
    let make_log = || {
        let script = script(scripts.random(), scene.calm.clone(), crashed.clone());
        MemoryAnswerLog::new(scene.topic.clone(), script)
    };
    let length = if calm { SETTLE_MAX } else { Duration::from_millis(random.random_range(1..600_000)) };
    let is_killed = random.random_bool(0.5);
    let end = async {
        tokio::select! {
            biased;
            () = crashed.cancelled() => return "crashed",
            () = sleep(length) => if is_killed { return "killed" },
            () = everything_is_answered(scene) => {}
        }
        stop.cancel();
        std::future::pending().await
    };
    tokio::select! {
        biased;
        process_end = end => Ok(process_end),
        ended = supervisor::run(&pipeline, make_log, &stop, scene.plan.retry) => match ended {
            Ok(()) => Ok("stopped"),
            // A stop within a transaction that failed, or a first opening that failed for a minute.
            Err(_) if !calm => Ok("failed"),
            Err(error) => Err(format!("it ended in a calm world: {error}")),
        },
    }
}

fn pipeline(scene: &Scene) -> RequestPipeline {
    let Plan { options, retry, breakers, concurrency, .. } = &scene.plan;
    let app = |id: &String| {
        let settings = ClientSettings {
            token_source: TokenSource::Stable(options.secret.clone().into()),
            retry: *retry,
            breakers: *breakers,
            ..ClientSettings::for_tests(id)
        };
        MaterialApp::new(Arc::new(Client::new(settings, scene.upstream.clone())), *concurrency)
    };
    let decoder = RequestDecoder::new(Framing::SingleObject);
    let registry: Option<Arc<dyn SchemaSource>> = Some(scene.registry.clone());
    let executor = Executor::new(options.apps.iter().map(app), REQUEST_TOPIC.into(), decoder, registry, *retry);
    RequestPipeline { executor: Arc::new(executor), totals: Arc::default() }
}

/// What befalls the topic, one call after the other.
fn script(seed: u64, calm: Arc<AtomicBool>, crashed: CancellationToken) -> FaultScript {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut aborts_to_come = 0;
    let decide = move || {
        let delay = Duration::from_millis(random.random_range(0..300));
        aborts_to_come = i32::max(aborts_to_come - 1, 0);
        let fault = match random.random_range(0..100) {
            _ if calm.load(Ordering::Relaxed) => ScriptedFault::None,
            _ if aborts_to_come > 0 => ScriptedFault::Aborted,
            // So many that the pipeline gives a batch up.
            0 => {
                aborts_to_come = 8;
                ScriptedFault::Aborted
            }
            1..6 => ScriptedFault::Aborted,
            6..10 => ScriptedFault::UnknownCommitted,
            10..14 => ScriptedFault::UnknownAborted,
            14..18 => ScriptedFault::Crash(Failpoint::REQUESTS[random.random_range(0..Failpoint::REQUESTS.len())]),
            _ => ScriptedFault::None,
        };
        (delay, fault)
    };
    FaultScript::new(decide, crashed)
}

fn is_everything_answered(scene: &Scene) -> bool {
    if !scene.calm.load(Ordering::Relaxed) {
        return false;
    }
    let answered: HashSet<(i32, i64, u64)> = scene.topic.answers().iter().map(key).collect();
    let mut asked = scene.plan.requests.iter().filter(|planned| !planned.is_lost);
    asked.all(|Planned { location, fingerprint, .. }| {
        answered.contains(&(location.partition, location.offset, *fingerprint))
    })
}

fn key(CommittedAnswer { location, fingerprint, .. }: &CommittedAnswer) -> (i32, i64, u64) {
    (location.partition, location.offset, *fingerprint)
}

async fn everything_is_answered(scene: &Scene) {
    while !is_everything_answered(scene) {
        sleep(Duration::from_secs(10)).await;
    }
}
