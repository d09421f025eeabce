//! The whole connector but Kafka: schedulers, pollers and committer take a backlog of touches over HTTP, encode each
//! record as for Kafka, and drop it there. The simulated upstream runs as a process of its own on the same machine, so
//! it takes its share of the cores; what the connector itself costs stands in its own CPU-seconds.

use std::collections::HashMap;
use std::convert::Infallible;
use std::hint::black_box;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use promoter_connector::avro::encode::{Encoders, Framings};
use promoter_connector::commit::pace::BatchBounds;
use promoter_connector::commit::testing::durable_topics::PARTITIONS;
use promoter_connector::commit::totals::CommitTotals;
use promoter_connector::kafka::client::settings::TopicNames;
use promoter_connector::kafka::facts_log::limits::SizeLimits;
use promoter_connector::kafka::facts_log::writer::FactWriter;
use promoter_connector::kafka::topics::settings::RECORD_BYTES_DEFAULT;
use promoter_connector::model::batch::Batch;
use promoter_connector::model::feed::{Feed, PerEventTopic, PerFeed, StartFrom};
use promoter_connector::model::pacing::PollSettings;
use promoter_connector::model::promoter::{AppId, Promoter};
use promoter_connector::model::time::UnixMillis;
use promoter_connector::registry::table::ConfiguredPromoter;
use promoter_connector::retry::{JITTER, PATIENCE, RetrySettings};
use promoter_connector::session::app_feeds::AppFeeds;
use promoter_connector::session::{FeedPlan, PollPipeline, PolledApp};
use promoter_connector::supervisor;
use promoter_connector::upstream::buffer::Buffers;
use promoter_connector::upstream::client::{Client, ClientSettings};
use promoter_connector::upstream::http::{HttpSettings, HttpTransport};
use promoter_connector::upstream::token::TokenSource;
use tokio_util::sync::CancellationToken;

use crate::log::ShownLog;
use crate::median;
use crate::process_time::cpu_time;

const PROMOTERS: u32 = 200;
const TOUCHES_EACH: u32 = 5000;
const ROUNDS: usize = 3;
const FACTS: u64 = PROMOTERS as u64 * TOUCHES_EACH as u64;

pub fn measure() {
    println!("\ndrain of {FACTS} touches of {PROMOTERS} promoters over HTTP, without Kafka");
    println!(
        "{:<36} {:>9} {:>14} {:>18} {:>16}",
        "pages", "facts/s", "CPU-s/million", "facts/CPU-second", "upstream's CPU-s"
    );
    for (name, odd_rows) in [("strict JSON", "0"), ("every 20th row broken JSON", "0.05")] {
        let runs: Vec<Run> = (0..ROUNDS).map(|_| drain(odd_rows)).collect();
        let of = |figure: fn(&Run) -> Duration| median(runs.iter().map(|run| figure(run).as_secs_f64()).collect());
        let (wall, own, upstream) = (of(|run| run.wall), of(|run| run.own), of(|run| run.upstream));
        let facts = FACTS as f64;
        println!("{name:<36} {:>9.0} {:>14.2} {:>18.0} {upstream:>16.2}", facts / wall, own / facts * 1e6, facts / own,);
    }
}

struct Run {
    wall: Duration,
    /// CPU time of this process and of the upstream's.
    own: Duration,
    upstream: Duration,
}

