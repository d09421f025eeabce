//! The whole connector on paused time against the simulated upstream, many seeds of it.
//!
//! Everything is real but the network, Kafka and the clock: schedulers, pollers, client, tokens, retries, committer and
//! supervisor run against a seeded world (late rows, duplicates, moving pages, edits, every class of error) and a log
//! in memory that aborts, loses answers and dies at its named points. In the end everything that the world has shown
//! must have been published exactly once, and nothing else.
//!
//! ```text
//! cargo test --test simulation                            # SIMULATION_SEEDS of them, 1000 by default
//! SIMULATION_SEED=17 cargo test --test simulation         # one of them again
//! ```

#![allow(clippy::unwrap_used, reason = "a test that can't go on fails")]

#[path = "harness/seeds.rs"]
mod seeds;

use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use promoter_connector::commit::committer::BatchBounds;
use promoter_connector::commit::failpoint::Failpoint;
use promoter_connector::commit::testing::fault_script::{FaultScript, ScriptedFault};
use promoter_connector::commit::testing::memory_log::{DurableTopics, MemoryLog};
use promoter_connector::commit::totals::CommitTotals;
use promoter_connector::model::dead_letter::DeadLetter;
use promoter_connector::model::fact::{FactContent, OrderStatus};
use promoter_connector::model::feed::{Feed, PerFeed, StartFrom};
use promoter_connector::model::pacing::PollSettings;
use promoter_connector::model::promoter::{AppId, IdKind, Promoter};
use promoter_connector::model::row::{Payment, Touch};
use promoter_connector::model::state_record::StateKey;
use promoter_connector::model::time::{UnixMillis, UnixTime};
use promoter_connector::retry::RetrySettings;
use promoter_connector::session::{FeedPlan, PolledApp, PolledPromoter, Session};
use promoter_connector::simulator::faults::Level;
use promoter_connector::simulator::ledger::Ledger;
use promoter_connector::simulator::options::Days;
use promoter_connector::simulator::{SharedWorld, Shown, ShownContent, SimulatedTransport, World, WorldOptions};
use promoter_connector::supervisor;
use promoter_connector::upstream::breaker::BreakerSettings;
use promoter_connector::upstream::client::{Client, ClientSettings};
use promoter_connector::upstream::token::TokenSource;
use promoter_connector::upstream::transport::{HttpRequest, HttpResponse, Transport, TransportError};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tokio_util::sync::CancellationToken;

/// By feed, in seconds. Facts appear up to the whole of it, or die as unseen.
type Lateness = PerFeed<i64>;

/// 2023-11-15 00:00 in UTC, eight hours into Beijing's day.
const MIDNIGHT: i64 = 1_700_006_400;
/// Simulated time within which everything must have been shown and published.
const SETTLE_MAX: Duration = Duration::from_secs(3 * 24 * 3600);

fn retry() -> RetrySettings {
    RetrySettings { initial: Duration::from_millis(200), max: Duration::from_secs(30), attempts: 4, jitter: 0.0 }
}

/// Within an hour or so before a day ends, in one of the two zones.
fn start(random: &mut ChaCha8Rng) -> UnixMillis {
    let midnight = MIDNIGHT - if random.random_bool(0.5) { 8 * 3600 } else { 0 };
    UnixTime(midnight - random.random_range(0..4000)).as_millis()
}

fn lateness(random: &mut ChaCha8Rng) -> Lateness {
    let hours = |range: std::ops::Range<i64>, random: &mut ChaCha8Rng| random.random_range(range) * 1800;
    PerFeed { touches: 600, orders: hours(1..6, random), refunds: hours(1..10, random) }
}

