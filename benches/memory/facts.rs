//! What remembered facts take.

use promoter_connector::model::batch::Batch;
use promoter_connector::model::cursor::Cursor;
use promoter_connector::model::fact::{Fact, FactContent, FactId};
use promoter_connector::model::feed::Feed;
use promoter_connector::model::page_facts::{Advance, ObservedFact, PageFacts};
use promoter_connector::model::promoter::Promoter;
use promoter_connector::model::row::Touch;
use promoter_connector::model::state::State;
use promoter_connector::model::time::{UnixMillis, UnixTime};

use crate::counting::counted;

const PAGE_ROWS: u64 = 1000;

pub fn measure() {
    println!("{:<52} {:>12} {:>14} {:>14}", "memory of facts", "facts", "bytes a fact", "while it grew");
    for (promoters, facts) in [(1000, 1000), (1, 1_000_000), (1000, 900), (1, 920_000), (10_000, 20)] {
        let name = format!("{promoters} feeds of {facts} facts");
        report(&name, promoters * facts, || filled(promoters, facts));
    }
    report("1 feed, 1000000 facts of which half passed", 500_000, || halved(1_000_000));
}

fn report(name: &str, facts: u64, make: impl FnOnce() -> State) {
    let (state, held, peak) = counted(make);
    let per_fact = |bytes: usize| bytes as f64 / facts as f64;
    assert_eq!(state.remembered() as u64, facts);
    println!("{name:<52} {facts:>12} {:>14.1} {:>14.1}", per_fact(held), per_fact(peak));
}

/// Each promoter's touches, taken page by page.
fn filled(promoters: u64, facts: u64) -> State {
    let mut state = State::default();
    for number in 0..promoters {
        let promoter = begin(&mut state, number);
        for first in (0..facts).step_by(PAGE_ROWS as usize) {
            take(&mut state, &promoter, first..facts.min(first + PAGE_ROWS), None);
        }
    }
    state
}

/// One promoter's touches, of which the cursor has then passed the earlier half.
fn halved(facts: u64) -> State {
    let mut state = filled(1, facts);
    let promoter = promoter(0);
    let from = UnixTime(0);
    let to = UnixTime((facts / 2).cast_signed());
    take(&mut state, &promoter, 0..0, Some(Advance { from, to, refunds: None }));
    state
}

fn begin(state: &mut State, number: u64) -> Promoter {
    let promoter = promoter(number);
    let first = vec![(promoter.clone(), Feed::Touches, Cursor::begin(Feed::Touches, UnixTime(0)))];
    state.begin(first, &mut Batch::default());
    promoter
}

pub fn promoter(number: u64) -> Promoter {
    Promoter::from_key(&format!("wx0123456789abcdef/oPromoter{number:019}")).expect("the key is well formed")
}

/// One fact a second.
fn take(state: &mut State, promoter: &Promoter, seconds: std::ops::Range<u64>, advance: Option<Advance>) {
    let observed = |second: u64| {
        let time = UnixTime(second.cast_signed());
        let id = FactId(blake3::hash(&second.to_le_bytes()).as_bytes()[..16].try_into().expect("it has 32 bytes"));
        let content = FactContent::Touch(Touch::default());
        let fact = Fact { id, time, memory: Feed::Touches, content, raw: Box::default() };
        ObservedFact { fact, remembered: time }
    };
    let page_facts = PageFacts {
        promoter: promoter.clone(),
        feed: Feed::Touches,
        facts: seconds.map(observed).collect(),
        dead_rows: Vec::new(),
        observed_at: UnixMillis(0),
        asked_before: None,
        heads_for: advance.map_or(UnixTime(i64::MIN), |advance| advance.to),
        advance,
    };
    state.take(page_facts, &mut Batch::default());
}
