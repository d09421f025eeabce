//! How long a loop keeps everybody else waiting, where 100,000 promoters are polled, and ten times as many: nothing of what is done
//! while it runs may take the longer the more they are.
//!
//! All loops of the polls share one thread here, whose clock is a paused one: it moves when nothing can be done, so that an hour of
//! polls takes seconds. Between two such moments some loops have got on, one of them or many; the CPU time of that is counted, which
//! does not depend on what else the machine does. No pause of a single loop is longer.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use promoter_connector::commit::pace::BatchBounds;
use promoter_connector::commit::testing::durable_topics::PARTITIONS;
use promoter_connector::commit::testing::fault_script::FaultScript;
use promoter_connector::commit::testing::memory_group::MemoryGroup;
use promoter_connector::commit::testing::memory_log::MemoryLog;
use promoter_connector::model::batch::Batch;
use promoter_connector::model::promoter::{AppId, Promoter};
use promoter_connector::registry::record::PromoterRecord;
use promoter_connector::registry::table::ConfiguredPromoter;
use promoter_connector::retry::PATIENCE;
use promoter_connector::session::PollPipeline;
use promoter_connector::supervisor;
use rustix::time::{ClockId, clock_gettime};
use tokio_util::sync::CancellationToken;

use crate::idle;
use crate::log::ShownLog;

/// Each with how long they are polled.
const FLEETS: [(u32, Duration); 2] = [(100_000, Duration::from_secs(3600)), (1_000_000, Duration::from_secs(900))];
const AIM: Duration = Duration::from_millis(50);
/// By then everybody has been polled once.
const START: Duration = Duration::from_secs(300);
const FORGET: Duration = Duration::from_secs(30 * 86_400);
/// A change acts within seconds: what it costs is met in this time.
const CHANGE: Duration = Duration::from_secs(60);

thread_local! {
    /// The CPU time of this thread at which something could be done again.
    static BEGIN: Cell<Duration> = const { Cell::new(Duration::ZERO) };
    static LONGEST: Cell<Duration> = const { Cell::new(Duration::ZERO) };
}

pub fn measure() {
    for (promoters, polled) in FLEETS {
        println!("\npauses of the loops that poll {promoters} idle promoters, three feeds each, {PARTITIONS} shards");
        println!("{:<52} {:>12}", "longest", "CPU-ms");
        run(promoters, polled);
        println!("{:<52} {:>12}", "aim, but for the start", AIM.as_millis());
    }
}

fn run(promoters: u32, polled: Duration) {
    let group = MemoryGroup::of_one("alone", PARTITIONS);
    let pipeline = PollPipeline::new(vec![idle::app((0..promoters).map(configured).collect())], bounds(), FORGET);
    let stop = CancellationToken::new();
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_all().start_paused(true).on_thread_park(end).on_thread_unpark(begin).build().unwrap();
    runtime.block_on(async {
        let looking = async {
            tell("the start: restored, and begun to be polled", START).await;
            tell("polls alone", polled).await;
            let paused = PromoterRecord { paused: true, ..PromoterRecord::default() };
            group.register(&promoter(promoters / 2), Some(paused));
            tell("one is paused", CHANGE).await;
            group.register(&promoter(promoters), Some(PromoterRecord::default()));
            tell("one more is registered", CHANGE).await;
            group.register(&promoter(promoters), None);
            tell("it is removed", CHANGE).await;
            stop.cancel();
        };
        let log = || {
            let fences = MemoryLog::shared(Arc::default(), FaultScript::uneventful(), "alone", &group);
            ShownLog::beside(fences, |_: &Batch| {})
        };
        let ((), ended) = tokio::join!(looking, supervisor::run(&pipeline, log, &stop, PATIENCE));
        ended.unwrap();
    });
}

fn bounds() -> BatchBounds {
    BatchBounds { linger: Duration::from_millis(50), events_max: 10_000, bytes_max: 8 << 20 }
}

fn configured(number: u32) -> (Promoter, ConfiguredPromoter) {
    (promoter(number), ConfiguredPromoter::default())
}

fn promoter(number: u32) -> Promoter {
    Promoter::new(&AppId::new("wx0123456789abcdef").unwrap(), &format!("oIdle{number:07}")).unwrap()
}

async fn tell(what: &str, during: Duration) {
    LONGEST.set(Duration::ZERO);
    tokio::time::sleep(during).await;
    println!("{what:<52} {:>12.1}", LONGEST.get().as_secs_f64() * 1e3);
}

fn begin() {
    BEGIN.set(cpu_time());
}

fn end() {
    LONGEST.set(LONGEST.get().max(cpu_time().saturating_sub(BEGIN.get())));
}

/// Of this thread.
fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.try_into().unwrap(), time.tv_nsec.try_into().unwrap())
}
