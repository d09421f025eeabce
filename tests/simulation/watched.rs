//! Whether a feed is polled before its first cursor is durable.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use promoter_connector::commit::testing::durable_topics::DurableTopics;
use promoter_connector::model::feed::Feed;
use promoter_connector::model::promoter::{AppId, Promoter};
use promoter_connector::model::state_record::StateKey;
use promoter_connector::model::time::UnixMillis;
use promoter_connector::simulator::SimulatedTransport;
use promoter_connector::upstream::transport::{HttpRequest, HttpResponse, Transport, TransportError};

/// One app's side of the simulated upstream, which notes every feed that is polled before its first cursor is durable.
#[derive(Clone)]
pub struct Watched {
    pub upstream: SimulatedTransport,
    pub app: AppId,
    pub durable: Arc<Mutex<DurableTopics>>,
    pub begun: Arc<Mutex<HashSet<StateKey>>>,
    pub early: Arc<Mutex<Vec<StateKey>>>,
}

impl Watched {
    fn watch(&self, request: &HttpRequest) {
        let feed = match request.path {
            "/promoter/getrelation" => Feed::Touches,
            "/promoter/getorder" => Feed::Orders,
            _ => return,
        };
        let body: serde_json::Value = serde_json::from_slice(request.body.as_deref().unwrap_or_default()).unwrap();
        let refunds = body["status"] == 2;
        let promoter = Promoter::new(&self.app, body["openid"].as_str().unwrap()).unwrap();
        let key = StateKey::Cursor(promoter, if refunds { Feed::Refunds } else { feed });
        if self.begun.lock().unwrap().insert(key.clone())
            && !self.durable.lock().unwrap().state.contains_key(&key.encode())
        {
            self.early.lock().unwrap().push(key);
        }
    }
}

#[async_trait]
impl Transport for Watched {
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, TransportError> {
        self.watch(&request);
        self.upstream.send(request).await
    }

    fn now(&self) -> UnixMillis {
        self.upstream.now()
    }
}
