//! Calls the upstream for one request, as often and as long as that makes sense.

use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::model::material::{MaterialOutcome, MaterialRefusal};
use crate::requests::app::{AnswerPermit, MaterialApp};
use crate::requests::material::AfterCall;
use crate::upstream::error::CallError;
use crate::upstream::material::{ShareMaterial, ShareMaterialRequest};

/// How long an upstream that stays unable is called again for a request without a deadline.
const PATIENCE: Duration = Duration::from_secs(60);
/// And for one whose deadline is further away: nobody who stands behind it may wait longer.
const PATIENCE_MAX: Duration = Duration::from_secs(600);
/// Between two calls for one request; each has its own retries already.
const AGAIN_AFTER: Duration = Duration::from_secs(5);
/// Between two calls for a request that alone is refused as if its app were stopped.
const ALONE_AGAIN_AFTER: Duration = Duration::from_secs(60);

/// Calls until there is an outcome; nothing where `cancel` came first. `last` is why the last call could not carry the
/// request out.
pub(super) async fn call_upstream(
    app: &MaterialApp,
    upstream_request: &ShareMaterialRequest,
    left: Option<Duration>,
    last: &mut Option<MaterialRefusal>,
    cancel: &CancellationToken,
) -> Option<(MaterialOutcome, Option<AnswerPermit>)> {
    let patience = left.map_or(PATIENCE, |_| PATIENCE_MAX);
    let mut unable_since: Option<Instant> = None;
    loop {
        let (result, began, permit) = match call_once(app, upstream_request, unable_since, patience, cancel).await {
            AwaitedCall::Called(made) => made,
            AwaitedCall::OutOfPatience => {
                let refusal = last.take().unwrap_or_else(|| MaterialRefusal::own("the upstream gives no answers"));
                return Some((MaterialOutcome::Failed(refusal), None));
            }
            AwaitedCall::Cancelled => return None,
        };
        match app.after(result) {
            AfterCall::Final(outcome) => return Some((outcome, Some(permit))),
            AfterCall::Again(refusal) => {
                // Counted from the first call that failed: while it waited for its permit nobody was called.
                let until = *unable_since.get_or_insert(began) + patience;
                if Instant::now() + AGAIN_AFTER > until {
                    return Some((MaterialOutcome::Failed(refusal), Some(permit)));
                }
                *last = Some(refusal);
                // There is no answer that it would be kept for, and others may call meanwhile.
                drop(permit);
                cancel.run_until_cancelled(tokio::time::sleep(AGAIN_AFTER)).await?;
            }
            AfterCall::BreakerOpen(refusal) => {
                *last = refusal;
                // It did answer; and while a breaker is open nobody calls, which must not use the patience up.
                unable_since = None;
                drop(permit);
                // Others are answered, so no breaker makes this one wait.
                if app.is_closed() {
                    cancel.run_until_cancelled(tokio::time::sleep(ALONE_AGAIN_AFTER)).await?;
                }
            }
            AfterCall::Cancelled => return None,
        }
    }
}

type MadeCall = (Result<ShareMaterial, CallError>, Instant, AnswerPermit);

/// What has come of waiting to call.
enum AwaitedCall {
    Called(MadeCall),
    /// The patience came to its end while the upstream was not called.
    OutOfPatience,
    Cancelled,
}

async fn call_once(
    app: &MaterialApp,
    upstream_request: &ShareMaterialRequest,
    unable_since: Option<Instant>,
    patience: Duration,
    cancel: &CancellationToken,
) -> AwaitedCall {
    let call = cancel.run_until_cancelled(app.call_when_ready(upstream_request, unable_since, patience, cancel));
    let made = match unable_since {
        Some(since) => tokio::time::timeout_at(since + patience, call).await,
        None => Ok(call.await),
    };
    match made {
        Ok(Some(made)) => AwaitedCall::Called(made),
        Ok(None) => AwaitedCall::Cancelled,
        Err(_) => AwaitedCall::OutOfPatience,
    }
}
