//! One pull: from the first request of a scope to the cursor's advance, as a machine without I/O.
//!
//! Whoever drives it asks what [`Pull::next_request`] says, gives each answer to [`Pull::take_page`], and hands the
//! page's facts on before it asks again. Between two pages a pull may lie still for any time (its breaker is open, say) and
//! go on behind its last page: what holds for rows that move between two pages ([`super::pages`]) does not depend on
//! how much time passes there, and `as_of` stays that of the first call.

use super::fact::{OrderStatus, RefundMark};
use super::pacing::Pulled;
use super::page_facts::{Advance, ObservedFact, PageFacts, RefundsMet};
use super::pages::{AfterPage, Names, PageHead, Pages, PagesFault, RowOnPage, is_whole};
use super::promoter::Promoter;
use super::row::ReadRow;
use super::scope::{Completion, Scope};
use super::scope_bound::{HistoryBound, ReadPart, ScopeBound, WindowBound};
use super::time::{Day, UnixMillis, UnixTime};

/// What to pull.
#[derive(Clone, Debug)]
pub struct PullJob {
    pub promoter: Promoter,
    pub scope: Scope,
    /// Where the cursor of the scope's feed stands.
    pub complete_before: UnixTime,
    /// Of the scope's feed, in seconds.
    pub lateness: i64,
    /// For a pull of orders that is all that looks after the memory of refunds.
    pub refunds: Option<RefundsJob>,
}

/// How a pull of orders looks after the memory of the refunds that it meets.
#[derive(Clone, Copy, Debug)]
pub struct RefundsJob {
    /// Of refunds, in seconds.
    pub lateness: i64,
    /// Whether no open day but what it reads itself is unread.
    pub ends_history: bool,
}

/// One page to be asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageRequest {
    pub scope: Scope,
    /// None for the first page.
    pub start_id: Option<String>,
}

/// A pull under way. It holds 64 bits of each row that it has read, [`PAGES_MAX`](super::pages::PAGES_MAX) pages at most, and
/// no row itself.
#[derive(Debug)]
pub struct Pull {
    job: PullJob,
    as_of: UnixTime,
    asked_before: Option<UnixTime>,
    /// Until the first page is read.
    window_bound: Option<WindowBound>,
    history_bound: Option<HistoryBound>,
    /// Pages of which nothing was taken.
    given_up: u32,
    pages: Pages,
    start_id: Option<String>,
    /// Whether a page was taken since it began or was taken up again.
    got_ahead: bool,
    resumed: bool,
}

/// What a page brought, and how the pull stands now.
#[derive(Debug)]
pub struct Taken {
    /// To be handed on whatever `step` is: what was read counts, though the cursor stays.
    pub page_facts: PageFacts,
    pub step: Result<PullStep, PagesFault>,
}

/// What comes after a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PullStep {
    /// Ask the next request.
    GoOn,
    /// Ask the next request, which is for less, in the place of this one.
    Narrowed,
    /// The scope was read to its end.
    End(Pulled),
}

impl Pull {
    /// `as_of` is "now" before the first call is sent.
    pub fn new(job: PullJob, as_of: UnixTime) -> Pull {
        Pull {
            job,
            as_of,
            asked_before: None,
            window_bound: None,
            history_bound: None,
            given_up: 0,
            pages: Pages::default(),
            start_id: None,
            got_ahead: false,
            resumed: false,
        }
    }

    /// Its scope reaches beyond a bound that it has to keep to.
    pub fn bounded_by(self, bound: Option<ScopeBound>) -> Pull {
        match bound {
            Some(ScopeBound::Window(bound)) => Pull { window_bound: Some(bound), ..self },
            Some(ScopeBound::Orders(bound)) => Pull { history_bound: Some(bound), ..self },
            None => self,
        }
    }

    /// The same was read to its end before, at that time.
    pub fn asked_before(self, asked_before: Option<UnixTime>) -> Pull {
        Pull { asked_before, ..self }
    }

    /// Corrects "now" by the clock that the first answer shows: what the upstream makes visible after `as_of` is left to
    /// a later pull. Later answers change nothing.
    pub(crate) fn note_now(&mut self, as_of: UnixTime) {
        if self.pages.pages() == 0 {
            self.as_of = self.as_of.min(as_of);
        }
    }

    pub fn next_request(&self) -> PageRequest {
        PageRequest { scope: self.job.scope, start_id: self.start_id.clone() }
    }

