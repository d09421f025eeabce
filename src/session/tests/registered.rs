//! Promoters that the registry names while a session runs.

use std::collections::HashMap;

use async_trait::async_trait;

use super::*;
use crate::commit::testing::durable_topics::PARTITIONS;
use crate::commit::testing::memory_group::MemoryGroup;
use crate::registry::record::PromoterRecord;

pub(super) const SECOND: Duration = Duration::from_secs(1);

/// Has no data, and notes who is asked for when, and from when on.
#[derive(Clone)]
pub(super) struct NotingUpstream {
    began: tokio::time::Instant,
    asked: Arc<Mutex<Vec<(String, Duration)>>>,
    begin_times: Arc<Mutex<HashMap<String, Vec<i64>>>>,
}

#[async_trait]
impl Transport for NotingUpstream {
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, TransportError> {
        let body = if request.path.starts_with("/promoter/") {
            let asked: Value = serde_json::from_slice(request.body.as_deref().unwrap()).unwrap();
            let openid = asked["openid"].as_str().unwrap().to_owned();
            let begin_time = asked["begin_time"].as_i64().unwrap();
            self.begin_times.lock().unwrap().entry(openid.clone()).or_default().push(begin_time);
            self.asked.lock().unwrap().push((openid, self.began.elapsed()));
            r#"{"errcode":0,"total_cnt":0}"#
        } else {
            r#"{"access_token":"t","expires_in":7200}"#
        };
        Ok(HttpResponse { status: 200, body: Bytes::from(body), date: None, retry_after: None })
    }

    fn now(&self) -> UnixMillis {
        UnixMillis(NOW.0 * 1000 + i64::try_from(self.began.elapsed().as_millis()).unwrap())
    }
}

impl NotingUpstream {
    /// Is asked from now on.
    pub(super) fn begin() -> NotingUpstream {
        let began = tokio::time::Instant::now();
        NotingUpstream { began, asked: Arc::default(), begin_times: Arc::default() }
    }

    /// When `openid` was asked for.
    pub(super) fn turns(&self, openid: &str) -> Vec<Duration> {
        let asked = self.asked.lock().unwrap();
        asked.iter().filter(|(of, _)| of == openid).map(|(_, at)| *at).collect()
    }

    /// Since when the first call for `openid` has asked.
    pub(super) fn first_begin_time(&self, openid: &str) -> UnixTime {
        self.begin_times(openid)[0]
    }

    /// Since when each call for `openid` has asked.
    pub(super) fn begin_times(&self, openid: &str) -> Vec<UnixTime> {
        self.begin_times.lock().unwrap()[openid].iter().map(|time| UnixTime(*time)).collect()
    }

    /// How often `openid` was asked for between two times.
    pub(super) fn asked(&self, openid: &str, from: Duration, to: Duration) -> usize {
        let asked = self.asked.lock().unwrap();
        asked.iter().filter(|(of, at)| of == openid && (from..to).contains(at)).count()
    }
}

pub(super) fn key(openid: &str) -> Promoter {
    Promoter::from_key(&format!("wx1/{openid}")).unwrap()
}

fn paused() -> PromoterRecord {
    PromoterRecord { paused: true, ..PromoterRecord::default() }
}

/// A session whose configuration names `o1`, polled each minute, while `registering` runs.
async fn live(group: &MemoryGroup, registering: impl Future<Output = ()>) -> NotingUpstream {
    live_configured(group, async move |_: &ConfiguredPromoters| registering.await).await
}

/// As [`live`], where what runs meanwhile can change whom the configuration names.
pub(super) async fn live_configured(
    group: &MemoryGroup,
    acts: impl AsyncFnOnce(&ConfiguredPromoters),
) -> NotingUpstream {
    live_app(group, async |app: &PolledApp| acts(&app.promoters).await).await
}

/// As [`live`], where what runs meanwhile sees the app.
async fn live_app(group: &MemoryGroup, acts: impl AsyncFnOnce(&PolledApp)) -> NotingUpstream {
    let upstream = NotingUpstream::begin();
    let polls = pipeline(&upstream, promoter(touches_only(plan(StartFrom::At(NOW)))));
    let stop = CancellationToken::new();
    let make_log = || MemoryLog::shared(Arc::default(), FaultScript::uneventful(), "one", group);
    let running = supervisor::run(&polls, make_log, &stop, retry());
    let (ended, ()) = tokio::join!(running, async {
        acts(&polls.apps[0]).await;
        stop.cancel();
    });
    ended.unwrap();
    assert_eq!(polls.apps[0].reports.paused(), PerFeed::default(), "nobody is polled any more");
    upstream
}

