//! Refunds that are polled only after orders have been for a while.

use async_trait::async_trait;

use super::*;

const DAY: i64 = 24 * 3600;

/// Shows refunds of orders that were paid long ago, each from its own time on, to whoever asks for refunds.
#[derive(Clone)]
struct Refunds {
    began: tokio::time::Instant,
    /// In seconds from the start on.
    times: &'static [i64],
}

impl Refunds {
    fn shown(&self) -> Vec<Value> {
        let now = Transport::now(self).as_seconds();
        let times = self.times.iter().map(|time| NOW.plus(*time)).filter(|time| *time <= now);
        let row = |(number, time): (usize, UnixTime)| {
            serde_json::json!({
                "openid": "u", "mch_id": "m", "trade_no": format!("t{number}"), "status": 2, "paid_amount": 1,
                "paid_time": NOW.minus(30 * DAY).0, "refunded_time": time.0,
            })
        };
        times.enumerate().map(row).collect()
    }
}

#[async_trait]
impl Transport for Refunds {
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, TransportError> {
        let asked: Value = serde_json::from_slice(request.body.as_deref().unwrap_or_default()).unwrap_or_default();
        let shown = if asked["status"] == 2 { self.shown() } else { Vec::new() };
        let answer = match request.path {
            "/promoter/getorder" if !shown.is_empty() => {
                serde_json::json!({"errcode": 0, "total_cnt": shown.len(), "order_list": shown})
            }
            path if path.starts_with("/promoter/") => serde_json::json!({"errcode": 103006}),
            _ => serde_json::json!({"access_token": "t", "expires_in": 7200}),
        };
        Ok(HttpResponse { status: 200, body: Bytes::from(answer.to_string()), date: None, retry_after: None })
    }

    fn now(&self) -> UnixMillis {
        UnixMillis(NOW.0 * 1000 + i64::try_from(self.began.elapsed().as_millis()).unwrap())
    }
}

/// One life of the process, which polls these feeds for so many days.
async fn live(upstream: &Refunds, durable: &Arc<Mutex<DurableTopics>>, feeds: PerFeed<Option<FeedPlan>>, days: i64) {
    let pipeline = pipeline(upstream, promoter(feeds));
    let make_log = || MemoryLog::new(durable.clone(), FaultScript::uneventful());
    let stop = CancellationToken::new();
    let end = async {
        tokio::time::sleep(Duration::from_secs((days * DAY).cast_unsigned())).await;
        stop.cancel();
    };
    let (ended, ()) = tokio::join!(supervisor::run(&pipeline, make_log, &stop, retry()), end);
    ended.unwrap();
}

fn hourly(start_from: StartFrom, lateness: i64) -> Option<FeedPlan> {
    let hour = Duration::from_secs(3600);
    Some(FeedPlan { settings: PollSettings { every: hour, idle_every: hour, lateness }, start_from })
}

#[tokio::test(start_paused = true)]
async fn refunds_that_are_polled_later_are_published_from_their_own_start_on() {
    let times = &[-DAY, DAY / 2, 3 * DAY / 2, 5 * DAY / 2];
    let upstream = Refunds { began: tokio::time::Instant::now(), times };
    let durable = Arc::default();
    let orders = hourly(StartFrom::Now, 12 * 3600);
    live(&upstream, &durable, PerFeed { orders, ..PerFeed::default() }, 2).await;
    assert_eq!(durable.lock().unwrap().events.len(), 0, "orders meet none of them");
    let refunds = hourly(StartFrom::Earliest, DAY);
    live(&upstream, &durable, PerFeed { orders, refunds, ..PerFeed::default() }, 1).await;
    let published: Vec<i64> = durable.lock().unwrap().events.iter().map(|event| event.fact.time.0 - NOW.0).collect();
    assert_eq!(published, times);
}
