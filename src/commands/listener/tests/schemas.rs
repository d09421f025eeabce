//! Requests whose schema only a registry knows, which is away for a while.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::*;
use crate::telemetry::captured::Captured;

/// More than any app's room in memory.
const MANY: i64 = 900;
const BOUND: Duration = Duration::from_secs(20);

/// A registry that knows [`FOREIGN_SCHEMA`], and may be away.
#[derive(Clone, Default)]
struct Away {
    is_back: Arc<AtomicBool>,
    asked: Arc<AtomicU64>,
}

impl Away {
    async fn registry(&self) -> Registry {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let registry = Registry::new(&format!("http://{}", listener.local_addr().unwrap()), None).unwrap();
        let Away { is_back, asked } = self.clone();
        let answer = || async move {
            asked.fetch_add(1, Ordering::Relaxed);
            match is_back.load(Ordering::Relaxed) {
                true => (axum::http::StatusCode::OK, serde_json::json!({ "schema": FOREIGN_SCHEMA }).to_string()),
                false => (axum::http::StatusCode::SERVICE_UNAVAILABLE, String::new()),
            }
        };
        tokio::spawn(axum::serve(listener, axum::Router::new().fallback(answer)).into_future());
        registry
    }

    /// A process that knows no schema of others yet.
    async fn executor(&self, apps: impl IntoIterator<Item = CommandApp<Upstream>>) -> Arc<Executor<Upstream>> {
        let decoder = RequestDecoder::new(Framing::SingleObject);
        Arc::new(Executor::new(apps, "requests".into(), decoder, Some(self.registry().await), PATIENCE))
    }
}

async fn until(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + BOUND;
    while !is_so() {
        assert!(Instant::now() < deadline, "{what} within {BOUND:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// One session while `history` runs, and until it is over.
async fn during(topic: &Topic, executor: &Arc<Executor<Upstream>>, history: impl Future<Output = ()>) {
    let stop = CancellationToken::new();
    let history = async {
        history.await;
        stop.cancel();
    };
    tokio::join!(session(log(topic, []), executor, &stop), history);
}

fn is_answered_to(topic: &Topic, wanted: usize) -> impl Fn() -> bool {
    move || topic.answers_count() >= wanted
}

#[tokio::test]
async fn a_registry_that_is_away_holds_up_nothing_that_is_read_again() {
    let topic = Topic::new(1);
    for offset in 0..MANY {
        let place = Place { partition: 0, offset };
        let app = if offset % 2 == 0 { "wx1" } else { "wx2" };
        topic.put(if offset % 100 == 3 { foreign(offset) } else { request_for(app, place, "0", None) });
    }
    let foreign = topic.places().iter().filter(|place| place.offset % 100 == 3).count();
    let [one, other] = [Upstream::new(Health::Stopped), Upstream::new(Health::Well)];
    let away = Away::default();
    let executor = away.executor([app("wx1", &one, 4), app("wx2", &other, 4)]).await;
    let all = topic.places().len();
    during(&topic, &executor, async {
        until("requests of an app that is well are answered", is_answered_to(&topic, all / 2 - foreign)).await;
    })
    .await;
    // After a restart, what is left of the other is only read again.
    one.becomes(Health::Well);
    let executor = away.executor([app("wx1", &one, 4), app("wx2", &other, 4)]).await;
    during(&topic, &executor, async {
        until("all that can be read are answered", is_answered_to(&topic, all - foreign)).await;
        away.is_back.store(true, Ordering::Relaxed);
        until("and then the others", is_answered_to(&topic, all)).await;
    })
    .await;
    assert_eq!(answered(&topic), topic.places());
}

/// They were read when they came, by a process that knew their schema; the next one does not.
#[tokio::test]
async fn what_can_not_be_read_again_after_a_restart_holds_up_nobody_else_and_is_answered_once() {
    for is_restarted in [false, true] {
        let topic = Topic::new(1);
        for offset in 0..MANY {
            let place = Place { partition: 0, offset };
            let deadline = (offset % 7 == 0).then_some(1);
            let app = if offset % 2 == 0 { "wx1" } else { "wx2" };
            topic.put(if offset % 50 == 3 { foreign(offset) } else { request_for(app, place, "0", deadline) });
        }
        let foreign = topic.places().iter().filter(|place| place.offset % 50 == 3).count();
        let [ill, well] = [Upstream::new(Health::Stopped), Upstream::new(Health::Well)];
        let away = Away::default();
        away.is_back.store(true, Ordering::Relaxed);
        let executor = away.executor([app("wx1", &ill, 4), app("wx2", &well, 4)]).await;
        let all = topic.places().len();
        during(&topic, &executor, async {
            until("the other app's", is_answered_to(&topic, all / 2 - foreign)).await;
        })
        .await;
        away.is_back.store(false, Ordering::Relaxed);
        ill.becomes(Health::Well);
        let executor = away.executor([app("wx1", &ill, 4), app("wx2", &well, 4)]).await;
        during(&topic, &executor, async {
            until("all that can be read", is_answered_to(&topic, all - foreign)).await;
            away.is_back.store(!is_restarted, Ordering::Relaxed);
            if !is_restarted {
                until("and then the others", is_answered_to(&topic, all)).await;
            }
        })
        .await;
        away.is_back.store(true, Ordering::Relaxed);
        let executor = away.executor([app("wx1", &ill, 4), app("wx2", &well, 4)]).await;
        during(&topic, &executor, async {
            until("all", is_answered_to(&topic, all)).await;
            // Nothing comes twice afterwards.
            tokio::time::sleep(Duration::from_millis(200)).await;
        })
        .await;
        assert_eq!(answered(&topic), topic.places(), "{is_restarted}");
    }
}

#[tokio::test]
async fn however_many_wait_for_a_schema_others_go_on_one_call_asks_and_two_lines_tell() {
    const WAITING: i64 = 700;
    let captured = Captured::start();
    let topic = Topic::new(1);
    (0..WAITING).for_each(|offset| topic.put(foreign(offset)));
    (WAITING..WAITING + 50).for_each(|offset| topic.put(command(Place { partition: 0, offset }, 0)));
    let (away, well) = (Away::default(), Upstream::new(Health::Well));
    let executor = away.executor([app("wx1", &well, 4)]).await;
    let began = Instant::now();
    during(&topic, &executor, async {
        until("those that can be read", is_answered_to(&topic, 50)).await;
        tokio::time::sleep(Duration::from_millis(500)).await;
        let asked = away.asked.load(Ordering::Relaxed);
        // The first pauses are shorter than the others.
        assert!(u128::from(asked) < began.elapsed().as_millis() / 50 + 20, "{asked} calls in {:?}", began.elapsed());
        away.is_back.store(true, Ordering::Relaxed);
        until("all", is_answered_to(&topic, topic.places().len())).await;
    })
    .await;
    assert_eq!(answered(&topic), topic.places());
    assert_eq!(captured.events("the schema registry can't be asked: requests wait for their schemas").len(), 1);
    assert_eq!(captured.events("the schema registry answers again").len(), 1);
}