fn world_options(seed: u64, lateness: Lateness, random: &mut ChaCha8Rng) -> WorldOptions {
    let late_max = |feed: Feed| Duration::from_secs(lateness[feed].cast_unsigned());
    let apps = ["wx1", "wx2"][..random.random_range(1..=2)].iter().map(|app| (*app).to_owned()).collect();
    WorldOptions {
        seed,
        apps,
        promoters: random.random_range(1..=2),
        touches_per_hour: 30.0,
        orders_per_hour: 12.0,
        history: Duration::from_secs(random.random_range(0..7200)),
        quiet_after: Some(Duration::from_secs(random.random_range(600..3600))),
        refund_within: Duration::from_secs(5400),
        edit_every: Duration::from_secs(1200),
        page_rows: random.random_range(4..40),
        faults: [Level::None, Level::Some, Level::Many, Level::Many][random.random_range(0..4)],
        spell: Duration::from_secs(120),
        late_max: late_max(Feed::Touches),
        orders_late_max: Some(late_max(Feed::Orders)),
        refunds_late_max: Some(late_max(Feed::Refunds)),
        days: if random.random_bool(0.5) { Days::Beijing } else { Days::Utc },
        two_dates: 0.1,
        told_later: 0.3,
        restless: if random.random_bool(0.3) { 0.05 } else { 0.0 },
        dead_rows: 0.02,
        odd_rows: 0.1,
        ..WorldOptions::default()
    }
}

/// One app's side of the simulated upstream, which notes every feed that is polled before its first cursor is durable.
#[derive(Clone)]
struct Watched {
    upstream: SimulatedTransport,
    app: AppId,
    durable: Arc<Mutex<DurableTopics>>,
    begun: Arc<Mutex<HashSet<StateKey>>>,
    early: Arc<Mutex<Vec<StateKey>>>,
}

impl Watched {
    fn watch(&self, request: &HttpRequest) {
        let feed = match request.path {
            "/promoter/getrelation" => Feed::Touches,
            "/promoter/getorder" => Feed::Orders,
            _ => return,
        };
        let body: serde_json::Value = serde_json::from_slice(request.body.as_deref().unwrap_or_default()).unwrap();
        let refunds = body["status"] == 2;
        let promoter = Promoter::new(&self.app, body["openid"].as_str().unwrap()).unwrap();
        let key = StateKey::Cursor(promoter, if refunds { Feed::Refunds } else { feed });
        if self.begun.lock().unwrap().insert(key.clone())
            && !self.durable.lock().unwrap().state.contains_key(&key.encode())
        {
            self.early.lock().unwrap().push(key);
        }
    }
}

impl Transport for Watched {
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, TransportError> {
        self.watch(&request);
        self.upstream.send(request).await
    }

    fn now(&self) -> UnixMillis {
        self.upstream.now()
    }
}

fn apps(
    options: &WorldOptions,
    watched: &Watched,
    lateness: Lateness,
    start_from: StartFrom,
) -> Vec<PolledApp<Watched>> {
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
        let promoter = |id: &String| PolledPromoter {
            promoter: Promoter::new(&app, id).unwrap(),
            feeds: PerFeed::new(|feed| Some(order(feed))),
            refunds_lateness: lateness.refunds,
            refunds_start: start_from,
        };
        PolledApp {
            client: Arc::new(Client::new(settings, Watched { app: app.clone(), ..watched.clone() })),
            promoters: ids.iter().map(promoter).collect(),
            parked_for: Duration::from_secs(300),
            reports: Arc::default(),
            app,
        }
    };
    options.apps.iter().map(polled).collect()
}

