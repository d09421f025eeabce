//! When the polls of many promoters begin.

use super::*;
use crate::commit::testing::durable_topics::PARTITIONS;
use crate::model::shard::Shard;

/// So many that no shard's begin together.
const MANY: usize = 36_000;

/// Notes how many cursors are durable when a promoter is asked for.
#[derive(Clone)]
struct Looking {
    upstream: Upstream,
    durable: Arc<Mutex<DurableTopics>>,
    cursors: Arc<Mutex<Vec<usize>>>,
}

#[async_trait]
impl Transport for Looking {
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, TransportError> {
        if request.path.starts_with("/promoter/") {
            let cursors = self.durable.lock().unwrap().state.len();
            self.cursors.lock().unwrap().push(cursors);
        }
        self.upstream.send(request).await
    }

    fn now(&self) -> UnixMillis {
        self.upstream.now()
    }
}

/// How many cursors are durable at the first polls of as many promoters, whose touches begin at `start_from`.
async fn durable_when_polled(start_from: StartFrom) -> Vec<usize> {
    let upstream = Upstream { began: tokio::time::Instant::now(), asked: Arc::default() };
    let upstream = Looking { upstream, durable: Arc::default(), cursors: Arc::default() };
    let pipeline = pipeline(&upstream, promoter(touches_only(plan(start_from))));
    let names = (0..MANY).map(|number| (named(number), ConfiguredPromoter::default()));
    pipeline.apps[0].promoters.replace(names.collect());
    let decide = || (Duration::from_secs(1), ScriptedFault::None);
    let make_log = || MemoryLog::new(upstream.durable.clone(), FaultScript::new(decide, CancellationToken::new()));
    let stop = CancellationToken::new();
    let end = async {
        tokio::time::sleep(MINUTE).await;
        stop.cancel();
    };
    let (ended, ()) = tokio::join!(supervisor::run(&pipeline, make_log, &stop, retry()), end);
    ended.unwrap();
    let mut cursors = upstream.cursors.lock().unwrap();
    std::mem::take(&mut cursors)
}

/// Of the shard that has the fewest.
fn promoters_of_a_shard() -> usize {
    let of_shard = |shard| (0..MANY).filter(|number| Shard::of(&named(*number), PARTITIONS) == Shard(shard)).count();
    (0..PARTITIONS).map(of_shard).min().unwrap()
}

fn named(number: usize) -> Promoter {
    Promoter::from_key(&format!("wx1/o{number}")).unwrap()
}

#[tokio::test(start_paused = true)]
async fn the_first_of_a_shard_are_polled_while_cursors_of_others_are_written() {
    let durable = durable_when_polled(StartFrom::Now).await;
    let of_shard = promoters_of_a_shard();
    assert!(durable.first().is_some_and(|first| (1..of_shard).contains(first)), "{:?}", durable.first());
    assert!(durable.last().is_some_and(|last| *last == MANY), "all begin: {:?}", durable.last());
}

/// Or the first of them would be alone, and run ahead of the others.
#[tokio::test(start_paused = true)]
async fn a_backfill_begins_when_all_of_a_shard_are_known() {
    let durable = durable_when_polled(StartFrom::At(NOW.minus(86_400))).await;
    assert!(durable.first().is_some_and(|first| *first >= promoters_of_a_shard()), "{:?}", durable.first());
}
