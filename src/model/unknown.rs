//! Orders in a status that is not documented, which pulls of orders and of refunds may both show: one event, by whichever
//! shows it first.
//!
//! A pull of orders takes such a row as it takes a payment, by the day of its payment. A pull of refunds shows it as long as
//! the upstream does, however long ago the payment was. So there it is remembered as a refund without its time is, from the
//! moment at which it was observed on, and refreshed while it is shown; and of what the first pull shows the payment says
//! whether it is history. Each of the two remembers it itself, since they forget at different times, and asks the other.
//!
//! Where orders have passed its day they may have told it and forgotten that. Then refunds leave it alone.

use smallvec::smallvec;

use super::disposition::{Disposition, Marks, dedup_fact};
use super::fact::{Fact, OrderStatus};
use super::feed::{Feed, PulledBy};
use super::feed_state::{Dedup, FeedState};
use super::known_promoters::FeedStates;
use super::page_facts::ObservedFact;
use super::state_record::Remembered;
use super::time::UnixMillis;

pub(super) fn is_unknown(fact: &Fact) -> bool {
    matches!(fact.content.order(), Some((OrderStatus::Unknown, _)))
}

/// What becomes of such an order, and what the memory of `feed`, whose pull has shown it, is to hold of it.
pub(super) fn dedup_unknown(
    feeds: &FeedStates,
    feed: Feed,
    observed: &ObservedFact,
    observed_at: UnixMillis,
) -> (Disposition, Marks) {
    let Some(state) = &feeds[feed] else { return (Disposition::BehindCursor, Marks::new()) };
    let (disposition, marks) = match feed.pulled_by() {
        PulledBy::Promoter => dedup_among_refunds(state, feeds.orders.as_ref(), observed, observed_at),
        PulledBy::Window | PulledBy::Day => dedup_fact(state, observed),
    };
    match disposition {
        Disposition::Publish if feeds.values().flatten().any(|state| state.knows(observed.fact.id)) => {
            (Disposition::Duplicate, marks)
        }
        disposition => (disposition, marks),
    }
}

fn dedup_among_refunds(
    refunds: &FeedState,
    orders: Option<&FeedState>,
    observed: &ObservedFact,
    observed_at: UnixMillis,
) -> (Disposition, Marks) {
    let cursor = refunds.cursor();
    let mark = Remembered::new(observed.fact.id, refunds.remembered_since(observed_at));
    match refunds.dedup(Feed::Refunds, mark) {
        Dedup::Duplicate => (Disposition::Duplicate, Marks::new()),
        Dedup::Refresh => (Disposition::Duplicate, smallvec![mark]),
        Dedup::New if !cursor.history_seen && observed.fact.time < cursor.start => {
            (Disposition::BeforeStart, smallvec![mark])
        }
        Dedup::New if orders.is_some_and(|orders| may_have_told(orders, observed)) => {
            (Disposition::BehindCursor, smallvec![mark])
        }
        Dedup::New => (Disposition::Publish, smallvec![mark]),
    }
}

fn may_have_told(orders: &FeedState, ObservedFact { fact, remembered }: &ObservedFact) -> bool {
    let cursor = orders.cursor();
    fact.time >= cursor.start && orders.leaves_alone(fact.time, *remembered)
}
