//! Counts the calls that a check spends.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;

use crate::model::feed::Interface;
use crate::model::time::UnixMillis;
use crate::upstream::http::HttpTransport;
use crate::upstream::transport::{HttpRequest, HttpResponse, Transport, TransportError};

/// What was sent, whatever came of it.
#[derive(Debug, Default)]
pub struct SentCalls {
    /// For tokens, for the upstream's clock, and for what is left of quotas.
    pub beside: AtomicU64,
    /// Of interfaces that have a quota.
    pub data: AtomicU64,
}

pub struct CountedTransport {
    pub http: HttpTransport,
    pub counts: Arc<SentCalls>,
}

#[async_trait]
impl Transport for CountedTransport {
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, TransportError> {
        let is_data = Interface::ALL.into_iter().any(|interface| interface.path() == request.path);
        let count = if is_data { &self.counts.data } else { &self.counts.beside };
        count.fetch_add(1, Ordering::Relaxed);
        self.http.send(request).await
    }

    fn now(&self) -> UnixMillis {
        self.http.now()
    }
}
