//! Promoters that the upstream's list names while a session runs.

use std::collections::BTreeMap;

use async_trait::async_trait;

use super::*;
use crate::commit::registry_topic::RegistryTopic;
use crate::commit::testing::durable_topics::PARTITIONS;
use crate::commit::testing::memory_group::MemoryGroup;
use crate::model::shard::Shard;
use crate::registry::record::PromoterRecord;
use crate::session::discovery::{DiscoveredApp, DiscoveryTag};

const HOUR: Duration = Duration::from_secs(3600);

/// Lists promoters, has no data, and notes who is asked for when.
#[derive(Clone)]
struct ListingUpstream {
    began: tokio::time::Instant,
    /// Each with its `auth_status`; nothing where the list can't be read.
    list: Arc<Mutex<Option<BTreeMap<&'static str, i64>>>>,
    lists_read: Arc<Mutex<Vec<Duration>>>,
    asked: Arc<Mutex<Vec<(String, Duration)>>>,
}

impl ListingUpstream {
    fn of(openids: impl IntoIterator<Item = &'static str>) -> ListingUpstream {
        let upstream = ListingUpstream {
            began: tokio::time::Instant::now(),
            list: Arc::default(),
            lists_read: Arc::default(),
            asked: Arc::default(),
        };
        upstream.lists(openids);
        upstream
    }

    fn lists(&self, openids: impl IntoIterator<Item = &'static str>) {
        *self.list.lock().unwrap() = Some(openids.into_iter().map(|openid| (openid, 1)).collect());
    }

    fn withdraws(&self, openid: &'static str) {
        self.list.lock().unwrap().as_mut().unwrap().insert(openid, 2);
    }

    fn page(&self, is_first: bool) -> String {
        let Some(list) = &*self.list.lock().unwrap() else { return "<html>".to_owned() };
        if !is_first || list.is_empty() {
            return r#"{"errcode":103006}"#.to_owned();
        }
        let row = |(openid, auth): (&&str, &i64)| serde_json::json!({"openid": openid, "auth_status": auth, "decl_status": 1, "id": openid, "role_id": 7});
        let rows: Vec<Value> = list.iter().map(row).collect();
        serde_json::json!({"promoter_list": rows, "total_cnt": rows.len(), "errcode": 0}).to_string()
    }

    /// How often `openid` was asked for in the last half of the time since the test began.
    fn asked_lately(&self, openid: &str, since: Duration) -> usize {
        let asked = self.asked.lock().unwrap();
        asked.iter().filter(|(of, at)| of == openid && *at >= since).count()
    }
}

#[async_trait]
impl Transport for ListingUpstream {
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, TransportError> {
        let asked = || serde_json::from_slice::<Value>(request.body.as_deref().unwrap()).unwrap();
        let body = match request.path {
            "/promoter/getpromoter" => {
                self.lists_read.lock().unwrap().push(self.began.elapsed());
                self.page(asked().get("start_id").is_none())
            }
            path if path.starts_with("/promoter/") => {
                let openid = asked()["openid"].as_str().unwrap().to_owned();
                self.asked.lock().unwrap().push((openid, self.began.elapsed()));
                r#"{"errcode":0,"total_cnt":0}"#.to_owned()
            }
            _ => r#"{"access_token":"t","expires_in":7200}"#.to_owned(),
        };
        Ok(HttpResponse { status: 200, body: Bytes::from(body), date: None, retry_after: None })
    }

    fn now(&self) -> UnixMillis {
        UnixMillis(NOW.0 * 1000 + i64::try_from(self.began.elapsed().as_millis()).unwrap())
    }
}

/// A session of one instance that discovers each hour, while `meanwhile` runs. Its configuration names `configured` alone.
async fn discovering(group: &MemoryGroup, upstream: &ListingUpstream, meanwhile: impl Future<Output = ()>) {
    let mut polls = pipeline(upstream, promoter(touches_only(plan(StartFrom::At(NOW)))));
    Arc::get_mut(&mut polls.apps).unwrap()[0].promoters =
        vec![(key("configured"), ConfiguredPromoter::default())].into();
    let settings = DiscoverySettings { every: Some(HOUR), remove_max: 10, tags: vec![DiscoveryTag::RoleId] };
    let client = polls.apps[0].client.clone();
    let topic = Arc::new(group.clone());
    polls.discovery = Some(Arc::new(Discovery { apps: vec![DiscoveredApp { client, settings }], topic }));
    let stop = CancellationToken::new();
    let make_log = || MemoryLog::shared(Arc::default(), FaultScript::uneventful(), "one", group);
    let running = supervisor::run(&polls, make_log, &stop, retry());
    let (ended, ()) = tokio::join!(running, async {
        meanwhile.await;
        stop.cancel();
    });
    ended.unwrap();
}

fn key(openid: &str) -> Promoter {
    Promoter::from_key(&format!("wx1/{openid}")).unwrap()
}

