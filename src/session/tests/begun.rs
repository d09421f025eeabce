//! When the polls of many promoters begin.

use super::registered::{NotingUpstream, SECOND, key};
use super::*;
use crate::commit::testing::durable_topics::PARTITIONS;
use crate::commit::testing::memory_group::MemoryGroup;
use crate::model::rewind::{Rewind, RewindId};
use crate::model::shard::Shard;
use crate::registry::record::{PromoterRecord, RegistryContent};
use crate::session::begin_queue::BEGIN_MAX;

/// So many that no shard's begin together.
const MANY: usize = 1080;

/// How long a transaction takes, which holds the cursors of a part.
const TRANSACTION: Duration = Duration::from_secs(3);

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

/// Polls as many promoters, whose touches begin at `start_from`, for a minute in which each transaction takes [`TRANSACTION`].
async fn polled(start_from: StartFrom, tells_its_clock: bool) -> Looking {
    let upstream = Upstream { began: tokio::time::Instant::now(), asked: Arc::default() };
    let upstream = Looking { upstream, durable: Arc::default(), cursors: Arc::default(), tells_its_clock };
    let pipeline = pipeline(&upstream, promoter(touches_only(plan(start_from))));
    let names = (0..MANY).map(|number| (named(number), ConfiguredPromoter::default()));
    pipeline.apps[0].promoters.replace(names.collect());
    let decide = || (TRANSACTION, ScriptedFault::None);
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

/// Who is changed while many begin. Some of them have begun by then, and most have not.
const CHANGED: usize = 10;

fn many(numbers: std::ops::Range<usize>) -> Vec<(Promoter, ConfiguredPromoter)> {
    numbers.map(|number| (named(number), ConfiguredPromoter::default())).collect()
}

/// How it went where some were changed while many began.
struct ChangedMeanwhile {
    upstream: NotingUpstream,
    /// At the end.
    durable: DurableTopics,
    /// When he who was added with the change had his first cursor, and how many cursors there were then.
    added_after: Duration,
    cursors: usize,
}

/// Polls as many promoters, of whom others than `kept` are removed, and one is added, while they begin: when the first part has, of four
/// each of which takes a transaction and longer.
async fn changed_while_many_begin(
    start_from: StartFrom,
    kept: std::ops::Range<usize>,
    change: impl FnOnce(&MemoryGroup),
) -> ChangedMeanwhile {
    let (upstream, durable) = (NotingUpstream::begin(), Arc::<Mutex<DurableTopics>>::default());
    let group = MemoryGroup::of_one("one", PARTITIONS);
    let pipeline = pipeline(&upstream, promoter(touches_only(plan(start_from))));
    let configured = &pipeline.apps[0].promoters;
    configured.replace(many(0..MANY));
    let decide = || (TRANSACTION, ScriptedFault::None);
    let make_log =
        || MemoryLog::shared(durable.clone(), FaultScript::new(decide, CancellationToken::new()), "one", &group);
    let (began, stop) = (tokio::time::Instant::now(), CancellationToken::new());
    let acts = async {
        tokio::time::sleep(14 * SECOND).await;
        change(&group);
        let added = key("added");
        configured.replace(many(kept).into_iter().chain([(added.clone(), ConfiguredPromoter::default())]).collect());
        let cursor = StateKey::Cursor(added, Feed::Touches).encode();
        // How many cursors there are when `is_so` of them.
        let cursors_when = async |is_so: &dyn Fn(&DurableTopics) -> bool| {
            while !is_so(&durable.lock().unwrap()) {
                assert!(began.elapsed() < 3 * MINUTE, "they do not begin");
                tokio::time::sleep(SECOND / 10).await;
            }
            durable.lock().unwrap().state.len()
        };
        let cursors = cursors_when(&|durable| durable.state.contains_key(&cursor)).await;
        let added_after = began.elapsed();
        cursors_when(&|durable| durable.state.len() > MANY).await;
        tokio::time::sleep(30 * SECOND).await;
        stop.cancel();
        (added_after, cursors)
    };
    let (ended, (added_after, cursors)) = tokio::join!(supervisor::run(&pipeline, make_log, &stop, retry()), acts);
    ended.unwrap();
    let durable = std::mem::take(&mut *durable.lock().unwrap());
    ChangedMeanwhile { upstream, durable, added_after, cursors }
}

#[tokio::test(start_paused = true)]
async fn whoever_is_added_or_removed_while_many_begin_is_so_after_a_part_of_them() {
    for start_from in [StartFrom::Now, StartFrom::At(NOW.minus(86_400))] {
        let changed = changed_while_many_begin(start_from, CHANGED..MANY, |_| {}).await;
        let ChangedMeanwhile { upstream, durable, added_after, cursors } = changed;
        assert!(cursors < MANY - BEGIN_MAX, "{cursors} cursors before that of the added");
        let removed = |openid: &String| upstream.asked(openid, added_after, 3 * MINUTE) > 0;
        assert_eq!((0..CHANGED).map(|number| format!("o{number}")).find(removed), None);
        let starts = starts(&durable);
        let first = *starts.iter().min().unwrap();
        let later = starts.iter().filter(|start| start.0 > first.0 + 2).count();
        assert_eq!((starts.len(), later), (MANY + 1, usize::from(start_from == StartFrom::Now)), "the added one alone");
    }
}

/// One that came before its first cursor would find nothing to move, and be met.
#[tokio::test(start_paused = true)]
async fn a_rewind_of_one_who_has_not_begun_yet_acts() {
    let past = NOW.minus(3600);
    let changed = changed_while_many_begin(StartFrom::Now, 0..MANY, |group| {
        let rewind = Rewind { id: RewindId(1), to: past, republish: false };
        (0..CHANGED).for_each(|number| group.say(&named(number), RegistryContent::Rewind(Feed::Touches, Some(rewind))));
    })
    .await;
    let is_not_asked_again = |openid: &String| !changed.upstream.begin_times(openid).iter().any(|begin| *begin <= past);
    assert_eq!((0..CHANGED).map(|number| format!("o{number}")).find(is_not_asked_again), None);
}

/// So many that they begin in three parts, all shards together.
const THREE_PARTS: usize = 630;
/// When those are registered, and many begin.
const ALL_BEGIN_AFTER: Duration = Duration::from_secs(14);

/// What is durable two minutes behind `acts`, which act while as many promoters begin "now" with the only instance of a group.
async fn while_three_parts_begin(acts: impl AsyncFnOnce(&MemoryGroup, &Mutex<DurableTopics>)) -> DurableTopics {
    let (upstream, durable) = (NotingUpstream::begin(), Arc::<Mutex<DurableTopics>>::default());
    let group = MemoryGroup::of_one("one", PARTITIONS);
    let pipeline = pipeline(&upstream, promoter(touches_only(plan(StartFrom::Now))));
    pipeline.apps[0].promoters.replace(many(0..THREE_PARTS));
    let decide = || (TRANSACTION, ScriptedFault::None);
    let make_log =
        || MemoryLog::shared(durable.clone(), FaultScript::new(decide, CancellationToken::new()), "one", &group);
    let stop = CancellationToken::new();
    let acts = async {
        acts(&group, &durable).await;
        tokio::time::sleep(2 * MINUTE).await;
        stop.cancel();
    };
    let (ended, ()) = tokio::join!(supervisor::run(&pipeline, make_log, &stop, retry()), acts);
    ended.unwrap();
    std::mem::take(&mut *durable.lock().unwrap())
}

/// Each begins where now was when his registration came, though it waits behind the beginning of many.
#[tokio::test(start_paused = true)]
async fn those_who_are_registered_while_many_begin_begin_where_they_were_registered() {
    const EACH: usize = 8;
    let durable = while_three_parts_begin(async |group, _| {
        tokio::time::sleep(ALL_BEGIN_AFTER).await;
        for number in 0..EACH {
            group.say(&named(THREE_PARTS + number), RegistryContent::Record(Some(Default::default())));
            tokio::time::sleep(SECOND).await;
        }
    })
    .await;
    let starts = starts_by_promoter(&durable);
    let late = |number: usize| {
        let registered = ALL_BEGIN_AFTER.as_secs().cast_signed() + number as i64;
        starts[&named(THREE_PARTS + number)].0 - NOW.0 - registered
    };
    let late: Vec<i64> = (0..EACH).map(late).collect();
    assert!(late.iter().all(|late| *late <= 1), "seconds behind the registration: {late:?}");
}

/// His record stands in the shard when somebody takes that up.
#[tokio::test(start_paused = true)]
async fn whoever_is_registered_while_nobody_polls_his_shard_begins_where_his_record_was_written() {
    let registered = NOW.plus(10);
    let durable = while_three_parts_begin(async |group, _| {
        (0..PARTITIONS).for_each(|partition| group.take_away(Shard(partition), "two"));
        tokio::time::sleep(10 * SECOND).await;
        let updated_at = UnixMillis(registered.0 * 1000 + 999);
        let record = PromoterRecord { updated_at, ..PromoterRecord::default() };
        group.register(&named(THREE_PARTS), Some(record.clone()));
        tokio::time::sleep(MINUTE).await;
        // What is said of him later is nothing to that.
        let updated_at = UnixMillis(updated_at.0 + 60_000);
        group.register(&named(THREE_PARTS), Some(PromoterRecord { paused: true, updated_at, ..record.clone() }));
        group.register(&named(THREE_PARTS), Some(PromoterRecord { updated_at, ..record }));
        tokio::time::sleep(MINUTE).await;
        (0..PARTITIONS).for_each(|partition| group.take_away(Shard(partition), "one"));
    })
    .await;
    assert_eq!(starts_by_promoter(&durable)[&named(THREE_PARTS)], registered);
}

/// Whoever had not begun when the log was opened again begins where the others did.
#[tokio::test(start_paused = true)]
async fn a_log_that_is_opened_again_while_many_begin_moves_nobodys_now() {
    let (upstream, durable) = (NotingUpstream::begin(), Arc::<Mutex<DurableTopics>>::default());
    let pipeline = pipeline(&upstream, promoter(touches_only(plan(StartFrom::Now))));
    pipeline.apps[0].promoters.replace(many(0..THREE_PARTS));
    let calls = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let make_log = || {
        let calls = calls.clone();
        let decide = move || match calls.fetch_add(1, std::sync::atomic::Ordering::Relaxed) {
            5 => (Duration::from_secs(600), ScriptedFault::UnknownAborted),
            _ => (TRANSACTION, ScriptedFault::None),
        };
        MemoryLog::new(durable.clone(), FaultScript::new(decide, CancellationToken::new()))
    };
    let stop = CancellationToken::new();
    let end = async {
        tokio::time::sleep(Duration::from_secs(700)).await;
        stop.cancel();
    };
    let (ended, ()) = tokio::join!(supervisor::run(&pipeline, make_log, &stop, retry()), end);
    ended.unwrap();
    let starts = starts(&durable.lock().unwrap());
    let [first, last] = [starts.iter().min(), starts.iter().max()].map(|start| *start.unwrap());
    let later = starts.iter().filter(|start| start.0 > first.0 + 2).count();
    assert!(starts.len() == THREE_PARTS && last.0 - first.0 <= 2, "{} of {}: {first} {last}", later, starts.len());
}

/// As where brokers are silent for longer than the session's timeout: the log stays open, and all shards are lost and come back.
#[tokio::test(start_paused = true)]
async fn shards_that_are_lost_and_come_back_while_many_begin_move_nobodys_now() {
    let durable = while_three_parts_begin(async |group, durable| {
        until_begun(durable).await;
        (0..PARTITIONS).for_each(|partition| group.take_away(Shard(partition), "two"));
        let begun = starts(&durable.lock().unwrap()).len();
        assert!((1..THREE_PARTS).contains(&begun), "{begun} have begun");
        tokio::time::sleep(MINUTE).await;
        (0..PARTITIONS).for_each(|partition| group.take_away(Shard(partition), "one"));
    })
    .await;
    let starts = starts(&durable);
    let [first, last] = [starts.iter().min(), starts.iter().max()].map(|start| *start.unwrap());
    assert!(starts.len() == THREE_PARTS && last.0 - first.0 <= 2, "{} begin: {first} {last}", starts.len());
}

async fn until_begun(durable: &Mutex<DurableTopics>) {
    while durable.lock().unwrap().state.is_empty() {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn starts_by_promoter(durable: &DurableTopics) -> std::collections::HashMap<Promoter, UnixTime> {
    let start = |(key, value): (&String, &Vec<u8>)| {
        let key = StateKey::decode(key.as_bytes()).unwrap();
        let Ok(StateValue::Cursor(cursor)) = StateValue::decode(&key, value) else { panic!("a cursor") };
        (key.promoter().clone(), cursor.start)
    };
    durable.state.iter().map(start).collect()
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

#[tokio::test(start_paused = true)]
async fn who_waits_for_the_clock_begins_where_he_began_to_wait_though_he_is_paused_and_resumed_meanwhile() {
    let upstream = HeardLate(Upstream { began: tokio::time::Instant::now(), asked: Arc::default() });
    let pipeline = pipeline(&upstream, promoter(touches_only(plan(StartFrom::Now))));
    let named = promoter(PerFeed::default()).promoter;
    let (durable, group) = (Arc::new(Mutex::new(DurableTopics::default())), MemoryGroup::of_one("one", PARTITIONS));
    let stop = CancellationToken::new();
    let change = async {
        for paused in [true, false] {
            tokio::time::sleep(20 * SECOND).await;
            let record = PromoterRecord { paused, ..Default::default() };
            group.say(&named, RegistryContent::Record(Some(record)));
        }
        tokio::time::sleep(2 * MINUTE).await;
        stop.cancel();
    };
    let make_log = || MemoryLog::shared(durable.clone(), FaultScript::uneventful(), "one", &group);
    let (ended, ()) = tokio::join!(supervisor::run(&pipeline, make_log, &stop, retry()), change);
    ended.unwrap();
    let starts = starts(&durable.lock().unwrap());
    assert!(starts.len() == 1 && starts[0].0 - NOW.0 <= 1, "seconds behind: {}", starts[0].0 - NOW.0);
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
