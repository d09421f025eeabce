//! An upstream on paused time that is well, stopped, or hangs.

use std::sync::Mutex;

use async_trait::async_trait;

use super::*;
use crate::upstream::transport::{HttpRequest, HttpResponse, Transport, TransportError};

/// Answers with material, at once or, where the path says so, after as many seconds; or as it is told to.
#[derive(Clone)]
pub(super) struct TimedUpstream {
    pub began: Instant,
    health: Arc<Mutex<Health>>,
}

#[derive(Clone, Copy)]
pub(super) enum Health {
    Well,
    /// Its secret is wrong.
    Stopped,
    Hangs,
}

impl TimedUpstream {
    pub fn new(health: Health) -> TimedUpstream {
        TimedUpstream { began: Instant::now(), health: Arc::new(Mutex::new(health)) }
    }

    pub fn becomes(&self, health: Health) {
        *self.health.lock().unwrap() = health;
    }
}

#[async_trait]
impl Transport for TimedUpstream {
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, TransportError> {
        let answer =
            |body: &'static str| HttpResponse { status: 200, body: body.into(), date: None, retry_after: None };
        if request.path == "/cgi-bin/stable_token" {
            return Ok(answer(r#"{"access_token":"t","expires_in":7200}"#));
        }
        let health = *self.health.lock().unwrap();
        match health {
            Health::Stopped => return Ok(answer(r#"{"errcode":40125,"errmsg":"invalid appsecret"}"#)),
            Health::Hangs => {
                tokio::time::sleep(Duration::from_secs(15)).await;
                return Err(TransportError::Timeout);
            }
            Health::Well => {}
        }
        let body: serde_json::Value = serde_json::from_slice(&request.body.unwrap()).unwrap();
        let seconds = body["path"].as_str().unwrap().parse().unwrap();
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        Ok(answer(r##"{"tag":"#short"}"##))
    }

    fn now(&self) -> UnixMillis {
        UnixMillis(START.0 + i64::try_from(self.began.elapsed().as_millis()).unwrap())
    }
}
