//! Which observed facts are one refund.
//!
//! A row of status 2 tells when its refund happened, or does not, or does so only later. One order may be refunded up to
//! fifty times, and only their times tell its refunds apart. So:
//!
//! - A refund that is shown with a time is named by that time.
//! - A refund that is shown without a time is published when it is first met, for nobody knows whether its time will
//!   ever be told. There is one of them in an order at most: a second one could not be told from the first.
//! - The first time that is new, once such a refund is known and no longer shown, is its time: the same refund, and
//!   nothing to publish. Any time after that is another refund's.
//! - A time beside a row that still has none, on one page, is another refund's: each page is a picture of one moment.
//!   It is remembered as long as it stands there, however long ago it happened: or it would be that row's time later.
//! - A row without a time, where only refunds with times are known, is one of them whose time is not shown just now. So it
//!   is remembered of an order, for as long as one is shown, that it has a refund with a time: also where that one happened
//!   too long ago to be remembered itself, and was not published.
//!
//! Where a page's end or a pause between two pulls hides which of these it is, a refund is published without its time or
//! under another one's, but as many events come out as times were told, and none comes twice.
//!
//! A refund without a time can't fall behind the cursor by its time. It is remembered from the moment at which it was
//! observed, and refreshed as long as it is shown; so are, in step with it, the marks that say what it is known by.

use std::collections::HashSet;

use super::disposition::{Disposition, Marks};
use super::fact::{FactId, RefundMark};
use super::feed::Feed;
use super::feed_state::{Dedup, FeedState};
use super::page_facts::ObservedFact;
use super::promoter::Promoter;
use super::row::Payment;
use super::state_record::Remembered;
use super::time::{UnixMillis, UnixTime};

/// What one page shows of refunds, with and without times: orders by [`RefundMark::Untimed`].
#[derive(Default)]
pub(super) struct RefundsOfPage {
    untimed: HashSet<FactId>,
    /// Only known where the page has refunds without a time.
    timed: HashSet<FactId>,
}

impl RefundsOfPage {
    pub fn of(promoter: &Promoter, facts: &[ObservedFact]) -> RefundsOfPage {
        let refunds = || facts.iter().filter(|observed| observed.fact.memory == Feed::Refunds);
        let untimed = refunds().filter(|observed| !observed.fact.has_time()).map(|observed| observed.fact.id);
        let untimed: HashSet<FactId> = untimed.collect();
        if untimed.is_empty() {
            return RefundsOfPage::default();
        }
        let timed = refunds().filter(|observed| observed.fact.has_time());
        let timed =
            timed.filter_map(|observed| Some(RefundMark::Untimed.id(promoter, observed.fact.content.payment()?)));
        RefundsOfPage { timed: timed.collect(), untimed }
    }
}

/// What becomes of a refund that a page showed, and what is to be remembered of it.
pub(super) fn dedup_refund(
    state: &FeedState,
    promoter: &Promoter,
    observed: &ObservedFact,
    page: &RefundsOfPage,
    observed_at: UnixMillis,
) -> (Disposition, Marks) {
    // Only orders are refunded.
    let Some(payment) = observed.fact.content.payment() else { return (Disposition::BehindCursor, Marks::new()) };
    let refund = Refund { state, promoter, payment, observed, observed_at };
    if observed.fact.has_time() { refund.dedup_timed(page) } else { refund.dedup_untimed(page) }
}

struct Refund<'a> {
    state: &'a FeedState,
    promoter: &'a Promoter,
    payment: &'a Payment,
    observed: &'a ObservedFact,
    observed_at: UnixMillis,
}

impl Refund<'_> {
    fn dedup_timed(&self, page: &RefundsOfPage) -> (Disposition, Marks) {
        let ObservedFact { fact, remembered } = self.observed;
        let untimed = RefundMark::Untimed.id(self.promoter, self.payment);
        // Once forgotten, it would be taken for the time of the one beside it as soon as that one is told its own.
        let beside = page.untimed.contains(&untimed).then(|| Remembered::new(fact.id, self.since()));
        let timed =
            self.marks([RefundMark::Timed]).filter(|mark| self.state.dedup(Feed::Refunds, *mark) != Dedup::Duplicate);
        if self.state.knows(fact.id) {
            let refreshed = beside.filter(|beside| self.state.dedup(Feed::Refunds, *beside) == Dedup::Refresh);
            return (Disposition::Duplicate, refreshed.into_iter().chain(timed).collect());
        }
        let cursor = self.state.cursor();
        let is_behind = self.state.leaves_alone(fact.time, *remembered);
        let own = (!is_behind).then_some(Remembered::new(fact.id, *remembered));
        let is_told = self.state.knows(untimed) && !page.untimed.contains(&untimed) && !self.knows(RefundMark::Told);
        if is_told {
            return (
                Disposition::Duplicate,
                own.into_iter().chain(self.marks([RefundMark::Timed, RefundMark::Told])).collect(),
            );
        }
        match own {
            _ if fact.time < cursor.start => (Disposition::BeforeStart, beside.into_iter().chain(timed).collect()),
            None => (Disposition::BehindCursor, beside.into_iter().chain(timed).collect()),
            own => (Disposition::Publish, own.into_iter().chain(beside).chain(timed).collect()),
        }
    }

    fn dedup_untimed(&self, page: &RefundsOfPage) -> (Disposition, Marks) {
        let [untimed, timed, told] =
            [RefundMark::Untimed, RefundMark::Timed, RefundMark::Told].map(|mark| self.knows(mark));
        let is_one_of_the_timed = timed && !page.timed.contains(&self.observed.fact.id);
        if untimed || told || is_one_of_the_timed {
            return (Disposition::Duplicate, self.refreshed());
        }
        let cursor = self.state.cursor();
        let is_history = !cursor.history_seen && self.payment.paid_time < cursor.start;
        let disposition = if is_history { Disposition::BeforeStart } else { Disposition::Publish };
        (disposition, self.marks([RefundMark::Untimed]).collect())
    }

    /// Every mark that is known, once one of them is to be refreshed: the mark that it was told its time must not be
    /// forgotten before the refund itself is.
    fn refreshed(&self) -> Marks {
        let all = [RefundMark::Untimed, RefundMark::Timed, RefundMark::Told];
        let known: Marks = self.marks(all).filter(|mark| self.state.knows(mark.id)).collect();
        let is_due = known.iter().any(|mark| self.state.dedup(Feed::Refunds, *mark) == Dedup::Refresh);
        if is_due { known } else { Marks::new() }
    }

    fn since(&self) -> UnixTime {
        self.state.remembered_since(self.observed_at)
    }

    fn knows(&self, mark: RefundMark) -> bool {
        self.state.knows(mark.id(self.promoter, self.payment))
    }

    fn marks<const N: usize>(&self, marks: [RefundMark; N]) -> impl Iterator<Item = Remembered> {
        let since = self.since();
        marks.map(|mark| Remembered::new(mark.id(self.promoter, self.payment), since)).into_iter()
    }
}
