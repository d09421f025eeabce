//! Processes that run against a world and are killed, alone or as a fleet whose shards are moved about, until everything has
//! settled.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use promoter_connector::commit::failpoint::Failpoint;
use promoter_connector::commit::pace::BatchBounds;
use promoter_connector::commit::testing::durable_topics::{DurableTopics, PARTITIONS};
use promoter_connector::commit::testing::fault_script::{FaultScript, ScriptedFault};
use promoter_connector::commit::testing::memory_group::MemoryGroup;
use promoter_connector::commit::testing::memory_log::MemoryLog;
use promoter_connector::commit::totals::CommitTotals;
use promoter_connector::model::feed::{Feed, PerFeed, StartFrom};
use promoter_connector::model::pacing::PollSettings;
use promoter_connector::model::promoter::{AppId, IdKind, Promoter};
use promoter_connector::model::rewind::{Rewind, RewindId};
use promoter_connector::model::shard::Shard;
use promoter_connector::model::state_record::StateKey;
use promoter_connector::model::time::UnixTime;
use promoter_connector::registry::record::RegistryContent;
use promoter_connector::registry::table::ConfiguredPromoter;
use promoter_connector::retry::RetrySettings;
use promoter_connector::session::app_feeds::AppFeeds;
use promoter_connector::session::{FeedPlan, PollPipeline, PolledApp};
use promoter_connector::simulator::{SharedWorld, Shown, SimulatedTransport, World, WorldOptions};
use promoter_connector::supervisor;
use promoter_connector::upstream::breaker::BreakerSettings;
use promoter_connector::upstream::client::{Client, ClientSettings};
use promoter_connector::upstream::token::TokenSource;
use promoter_connector::upstream::transport::Transport;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::watched::Watched;
use crate::world::{Lateness, lateness, start, world_options};

/// Simulated time within which everything must have been shown and published.
const SETTLE_MAX: Duration = Duration::from_secs(3 * 24 * 3600);

fn retry() -> RetrySettings {
    RetrySettings { initial: Duration::from_millis(200), max: Duration::from_secs(30), attempts: 4, jitter: 0.0 }
}

/// The apps of one process, with clients of its own.
fn apps(options: &WorldOptions, watched: &Watched, lateness: Lateness, start_from: StartFrom) -> Vec<PolledApp> {
    let transport = &watched.upstream;
    let ids = transport.world().with(|world| world.promoter_ids());
    let order = |feed: Feed| FeedPlan {
        settings: PollSettings {
            every: Duration::from_secs(if feed == Feed::Refunds { 600 } else { 60 }),
            idle_every: Duration::from_secs(900),
            lateness: lateness[feed],
        },
        start_from,
    };
    let polled = |app: &String| {
        let app = AppId::new(app).unwrap();
        let settings = ClientSettings {
            app_id: app.clone(),
            id_kind: IdKind::OpenId,
            base_url: "http://simulated".into(),
            spare_urls: vec![],
            token_source: TokenSource::Stable(options.secret.clone().into()),
            retry: retry(),
            breakers: BreakerSettings {
                too_fast: Duration::from_secs(60),
                stopped: Duration::from_secs(300),
                unanswered: retry().max,
            },
            budgets: BTreeMap::new(),
            in_flight: 8,
        };
        let promoter = |id: &String| (Promoter::new(&app, id).unwrap(), ConfiguredPromoter::default());
        let feeds = AppFeeds { polled: PerFeed::new(|feed| Some(order(feed))), refunds: order(Feed::Refunds) };
        let promoters = ids.iter().map(promoter).collect();
        let client = Client::new(settings, Watched { app: app.clone(), ..watched.clone() });
        PolledApp::new(client, feeds, promoters, Duration::from_secs(300), Duration::from_secs(6 * 3600))
    };
    options.apps.iter().map(polled).collect()
}

/// What befalls the log, one call after the other.
fn script(seed: u64, calm: Arc<AtomicBool>, crashed: &CancellationToken) -> FaultScript {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let decide = move || {
        let slow = random.random_bool(0.1);
        let delay = Duration::from_millis(random.random_range(0..if slow { 8_000 } else { 300 }));
        let fault = match random.random_range(0..100) {
            _ if calm.load(Ordering::Relaxed) => ScriptedFault::None,
            0..5 => ScriptedFault::Aborted,
            5..8 => ScriptedFault::UnknownCommitted,
            8..11 => ScriptedFault::UnknownAborted,
            11..16 => ScriptedFault::Crash(Failpoint::POLLS[random.random_range(0..Failpoint::POLLS.len())]),
            _ => ScriptedFault::None,
        };
        (delay, fault)
    };
    FaultScript::new(decide, crashed.clone())
}

