//! One poll: drives a pull, page by page into the write queue.

use tokio_util::sync::CancellationToken;

use super::due_queue::Reach;
use super::outcome::{PollError, Polled};
use super::poll_trace::PollTrace;
use crate::commit::queue::WriteSender;
use crate::model::promoter::Promoter;
use crate::model::pull::{PageRequest, Pull, PullStep, Taken};
use crate::model::scope::Scope;
use crate::upstream::client::{Client, RowsResponse};
use crate::upstream::rows_request::{RowsQuery, RowsRequest};

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
    trace: &mut PollTrace,
) -> Result<Polled, PollError> {
    // Of before the call: what the upstream comes to show after that need not be in its answer.
    let begun = client.local_now().as_seconds();
    loop {
        let request = rows_request(pull.promoter(), pull.next_request());
        trace.asks();
        let response = client.page(&request, cancel).await;
        trace.answered(response.as_ref().ok().map(|response| response.page.rows.len()));
        let RowsResponse { page, guard, clock_skew_seconds } = response?;
        pull.note_now(begun.plus(clock_skew_seconds));
        let Taken { page_facts, step } = pull.take_page(page.rows, page.total_cnt, page.start_id, client.local_now());
        // Before the step is looked at: what was read counts, though the pull may fail with this very page.
        if !page_facts.is_empty() {
            // Waits while the queue is full: so a slow log slows the polls down.
            // Nor does a cancellation end this wait: what was read is handed on, and the committer drains until the last sender
            // is gone.
            queue.send_page(page_facts, trace.told()).await?;
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

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::model::cursor::Cursor;
    use crate::model::feed::Feed;
    use crate::model::pacing::{Pacing, PollSettings};
    use crate::model::page_facts::PageFacts;
    use crate::model::row::{ReadRow, Row};
    use crate::model::time::{UnixMillis, UnixTime};

    const NOW: UnixTime = UnixTime(1_668_657_600);

    /// Some row of a pull of it.
    fn row(feed: Feed) -> ReadRow {
        let mut row = Row::sample(feed.rows(), NOW);
        if let (Feed::Refunds, Row::Order(_, payment)) = (feed, &mut row) {
            payment.status_code = 2;
        }
        ReadRow { raw: Box::default(), content: Ok(row) }
    }

    /// What a pull of it asks first, and what a page of one row then brings.
    pub(crate) fn first_page(promoter: &Promoter, feed: Feed) -> (Scope, PageFacts) {
        let every = std::time::Duration::from_secs(60);
        let settings = PollSettings { every, idle_every: every, lateness: 600 };
        let scope = Pacing::new(Cursor::begin(feed, NOW.minus(600))).scope(feed, settings, NOW);
        (scope, PageFacts::read(promoter, scope, NOW, UnixMillis(0), vec![row(feed)]))
    }

    /// Otherwise its pulls would move, and its facts would be compared with, what is known of another feed.
    #[test]
    fn every_feed_is_asked_for_and_remembered_as_itself() {
        let promoter = Promoter::from_key("wx1/o1").unwrap();
        let mut ids = HashSet::new();
        for feed in Feed::ALL {
            let (scope, page) = first_page(&promoter, feed);
            let request = rows_request(&promoter, PageRequest { scope, start_id: None });
            assert_eq!([scope.feed(), request.feed(), page.feed], [feed; 3]);
            let own: Vec<_> = page.facts.iter().filter(|observed| observed.fact.memory == feed).collect();
            assert!(!own.is_empty(), "{feed}: {:?}", page.facts);
            // Or one row would be two events of one id.
            assert!(
                own.iter().all(|observed| ids.insert(observed.fact.id)),
                "{feed} has the identities of another feed"
            );
        }
    }
}