/// What befalls the log, one call after the other.
fn script(seed: u64, calm: Arc<AtomicBool>, crashed: &CancellationToken) -> FaultScript {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let decide = move || {
        let delay = Duration::from_millis(random.random_range(0..300));
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

struct Outcome {
    shown: Vec<Shown>,
    durable: Arc<Mutex<DurableTopics>>,
    from: UnixTime,
    crashes: u64,
    /// Feeds that were polled before their first cursor was durable.
    early: Vec<StateKey>,
}

async fn live(seed: u64) -> Result<Outcome, String> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let (start, lateness) = (start(&mut random), lateness(&mut random));
    let options = world_options(seed, lateness, &mut random);
    let world = SharedWorld::new(World::new(&options, start).map_err(|error| error.to_string())?);
    let transport = SimulatedTransport::new(world.clone(), Duration::from_secs(15));
    let (start_from, from) = if random.random_bool(0.5) {
        (StartFrom::Earliest, UnixTime::EARLIEST)
    } else {
        (StartFrom::At(start.as_seconds()), start.as_seconds())
    };
    let durable = Arc::new(Mutex::new(DurableTopics::default()));
    let watched = Watched {
        upstream: transport.clone(),
        app: AppId::new("none").unwrap(),
        durable: durable.clone(),
        begun: Arc::default(),
        early: Arc::default(),
    };
    let calm = Arc::new(AtomicBool::new(false));
    let began = tokio::time::Instant::now();
    // Some go on being killed until the days have closed.
    let lively = Duration::from_secs(if random.random_bool(0.1) { 12 * 3600 } else { 1800 });
    let mut crashes = 0;
    loop {
        let settled = began.elapsed() >= options.quiet_after.unwrap_or_default() + lively;
        calm.store(settled, Ordering::Relaxed);
        let session = Session {
            apps: Arc::new(apps(&options, &watched, lateness, start_from)),
            bounds: BatchBounds {
                linger: Duration::from_millis(50),
                events_max: random.random_range(1..200),
                bytes_max: 1 << 20,
            },
            queue_bytes: 1 << random.random_range(10..22),
            totals: Arc::new(CommitTotals::default()),
        };
        let stop = CancellationToken::new();
        let crashed = CancellationToken::new();
        let scripts = AtomicU64::new(random.random());
        let make_log = || {
            let script = script(scripts.fetch_add(1, Ordering::Relaxed), calm.clone(), &crashed);
            MemoryLog::new(durable.clone(), script)
        };
        // A kill between any two steps, beside the named points.
        let life = if settled { SETTLE_MAX } else { Duration::from_secs(random.random_range(1..1800)) };
        let end = async {
            tokio::select! {
                () = crashed.cancelled() => "crashed",
                () = tokio::time::sleep(life) => "killed",
                () = everything_is_published(&world, &transport, &session, from, settled) => {
                    stop.cancel();
                    std::future::pending().await
                }
            }
        };
        tokio::select! {
            result = supervisor::run(&session, make_log, &stop, retry()) => {
                result.map_err(|given_up| given_up.to_string())?;
                let shown = world.with(|world| world.truth());
                let early = watched.early.lock().unwrap().clone();
                return Ok(Outcome { shown, durable: durable.clone(), from, crashes, early });
            }
            ended = end => {
                crashes += 1;
                if began.elapsed() > SETTLE_MAX {
                    return Err(format!("{ended}, and never settled: {:?}",
                        world.with(|world| world.settlement(transport.now(), Some(from)))));
                }
            }
        }
    }
}

/// Waits until the world has shown all it has; what was shown last is then in the hands of the connector.
async fn everything_is_published(
    world: &SharedWorld,
    transport: &SimulatedTransport,
    session: &Session<Watched>,
    from: UnixTime,
    settled: bool,
) {
    if !settled {
        return std::future::pending().await;
    }
    loop {
        tokio::time::sleep(Duration::from_secs(600)).await;
        let settlement = world.with(|world| world.settlement(transport.now(), Some(from)));
        if settlement.settled && session.totals.transactions.load(Ordering::Relaxed) > 0 {
            return;
        }
    }
}

fn judge(outcome: &Outcome) -> Result<usize, String> {
    if let Some(key) = outcome.early.first() {
        return Err(format!("{} was not durable when its feed was polled for the first time", key.encode()));
    }
    let durable = outcome.durable.lock().map_err(|error| error.to_string())?;
    let mut ledger = Ledger::default();
    let mut allowed = HashSet::new();
    for shown in &outcome.shown {
        let dead = matches!(shown.content, ShownContent::DeadRow(_));
        if may_be_history(shown, outcome.from) {
            allowed.insert(expected_key(shown));
        } else if dead || shown.time >= outcome.from {
            ledger.show(expected_key(shown));
        }
    }
    // A refund whose time is told later is one, published with it or without it.
    let told_later: HashSet<_> = outcome.shown.iter().filter(|shown| shown.told_later).map(expected_key).collect();
    for event in &durable.events {
        let without_time = key(&event.promoter, event.fact.time, &untimed(event.fact.content.clone()));
        let is_one_of_them = told_later.contains(&without_time);
        ledger.publish(match is_one_of_them {
            true => without_time,
            false => key(&event.promoter, event.fact.time, &event.fact.content),
        });
    }
    for letter in &durable.dead_letters {
        let promoter = letter.promoter.as_ref().unwrap();
        ledger.publish(format!("{promoter} dead {}", String::from_utf8_lossy(&letter.raw)));
    }
    allowed.iter().for_each(|key| ledger.allow(key));
    let verdict = ledger.verdict();
    if verdict.is_exact() { Ok(verdict.shown) } else { Err(verdict.to_string()) }
}

/// A refund that has no time, of an order from before the start: history, if the first pull of refunds shows it, and
/// news otherwise.
fn may_be_history(shown: &Shown, from: UnixTime) -> bool {
    match &shown.content {
        ShownContent::Order { status: OrderStatus::Refunded, payment, .. } => {
            payment.paid_time < from && (shown.told_later || payment.refunded_time.is_none())
        }
        _ => false,
    }
}

fn expected_key(shown: &Shown) -> String {
    let content = match &shown.content {
        ShownContent::Touch(_, touch) => FactContent::Touch(touch.clone()),
        ShownContent::Order { status, touch, payment } => {
            FactContent::Order { status: *status, touch: touch.clone(), payment: payment.clone() }
        }
        ShownContent::DeadRow(raw) => return format!("{} dead {}", shown.promoter, String::from_utf8_lossy(raw)),
    };
    key(&shown.promoter, shown.time, &if shown.told_later { untimed(content) } else { content })
}

fn untimed(content: FactContent) -> FactContent {
    match content {
        FactContent::Order { status, touch, payment } => {
            FactContent::Order { status, touch, payment: Payment { refunded_time: None, ..payment } }
        }
        touch @ FactContent::Touch(_) => touch,
    }
}

/// Everything but what the merchant may edit: a field that is new is compared without another word. An order carries its times
/// itself, a touch is its fact's.
fn key(promoter: &Promoter, time: UnixTime, content: &FactContent) -> String {
    let lasting = |touch: &Touch| Touch { role_id: None, retail_id: None, extra_info: None, ..touch.clone() };
    match content {
        FactContent::Touch(touch) => format!("{promoter} {time:?} {:?}", lasting(touch)),
        FactContent::Order { status, touch, payment } => {
            format!("{promoter} {status:?} {:?} {payment:?}", lasting(touch))
        }
    }
}

fn run(seed: u64) -> Result<(usize, u64), String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    let outcome = runtime.block_on(live(seed))?;
    Ok((judge(&outcome)?, outcome.crashes))
}

