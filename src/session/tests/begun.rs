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
    tells_its_clock: bool,
}

#[async_trait]
impl Transport for Looking {
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, TransportError> {
        if request.path.starts_with("/promoter/") {
            let cursors = self.durable.lock().unwrap().state.len();
            self.cursors.lock().unwrap().push(cursors);
        }
        let response = self.upstream.send(request).await?;
        Ok(HttpResponse { date: self.tells_its_clock.then(|| self.now().as_seconds()), ..response })
    }

    fn now(&self) -> UnixMillis {
        self.upstream.now()
    }
}

/// Polls as many promoters, whose touches begin at `start_from`, for a minute in which each transaction takes a second.
async fn polled(start_from: StartFrom, tells_its_clock: bool) -> Looking {
    let upstream = Upstream { began: tokio::time::Instant::now(), asked: Arc::default() };
    let upstream = Looking { upstream, durable: Arc::default(), cursors: Arc::default(), tells_its_clock };
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
    upstream
}

/// How many cursors were durable at the first polls.
async fn durable_when_polled(start_from: StartFrom) -> Vec<usize> {
    let upstream = polled(start_from, false).await;
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

/// Whatever happens while the others' cursors are written would lie before the start of the last.
#[tokio::test(start_paused = true)]
async fn the_last_begin_at_the_now_of_the_first_whether_the_clock_was_known_or_not() {
    for tells_its_clock in [true, false] {
        let upstream = polled(StartFrom::Now, tells_its_clock).await;
        let starts = starts(&upstream.durable.lock().unwrap());
        let [first, last] = [starts.iter().min(), starts.iter().max()].map(|start| *start.unwrap());
        assert!(starts.len() == MANY && last.0 - first.0 <= 2, "{tells_its_clock}: {first} {last}");
    }
}

/// Hears its clock after a minute, and is asked until then.
#[derive(Clone)]
struct HeardLate(Upstream);

#[async_trait]
impl Transport for HeardLate {
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, TransportError> {
        if self.0.began.elapsed() < MINUTE {
            return Err(TransportError::Timeout);
        }
        let response = self.0.send(request).await?;
        Ok(HttpResponse { date: Some(self.now().as_seconds()), ..response })
    }

    fn now(&self) -> UnixMillis {
        self.0.now()
    }
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_the_clock_begins_where_he_began_to_wait_whatever_is_changed_of_him_meanwhile() {
    let upstream = HeardLate(Upstream { began: tokio::time::Instant::now(), asked: Arc::default() });
    let pipeline = pipeline(&upstream, promoter(PerFeed::new(|_| Some(plan(StartFrom::Now)))));
    let named = promoter(PerFeed::default()).promoter;
    let durable = Arc::new(Mutex::new(DurableTopics::default()));
    let stop = CancellationToken::new();
    let change = async {
        tokio::time::sleep(MINUTE / 2).await;
        let configured = ConfiguredPromoter { feeds: [Feed::Touches].into_iter().collect(), ..Default::default() };
        pipeline.apps[0].promoters.replace(vec![(named, configured)]);
        tokio::time::sleep(2 * MINUTE).await;
        stop.cancel();
    };
    let make_log = || MemoryLog::new(durable.clone(), FaultScript::uneventful());
    let (ended, ()) = tokio::join!(supervisor::run(&pipeline, make_log, &stop, retry()), change);
    ended.unwrap();
    let starts = starts(&durable.lock().unwrap());
    assert!(starts.len() == 1 && starts[0].0 - NOW.0 <= 1, "{starts:?}");
}

/// Where the cursors begin.
fn starts(durable: &DurableTopics) -> Vec<UnixTime> {
    let start =
        |(key, value): (&String, &Vec<u8>)| match StateValue::decode(&StateKey::decode(key.as_bytes()).unwrap(), value)
        {
            Ok(StateValue::Cursor(cursor)) => cursor.start,
            other => panic!("a cursor: {other:?}"),
        };
    durable.state.iter().map(start).collect()
}
