//! One poll: drives a pull, page by page into the write queue.

use tokio_util::sync::CancellationToken;

use super::due_queue::Reach;
use crate::commit::queue::{Closed, WriteSender};
use crate::model::pacing::{Failed, PollRemedy, Pulled};
use crate::model::pages::PagesFault;
use crate::model::promoter::Promoter;
use crate::model::pull::{PageRequest, Pull, PullStep, Taken};
use crate::model::queued_write::QueuedWrite;
use crate::model::scope::Scope;
use crate::upstream::client::{Client, RowsResponse};
use crate::upstream::error::{CallError, Cause};
use crate::upstream::rows_request::{RowsQuery, RowsRequest};

/// Why a poll ended without reading its scope to the end. What it had read is in the queue all the same; the cursor
/// has not moved.
#[derive(Debug, thiserror::Error)]
pub enum PollError {
    #[error(transparent)]
    Call(#[from] CallError),
    #[error(transparent)]
    Pages(#[from] PagesFault),
    /// The session is over.
    #[error(transparent)]
    Closed(#[from] Closed),
}

/// How a poll ended that did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Polled {
    /// The scope was read to its end.
    End(Pulled),
    /// There are further pages, which it was not to read.
    GoesOn,
}

/// Asks what the pull asks, as far as it may read, until it ends or can't go on.
///
/// # Errors
///
/// [`PollError::Call`] where a page had no answer that could be used, [`PollError::Pages`] where the pages make no sense
/// together, [`PollError::Closed`] once the session is over. What was read before is in the queue all the same.
pub async fn poll(
    client: &Client,
    pull: &mut Pull,
    reach: Reach,
    queue: &WriteSender,
    cancel: &CancellationToken,
) -> Result<Polled, PollError> {
    // Of before the call: what the upstream comes to show after that need not be in its answer.
    let begun = client.local_now().as_seconds();
    loop {
        let request = rows_request(pull.promoter(), pull.next_request());
        let RowsResponse { page, guard, clock_skew_seconds, .. } = client.page(&request, cancel).await?;
        pull.note_now(begun.plus(clock_skew_seconds));
        let Taken { page_facts, step } = pull.take_page(page.rows, page.total_cnt, page.start_id, client.local_now());
        // Before the step is looked at: what was read counts, though the pull may fail with this very page.
        if !page_facts.is_empty() {
            // Waits while the queue is full: so a slow log slows the polls down.
            // Nor does a cancellation end this wait: what was read is handed on, and the committer drains until the last sender
            // is gone.
            queue.send(QueuedWrite::PageFacts(page_facts)).await?;
        }
        // The page's rows are the queue's now, which counts them itself.
        drop(guard);
        // One that may not read on yet leaves its place to others, and is taken up behind this page.
        match (step?, reach) {
            (PullStep::End(pulled), _) => return Ok(Polled::End(pulled)),
            (PullStep::GoOn, Reach::OnePage) => return Ok(Polled::GoesOn),
            (PullStep::Narrowed, _) | (PullStep::GoOn, Reach::ToTheEnd) => {}
        }
    }
}

/// What one page of a pull asks.
pub fn rows_request(promoter: &Promoter, PageRequest { scope, start_id }: PageRequest) -> RowsRequest {
    RowsRequest { promoter: promoter.clone(), query: query(scope), start_id }
}

/// Whether the bounds of a window are inclusive is not documented, so it is asked for one second more on either side.
fn query(scope: Scope) -> RowsQuery {
    match scope {
        Scope::Window { feed, begin, end } => RowsQuery::Window { feed, begin: begin.minus(1), end: end.plus(1) },
        Scope::Day { day, .. } => RowsQuery::Orders { date: Some(day) },
        Scope::History { .. } => RowsQuery::Orders { date: None },
        Scope::Refunds => RowsQuery::Refunds,
    }
}

impl PollError {
    /// What the end of `pull` tells of its request.
    pub fn failed(&self, pull: &Pull) -> Failed {
        // How long a start_id lives is not documented: the refusal of an old one says nothing about the scope.
        let remedy = if pull.is_resuming() { PollRemedy::Time } else { self.remedy() };
        Failed { scope: pull.scope(), as_of: pull.as_of(), remedy }
    }

    fn remedy(&self) -> PollRemedy {
        match self {
            PollError::Pages(_)
            | PollError::Call(CallError::RefuseRequest(_) | CallError::Unforeseen(_) | CallError::Unreadable(_)) => {
                PollRemedy::SmallerRequest
            }
            PollError::Call(CallError::Exhausted { cause: Cause { errcode: None, .. }, .. }) => PollRemedy::Doubtful,
            PollError::Call(CallError::Exhausted { .. } | CallError::TryLater(_)) => PollRemedy::Patience,
            PollError::Closed(_)
            | PollError::Call(
                CallError::ParkPromoter(_)
                | CallError::BreakerOpen { .. }
                | CallError::ClientFault(_)
                | CallError::Cancelled,
            ) => PollRemedy::Time,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::cursor::Cursor;
    use crate::model::feed::Feed;
    use crate::model::pacing::{Pacing, PollSettings};
    use crate::model::page_facts::PageFacts;
    use crate::model::pull::PullJob;
    use crate::model::row::{Payment, ReadRow, Row, RowKind, Touch};
    use crate::model::time::{UnixMillis, UnixTime};

    const NOW: UnixTime = UnixTime(1_668_657_600);

    fn pull() -> Pull {
        let job = PullJob {
            promoter: Promoter::from_key("wx1/o1").unwrap(),
            scope: Scope::Window { feed: Feed::Touches, begin: NOW.minus(600), end: NOW },
            complete_before: NOW.minus(600),
            lateness: 600,
            refunds: None,
        };
        Pull::new(job, NOW)
    }

    fn after_a_page(mut pull: Pull, start_id: &str) -> Pull {
        pull.take_page(vec![], Some(1000), Some(start_id.into()), UnixMillis(0)).step.unwrap();
        pull
    }

    #[test]
    fn a_refused_request_is_made_smaller_but_not_when_its_start_id_may_be_too_old() {
        let cause = || Cause { errcode: None, text: String::new() };
        let refused = PollError::from(CallError::Unforeseen(cause()));
        let exhausted = PollError::from(CallError::Exhausted { attempts: 8, cause: cause() });
        let pull = pull();
        assert_eq!(refused.failed(&pull).remedy, PollRemedy::SmallerRequest);
        assert_eq!(exhausted.failed(&pull).remedy, PollRemedy::Doubtful);
        let pull = after_a_page(pull, "x");
        assert_eq!(refused.failed(&pull).remedy, PollRemedy::SmallerRequest);
        let pull = pull.suspended().unwrap();
        assert_eq!(refused.failed(&pull).remedy, PollRemedy::Time);
        assert_eq!(refused.failed(&after_a_page(pull, "y")).remedy, PollRemedy::SmallerRequest);
    }

    /// Some row of a pull of it.
    fn row(feed: Feed) -> ReadRow {
        let order = |status_code| {
            let payment = Payment {
                mch_id: "m".into(),
                trade_no: "t".into(),
                out_trade_no: None,
                create_time: None,
                status_code,
                paid_amount: 1,
                paid_time: NOW,
                refunded_time: None,
            };
            Row::Order(Touch::default(), payment)
        };
        let content = match feed.rows() {
            RowKind::Touch => Row::Touch(NOW, Touch::default()),
            RowKind::Order if feed == Feed::Refunds => order(2),
            RowKind::Order => order(1),
        };
        ReadRow { raw: Box::default(), content: Ok(content) }
    }

    /// Otherwise its pulls would move, and its facts would be compared with, what is known of another feed.
    #[test]
    fn every_feed_is_asked_for_and_remembered_as_itself() {
        let every = std::time::Duration::from_secs(60);
        let settings = PollSettings { every, idle_every: every, lateness: 600 };
        let promoter = Promoter::from_key("wx1/o1").unwrap();
        for feed in Feed::ALL {
            let scope = Pacing::new(Cursor::begin(feed, NOW.minus(600))).scope(feed, settings, NOW);
            let request = rows_request(&promoter, PageRequest { scope, start_id: None });
            let page = PageFacts::read(&promoter, scope, NOW, UnixMillis(0), vec![row(feed)]);
            assert_eq!([scope.feed(), request.feed(), page.feed], [feed; 3]);
            assert!(page.facts.iter().any(|observed| observed.fact.memory == feed), "{feed}: {:?}", page.facts);
        }
    }
}