    /// Takes the answer to the request. `total_cnt` and `start_id` are the upstream's words.
    pub fn take_page(
        &mut self,
        mut rows: Vec<ReadRow>,
        total_cnt: Option<i64>,
        start_id: Option<String>,
        observed_at: UnixMillis,
    ) -> Taken {
        // Before this page counts, with which the pull has got ahead.
        let proves_no_end = self.is_resuming() && rows.is_empty();
        self.got_ahead = true;
        let head = PageHead { total_cnt, start_id, count: rows.len() };
        if let Some(bound) = self.window_bound.take() {
            match bound.part(self.job.scope, rows, is_whole(&head)) {
                Some(ReadPart { scope, rows: taken }) => {
                    self.shorten(scope);
                    rows = taken;
                }
                None => return self.narrow(bound.less, observed_at),
            }
        }
        let mut page_facts = PageFacts::read(&self.job.promoter, self.job.scope, self.as_of, observed_at, rows);
        page_facts.asked_before = self.asked_before;
        let completion = self.job.scope.completes(self.job.complete_before, self.job.lateness, self.as_of);
        // Before the cut: whether rows move is told by those that are left out, too.
        let after_page = self.pages.take(head, rows_of(&self.job, &page_facts, completion), completion.settles);
        page_facts.heads_for = self.cut(&mut page_facts).unwrap_or(completion.reached);
        let step = match after_page {
            Ok(AfterPage::Page(start_id)) => {
                self.start_id = Some(start_id);
                Ok(PullStep::GoOn)
            }
            Ok(AfterPage::Again) => {
                self.start_id = None;
                Ok(PullStep::GoOn)
            }
            Ok(AfterPage::End) if proves_no_end => {
                self.begin_again();
                Ok(PullStep::GoOn)
            }
            Ok(AfterPage::End) => {
                let completion = self.shortened(completion);
                page_facts.advance = Some(self.advance(completion.reached));
                Ok(PullStep::End(self.pulled(completion)))
            }
            Err(fault) => Err(fault),
        };
        Taken { page_facts, step }
    }

    /// Leaves out what lies behind the bound of a pull of all orders. Tells where its cursor stands at the end at least: what
    /// further pages show can't lead it back behind that.
    fn cut(&mut self, page_facts: &mut PageFacts) -> Option<UnixTime> {
        let bound = self.history_bound.as_mut()?;
        bound.cut(page_facts);
        Some(bound.least(self.job.scope).completes(self.job.complete_before, self.job.lateness, self.as_of).reached)
    }

    /// What the end completes, where some of it was left out.
    fn shortened(&mut self, completion: Completion) -> Completion {
        let Some(bound) = self.history_bound else { return completion };
        self.shorten(bound.read(self.job.scope));
        self.job.scope.completes(self.job.complete_before, self.job.lateness, self.as_of)
    }

    fn narrow(&mut self, less: Scope, observed_at: UnixMillis) -> Taken {
        self.given_up += 1;
        self.shorten(less);
        let page_facts = PageFacts::read(&self.job.promoter, less, self.as_of, observed_at, Vec::new());
        Taken { page_facts, step: Ok(PullStep::Narrowed) }
    }

    /// Whatever was left out of the scope is as good as not asked for.
    fn shorten(&mut self, scope: Scope) {
        if let Some(refunds) = self.job.refunds.as_mut().filter(|_| scope != self.job.scope) {
            refunds.ends_history = false;
        }
        self.job.scope = scope;
    }

    /// How long a `start_id` lives is not documented, so nothing behind one that has waited may be the end of the pages, or
    /// what is said of one that is too old. Only a reading in one go tells; `as_of` stays, which is the earlier one.
    fn begin_again(&mut self) {
        self.pages = Pages::default();
        self.start_id = None;
    }

    fn advance(&self, to: UnixTime) -> Advance {
        let met = |RefundsJob { lateness, ends_history }| RefundsMet {
            to: Scope::completes_refunds(to, lateness, self.as_of),
            ends_history,
        };
        Advance { from: self.job.complete_before, to, refunds: self.job.refunds.map(met) }
    }

    fn pulled(&self, completion: Completion) -> Pulled {
        Pulled {
            scope: self.job.scope,
            completion,
            as_of: self.as_of,
            pages: self.pages.pages(),
            rows: self.pages.rows(),
            shown: self.pages.shown(),
            kept: self.pages.kept(),
        }
    }

    pub fn promoter(&self) -> &Promoter {
        &self.job.promoter
    }

    pub fn scope(&self) -> Scope {
        self.job.scope
    }

    /// How many pages were read, those of which nothing was taken included.
    pub fn pages(&self) -> u32 {
        self.given_up + self.pages.pages()
    }

    pub fn as_of(&self) -> UnixTime {
        self.as_of
    }

    /// Whether the page that is asked for next follows one that was taken before an interruption. How long a `start_id`
    /// lives is not documented, so its refusal says nothing about the scope.
    pub(crate) fn is_resuming(&self) -> bool {
        self.resumed && !self.got_ahead
    }

    /// The pull as it can be taken up again, where pages were read.
    pub fn suspended(mut self) -> Option<Pull> {
        self.got_ahead = false;
        self.resumed = true;
        self.start_id.is_some().then_some(self)
    }

    /// As [`Pull::suspended`], where the page that was asked for may be what stopped it: it must have got ahead since it was
    /// taken up.
    pub(crate) fn interrupted(self) -> Option<Pull> {
        if self.got_ahead { self.suspended() } else { None }
    }
}

