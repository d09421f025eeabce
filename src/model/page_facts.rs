//! What one page brought.

use super::dead_letter::DeadLetter;
use super::fact::{Fact, FactContent, FactId, OrderStatus, dead_row_id};
use super::feed::Feed;
use super::promoter::Promoter;
use super::row::{Payment, ReadRow, Row, Touch};
use super::scope::Scope;
use super::time::{Day, UnixMillis, UnixTime};

/// A fact that a page showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObservedFact {
    pub fact: Fact,
    /// The time under which it is remembered, and by which it is forgotten once the cursor has passed it: the fact's
    /// own; for a payment the Beijing midnight that ends the last day under which the upstream may list it; for a
    /// refund that has no time the moment at which it was observed.
    pub remembered: UnixTime,
}

/// A row that could not be read. Dead letters are remembered like facts, or each pull would send it again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadRow {
    pub id: FactId,
    pub remembered: UnixTime,
    pub letter: DeadLetter,
}

/// The cursor's move that the last page of a pull brings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Advance {
    /// The cursor on which the pull was built.
    pub from: UnixTime,
    pub to: UnixTime,
    /// What it means to the memory of refunds, when this pull of orders is all that looks after it.
    pub refunds: Option<RefundsMet>,
}

/// What the end of a pull of orders means to the memory of the refunds that it meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RefundsMet {
    /// Where the memory ends now.
    pub to: UnixTime,
    /// Whether all open days have been read: a refund without a time that is met from now on is no history.
    pub ends_history: bool,
}

/// What one page of a pull brought: its facts, the rows that can't be read, and on the last page the cursor's advance. All of
/// it goes into one transaction, or none of it. The pages of a pull come to the committer in their order, or not at all, so
/// the advance never comes without the facts that stand before it.
///
/// Of at most [`PAGE_ROWS`](super::pages::PAGE_ROWS) rows, as far as the upstream keeps to that; in bytes `http.response_max`
/// bounds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageFacts {
    pub promoter: Promoter,
    pub feed: Feed,
    pub facts: Vec<ObservedFact>,
    pub dead_rows: Vec<DeadRow>,
    /// When its answer was read, by this host's clock.
    pub observed_at: UnixMillis,
    /// When the same was read to its end before, as far as that is known: what is new on this page was not shown then, though it
    /// may have happened before.
    pub asked_before: Option<UnixTime>,
    /// Where the cursor stands once its pull has been read to its end; at the beginning of time where it does not move.
    pub heads_for: UnixTime,
    /// Only on the last page of a pull.
    pub advance: Option<Advance>,
}

impl PageFacts {
    /// Turns the rows of one page into facts, ordered by their time. `as_of` is the "now" of the pull.
    pub fn read(
        promoter: &Promoter,
        scope: Scope,
        as_of: UnixTime,
        observed_at: UnixMillis,
        rows: Vec<ReadRow>,
    ) -> PageFacts {
        let mut page_facts = PageFacts {
            promoter: promoter.clone(),
            feed: scope.feed(),
            facts: Vec::with_capacity(rows.len()),
            dead_rows: Vec::new(),
            observed_at,
            asked_before: None,
            heads_for: UnixTime(i64::MIN),
            advance: None,
        };
        for ReadRow { raw, content } in rows {
            match content {
                Ok(Row::Touch(create_time, touch)) => {
                    page_facts.see(scope, Fact::touch(promoter, create_time, touch, raw));
                }
                Ok(Row::Order(touch, payment)) => page_facts.read_order(scope, touch, payment, raw),
                Err(fault) => page_facts.dead_rows.push(DeadRow {
                    id: dead_row_id(promoter, &raw),
                    remembered: dead_row_time(scope, as_of),
                    letter: DeadLetter::of_row(
                        scope.feed(),
                        promoter.clone(),
                        fault.reason,
                        fault.detail,
                        raw,
                        observed_at,
                    ),
                }),
            }
        }
        // By positions first: an observed fact is too large to be moved more than once.
        page_facts.facts.sort_by_cached_key(|observed| (observed.fact.time, is_refund(&observed.fact.content)));
        page_facts
    }