pub struct Outcome {
    pub shown: Vec<Shown>,
    pub durable: Arc<Mutex<DurableTopics>>,
    pub from: UnixTime,
    pub crashes: u64,
    /// Feeds that were polled before their first cursor was durable.
    pub early: Vec<StateKey>,
}

/// What all processes of a seed share.
struct Surroundings {
    options: WorldOptions,
    world: SharedWorld,
    lateness: Lateness,
    start_from: StartFrom,
    from: UnixTime,
    watched: Watched,
    group: MemoryGroup,
    calm: Arc<AtomicBool>,
    began: Instant,
    /// Until when processes are killed and shards moved.
    lively: Duration,
    crashes: AtomicU64,
    transactions: AtomicU64,
}

pub async fn live(seed: u64) -> Result<Outcome, String> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let (start, lateness) = (start(&mut random), lateness(&mut random));
    // A row that can't be read has no time: asked for again it may be a dead letter again.
    let rewinds = seed % 5 == 2;
    let options = world_options(seed, lateness, &mut random);
    let options = WorldOptions { dead_rows: if rewinds { 0.0 } else { options.dead_rows }, ..options };
    let world = SharedWorld::new(World::new(&options, start).map_err(|error| error.to_string())?);
    let transport = SimulatedTransport::new(world.clone(), Duration::from_secs(15));
    let (start_from, from) = if random.random_bool(0.5) {
        (StartFrom::Earliest, UnixTime::EARLIEST)
    } else {
        (StartFrom::At(start.as_seconds()), start.as_seconds())
    };
    let watched = Watched {
        upstream: transport,
        app: AppId::new("none").unwrap(),
        durable: Arc::default(),
        begun: Arc::default(),
        early: Arc::default(),
    };
    // Some go on being killed until the days have closed.
    let lively = Duration::from_secs(if random.random_bool(0.1) { 12 * 3600 } else { 1800 });
    let lively = options.quiet_after.unwrap_or_default() + lively;
    let instances = if random.random_bool(0.2) { 1 } else { random.random_range(2..=INSTANCES.len()) };
    // Some fleets are never at rest.
    let pause = Duration::from_millis([1_000, 5_000, 30_000, 120_000][random.random_range(0..4)]);
    let pause = if lively > Duration::from_secs(3600) { Duration::from_secs(120) } else { pause };
    let group = MemoryGroup::of_one(INSTANCES[0], PARTITIONS);
    let around = Surroundings {
        options,
        world,
        lateness,
        start_from,
        from,
        watched,
        group,
        calm: Arc::default(),
        began: Instant::now(),
        lively,
        crashes: AtomicU64::new(0),
        transactions: AtomicU64::new(0),
    };
    let running = INSTANCES[..instances].iter().map(|instance| around.lives(instance, random.random()));
    let running = futures_util::future::try_join_all(running);
    let rewinding = async {
        if rewinds {
            around.rewind_feeds(!seed).await;
        }
    };
    if instances > 1 {
        let fleet = &INSTANCES[..instances];
        let movers = [random.random(), random.random()].map(|seed| around.move_shards(seed, fleet, pause));
        let (ended, ..) = tokio::join!(running, futures_util::future::join_all(movers), rewinding);
        ended?;
    } else {
        let (ended, ()) = tokio::join!(running, rewinding);
        ended?;
    }
    let shown = around.world.with(|world| world.truth());
    let early = around.watched.early.lock().unwrap().clone();
    Ok(Outcome { shown, durable: around.watched.durable, from, crashes: around.crashes.into_inner(), early })
}

/// The processes of a fleet.
const INSTANCES: [&str; 4] = ["one", "two", "three", "four"];

impl Surroundings {
    fn is_settled(&self) -> bool {
        self.began.elapsed() >= self.lively
    }

    /// One process after the other of an instance, each killed, until the last one ends in order.
    async fn lives(&self, instance: &str, seed: u64) -> Result<(), String> {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        loop {
            let settled = self.is_settled();
            self.calm.fetch_or(settled, Ordering::Relaxed);
            let pipeline = self.pipeline(&mut random);
            let stop = CancellationToken::new();
            let crashed = CancellationToken::new();
            let scripts = AtomicU64::new(random.random());
            let make_log = || {
                let script = script(scripts.fetch_add(1, Ordering::Relaxed), self.calm.clone(), &crashed);
                MemoryLog::shared(self.watched.durable.clone(), script, instance, &self.group)
            };
            // A kill between any two steps, beside the named points.
            let life = if settled { SETTLE_MAX } else { Duration::from_secs(random.random_range(1..1800)) };
            let end = async {
                tokio::select! {
                    () = crashed.cancelled() => "crashed",
                    () = tokio::time::sleep(life) => "killed",
                    () = self.everything_is_published(&pipeline, settled) => {
                        stop.cancel();
                        std::future::pending().await
                    }
                }
            };
            let mut reloads = ChaCha8Rng::seed_from_u64(random.random());
            tokio::select! {
                result = supervisor::run(&pipeline, make_log, &stop, retry()) => {
                    return result.map_err(|given_up| given_up.to_string());
                }
                () = self.reload(&pipeline.apps, &mut reloads) => unreachable!("it has no end"),
                ended = end => {
                    self.crashes.fetch_add(1, Ordering::Relaxed);
                    self.transactions.fetch_add(pipeline.totals.transactions.load(Ordering::Relaxed), Ordering::Relaxed);
                    if self.began.elapsed() > SETTLE_MAX {
                        let now = self.watched.upstream.now();
                        let settlement = self.world.with(|world| world.settlement(now, Some(self.from)));
                        return Err(format!("{ended}, and never settled: {settlement:?}"));
                    }
                }
            }
        }
    }

