//! Another program that asks for material, as a user's own would: it puts JSON texts on the request topic.

use std::time::Duration;

use anyhow::Context;
use serde_json::json;
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{Instant, interval_at};
use tokio_util::sync::CancellationToken;

use crate::kafka::client::settings::Settings;
use crate::kafka::requests_log::request_producer::RequestProducer;

const FIRST_AFTER: Duration = Duration::from_secs(1);
const EVERY: Duration = Duration::from_secs(3);
/// Until a request is acknowledged, by a broker that may stand still for a while.
const PUT_MAX: Duration = Duration::from_secs(60);
/// Enough to see how it goes; each new one would take a place in the verdict.
const REQUESTS_MAX: usize = 36;
/// Also how far it may be ahead of the screen.
const QUEUE: usize = 1;

/// One request for material.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DemoRequest {
    pub app_id: String,
    pub promoter: String,
    /// Names the poster that the material is for: it is both `request_id` and `extra_info`, so that the eye can follow it
    /// from the request over the reply to the touches.
    pub poster: String,
    pub path: String,
}

impl DemoRequest {
    fn new(app_id: &str, promoters: &[String], number: usize) -> Option<DemoRequest> {
        let promoter = promoters.get(number.checked_rem(promoters.len())?)?;
        Some(DemoRequest {
            app_id: app_id.to_owned(),
            promoter: promoter.clone(),
            poster: format!("poster-{}", number + 1),
            path: format!("pages/poster?number={}", number + 1),
        })
    }

    fn key(&self) -> String {
        format!("{}/{}", self.app_id, self.promoter)
    }

    fn to_json(&self) -> String {
        json!({
            "request_id": self.poster,
            "app_id": self.app_id,
            "promoter_openid": self.promoter,
            "path": self.path,
            "extra_info": self.poster,
        })
        .to_string()
    }
}

/// For whom material is asked, and where.
pub struct DemoRequester {
    pub settings: Settings,
    /// The request topic, which exists.
    pub topic: String,
    pub app_id: String,
    /// One after the other, again and again.
    pub promoters: Vec<String>,
}

pub struct RequesterTask {
    pub task: JoinHandle<anyhow::Result<()>>,
    /// Cancelled when no more is to be asked for; the task then ends.
    pub stop: CancellationToken,
}

impl RequesterTask {
    /// The receiver gets each request just before it is put, so before its reply can be there.
    pub fn start(requester: DemoRequester) -> (RequesterTask, mpsc::Receiver<DemoRequest>) {
        let (sender, requested) = mpsc::channel(QUEUE);
        let stop = CancellationToken::new();
        let task = tokio::spawn(request_from_time_to_time(requester, sender, stop.clone()));
        (RequesterTask { task, stop }, requested)
    }
}

/// # Errors
/// Where there is no producer, a request is not taken in time, or nobody takes note of what is asked for.
async fn request_from_time_to_time(
    requester: DemoRequester,
    requested: mpsc::Sender<DemoRequest>,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let DemoRequester { settings, topic, app_id, promoters } = requester;
    let mut requests = spawn_blocking(move || RequestProducer::open(&settings, &topic)).await??;
    let mut ticks = interval_at(Instant::now() + FIRST_AFTER, EVERY);
    for number in 0..REQUESTS_MAX {
        let Some(request) = DemoRequest::new(&app_id, &promoters, number) else { break };
        if stop.run_until_cancelled(ticks.tick()).await.is_none() {
            return Ok(());
        }
        requested.send(request.clone()).await.context("nobody looks at what is asked for")?;
        requests = spawn_blocking(move || {
            requests.put(&request.key(), "application/json", request.to_json().as_bytes(), PUT_MAX).map(|()| requests)
        })
        .await??;
    }
    stop.cancelled().await;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::avro::framing::Framing;
    use crate::avro::material::RequestDecoder;
    use crate::model::material::MaterialRequest;

    #[test]
    fn a_request_is_what_the_connector_reads() {
        let promoters = ["oA".to_owned(), "oB".to_owned()];
        let request = DemoRequest::new("wx1", &promoters, 2).unwrap();
        let read = RequestDecoder::new(Framing::SingleObject).decode_json(request.to_json().as_bytes()).unwrap();
        let expected = MaterialRequest {
            request_id: "poster-3".into(),
            app_id: "wx1".into(),
            promoter_openid: "oA".into(),
            path: "pages/poster?number=3".into(),
            extra_info: Some("poster-3".into()),
            ..MaterialRequest::default()
        };
        assert_eq!(read, expected);
        assert_eq!(DemoRequest::new("wx1", &[], 0), None);
    }
}