fn drain(odd_rows: &str) -> Run {
    let upstream = Upstream::start(odd_rows);
    let totals = Arc::new(CommitTotals::default());
    let pipeline = PollPipeline {
        apps: Arc::new(vec![app(&upstream.url)]),
        // The configuration's defaults.
        bounds: BatchBounds { linger: Duration::from_millis(50), events_max: 10_000, bytes_max: 8 << 20 },
        queue_bytes: 16 << 20,
        totals: totals.clone(),
        forget: Duration::from_secs(30 * 86_400),
        discovery: None,
        registrations: Arc::default(),
        shares: None,
    };
    let stop = CancellationToken::new();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let own = || cpu_time(std::process::id());
    let (begin, own_before, upstream_before) = (Instant::now(), own(), upstream.cpu_time());
    let run = runtime.block_on(async {
        let all_published = async {
            while totals.published.load(Ordering::Relaxed) < FACTS {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            let run =
                Run { wall: begin.elapsed(), own: own() - own_before, upstream: upstream.cpu_time() - upstream_before };
            stop.cancel();
            run
        };
        let running = supervisor::run(&pipeline, encoding_log, &stop, PATIENCE);
        let (run, ended) = tokio::join!(all_published, running);
        ended.unwrap();
        run
    });
    assert_eq!(totals.published.load(Ordering::Relaxed), FACTS);
    run
}

fn app(base_url: &str) -> PolledApp {
    let app = AppId::new("wx_simulated").unwrap();
    let http = HttpSettings {
        timeout: Duration::from_secs(15),
        in_flight: 64,
        response_max: 16 << 20,
        buffered_max: 128 << 20,
    };
    let buffers = Buffers::new(http.buffered_max);
    let settings = ClientSettings {
        base_url: base_url.to_owned(),
        token_source: TokenSource::Stable("simulated-secret".into()),
        retry: RetrySettings { jitter: JITTER, attempts: 8, ..PATIENCE },
        in_flight: 64,
        ..ClientSettings::for_tests(app.as_str())
    };
    let polling = PollSettings { every: Duration::from_secs(60), idle_every: Duration::from_secs(900), lateness: 600 };
    let plan = FeedPlan { settings: polling, start_from: StartFrom::Earliest };
    let promoter =
        |number: u32| (Promoter::new(&app, &format!("oSimulated{number:06}")).unwrap(), ConfiguredPromoter::default());
    let feeds = AppFeeds { polled: PerFeed::new(|feed| (feed == Feed::Touches).then_some(plan)), refunds: plan };
    let promoters = (1..=PROMOTERS).map(promoter).collect();
    let client = Client::new(settings, HttpTransport::new(http, buffers).unwrap());
    // Nobody waits for the others: what is measured is how fast they are read.
    let catch_up_spread = Duration::from_secs(100 * 366 * 86_400);
    PolledApp::new(client, feeds, promoters, Duration::from_secs(900), catch_up_spread)
}

/// Makes every record that Kafka would get, and drops it.
fn encoding_log() -> ShownLog<impl Fn(&Batch) + Clone + Send + Sync + 'static> {
    let topics = TopicNames::new(|topic| format!("promoter.{topic}"));
    let limit = RECORD_BYTES_DEFAULT;
    let limits = SizeLimits { events: PerEventTopic::new(|_| limit), dead_letters: limit, state: limit };
    let writer = Arc::new(FactWriter {
        topics,
        encoders: Arc::new(Encoders::new(Framings::SINGLE_OBJECT)),
        id_kinds: HashMap::new(),
        limits,
        oldest: PerEventTopic::default(),
        state_partitions: PARTITIONS,
    });
    ShownLog::new(move |batch: &Batch| {
        let Ok(()) = writer.write(batch, UnixMillis(i64::MAX), |record| {
            black_box(record);
            Ok::<(), Infallible>(())
        });
    })
}

/// `promoter-connector simulate`, killed when it is dropped.
struct Upstream {
    process: Child,
    url: String,
}

impl Upstream {
    fn start(odd_rows: &str) -> Upstream {
        let mut command = Command::new(env!("CARGO_BIN_EXE_promoter-connector"));
        command.args(["simulate", "--listen=127.0.0.1:0", "--faults=none", "--latency=0ms", "--late=0", "--moving=0s"]);
        command.args(["--duplicates=0", "--dead-rows=0", "--touches-per-hour=0", "--orders-per-hour=0"]);
        command.args([format!("--promoters={PROMOTERS}"), format!("--history-touches={TOUCHES_EACH}")]);
        command.arg(format!("--odd-rows={odd_rows}"));
        let mut process = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let url = line.trim().strip_prefix("listening on ").unwrap().to_owned();
        Upstream { process, url }
    }

    fn cpu_time(&self) -> Duration {
        cpu_time(self.process.id())
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
