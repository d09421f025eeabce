//! Orders in a status that is not documented, which pulls of orders and of refunds may both show: one event, by whichever
//! shows it first.
//!
//! A pull of orders takes such a row as it takes a payment, by the day of its payment. A pull of refunds shows it as long as
//! the upstream does, however long ago the payment was. So there it is remembered as a refund without its time is, from the
//! moment at which it was observed on, and renewed while it is shown; and of what the first pull shows the payment says
//! whether it is history. Each of the two remembers it itself, since they forget at different times, and asks the other.
//!
//! Where orders have passed its day they may have told it and forgotten that. Then refunds leave it alone.

use smallvec::smallvec;

use super::fact::{Content, Fact, OrderStatus};
use super::feed::Feed;
use super::feed_state::{FeedState, Meeting};
use super::harvest::Sighting;
use super::state::{Marks, Verdict, meet_fact};
use super::state_record::Remembered;
use super::time::UnixMillis;

pub(super) fn is_unknown(fact: &Fact) -> bool {
    matches!(fact.content, Content::Order { status: OrderStatus::Unknown, .. })
}

/// What becomes of such an order, and what the memory of `feed`, whose pull has shown it, is to hold of it.
pub(super) fn meet_unknown(
    feeds: &[Option<FeedState>; 3],
    feed: Feed,
    sighting: &Sighting,
    observed_at: UnixMillis,
) -> (Verdict, Marks) {
    let Some(state) = &feeds[feed as usize] else { return (Verdict::Behind, Marks::new()) };
    let (verdict, marks) = match feed {
        Feed::Refunds => meet_among_refunds(state, feeds[Feed::Orders as usize].as_ref(), sighting, observed_at),
        Feed::Touches | Feed::Orders => meet_fact(state, sighting),
    };
    match verdict {
        Verdict::Publish if feeds.iter().flatten().any(|state| state.knows(sighting.fact.id)) => {
            (Verdict::Known, marks)
        }
        verdict => (verdict, marks),
    }
}

fn meet_among_refunds(
    refunds: &FeedState,
    orders: Option<&FeedState>,
    sighting: &Sighting,
    observed_at: UnixMillis,
) -> (Verdict, Marks) {
    let cursor = refunds.cursor();
    // Never behind the cursor, where it would be forgotten at once: the clock of this host may have been set back.
    let since = observed_at.as_seconds().max(cursor.complete_before);
    let mark = Remembered::new(sighting.fact.id, since);
    match refunds.meet(Feed::Refunds, mark) {
        Meeting::Known => (Verdict::Known, Marks::new()),
        Meeting::Renew => (Verdict::Known, smallvec![mark]),
        Meeting::New if !cursor.history_seen && sighting.fact.time < cursor.start => {
            (Verdict::BeforeStart, smallvec![mark])
        }
        Meeting::New if orders.is_some_and(|orders| may_have_told(orders, sighting)) => {
            (Verdict::Behind, smallvec![mark])
        }
        Meeting::New => (Verdict::Publish, smallvec![mark]),
    }
}

fn may_have_told(orders: &FeedState, Sighting { fact, remembered }: &Sighting) -> bool {
    let cursor = orders.cursor();
    fact.time >= cursor.start && *remembered < cursor.complete_before
}