/// Waits, and tells how far the time is then.
async fn wait(upstream: &ListingUpstream, hours: u32) -> Duration {
    tokio::time::sleep(hours * HOUR).await;
    upstream.began.elapsed()
}

#[tokio::test(start_paused = true)]
async fn who_is_listed_is_polled_within_seconds_and_who_loses_the_authorisation_only_when_it_is_given_again() {
    let group = MemoryGroup::of_one("one", PARTITIONS);
    let upstream = ListingUpstream::of(["o1", "o2"]);
    discovering(&group, &upstream, async {
        tokio::time::sleep(Duration::from_secs(15)).await;
        assert!(upstream.asked_lately("o1", Duration::ZERO) > 0 && upstream.asked_lately("o2", Duration::ZERO) > 0);
        upstream.withdraws("o2");
        let parked = wait(&upstream, 2).await;
        wait(&upstream, 2).await;
        assert_eq!(upstream.asked_lately("o2", parked), 0);
        upstream.lists(["o1", "o2"]);
        let back = wait(&upstream, 2).await;
        wait(&upstream, 1).await;
        assert!(upstream.asked_lately("o2", back) > 0);
    })
    .await;
    let table = group.read(AppId::new("wx1").unwrap()).await.unwrap();
    assert!(table.discovered(&key("o1")).unwrap().tags.iter().eq([("role_id", "7")]));
}

#[tokio::test(start_paused = true)]
async fn who_was_removed_by_an_operator_does_not_come_back_after_a_restart_nor_without_the_tombstone() {
    let group = MemoryGroup::of_one("one", PARTITIONS);
    let upstream = ListingUpstream::of(["o1", "o2"]);
    discovering(&group, &upstream, async {
        wait(&upstream, 1).await;
        group.register(&key("o2"), None);
        wait(&upstream, 2).await;
    })
    .await;
    group.compact();
    let since = upstream.began.elapsed();
    discovering(&group, &upstream, async {
        wait(&upstream, 3).await;
    })
    .await;
    assert_eq!(upstream.asked_lately("o2", since), 0, "removed");
    assert!(upstream.asked_lately("o1", since) > 0);
    group.register(&key("o2"), Some(PromoterRecord::default()));
    discovering(&group, &upstream, async {
        wait(&upstream, 1).await;
    })
    .await;
    assert!(upstream.asked_lately("o2", since) > 0, "registered by an operator");
}

#[tokio::test(start_paused = true)]
async fn a_list_that_is_empty_cut_or_short_removes_nobody_and_says_so_once() {
    let captured = Captured::start();
    let group = MemoryGroup::of_one("one", PARTITIONS);
    let upstream = ListingUpstream::of(["o1", "o2", "o3"]);
    discovering(&group, &upstream, async {
        wait(&upstream, 1).await;
        upstream.lists([]);
        wait(&upstream, 3).await;
        *upstream.list.lock().unwrap() = None;
        wait(&upstream, 3).await;
        upstream.lists(["o1"]);
        let since = wait(&upstream, 3).await;
        wait(&upstream, 1).await;
        assert!(upstream.asked_lately("o2", since) > 0 && upstream.asked_lately("o3", since) > 0);
        upstream.lists(["o1", "o2"]);
        let since = wait(&upstream, 2).await;
        wait(&upstream, 1).await;
        assert!(upstream.asked_lately("o2", since) > 0);
        assert_eq!(upstream.asked_lately("o3", since), 0, "one may go");
    })
    .await;
    let told =
        |start: &str| captured.events(start).into_iter().map(|event| event["missing"].clone()).collect::<Vec<_>>();
    let empty = "the upstream's list of promoters is empty: those that were found are polled on; promoters remove takes them away";
    assert_eq!(told(empty), [3]);
    let short = "more promoters are missing from the upstream's list than discover_remove_max lets go at once: they are polled on; \
                 if they are to go, run promoters discover --remove";
    assert_eq!(told(short), [2]);
    let failed = captured.events("promoters can't be discovered: those that are registered stay as they are");
    assert!(!failed.is_empty());
}

#[tokio::test(start_paused = true)]
async fn only_the_owner_of_one_shard_reads_the_list() {
    let group = MemoryGroup::of_one("one", PARTITIONS);
    group.take_away(Shard::DISCOVERING, "two");
    let upstream = ListingUpstream::of(["o1"]);
    let reads = || upstream.lists_read.lock().unwrap().len();
    discovering(&group, &upstream, async {
        wait(&upstream, 3).await;
        assert_eq!(reads(), 0);
        group.take_away(Shard::DISCOVERING, "one");
        wait(&upstream, 1).await;
        let owned = reads();
        assert!(owned > 0);
        group.take_away(Shard::DISCOVERING, "two");
        wait(&upstream, 3).await;
        assert_eq!(reads(), owned);
    })
    .await;
}