#[test]
fn whatever_happens_every_fact_shown_is_published_once() {
    let outcomes = seeds::each("simulation", 1000, run);
    let facts: usize = outcomes.iter().map(|(shown, _)| shown).sum();
    let crashes: u64 = outcomes.iter().map(|(_, died)| died).sum();
    println!("{} seeds, {facts} facts, {crashes} crashes", outcomes.len());
    assert!(facts > 0, "nothing was shown, so nothing is proven");
}

#[test]
fn a_log_that_drops_or_doubles_one_event_is_caught() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    let outcome = runtime.block_on(live(1)).unwrap();
    assert!(judge(&outcome).is_ok());
    let event = outcome.durable.lock().unwrap().events.pop().unwrap();
    assert!(judge(&outcome).is_err(), "a dropped event was not missed");
    outcome.durable.lock().unwrap().events.extend([event.clone(), event]);
    assert!(judge(&outcome).is_err(), "a doubled event went unnoticed");
    outcome.durable.lock().unwrap().events.pop();
    let letter = some_dead_letter(&outcome);
    outcome.durable.lock().unwrap().dead_letters.push(letter);
    assert!(judge(&outcome).is_err(), "a doubled dead letter went unnoticed");
}

fn some_dead_letter(outcome: &Outcome) -> DeadLetter {
    outcome.durable.lock().unwrap().dead_letters.first().cloned().expect("this seed has unreadable rows")
}
