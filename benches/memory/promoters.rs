//! What an idle promoter takes, of whom touches, orders and refunds have been polled for a while and have brought nothing.

use std::time::Duration;

use promoter_connector::commit::pace::BatchBounds;
use promoter_connector::model::batch::Batch;
use promoter_connector::model::cursor::Cursor;
use promoter_connector::model::feed::Feed;
use promoter_connector::model::promoter::Promoter;
use promoter_connector::model::state::State;
use promoter_connector::model::time::UnixTime;
use promoter_connector::registry::table::{ConfiguredPromoter, PromoterTable, SourceUpdate};
use promoter_connector::retry::PATIENCE;
use promoter_connector::session::PollPipeline;
use promoter_connector::supervisor;
use tokio_util::sync::CancellationToken;

use crate::counting::{counted, held};
use crate::facts::promoter;
use crate::idle;
use crate::log::ShownLog;

/// The thirty-second part of a million: the tables, whose sizes are powers of two, are as full.
const PROMOTERS: u64 = 31_250;
const AIM: f64 = 424.0;
/// By then every feed has been polled some times.
const WHILE: Duration = Duration::from_secs(3600);
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
    let pipeline = PollPipeline::new(vec![idle::app(configured)], bounds, Duration::from_secs(30 * 86_400));
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
