//! What the traces of polls are told of their pages' batch.

use super::*;
use crate::model::page_facts::PageFacts;
use crate::model::row::{ReadRow, Row, Touch};
use crate::model::scope::Scope;
use crate::model::time::UnixMillis;
use crate::telemetry::traces::{Occasion, Span, TracedPoll, Traces};

const BEGIN: UnixTime = UnixTime(1_700_000_000);

/// A page of the first promoter, with one touch.
fn page() -> PageFacts {
    let promoter = Promoter::from_key("wx1/o0").unwrap();
    let scope = Scope::Window { feed: Feed::Touches, begin: BEGIN, end: BEGIN.plus(60) };
    let row = ReadRow { raw: Box::default(), content: Ok(Row::Touch(BEGIN.plus(1), Touch::default())) };
    PageFacts::read(&promoter, scope, BEGIN.plus(60), UnixMillis(0), vec![row])
}

/// A page that is sent twice, by two polls that are told, to a log of which so many transactions go well.
async fn spans_of_a_page_that_comes_twice(fails_after: usize) -> (Vec<TracedPoll>, Vec<Span>) {
    let (traces, mut told) = Traces::captured();
    let polls = vec![traces.admit(Occasion::Rows).unwrap(), traces.admit(Occasion::Rows).unwrap()];
    let (sender, receiver) = write_queue(1 << 30);
    let committer =
        Committer::new(SlowLog { tried: Tried::default(), fails_after }, one_shard(), bounds(), Arc::default());
    sender.send(write(0, 1)).await.unwrap();
    for poll in &polls {
        sender.send_page(page(), Some(*poll)).await.unwrap();
    }
    drop(sender);
    committer.run(receiver).await;
    (polls, std::iter::from_fn(|| told.try_recv().ok()).collect())
}

#[tokio::test(start_paused = true)]
async fn a_page_that_brings_something_new_has_its_batch_below_its_poll() {
    let (polls, spans) = spans_of_a_page_that_comes_twice(1).await;
    let [span] = &spans[..] else { panic!("what came again is in no batch: {spans:?}") };
    let poll = polls[0].context;
    assert_eq!((span.context.trace, span.parent, span.failure), (poll.trace, Some(poll.span), None));
    assert_eq!(span.ended.duration_since(span.began).unwrap(), SLOW);
    assert!(span.fields.contains(&("published", 1_u64.into())), "{span:?}");
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_is_not_committed_is_told_as_failed() {
    let (_, spans) = spans_of_a_page_that_comes_twice(0).await;
    assert_eq!(spans.iter().map(|span| span.failure).collect::<Vec<_>>(), [Some("reopen")]);
}