fn rows_of(
    job: &PullJob,
    page_facts: &PageFacts,
    Completion { reached, settles }: Completion,
) -> impl Iterator<Item = RowOnPage> {
    let passed = move |observed: &ObservedFact| settles && is_passed(job.scope, observed, reached);
    let facts = page_facts.facts.iter().map(move |observed| RowOnPage {
        id: observed.fact.id,
        passed: passed(observed),
        names: names(job, observed),
    });
    // The time of an unreadable row is unknown.
    let dead_rows = page_facts.dead_rows.iter().map(move |row| RowOnPage { id: row.id, passed: settles, names: None });
    facts.chain(dead_rows)
}

/// A refund may be told its time between two pages, or show it no more. (In a pull of orders its payment shows that a row has
/// moved.)
fn names(job: &PullJob, ObservedFact { fact, .. }: &ObservedFact) -> Option<Names> {
    let (status, payment) = fact.content.order()?;
    if job.scope != Scope::Refunds || status != OrderStatus::Refunded {
        return None;
    }
    let [untimed, timed] = [RefundMark::Untimed, RefundMark::Timed].map(|mark| mark.id(&job.promoter, payment));
    Some(if fact.has_time() { Names { was: untimed, left: Some(timed) } } else { Names { was: timed, left: None } })
}

/// Whether a fact that the scope shows is passed by what its end completes; `reached` is where the cursor stands then.
fn is_passed(scope: Scope, ObservedFact { fact, remembered }: &ObservedFact, reached: UnixTime) -> bool {
    match (scope, fact.content.order()) {
        // It is shown as long as it is known, and told by whichever pull shows it first.
        (Scope::Refunds, Some((OrderStatus::Unknown, _))) => false,
        (Scope::Window { .. } | Scope::Refunds, _) => *remembered < reached,
        // It is listed under the day of its payment, of which UTC's is never the later one.
        (Scope::History { .. }, Some((_, payment))) => Day::in_utc(payment.paid_time).beijing_start() < reached,
        (Scope::Day { .. } | Scope::History { .. }, _) => true,
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::model::feed::Feed;

    const NOW: UnixTime = UnixTime(1_668_657_600);

    /// Of a window of touches.
    pub(crate) fn pull() -> Pull {
        let job = PullJob {
            promoter: Promoter::from_key("wx1/o1").unwrap(),
            scope: Scope::Window { feed: Feed::Touches, begin: NOW.minus(6000), end: NOW },
            complete_before: NOW.minus(6000),
            lateness: 600,
            refunds: None,
        };
        Pull::new(job, NOW)
    }

    fn take(pull: &mut Pull, start_id: Option<&str>) -> Taken {
        pull.take_page(vec![], start_id.map(|_| 1000), start_id.map(str::to_owned), UnixMillis(0))
    }

    #[test]
    fn only_the_last_page_advances_by_the_clock_of_the_first_answer() {
        let mut pull = pull();
        pull.note_now(NOW.minus(10));
        assert_eq!(take(&mut pull, Some("x")).page_facts.advance, None);
        pull.note_now(NOW.minus(100));
        let advance = take(&mut pull, None).page_facts.advance.unwrap();
        assert_eq!((advance.from, advance.to), (NOW.minus(6000), NOW.minus(610)));
    }

    #[test]
    fn a_held_pull_goes_on_behind_its_last_page_however_often_it_is_held() {
        assert!(pull().suspended().is_none(), "no page was read");
        let mut pull = pull();
        take(&mut pull, Some("x")).step.unwrap();
        let pull = pull.suspended().unwrap().suspended().unwrap();
        assert_eq!(pull.next_request().start_id.as_deref(), Some("x"));
        assert!(pull.is_resuming());
    }

    #[test]
    fn nothing_behind_a_start_id_that_has_waited_is_not_the_end() {
        let mut pull = pull();
        pull.note_now(NOW.minus(10));
        take(&mut pull, Some("x")).step.unwrap();
        let mut pull = pull.suspended().unwrap();
        let taken = take(&mut pull, None);
        assert_eq!((taken.step, taken.page_facts.advance), (Ok(PullStep::GoOn), None));
        assert_eq!(pull.next_request().start_id, None, "it is asked for from the beginning");
        take(&mut pull, Some("x")).step.unwrap();
        let advance = take(&mut pull, None).page_facts.advance.unwrap();
        assert_eq!(advance.to, NOW.minus(610), "in one go it is the end");
    }

    #[test]
    fn a_pull_that_is_stopped_where_it_was_taken_up_begins_again() {
        let mut pull = pull();
        take(&mut pull, Some("x")).step.unwrap();
        let mut pull = pull.interrupted().unwrap();
        take(&mut pull, Some("y")).step.unwrap();
        assert!(!pull.is_resuming());
        assert!(pull.interrupted().unwrap().interrupted().is_none());
    }
}