    fn pipeline(&self, random: &mut ChaCha8Rng) -> PollPipeline {
        PollPipeline {
            apps: Arc::new(apps(&self.options, &self.watched, self.lateness, self.start_from)),
            bounds: BatchBounds {
                linger: Duration::from_millis(50),
                events_max: random.random_range(1..200),
                bytes_max: 1 << 20,
            },
            queue_bytes: 1 << random.random_range(10..22),
            totals: Arc::new(CommitTotals::default()),
            forget: Duration::from_secs(30 * 86_400),
            discovery: None,
            registrations: Arc::default(),
            shares: None,
        }
    }

    /// Has the configuration name now these, now those promoters, in some lives as long as there is life in the fleet.
    async fn reload(&self, apps: &[PolledApp], random: &mut ChaCha8Rng) {
        let all: Vec<_> = apps.iter().map(|app| app.promoters.latest()).collect();
        while !self.is_settled() && random.random_bool(0.9) {
            tokio::time::sleep(Duration::from_secs(random.random_range(1..600))).await;
            let share = if self.is_settled() { 1.0 } else { random.random_range(0.0..=1.0) };
            for (app, all) in apps.iter().zip(&all) {
                let named = all.promoters.iter().filter(|_| random.random_bool(share));
                app.promoters.replace(named.cloned().collect());
            }
        }
        std::future::pending::<()>().await;
    }

    /// Moves shards between the instances of `fleet` as long as it is lively. Whoever had one hears of it at once, or late; some go
    /// back at once.
    async fn move_shards(&self, seed: u64, fleet: &[&str], pause: Duration) {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        while !self.is_settled() {
            tokio::time::sleep(pause.mul_f64(random.random_range(0.0..1.0))).await;
            let shard = Shard(random.random_range(0..PARTITIONS));
            let to = fleet[random.random_range(0..fleet.len())];
            match random.random_range(0..10) {
                0..4 => self.group.take_away(shard, to),
                4..7 => {
                    let deaf = Duration::from_millis(random.random_range(0..20_000));
                    self.group.take_away_unheard(shard, to, deaf).await;
                }
                _ => {
                    let owner = self.group.owner(shard).unwrap_or_else(|| to.to_owned());
                    self.group.take_away(shard, to);
                    tokio::time::sleep(Duration::from_millis(random.random_range(0..400))).await;
                    self.group.take_away(shard, &owner);
                }
            }
        }
    }

    /// Has feeds asked again from earlier times as long as there is life in the fleet: never from before the start, and nothing is to be
    /// published again.
    async fn rewind_feeds(&self, seed: u64) {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let ids = self.world.with(|world| world.promoter_ids());
        while !self.is_settled() {
            tokio::time::sleep(Duration::from_secs(random.random_range(1..900))).await;
            let app = AppId::new(&self.options.apps[random.random_range(0..self.options.apps.len())]).unwrap();
            let promoter = Promoter::new(&app, &ids[random.random_range(0..ids.len())]).unwrap();
            let feed = Feed::ALL[random.random_range(0..Feed::ALL.len())];
            let most = if random.random_bool(0.5) { 3_600 } else { 3 * 86_400 };
            let back = random.random_range(0..most);
            let to = self.watched.upstream.now().as_seconds().minus(back).max(self.from);
            let rewind = Rewind { id: RewindId(random.random()), to, republish: false };
            self.group.say(&promoter, RegistryContent::Rewind(feed, Some(rewind)));
        }
    }

    /// Waits until the world has shown all it has; what was shown last is then in the hands of the connector.
    async fn everything_is_published(&self, pipeline: &PollPipeline, settled: bool) {
        if !settled {
            return std::future::pending().await;
        }
        loop {
            tokio::time::sleep(Duration::from_secs(600)).await;
            let now = self.watched.upstream.now();
            let settlement = self.world.with(|world| world.settlement(now, Some(self.from)));
            let here = pipeline.totals.transactions.load(Ordering::Relaxed);
            if settlement.settled && here + self.transactions.load(Ordering::Relaxed) > 0 {
                return;
            }
        }
    }
}
