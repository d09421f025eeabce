//! What becomes of the progress of promoters whom nobody names any more.

use async_trait::async_trait;

use super::*;
use crate::commit::testing::durable_topics::PARTITIONS;
use crate::commit::testing::memory_group::MemoryGroup;
use crate::model::shard::Shard;
use crate::model::state_record::{StateKey, StateValue};
use crate::registry::record::PromoterRecord;

/// How long a run at least takes here; each hour that passes costs a test some time.
const STEP: Duration = Duration::from_secs(600);
const FORGET: Duration = STEP.saturating_mul(24);

/// Has no data, tells its clock, and notes from where on touches are asked for.
#[derive(Clone)]
struct Windows {
    began: tokio::time::Instant,
    asked: Arc<Mutex<Vec<(String, i64)>>>,
}

#[async_trait]
impl Transport for Windows {
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, TransportError> {
        let body = if request.path.starts_with("/promoter/") {
            let asked: Value = serde_json::from_slice(request.body.as_deref().unwrap()).unwrap();
            let openid = asked["openid"].as_str().unwrap().to_owned();
            self.asked.lock().unwrap().push((openid, asked["begin_time"].as_i64().unwrap()));
            r#"{"errcode":0,"total_cnt":0}"#
        } else {
            r#"{"access_token":"t","expires_in":7200}"#
        };
        let date = Some(self.now().as_seconds());
        Ok(HttpResponse { status: 200, body: Bytes::from(body), date, retry_after: None })
    }

    fn now(&self) -> UnixMillis {
        UnixMillis(NOW.0 * 1000 + i64::try_from(self.began.elapsed().as_millis()).unwrap())
    }
}

/// A group of which one instance runs at a time, its topics and its upstream.
struct Scene {
    group: MemoryGroup,
    durable: Arc<Mutex<DurableTopics>>,
    upstream: Windows,
}

impl Scene {
    fn new() -> Scene {
        let upstream = Windows { began: tokio::time::Instant::now(), asked: Arc::default() };
        Scene { group: MemoryGroup::of_one("one", PARTITIONS), durable: Arc::default(), upstream }
    }

    /// One instance, whose configuration names `configured`, for that long.
    async fn run(&self, configured: &[&str], lasts: Duration) {
        let mut polls = pipeline(&self.upstream, promoter(touches_only(plan(StartFrom::Now))));
        polls.forget = FORGET;
        let app = &mut Arc::get_mut(&mut polls.apps).unwrap()[0];
        let named = |openid: &&str| (key(openid), ConfiguredPromoter::default());
        app.promoters = configured.iter().map(named).collect::<Vec<_>>().into();
        let stop = CancellationToken::new();
        let make_log = || MemoryLog::shared(self.durable.clone(), FaultScript::uneventful(), "one", &self.group);
        let end = async {
            tokio::time::sleep(lasts).await;
            stop.cancel();
        };
        let (ended, ()) = tokio::join!(supervisor::run(&polls, make_log, &stop, retry()), end);
        ended.unwrap();
    }

    /// The value under a key of the state.
    fn state(&self, key: &StateKey) -> Option<StateValue> {
        let durable = self.durable.lock().unwrap();
        durable.state.get(&key.encode()).map(|value| StateValue::decode(key, value).unwrap())
    }

    fn has_cursor(&self, openid: &str) -> bool {
        self.state(&StateKey::Cursor(key(openid), Feed::Touches)).is_some()
    }

    fn is_marked(&self, openid: &str) -> bool {
        self.state(&StateKey::Removed(key(openid))).is_some()
    }

    /// How long before now the latest windows of a promoter began that were asked for since this was called last.
    fn asked_back(&self, openid: &str) -> Vec<i64> {
        let asked = std::mem::take(&mut *self.upstream.asked.lock().unwrap());
        let now = self.upstream.now().as_seconds().0;
        asked.iter().filter(|(of, _)| of == openid).map(|(_, begin)| now - begin).collect()
    }
}

fn key(openid: &str) -> Promoter {
    Promoter::from_key(&format!("wx1/{openid}")).unwrap()
}

#[tokio::test(start_paused = true)]
async fn who_was_removed_goes_on_from_his_cursor_within_the_time_and_begins_anew_behind_it() {
    let scene = Scene::new();
    scene.group.register(&key("o2"), Some(PromoterRecord::default()));
    scene.run(&["o1"], STEP).await;
    scene.group.register(&key("o2"), None);
    scene.run(&["o1"], 20 * STEP).await;
    assert!(scene.is_marked("o2") && scene.has_cursor("o2"));
    scene.asked_back("o2");

    scene.group.register(&key("o2"), Some(PromoterRecord::default()));
    scene.run(&["o1"], STEP).await;
    assert!(!scene.is_marked("o2"), "he is back");
    let back = scene.asked_back("o2");
    assert!(
        back.first().is_some_and(|seconds| *seconds > 20 * STEP.as_secs().cast_signed()),
        "the gap is asked for: {back:?}"
    );

    scene.group.register(&key("o2"), None);
    scene.run(&["o1"], 23 * STEP).await;
    assert!(scene.has_cursor("o2"), "the time begins anew with each removal");
    scene.run(&["o1"], 2 * STEP).await;
    assert!(!scene.has_cursor("o2") && !scene.is_marked("o2") && scene.has_cursor("o1"));

    scene.asked_back("o2");
    scene.group.register(&key("o2"), Some(PromoterRecord::default()));
    scene.run(&["o1"], STEP).await;
    let back = scene.asked_back("o2");
    assert!(back.first().is_some_and(|seconds| *seconds < 2 * STEP.as_secs().cast_signed()), "he begins now: {back:?}");
}

#[tokio::test(start_paused = true)]
async fn who_is_gone_from_the_configuration_is_found_at_the_next_start_and_kept_for_the_time() {
    let captured = Captured::start();
    let scene = Scene::new();
    scene.run(&["o1", "o2"], STEP).await;
    scene.run(&["o1"], 23 * STEP).await;
    assert!(scene.is_marked("o2") && scene.has_cursor("o2"));
    let told = captured.events("nobody names these promoters any more: their progress is kept for registry.forget");
    assert_eq!(told.len(), 1);
    // An instance whose configuration still names him takes the mark back, however late.
    scene.run(&["o1", "o2"], STEP).await;
    assert!(!scene.is_marked("o2"));
    scene.run(&["o1"], 26 * STEP).await;
    assert!(!scene.has_cursor("o2") && scene.has_cursor("o1"));
}

#[tokio::test(start_paused = true)]
async fn who_is_paused_or_another_owners_is_not_forgotten() {
    let scene = Scene::new();
    scene.group.register(&key("o2"), Some(PromoterRecord::default()));
    scene.run(&["o1"], STEP).await;
    scene.group.register(&key("o2"), Some(PromoterRecord { paused: true, ..PromoterRecord::default() }));
    scene.run(&["o1"], 50 * STEP).await;
    assert!(!scene.is_marked("o2") && scene.has_cursor("o2"));
    // The shard goes to somebody who never takes it up, while he is removed.
    scene.group.take_away(Shard::of(&key("o2"), PARTITIONS), "two");
    scene.group.register(&key("o2"), None);
    scene.run(&["o1"], 50 * STEP).await;
    assert!(!scene.is_marked("o2") && scene.has_cursor("o2"));
}
