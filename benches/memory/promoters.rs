//! What an idle promoter takes, of whom touches, orders and refunds have been polled for a while and have brought nothing.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use promoter_connector::commit::pace::BatchBounds;
use promoter_connector::model::batch::Batch;
use promoter_connector::model::cursor::Cursor;
use promoter_connector::model::feed::{Feed, PerFeed, StartFrom};
use promoter_connector::model::pacing::PollSettings;
use promoter_connector::model::promoter::Promoter;
use promoter_connector::model::state::State;
use promoter_connector::model::time::{UnixMillis, UnixTime};
use promoter_connector::registry::table::{ConfiguredPromoter, PromoterTable, SourceUpdate};
use promoter_connector::retry::{JITTER, PATIENCE, RetrySettings};
use promoter_connector::session::app_feeds::AppFeeds;
use promoter_connector::session::{FeedPlan, PollPipeline, PolledApp};
use promoter_connector::supervisor;
use promoter_connector::upstream::client::{Client, ClientSettings};
use promoter_connector::upstream::transport::{HttpRequest, HttpResponse, Transport, TransportError};
use tokio_util::sync::CancellationToken;

use crate::counting::{counted, held};
use crate::facts::promoter;
use crate::log::ShownLog;

/// The thirty-second part of a million: the tables, whose sizes are powers of two, are as full.
const PROMOTERS: u64 = 31_250;
const AIM: f64 = 424.0;
/// By then every feed has been polled some times.
const WHILE: Duration = Duration::from_secs(3600);
/// 2022-11-17 12:00 in Beijing.
const NOON: UnixMillis = UnixMillis(1_668_657_600_000);
/// Of a topic that is created: each shard has tables of its own.
const PARTITIONS: usize = 12;

pub fn measure() {
    let configure = || (0..PROMOTERS).map(|number| (promoter(number), ConfiguredPromoter::default())).collect();
    let (configured, keys, _): (Vec<_>, _, _) = counted(configure);
    let (_, state, _) = counted(|| in_shards(&configured, begin));
    let (_, table, _) = counted(|| {
        in_shards(&configured, |table: &mut PromoterTable, promoter, configured| {
            table.apply(promoter, SourceUpdate::Configuration(Some(*configured)));
        })
    });
    let polled = polled(configured) - state - table;
    println!("\n{:<52} {:>14}", "an idle promoter with three feeds", "bytes");
    let parts = [
        ("its key and its place in the configuration", keys),
        ("what is known of it (state)", state),
        ("what the registry says of it", table),
        ("its feeds and their places in the queues", polled),
        ("together", keys + state + table + polled),
    ];
    for (part, bytes) in parts {
        println!("{part:<52} {:>14.0}", bytes as f64 / PROMOTERS as f64);
    }
    println!("{:<52} {AIM:>14.0}", "aim");
}

/// One `T` for each shard, and each promoter in one of them.
fn in_shards<T: Default>(
    configured: &[(Promoter, ConfiguredPromoter)],
    mut take: impl FnMut(&mut T, &Promoter, &ConfiguredPromoter),
) -> Vec<T> {
    let mut shards: Vec<T> = (0..PARTITIONS).map(|_| T::default()).collect();
    for (number, (promoter, configured)) in configured.iter().enumerate() {
        take(&mut shards[number % PARTITIONS], promoter, configured);
    }
    shards
}

fn begin(state: &mut State, promoter: &Promoter, _: &ConfiguredPromoter) {
    let first = Feed::ALL.map(|feed| (promoter.clone(), feed, Cursor::begin(feed, UnixTime(0))));
    state.begin(first.into(), &mut Batch::default());
}

/// The bytes that polling them holds.
fn polled(configured: Vec<(Promoter, ConfiguredPromoter)>) -> usize {
    let before = held();
    let bounds = BatchBounds { linger: Duration::from_millis(50), events_max: 10_000, bytes_max: 8 << 20 };
    let pipeline = PollPipeline::new(vec![app(configured)], bounds, Duration::from_secs(30 * 86_400));
    let stop = CancellationToken::new();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let looking = async {
            tokio::time::sleep(WHILE).await;
            let bytes = held() - before;
            stop.cancel();
            bytes
        };
        let running = supervisor::run(&pipeline, || ShownLog::new(|_: &Batch| {}), &stop, PATIENCE);
        let (bytes, ended) = tokio::join!(looking, running);
        ended.unwrap();
        bytes
    })
}

fn app(promoters: Vec<(Promoter, ConfiguredPromoter)>) -> PolledApp {
    let settings = ClientSettings {
        retry: RetrySettings { jitter: JITTER, attempts: 8, ..PATIENCE },
        in_flight: 64,
        ..ClientSettings::for_tests("wx0123456789abcdef")
    };
    let plan = |every, idle_every, lateness| {
        let (every, idle_every) = (Duration::from_secs(every), Duration::from_secs(idle_every));
        FeedPlan { settings: PollSettings { every, idle_every, lateness }, start_from: StartFrom::Now }
    };
    let (touches, orders, refunds) = (plan(60, 900, 600), plan(60, 900, 43_200), plan(3600, 21_600, 604_800));
    let polled = PerFeed { touches: Some(touches), orders: Some(orders), refunds: Some(refunds) };
    let feeds = AppFeeds { polled, refunds };
    let client = Client::new(settings, Quiet(tokio::time::Instant::now()));
    let (parked_for, catch_up_spread) = (Duration::from_secs(900), Duration::from_secs(6 * 3600));
    PolledApp::new(client, feeds, promoters, parked_for, catch_up_spread)
}

/// An upstream that has nothing to show.
struct Quiet(tokio::time::Instant);

#[async_trait]
impl Transport for Quiet {
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, TransportError> {
        let body = match request.path.contains("token") {
            true => r#"{"access_token":"token","expires_in":7200}"#,
            false => r#"{"errcode":0,"errmsg":"ok","total_cnt":0}"#,
        };
        // Each takes a moment, or all that is due would begin before the clock moves.
        tokio::time::sleep(Duration::from_millis(1)).await;
        let date = Some(self.now().as_seconds());
        Ok(HttpResponse { status: 200, body: Bytes::from_static(body.as_bytes()), date, retry_after: None })
    }

    fn now(&self) -> UnixMillis {
        UnixMillis(NOON.0 + i64::try_from(self.0.elapsed().as_millis()).unwrap())
    }
}
