//! A fleet of which nobody brings anything: touches, orders and refunds are polled by the configuration's defaults.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use promoter_connector::model::feed::{PerFeed, StartFrom};
use promoter_connector::model::pacing::PollSettings;
use promoter_connector::model::promoter::Promoter;
use promoter_connector::model::time::UnixMillis;
use promoter_connector::registry::table::ConfiguredPromoter;
use promoter_connector::retry::{JITTER, PATIENCE, RetrySettings};
use promoter_connector::session::app_feeds::AppFeeds;
use promoter_connector::session::{FeedPlan, PolledApp};
use promoter_connector::upstream::client::{Client, ClientSettings};
use promoter_connector::upstream::transport::{HttpRequest, HttpResponse, Transport, TransportError};

/// 2022-11-17 12:00 in Beijing.
const NOON: UnixMillis = UnixMillis(1_668_657_600_000);

/// Of the runtime that polls it: its clock stands at noon when it is made.
pub fn app(promoters: Vec<(Promoter, ConfiguredPromoter)>) -> PolledApp {
    let settings = ClientSettings {
        retry: RetrySettings { jitter: JITTER, attempts: 8, ..PATIENCE },
        in_flight: 64,
        ..ClientSettings::for_tests("wx0123456789abcdef")
    };
    let plan = |every, idle_every, lateness| {
        let (every, idle_every) = (Duration::from_secs(every), Duration::from_secs(idle_every));
        FeedPlan { settings: PollSettings { every, idle_every, lateness }, start_from: StartFrom::Now }
    };
    let (touches, orders, refunds) = (plan(60, 900, 600), plan(60, 900, 43_200), plan(3600, 21_600, 604_800));
    let polled = PerFeed { touches: Some(touches), orders: Some(orders), refunds: Some(refunds) };
    let feeds = AppFeeds { polled, refunds };
    let client = Client::new(settings, Quiet(tokio::time::Instant::now()));
    let (parked_for, catch_up_spread) = (Duration::from_secs(900), Duration::from_secs(6 * 3600));
    PolledApp::new(client, feeds, promoters, parked_for, catch_up_spread)
}

/// An upstream that has nothing to show.
struct Quiet(tokio::time::Instant);

#[async_trait]
impl Transport for Quiet {
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, TransportError> {
        let body = match request.path.contains("token") {
            true => r#"{"access_token":"token","expires_in":7200}"#,
            false => r#"{"errcode":0,"errmsg":"ok","total_cnt":0}"#,
        };
        // Each takes a moment, or all that is due would begin before the clock moves.
        tokio::time::sleep(Duration::from_millis(1)).await;
        let date = Some(self.now().as_seconds());
        Ok(HttpResponse { status: 200, body: Bytes::from_static(body.as_bytes()), date, retry_after: None })
    }

    fn now(&self) -> UnixMillis {
        UnixMillis(NOON.0 + i64::try_from(self.0.elapsed().as_millis()).unwrap())
    }
}
