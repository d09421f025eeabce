//! What a poll notes for its trace; nothing, at no cost, where no traces are wanted.
//!
//! Whether it is told is decided once, as late as can be: when a page has rows, for what becomes of these is told with it; else at the end,
//! if it has failed. Most polls of most promoters bring nothing, and none of these is told.
//!
//! No text of the upstream is told, nor what a row holds: a promoter, numbers, and words of this program.

use tokio::time::Instant;

use super::outcome::{PollEnd, PollError, Polled};
use crate::model::feed::Feed;
use crate::model::promoter::Promoter;
use crate::telemetry::traces::{Occasion, Span, SpanClock, SpanContext, SpanName, TracedPoll, Traces, traces};

/// Pages of a poll that have spans; all are counted.
const PAGES_MAX: usize = 32;

/// Of one poll.
pub struct PollTrace(Option<Box<Recording>>);

struct Recording {
    traces: &'static Traces,
    promoter: Promoter,
    feed: Feed,
    clock: SpanClock,
    decision: Decision,
    /// When the page was asked for that has no answer yet.
    asked: Option<Instant>,
    pages: Vec<AskedPage>,
    pages_asked: u64,
    rows: u64,
}

/// Whether it is told.
enum Decision {
    /// There was nothing to tell so far.
    Open,
    Told(TracedPoll),
    /// Too many others are.
    LeftOut,
}

struct AskedPage {
    asked: Instant,
    answered: Instant,
    /// Absent where it had no answer.
    rows: Option<usize>,
}

impl PollTrace {
    pub fn begin(promoter: &Promoter, feed: Feed) -> PollTrace {
        PollTrace::of(traces(), promoter, feed)
    }

    fn of(traces: Option<&'static Traces>, promoter: &Promoter, feed: Feed) -> PollTrace {
        PollTrace(traces.map(|traces| {
            Box::new(Recording {
                traces,
                promoter: promoter.clone(),
                feed,
                clock: SpanClock::start(),
                decision: Decision::Open,
                asked: None,
                pages: Vec::new(),
                pages_asked: 0,
                rows: 0,
            })
        }))
    }

    /// A page is asked for: what follows is its time, and so are waits for the budget, a token and the next try.
    pub fn asks(&mut self) {
        if let Some(recording) = &mut self.0 {
            recording.asked = Some(Instant::now());
        }
    }

    /// The page has so many `rows`; nothing where it had no answer.
    pub fn answered(&mut self, rows: Option<usize>) {
        if let Some(recording) = &mut self.0 {
            recording.answered(rows);
        }
    }

    /// For what becomes of a page.
    pub fn told(&self) -> Option<TracedPoll> {
        match self.0.as_ref()?.decision {
            Decision::Told(poll) => Some(poll),
            Decision::Open | Decision::LeftOut => None,
        }
    }

    pub fn end(self, result: &Result<Polled, PollError>) {
        if let Some(recording) = self.0 {
            recording.end(result);
        }
    }
}

impl Recording {
    fn answered(&mut self, rows: Option<usize>) {
        let Some(asked) = self.asked.take() else { return };
        self.pages_asked += 1;
        self.rows += rows.unwrap_or_default() as u64;
        if self.pages.len() < PAGES_MAX {
            self.pages.push(AskedPage { asked, answered: Instant::now(), rows });
        }
        if rows.is_some_and(|rows| rows > 0) {
            self.decide(Occasion::Rows);
        }
    }

    fn decide(&mut self, occasion: Occasion) {
        if matches!(self.decision, Decision::Open) {
            self.decision = self.traces.admit(occasion).map_or(Decision::LeftOut, Decision::Told);
        }
    }

    fn end(mut self, result: &Result<Polled, PollError>) {
        let ended = Instant::now();
        let failure = result.as_ref().err().and_then(PollError::cause);
        if failure.is_some() {
            // One that was left out for its rows is another matter than one that has failed.
            self.decision = match self.decision {
                Decision::LeftOut => Decision::Open,
                decision => decision,
            };
            self.decide(Occasion::Failure);
        }
        let Decision::Told(TracedPoll { context, .. }) = self.decision else { return };
        for (page, number) in self.pages.iter().zip(1_u64..) {
            self.traces.put(self.page_span(context, page, number, failure));
        }
        let mut fields = vec![
            ("app", self.promoter.app_id().into()),
            ("promoter", self.promoter.promoter_id().into()),
            ("feed", self.feed.name().into()),
            ("outcome", outcome(result).into()),
            ("pages", self.pages_asked.into()),
            ("rows", self.rows.into()),
        ];
        fields.extend(result.as_ref().err().and_then(PollError::errcode).map(|errcode| ("errcode", errcode.into())));
        let (began, ended) = (self.clock.began(), self.clock.time(ended));
        self.traces.put(Span { context, parent: None, name: SpanName::Poll, began, ended, fields, failure });
    }

    /// Only the last page can be without an answer, and then that is what the poll has failed of.
    fn page_span(&self, poll: SpanContext, page: &AskedPage, number: u64, failure: Option<&'static str>) -> Span {
        let mut fields = vec![("interface", self.feed.interface().name().into()), ("page", number.into())];
        fields.extend(page.rows.map(|rows| ("rows", rows.into())));
        Span {
            context: poll.beside(),
            parent: Some(poll.span),
            name: SpanName::Page,
            began: self.clock.time(page.asked),
            ended: self.clock.time(page.answered),
            fields,
            failure: failure.filter(|_| page.rows.is_none()),
        }
    }
}

