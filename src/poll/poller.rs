//! One poll: a pull of one feed of one promoter, page by page into the intake queue.

use tokio_util::sync::CancellationToken;

use super::pages::{Next, Pages, PagesFault};
use crate::commit::queue::{Closed, IntakeSender};
use crate::domain::cursor::Cursor;
use crate::domain::harvest::{Advance, Harvest};
use crate::domain::promoter::Promoter;
use crate::domain::pull::Scope;
use crate::domain::state::Intake;
use crate::domain::time::UnixTime;
use crate::domain::turns::Pulled;
use crate::wechat::client::{Answer, Client};
use crate::wechat::error::CallError;
use crate::wechat::question::{Ask, Question};
use crate::wechat::transport::Transport;

/// What to pull.
#[derive(Clone, Debug)]
pub struct Job {
    pub promoter: Promoter,
    pub scope: Scope,
    pub cursor: Cursor,
    /// Of the scope's feed, in seconds.
    pub lateness: i64,
    /// The lateness of refunds, for a pull of orders that is all that looks after the memory of refunds.
    pub refunds_lateness: Option<i64>,
}

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

pub async fn poll<T: Transport>(
    client: &Client<T>,
    job: &Job,
    queue: &IntakeSender,
    cancel: &CancellationToken,
) -> Result<Pulled, PollError> {
    let mut pages = Pages::default();
    let mut question = Question { promoter: job.promoter.clone(), ask: ask(job.scope), start_id: None };
    // "Now" is taken before the first call is sent, and corrected once by the clock that its answer shows: what the
    // upstream makes visible from then on is left to a later pull.
    let begun = client.local_now().as_seconds();
    let mut as_of = client.now();
    let mut first = true;
    loop {
        let answer = client.page(&question, cancel).await?;
        if std::mem::take(&mut first) {
            as_of = as_of.min(begun.plus(answer.clock_skew_seconds));
        }
        let Answer { page, held, .. } = answer;
        let rows = page.rows.len();
        let mut harvest = Harvest::read(&job.promoter, job.scope, as_of, client.local_now(), page.rows);
        let next = pages.take(page.total_cnt, page.start_id, rows, harvest.row_ids());
        if let Ok(Next::End) = next {
            harvest.advance = Some(job.advance(as_of));
        }
        if rows > 0 || harvest.advance.is_some() {
            queue.send(Intake::Harvest(harvest)).await?;
        }
        drop(held);
        match next? {
            Next::Page(start_id) => question.start_id = Some(start_id),
            Next::Again => question.start_id = None,
            Next::End => return Ok(job.pulled(as_of, &pages)),
        }
    }
}

impl Job {
    fn advance(&self, as_of: UnixTime) -> Advance {
        let to = self.scope.completes(&self.cursor, self.lateness, as_of);
        let refunds_to = self.refunds_lateness.map(|lateness| Scope::completes_refunds(to, lateness, as_of));
        Advance { from: self.cursor.complete_before, to, refunds_to }
    }

    fn pulled(&self, as_of: UnixTime, pages: &Pages) -> Pulled {
        Pulled {
            scope: self.scope,
            reached: self.scope.completes(&self.cursor, self.lateness, as_of),
            as_of,
            pages: pages.pages(),
            rows: pages.rows(),
            digest: pages.digest(),
        }
    }
}

/// Whether the bounds of a window are inclusive is not documented, so it is asked for one second more on either side.
fn ask(scope: Scope) -> Ask {
    match scope {
        Scope::Touches { begin, end } => Ask::Touches { begin: begin.minus(1), end: end.plus(1) },
        Scope::Day(day) => Ask::Orders { date: Some(day) },
        Scope::History { .. } => Ask::Orders { date: None },
        Scope::Refunds => Ask::Refunds,
    }
}
