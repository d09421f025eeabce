//! An app that material is asked for, with its own places.
//!
//! What stops an app (credentials, quota, a pace that was too fast) opens a breaker of its client. Its requests then wait,
//! those of other apps go on, and one at a time probes. A request that waits holds no place of those who call.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::material::{AfterCall, accept, after_failure};
use super::waiting::{WaitingRequests, WaitsFor};
use crate::model::material::MaterialOutcome;
use crate::upstream::breaker::OpenBreaker;
use crate::upstream::breaker::Readiness;
use crate::upstream::client::Client;
use crate::upstream::error::CallError;
use crate::upstream::material::{ShareMaterial, ShareMaterialRequest};

/// Requests of an app in memory, at least.
const ROOM_MIN: usize = 256;

/// An app that material can be asked for.
pub struct MaterialApp {
    pub(super) client: Arc<Client>,
    concurrency: usize,
    /// Its own places of those who call: an app whose host hangs takes none from another.
    calls: Semaphore,
    /// Places for answers, each taken before its call and kept until it is being committed. There are twice as many, so
    /// that the next call begins when one ends, and not when the transaction under way does.
    answers: Arc<Semaphore>,
    waiting: Arc<WaitingRequests>,
}

impl MaterialApp {
    /// `concurrency` bounds the calls at once; twice as many calls and answers without a transaction are in memory.
    pub fn new(client: Arc<Client>, concurrency: usize) -> MaterialApp {
        let calls = Semaphore::new(concurrency);
        let answers = Arc::new(Semaphore::new(2 * concurrency));
        MaterialApp { client, concurrency, calls, answers, waiting: Arc::default() }
    }

    /// The same, where `waiting` tells of its requests that wait.
    pub fn counted_in(self, waiting: Arc<WaitingRequests>) -> MaterialApp {
        MaterialApp { waiting, ..self }
    }

    /// Why no call is made for it at present.
    pub(super) fn open_breaker(&self) -> Option<OpenBreaker> {
        let concerns =
            |open: &OpenBreaker| open.interface.is_none_or(|interface| interface == ShareMaterialRequest::INTERFACE);
        self.client.breakers().not_closed().into_iter().find(concerns)
    }

    /// How many of its requests may be in memory.
    pub(super) fn room(&self) -> usize {
        ROOM_MIN.max(4 * self.concurrency)
    }

    /// Waits until a call may be made and makes one, with that client's retries until `patience` has passed; it counts from
    /// `unable_since`, where the upstream has been unable before, or else from the call. Also tells when it began.
    ///
    /// # Errors
    /// Within the result, what the last attempt has come to, where the upstream has refused or `patience` has passed.
    pub(super) async fn call_when_ready(
        &self,
        upstream_request: &ShareMaterialRequest,
        unable_since: Option<Instant>,
        patience: Duration,
        cancel: &CancellationToken,
    ) -> (Result<ShareMaterial, CallError>, Instant, AnswerPermit) {
        let promoter_id = upstream_request.promoter.promoter_id();
        // In this order: whoever waits at a breaker holds no place, and no call ends in an answer that has none.
        let waiting = self.waiting.begin(WaitsFor::AppStopped);
        self.client.breakers().ready(ShareMaterialRequest::INTERFACE, promoter_id).await;
        drop(waiting);
        let waiting = self.waiting.begin(WaitsFor::Slot);
        let permit = self.answers.clone().acquire_owned().await.expect("nothing closes the semaphore");
        let _call = self.calls.acquire().await.expect("nothing closes the semaphore");
        drop(waiting);
        let began = Instant::now();
        let until = unable_since.unwrap_or(began) + patience;
        (self.client.material(upstream_request, until, cancel).await, began, permit)
    }

    /// Whether any number of calls may be made now.
    pub(super) fn is_closed(&self) -> bool {
        self.client.breakers().readiness(ShareMaterialRequest::INTERFACE) == Readiness::Closed
    }

    /// What a call has brought.
    pub(super) fn after(&self, result: Result<ShareMaterial, CallError>) -> AfterCall {
        match result {
            Ok(given) => AfterCall::Final(match accept(given, self.client.local_now()) {
                Ok(material) => MaterialOutcome::Succeeded(material),
                Err(outcome) => outcome,
            }),
            Err(error) => after_failure(error),
        }
    }
}

/// One of the places for answers; kept until the answer is being committed, so that answers in memory are bounded.
pub type AnswerPermit = OwnedSemaphorePermit;
