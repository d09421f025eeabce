//! The world without HTTP, on tokio's clock: with paused time a simulated day costs no more than its calls.

use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

use crate::model::time::UnixMillis;
use crate::simulator::exchange::{Delivery, SimRequest, SimResponse};
use crate::simulator::world::shared::SharedWorld;
use crate::upstream::packing::unpacked;
use crate::upstream::transport::{HttpRequest, HttpResponse, Transport, TransportError};

/// Far above any body of the world, in bytes.
const BODY_MAX: usize = 64 << 20;

/// A client's side of the simulated upstream. Clones share the world and the clock, also over a restart of the
/// connector.
#[derive(Clone)]
pub struct SimulatedTransport {
    world: SharedWorld,
    start: UnixMillis,
    began: Instant,
    timeout: Duration,
}

impl SimulatedTransport {
    /// The world's time begins to run now. No answer is waited for longer than `timeout`.
    pub fn new(world: SharedWorld, timeout: Duration) -> SimulatedTransport {
        let start = world.with(|world| world.start());
        SimulatedTransport { world, start, began: Instant::now(), timeout }
    }

    pub fn world(&self) -> &SharedWorld {
        &self.world
    }

    /// # Errors
    /// [`TransportError`], as of a client that has waited in vain or was cut off.
    async fn play(&self, answer: SimResponse) -> Result<HttpResponse, TransportError> {
        if answer.delivery == Delivery::Hang || answer.after > self.timeout {
            tokio::time::sleep(self.timeout).await;
            return Err(TransportError::Timeout);
        }
        tokio::time::sleep(answer.after).await;
        match answer.delivery {
            Delivery::Whole => {
                self.world.with(|world| world.delivered(answer.receipt));
                Ok(HttpResponse {
                    status: answer.status,
                    body: unpacked(answer.body, BODY_MAX)?,
                    date: Some(answer.date),
                    retry_after: answer.retry_after.map(Duration::from_secs),
                })
            }
            Delivery::Truncated(_) => Err(TransportError::Connection("the answer broke off".to_owned())),
            Delivery::Reset | Delivery::Hang => Err(TransportError::Connection("reset by the peer".to_owned())),
        }
    }
}

#[async_trait]
impl Transport for SimulatedTransport {
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, TransportError> {
        let request = SimRequest {
            method: request.method,
            path: request.path.to_owned(),
            query: request.query.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
            body: request.body.unwrap_or_default(),
        };
        let answer = self.world.with(|world| world.answer(self.now(), &request));
        self.play(answer).await
    }

    fn now(&self) -> UnixMillis {
        self.start.plus(self.began.elapsed())
    }
}