#[tokio::test(start_paused = true)]
async fn whoever_is_registered_is_polled_within_seconds_and_who_is_removed_no_longer() {
    let group = MemoryGroup::of_one("one", PARTITIONS);
    let upstream = live(&group, async {
        tokio::time::sleep(100 * SECOND).await;
        group.register(&key("o2"), Some(PromoterRecord::default()));
        tokio::time::sleep(200 * SECOND).await;
        group.register(&key("o2"), Some(paused()));
        tokio::time::sleep(200 * SECOND).await;
        group.register(&key("o2"), Some(PromoterRecord::default()));
        tokio::time::sleep(200 * SECOND).await;
        group.register(&key("o2"), None);
        tokio::time::sleep(200 * SECOND).await;
    })
    .await;
    let of_two = |from, to| upstream.asked("o2", from * SECOND, to * SECOND);
    assert_eq!(of_two(0, 100), 0);
    assert!(of_two(100, 105) >= 1 && of_two(105, 300) >= 3, "registered");
    assert_eq!(of_two(301, 500), 0, "paused");
    assert!(of_two(500, 505) >= 1 && of_two(505, 700) >= 3, "resumed");
    assert_eq!(of_two(701, 900), 0, "removed");
    assert!(upstream.asked("o1", Duration::ZERO, 900 * SECOND) >= 14, "the other is polled all the time");
}

#[tokio::test(start_paused = true)]
async fn a_configured_promoter_is_paused_by_its_record_and_outlives_a_tombstone() {
    let group = MemoryGroup::of_one("one", PARTITIONS);
    group.register(&key("o1"), Some(paused()));
    let upstream = live(&group, async {
        tokio::time::sleep(300 * SECOND).await;
        group.register(&key("o1"), None);
        tokio::time::sleep(300 * SECOND).await;
    })
    .await;
    assert_eq!(upstream.asked("o1", Duration::ZERO, 300 * SECOND), 0, "paused before it was ever polled");
    assert!(upstream.asked("o1", 300 * SECOND, 305 * SECOND) >= 1, "as it is configured");
}

#[tokio::test(start_paused = true)]
async fn a_promoter_of_an_app_that_is_not_configured_is_nobodys_and_said_once() {
    let captured = Captured::start();
    let group = MemoryGroup::of_one("one", PARTITIONS);
    let stranger = |openid: &str| Promoter::from_key(&format!("wx9/{openid}")).unwrap();
    let upstream = live(&group, async {
        for openid in ["a", "b", "c"] {
            tokio::time::sleep(10 * SECOND).await;
            group.register(&stranger(openid), Some(PromoterRecord::default()));
        }
        tokio::time::sleep(100 * SECOND).await;
    })
    .await;
    assert_eq!(upstream.asked("a", Duration::ZERO, 200 * SECOND), 0);
    assert_eq!(
        captured.events("the registry names promoters of an app that is not configured: they are not polled").len(),
        1
    );
}

#[tokio::test(start_paused = true)]
async fn who_is_paused_is_counted_for_the_feeds_that_would_be_polled() {
    let group = MemoryGroup::of_one("one", PARTITIONS);
    group.register(&key("o1"), Some(paused()));
    live_app(&group, async |app: &PolledApp| {
        let register = async |openid: &str, record: Option<PromoterRecord>| {
            group.register(&key(openid), record);
            tokio::time::sleep(10 * SECOND).await;
            let PerFeed { touches, orders, refunds } = app.reports.paused();
            assert_eq!((orders, refunds), (0, 0), "the app polls touches alone");
            touches
        };
        tokio::time::sleep(10 * SECOND).await;
        assert_eq!(app.reports.paused().touches, 1, "one who was paused before");
        assert_eq!(register("o2", Some(paused())).await, 2);
        assert_eq!(register("o2", Some(paused())).await, 2, "it is said again");
        let of_orders = PromoterRecord { feeds: [Feed::Orders].into_iter().collect(), ..paused() };
        assert_eq!(register("o3", Some(of_orders)).await, 2);
        assert_eq!(register("o4", Some(PromoterRecord::default())).await, 2);
        assert_eq!(register("o2", Some(PromoterRecord::default())).await, 1);
        assert_eq!(register("o4", Some(paused())).await, 2);
        assert_eq!(register("o4", None).await, 1);
        assert_eq!(register("o1", None).await, 0, "as it is configured");
    })
    .await;
}