fn outcome(result: &Result<Polled, PollError>) -> &'static str {
    match result {
        Ok(Polled::End(_)) => PollEnd::Complete.name(),
        Ok(Polled::GoesOn) => "goes_on",
        Err(error) => PollEnd::of(error).map_or("cancelled", PollEnd::name),
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc::Receiver;

    use super::*;
    use crate::model::pages::PagesFault;
    use crate::telemetry::traces::Value;
    use crate::upstream::error::{CallError, Cause};

    fn promoter() -> Promoter {
        Promoter::from_key("wx1/o1").unwrap()
    }

    fn page(trace: &mut PollTrace, rows: Option<usize>) {
        trace.asks();
        trace.answered(rows);
    }

    fn refused() -> Result<Polled, PollError> {
        let cause = Cause { errcode: Some(103001), text: "openid oUser access_token=secret".into() };
        Err(CallError::RefuseRequest(cause).into())
    }

    fn spans(queue: &mut Receiver<Span>) -> Vec<Span> {
        std::iter::from_fn(|| queue.try_recv().ok()).collect()
    }

    fn field<'a>(span: &'a Span, name: &str) -> &'a Value {
        &span.fields.iter().find(|(key, _)| *key == name).unwrap_or_else(|| panic!("{name}: {span:?}")).1
    }

    #[tokio::test(start_paused = true)]
    async fn a_poll_that_has_brought_rows_is_told_with_its_pages_below_it() {
        let (traces, mut queue) = Traces::captured();
        let mut trace = PollTrace::of(Some(traces), &promoter(), Feed::Orders);
        page(&mut trace, Some(0));
        assert!(trace.told().is_none(), "so far it has brought nothing");
        page(&mut trace, Some(3));
        let context = trace.told().unwrap().context;
        trace.end(&Ok(Polled::GoesOn));
        let spans = spans(&mut queue);
        let [first, second, poll] = &spans[..] else { panic!("{spans:?}") };
        assert_eq!((poll.context, poll.parent, poll.failure), (context, None, None));
        for (key, value) in [("app", "wx1"), ("promoter", "o1"), ("feed", "orders"), ("outcome", "goes_on")] {
            assert_eq!(*field(poll, key), value.into());
        }
        assert_eq!((field(poll, "pages"), field(poll, "rows")), (&2_i64.into(), &3_i64.into()));
        for (page, rows) in [(first, 0_i64), (second, 3)] {
            assert_eq!((page.context.trace, page.parent), (context.trace, Some(context.span)));
            assert_eq!(*field(page, "rows"), rows.into());
        }
        assert!(first.context.span != second.context.span && first.context.span != context.span);
    }

    #[tokio::test(start_paused = true)]
    async fn a_failed_poll_is_told_by_words_and_numbers_alone() {
        let (traces, mut queue) = Traces::captured();
        let mut trace = PollTrace::of(Some(traces), &promoter(), Feed::Touches);
        page(&mut trace, None);
        trace.end(&refused());
        let spans = spans(&mut queue);
        let [page, poll] = &spans[..] else { panic!("{spans:?}") };
        assert_eq!([page.failure, poll.failure], [Some("refused"); 2]);
        assert_eq!(*field(poll, "errcode"), 103001_i64.into());
        let text = format!("{spans:?}");
        assert!(!text.contains("oUser") && !text.contains("secret"), "{text}");
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_brings_nothing_or_is_cancelled_is_not_told() {
        let (traces, mut queue) = Traces::captured();
        for result in [Ok(Polled::GoesOn), Err(CallError::Cancelled.into())] {
            let mut trace = PollTrace::of(Some(traces), &promoter(), Feed::Touches);
            page(&mut trace, result.is_ok().then_some(0));
            trace.end(&result);
        }
        assert!(spans(&mut queue).is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_flood_of_rows_leaves_room_for_what_fails() {
        let (traces, mut queue) = Traces::captured();
        let with_rows = |result| {
            let mut trace = PollTrace::of(Some(traces), &promoter(), Feed::Touches);
            page(&mut trace, Some(1));
            trace.end(&result);
        };
        (0..1000).for_each(|_| with_rows(Ok(Polled::GoesOn)));
        let told = spans(&mut queue).len();
        assert!((1..1000).contains(&told), "{told}");
        with_rows(Err(PagesFault::Unsettled.into()));
        assert_eq!(spans(&mut queue).len(), 2);
    }

    #[test]
    fn where_no_traces_are_wanted_nothing_is_noted() {
        let mut trace = PollTrace::of(None, &promoter(), Feed::Touches);
        page(&mut trace, Some(1));
        assert!(trace.told().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn the_spans_of_a_poll_are_bounded_and_its_pages_counted() {
        let (traces, mut queue) = Traces::captured();
        let mut trace = PollTrace::of(Some(traces), &promoter(), Feed::Touches);
        (0..1000).for_each(|_| page(&mut trace, Some(1)));
        trace.end(&Ok(Polled::GoesOn));
        let spans = spans(&mut queue);
        assert_eq!(spans.len(), PAGES_MAX + 1);
        assert_eq!(*field(spans.last().unwrap(), "pages"), 1000_i64.into());
    }
}
