//! Requests whose schema only a registry knows, which is away for a while.

use std::sync::atomic::Ordering;

use super::registries::{AbsentRegistry, away, executor_with, refused, slow_registry};
use super::*;
use crate::avro::schema_registry::{SchemaRegistry, SchemaRegistryError};
use crate::model::request::schema_bucket::BucketRecord;
use crate::telemetry::captured::Captured;

/// More than any app's room in memory.
const MANY: i64 = 900;
const BOUND: Duration = Duration::from_secs(20);

async fn until(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + BOUND;
    while !is_so() {
        assert!(Instant::now() < deadline, "{what} within {BOUND:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// One session while `history` runs, and until it is over.
async fn during(topic: &MemoryRequestTopic, executor: &Arc<Executor>, history: impl Future<Output = ()>) {
    let stop = CancellationToken::new();
    let history = async {
        history.await;
        stop.cancel();
    };
    tokio::join!(session(log(topic, []), executor, &stop), history);
}

fn is_answered_to(topic: &MemoryRequestTopic, wanted: usize) -> impl Fn() -> bool {
    move || topic.answers_count() >= wanted
}

#[tokio::test(start_paused = true)]
async fn a_registry_that_is_away_holds_up_nothing_that_is_read_again() {
    let topic = MemoryRequestTopic::new(1);
    for offset in 0..MANY {
        let location = RecordOffset { partition: 0, offset };
        let app = if offset % 2 == 0 { "wx1" } else { "wx2" };
        topic.put(if offset % 100 == 3 { foreign(offset) } else { request_for(app, location, "0", None) });
    }
    let foreign = topic.locations().iter().filter(|location| location.offset % 100 == 3).count();
    let [one, other] = [TimedUpstream::new(Health::Stopped), TimedUpstream::new(Health::Well)];
    let away = AbsentRegistry::default();
    let executor = away.executor([app("wx1", &one, 4), app("wx2", &other, 4)]);
    let all = topic.locations().len();
    during(&topic, &executor, async {
        until("requests of an app that is well are answered", is_answered_to(&topic, all / 2 - foreign)).await;
    })
    .await;
    // After a restart, what is left of the other is only read again.
    one.becomes(Health::Well);
    let executor = away.executor([app("wx1", &one, 4), app("wx2", &other, 4)]);
    during(&topic, &executor, async {
        until("all that can be read are answered", is_answered_to(&topic, all - foreign)).await;
        away.is_back.store(true, Ordering::Relaxed);
        until("and then the others", is_answered_to(&topic, all)).await;
    })
    .await;
    assert_eq!(answered(&topic), topic.locations());
}

/// They were read when they came, by a process that knew their schema; the next one does not.
#[tokio::test(start_paused = true)]
async fn what_can_not_be_read_again_after_a_restart_holds_up_nobody_else_and_is_answered_once() {
    for is_restarted in [false, true] {
        let topic = MemoryRequestTopic::new(1);
        for offset in 0..MANY {
            let location = RecordOffset { partition: 0, offset };
            let deadline = (offset % 7 == 0).then_some(1);
            let app = if offset % 2 == 0 { "wx1" } else { "wx2" };
            topic.put(if offset % 50 == 3 { foreign(offset) } else { request_for(app, location, "0", deadline) });
        }
        let foreign = topic.locations().iter().filter(|location| location.offset % 50 == 3).count();
        let [ill, well] = [TimedUpstream::new(Health::Stopped), TimedUpstream::new(Health::Well)];
        let away = AbsentRegistry::default();
        away.is_back.store(true, Ordering::Relaxed);
        let executor = away.executor([app("wx1", &ill, 4), app("wx2", &well, 4)]);
        let all = topic.locations().len();
        during(&topic, &executor, async {
            until("the other app's", is_answered_to(&topic, all / 2 - foreign)).await;
        })
        .await;
        away.is_back.store(false, Ordering::Relaxed);
        ill.becomes(Health::Well);
        let executor = away.executor([app("wx1", &ill, 4), app("wx2", &well, 4)]);
        during(&topic, &executor, async {
            until("all that can be read", is_answered_to(&topic, all - foreign)).await;
            away.is_back.store(!is_restarted, Ordering::Relaxed);
            if !is_restarted {
                until("and then the others", is_answered_to(&topic, all)).await;
            }
        })
        .await;
        away.is_back.store(true, Ordering::Relaxed);
        let executor = away.executor([app("wx1", &ill, 4), app("wx2", &well, 4)]);
        during(&topic, &executor, async {
            until("all", is_answered_to(&topic, all)).await;
            // Nothing comes twice afterwards.
            tokio::time::sleep(Duration::from_millis(200)).await;
        })
        .await;
        assert_eq!(answered(&topic), topic.locations(), "{is_restarted}");
    }
}

#[tokio::test(start_paused = true)]
async fn however_many_wait_for_a_schema_others_go_on_one_call_asks_and_two_lines_tell() {
    const WAITING: i64 = 700;
    let captured = Captured::start();
    let topic = MemoryRequestTopic::new(1);
    (0..WAITING).for_each(|offset| topic.put(foreign(offset)));
    (WAITING..WAITING + 50).for_each(|offset| topic.put(record(RecordOffset { partition: 0, offset }, 0)));
    let (away, well) = (AbsentRegistry::default(), TimedUpstream::new(Health::Well));
    let executor = away.executor([app("wx1", &well, 4)]);
    let began = Instant::now();
    during(&topic, &executor, async {
        until("those that can be read", is_answered_to(&topic, 50)).await;
        tokio::time::sleep(Duration::from_millis(500)).await;
        let asked = away.asked.load(Ordering::Relaxed);
        // The first pauses are shorter than the others.
        assert!(u128::from(asked) < began.elapsed().as_millis() / 50 + 20, "{asked} calls in {:?}", began.elapsed());
        away.is_back.store(true, Ordering::Relaxed);
        until("all", is_answered_to(&topic, topic.locations().len())).await;
    })
    .await;
    assert_eq!(answered(&topic), topic.locations());
    assert_eq!(captured.events("the schema registry can't be asked: records wait for their schemas").len(), 1);
    assert_eq!(captured.events("the schema registry answers again").len(), 1);
}

fn foreign_in(id: u8, offset: i64) -> RequestRecord {
    let mut record = foreign(offset);
    let mut value = record.value.unwrap().to_vec();
    value[4] = id;
    record.value = Some(value.into());
    record
}

#[tokio::test(start_paused = true)]
async fn however_many_wait_for_however_many_schemas_no_other_request_does_and_little_is_kept() {
    const WAITING: i64 = 2 * 251;
    const OTHERS: i64 = 50;
    let (topic, well) = (MemoryRequestTopic::new(2), TimedUpstream::new(Health::Well));
    (0..WAITING).for_each(|offset| topic.put(foreign_in(u8::try_from(offset % 251).unwrap(), offset)));
    for (partition, first) in [(0, WAITING), (1, 0)] {
        let locations = (first..first + OTHERS).map(|offset| RecordOffset { partition, offset });
        locations.for_each(|location| topic.put(request_for("wx2", location, "0", None)));
    }
    let others = usize::try_from(2 * OTHERS).unwrap();
    for _ in 0..2 {
        // The second process finds the registry away as well, and has nothing left to answer.
        let executor = executor_with([app("wx1", &well, 16), app("wx2", &well, 4)], |_, _| Err(away()));
        let bound = Duration::from_secs(30);
        calm_sessions_of(&topic, &executor, others + 1, bound).await;
        assert_eq!(topic.answers_count(), others);
        let offsets = topic.answered().remove(&0).unwrap();
        assert!(offsets.trackers.is_empty() && offsets.buckets.len() < 200, "{} buckets", offsets.buckets.len());
    }
    let executor = executor_with([app("wx1", &well, 16), app("wx2", &well, 4)], |seconds, id| match seconds {
        0..60 => Err(away()),
        _ if id % 4 == 0 => Ok(None),
        _ => Ok(Some(FOREIGN_SCHEMA.to_owned())),
    });
    let all = topic.locations().len();
    calm_sessions_of(&topic, &executor, all, Duration::from_secs(3600)).await;
    assert_eq!(answered(&topic), topic.locations());
    let letters =
        topic.answers().iter().filter(|answered| matches!(answered.answer, RequestAnswer::DeadLetter(_))).count();
    assert_eq!(letters, (0..WAITING).filter(|offset| offset % 251 % 4 == 0).count());
    assert_eq!(topic.answered().remove(&0).unwrap().buckets, [].into(), "nothing is kept of what is over");
}

/// All its requests wait in a schema that is known in the end, in a session or behind a restart.
#[tokio::test(start_paused = true)]
async fn what_waited_for_its_schema_holds_up_no_other_app_when_its_own_is_ill() {
    const WAITING: i64 = 3000;
    let [ill, well] = [TimedUpstream::new(Health::Stopped), TimedUpstream::new(Health::Well)];
    let topic = MemoryRequestTopic::new(1);
    let of_other = |offset: i64| {
        let value = Bytes::from_static(b"\x00\x00\x00\x00\x09\x020\x06wx2\x02p\x02r");
        RequestRecord { value: Some(value), ..foreign(offset) }
    };
    (0..WAITING).for_each(|offset| topic.put(foreign(offset)));
    (WAITING..WAITING + 20).for_each(|offset| topic.put(of_other(offset)));
    let apps = || [app("wx1", &ill, 4), app("wx2", &well, 4)];
    let executor = executor_with(apps(), |seconds, _| match seconds {
        0..60 => Err(away()),
        _ => Ok(Some(FOREIGN_SCHEMA.to_owned())),
    });
    calm_sessions_of(&topic, &executor, 20, Duration::from_secs(90)).await;
    assert_eq!(answered(&topic), topic.locations()[3000..], "the other app's");
    let offsets = topic.answered().remove(&0).unwrap();
    let tracker = &offsets.trackers[&TrackerKey::new(Some(9), "wx1")];
    assert_eq!((offsets.trackers.len(), tracker.first, tracker.answered.len()), (1, 0, 0));
    ill.becomes(Health::Well);
    let executor = executor_with(apps(), |seconds, _| match seconds {
        0..60 => Err(away()),
        _ => Ok(Some(FOREIGN_SCHEMA.to_owned())),
    });
    calm_sessions_of(&topic, &executor, 3020, Duration::from_secs(600)).await;
    assert_eq!(answered(&topic), topic.locations());
}

#[tokio::test(start_paused = true)]
async fn a_schema_that_is_refused_for_long_makes_dead_letters_and_one_that_nobody_may_ask_for_waits() {
    let captured = Captured::start();
    let (topic, well) = (MemoryRequestTopic::new(1), TimedUpstream::new(Health::Well));
    (0..300).for_each(|offset| topic.put(foreign_in(8, offset)));
    (300..600).for_each(|offset| topic.put(foreign(offset)));
    let executor = executor_with([app("wx1", &well, 4)], |seconds, id| match (id, seconds) {
        (8, _) => Err(refused()),
        (_, 0..3600) => Err(SchemaRegistryError::Unauthenticated { url: "u".into() }),
        _ => Ok(Some(FOREIGN_SCHEMA.to_owned())),
    });
    let watching = async {
        tokio::time::sleep(Duration::from_secs(590)).await;
        assert_eq!(topic.answers_count(), 0);
        tokio::time::sleep(Duration::from_secs(60)).await;
        let reasons = topic.answers().into_iter().map(|answered| match answered.answer {
            RequestAnswer::DeadLetter(letter) => letter.reason,
            RequestAnswer::Reply(_) => "none",
        });
        assert_eq!(reasons.collect::<Vec<_>>(), vec!["unknown_schema"; 300]);
    };
    tokio::join!(calm_sessions_of(&topic, &executor, 600, Duration::from_secs(4000)), watching);
    assert_eq!(answered(&topic), topic.locations());
    assert_eq!(captured.events("the schema registry can't be asked: records wait for their schemas").len(), 1);
    assert_eq!(captured.events("a schema is refused: records in it are dead letters").len(), 1);
    assert_eq!(captured.events("the schema registry answers again").len(), 1);
}

#[tokio::test]
async fn requests_whose_schema_was_asked_for_wait_in_the_room_of_their_app() {
    let topic = MemoryRequestTopic::new(1);
    (0..300).for_each(|offset| topic.put(foreign(offset)));
    (300..310).for_each(|offset| topic.put(request_for("wx2", RecordOffset { partition: 0, offset }, "0", None)));
    let [ill, well] = [TimedUpstream::new(Health::Stopped), TimedUpstream::new(Health::Well)];
    let apps = [app("wx1", &ill, 4), app("wx2", &well, 4)];
    let decoder = RequestDecoder::new(Framing::SingleObject);
    let executor = Executor::new(apps, "requests".into(), decoder, Some(Arc::new(slow_registry().await)), PATIENCE);
    calm_sessions_of(&topic, &Arc::new(executor), 10, Duration::from_secs(5)).await;
    assert_eq!(answered(&topic), topic.locations()[300..], "the other app's");
    let decoder = RequestDecoder::new(Framing::SingleObject);
    decoder.learn(9, FOREIGN_SCHEMA).unwrap();
    let apps = [app("wx1", &well, 4), app("wx2", &well, 4)];
    let executor = Executor::new(apps, "requests".into(), decoder, None, PATIENCE);
    calm_sessions_of(&topic, &Arc::new(executor), 310, Duration::from_secs(5)).await;
    assert_eq!(answered(&topic), topic.locations());
}

#[tokio::test(start_paused = true)]
async fn a_request_whose_schema_nobody_tells_now_holds_up_none_and_is_not_lost() {
    let topic = MemoryRequestTopic::new(1);
    for offset in 0..40 {
        topic.put(if offset % 10 == 3 { foreign(offset) } else { record(RecordOffset { partition: 0, offset }, 0) });
    }
    let upstream = TimedUpstream::new(Health::Well);
    let with = |decoder: RequestDecoder| {
        // The port of a service that nobody runs any more.
        let registry = SchemaRegistry::new("http://127.0.0.1:1".parse::<url::Url>().unwrap().into()).unwrap();
        Arc::new(Executor::new(
            [app("wx1", &upstream, 4)],
            "requests".into(),
            decoder,
            Some(Arc::new(registry)),
            PATIENCE,
        ))
    };
    for _ in 0..2 {
        let ignorant = with(RequestDecoder::new(Framing::SingleObject));
        calm_sessions_of(&topic, &ignorant, usize::MAX, Duration::from_secs(10)).await;
        assert_eq!(topic.answers_count(), 36);
        let buckets = topic.answered().remove(&0).unwrap().buckets;
        assert_eq!(buckets, [(9, BucketRecord::begin(3, None))].into());
    }
    let decoder = RequestDecoder::new(Framing::SingleObject);
    decoder.learn(9, FOREIGN_SCHEMA).unwrap();
    calm_sessions_of(&topic, &with(decoder), usize::MAX, Duration::from_secs(10)).await;
    assert_eq!(answered(&topic), topic.locations());
    assert_eq!(topic.answered()[&0].buckets, [].into());
}

#[tokio::test(start_paused = true)]
async fn groups_that_wait_for_their_schema_are_counted_while_they_do() {
    let topic = MemoryRequestTopic::new(1);
    (0..10).for_each(|offset| topic.put(foreign(offset)));
    let (away, well) = (AbsentRegistry::default(), TimedUpstream::new(Health::Well));
    let executor = away.executor([app("wx1", &well, 4)]);
    let (totals, stop) = (Arc::<RequestTotals>::default(), CancellationToken::new());
    let groups = || totals.waiting.schema_groups.load(Ordering::Relaxed);
    let looking = async {
        until("the group waits", || groups() == 1).await;
        away.is_back.store(true, Ordering::Relaxed);
        until("all", is_answered_to(&topic, 10)).await;
        until("none waits", || groups() == 0).await;
        stop.cancel();
    };
    tokio::join!(counted_session(log(&topic, []), &executor, totals.clone(), &stop), looking);
}