    /// A pull of refunds gives no payments: it sees a year of history, whose payments are long forgotten. A row of it whose
    /// status is neither that of a payment nor that of a refund is told as it is: it has been asked for as a refund, but
    /// nobody knows that it is one.
    fn read_order(&mut self, scope: Scope, touch: Touch, payment: Payment, raw: Box<[u8]>) {
        let promoter = self.promoter.clone();
        match (payment.status_code, self.feed) {
            (2, Feed::Refunds) => self.see(scope, self.refunded(touch, payment, raw)),
            (1, Feed::Refunds) => {}
            (1, _) => self.see(scope, Fact::paid(&promoter, touch, payment, raw)),
            (2, _) => {
                self.see(scope, Fact::paid(&promoter, touch.clone(), payment.clone(), raw.clone()));
                self.see(scope, self.refunded(touch, payment, raw));
            }
            (_, _) => self.see(scope, Fact::unknown(&promoter, touch, payment, raw)),
        }
    }

    /// A refund without its time happened, for all that is known, when it was observed.
    fn refunded(&self, touch: Touch, payment: Payment, raw: Box<[u8]>) -> Fact {
        let fact = Fact::refunded(&self.promoter, touch, payment, raw);
        if fact.has_time() { fact } else { Fact { time: self.observed_at.as_seconds(), ..fact } }
    }

    fn see(&mut self, scope: Scope, fact: Fact) {
        self.facts.push(ObservedFact { remembered: remembered_time(scope, &fact), fact });
    }

    /// Whether it tells the committer anything.
    pub fn is_empty(&self) -> bool {
        self.facts.is_empty() && self.dead_rows.is_empty() && self.advance.is_none()
    }

    /// About how many bytes of memory they hold.
    pub(crate) fn weight(&self) -> usize {
        let facts: usize = self.facts.iter().map(|observed| fact_weight(&observed.fact)).sum();
        let dead: usize = self.dead_rows.iter().map(|row| 256 + row.letter.raw.len()).sum();
        256 + facts + dead
    }
}

/// About how many bytes of memory a fact holds: its text stands in the raw row and again in the fields.
pub(crate) fn fact_weight(fact: &Fact) -> usize {
    size_of::<ObservedFact>() + 2 * fact.raw.len()
}

/// Of one time the payment comes before the refund.
fn is_refund(content: &FactContent) -> bool {
    matches!(content.order(), Some((OrderStatus::Refunded, _)))
}

/// How long a fact is remembered, and how long it is met.
///
/// An order paid on day `b`, Beijing's, is listed under `b`, the day before (if the upstream's days are UTC's) or the day
/// after; under two of them, perhaps. A dated pull is made as long as its day is open. So an order is remembered until
/// the day after the last of these has closed: the same by whichever of them it is met, or the memory would forget what
/// an undated pull, which does not tell the date, still shows as new. Another date counts as itself.
fn remembered_time(scope: Scope, fact: &Fact) -> UnixTime {
    match (scope, fact.memory) {
        (Scope::Day { day, .. }, Feed::Orders) => day.beijing_end().max(listed_until(fact.time)),
        (Scope::History { .. } | Scope::Refunds, Feed::Orders) => listed_until(fact.time),
        _ => fact.time,
    }
}

/// The end of the last day under which an order that was paid then may be listed, where no later one has listed it.
pub(super) fn listed_until(paid: UnixTime) -> UnixTime {
    Day::in_beijing(paid).next().beijing_end()
}

/// The true time of an unreadable row is unknown; it lies in the scope, whose end is thus late enough. As a payment, an
/// order may be listed under the day after, too.
fn dead_row_time(scope: Scope, as_of: UnixTime) -> UnixTime {
    match scope {
        Scope::Window { end, .. } => end,
        Scope::Day { day, .. } => day.next().beijing_start(),
        Scope::History { .. } => Day::in_beijing(as_of).next().beijing_start(),
        Scope::Refunds => as_of,
    }
}
