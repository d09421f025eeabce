//! Rows whose facts their topic does not take.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use promoter_connector::avro::encode::{Encoders, Framings};
use promoter_connector::kafka::client::settings::TopicNames;
use promoter_connector::kafka::facts_log::limits::SizeLimits;
use promoter_connector::kafka::facts_log::writer::FactWriter;
use promoter_connector::kafka::transaction::limits::OldestAccepted;
use promoter_connector::model::batch::{Batch, Event};
use promoter_connector::model::fact::Fact;
use promoter_connector::model::feed::PerEventTopic;
use promoter_connector::model::refusal::EventRefusal;
use promoter_connector::user_ids::{PseudonymKey, UserIds};
use proptest::prelude::*;

use super::*;

const LIMIT: usize = 2000;

fn writer(limit: usize, oldest: OldestAccepted) -> FactWriter {
    FactWriter {
        topics: TopicNames::new(str::to_owned),
        encoders: Arc::new(Encoders::new(Framings::SINGLE_OBJECT)),
        id_kinds: HashMap::new(),
        limits: SizeLimits { events: PerEventTopic::new(|_| limit), dead_letters: 1_000_000, state: 1_000_000 },
        oldest: PerEventTopic::new(|_| oldest),
        state_partitions: 1,
    }
}

/// How many records go to `topic`.
fn written(writer: &FactWriter, batch: &Batch, topic: &str) -> usize {
    let mut records = 0;
    let count = |record: promoter_connector::kafka::transaction::record::Record<'_>| {
        records += usize::from(record.topic == topic);
        Ok::<(), ()>(())
    };
    writer.write(batch, NOON.as_millis(), count).unwrap();
    records
}

/// What becomes durable, over several runs of a process.
struct ProcessRuns {
    writer: Arc<FactWriter>,
    state: State,
    topic: Vec<promoter_connector::model::state_record::StateRecord>,
    letters: usize,
    events: usize,
}

impl ProcessRuns {
    fn begin(writer: FactWriter, start: UnixTime) -> ProcessRuns {
        let cursors = Feed::ALL.map(|feed| (promoter(), feed, Cursor::begin(feed, start))).to_vec();
        let (writer, state, topic) = (Arc::new(writer), State::default(), vec![]);
        let mut runs = ProcessRuns { writer, state, topic, letters: 0, events: 0 };
        let mut batch = Batch::default();
        runs.state.begin(cursors, &mut batch);
        runs.topic.extend(batch.state);
        runs.restart();
        runs
    }

    fn take(&mut self, scope: Scope, row: ReadRow, to: Option<UnixTime>) -> RowCounts {
        let mut page_facts = PageFacts::read(&promoter(), scope, NOON, NOON.as_millis(), vec![row]);
        let from = self.state.cursors(&promoter())[scope.feed()].unwrap().complete_before;
        page_facts.advance = to.map(|to| Advance { from, to, refunds: None });
        let mut batch = Batch::default();
        let counts = self.state.take(page_facts, &mut batch);
        self.letters += written(&self.writer, &batch, "dead-letters");
        self.events += written(&self.writer, &batch, "orders") + written(&self.writer, &batch, "touches");
        self.topic.extend(batch.state);
        counts
    }

    fn restart(&mut self) {
        self.state = State::default();
        self.topic.iter().for_each(|record| self.state.restore(record.key.clone(), record.value.clone()));
        self.state.restored();
        let writer = self.writer.clone();
        self.state.refuse(EventRefusal::new(move |event| writer.refusal(event, || NOON.as_millis())));
    }
}

/// An order that was paid ten minutes before noon and refunded a minute before.
fn refunded_row(path: &str, refunded: Option<UnixTime>) -> ReadRow {
    let ReadRow { content: Ok(Row::Order(_, payment)), .. } = order_row(NOON.minus(600), Some(NOON)) else {
        panic!("an order is one");
    };
    let touch = Touch { openid: "u".into(), path: Some(path.into()), ..Touch::default() };
    let content = Ok(Row::Order(touch, Payment { refunded_time: refunded, ..payment }));
    ReadRow { raw: path.as_bytes().into(), content }
}

#[test]
fn a_row_that_its_topic_does_not_take_tells_no_users_id_where_they_are_pseudonyms() {
    let touch = Touch { openid: "oUSER".into(), path: Some("x".repeat(LIMIT)), ..Touch::default() };
    let raw = br#"{"openid":"oUSER","create_time":1,"unionid":"oUSER"}"#.as_slice().into();
    let fact = Fact::touch(&promoter(), NOON, touch, raw);
    let event = Event { promoter: promoter(), fact, observed_at: NOON.as_millis(), asked_before: None };
    let batch = Batch { events: vec![event], ..Batch::default() };
    let tells_it = |user_ids: UserIds| {
        let encoders = Encoders::new(Framings::SINGLE_OBJECT).showing(user_ids);
        let writer = FactWriter { encoders: Arc::new(encoders), ..writer(LIMIT, OldestAccepted::default()) };
        let mut values = Vec::new();
        let take = |record: promoter_connector::kafka::transaction::record::Record<'_>| {
            values.push(record.value.unwrap().to_vec());
            Ok::<(), ()>(())
        };
        writer.write(&batch, NOON.as_millis(), take).unwrap();
        assert_eq!(values.len(), 1, "one dead letter");
        values[0].windows(5).any(|bytes| bytes == b"oUSER")
    };
    let pseudonyms = UserIds::Pseudonyms(PseudonymKey::new(&"0123456789abcdef".into()).unwrap());
    assert_eq!([tells_it(UserIds::Plain), tells_it(pseudonyms)], [true, false]);
}

#[test]
fn a_row_that_its_topic_does_not_take_is_one_dead_letter_whichever_feeds_meet_it_and_however_long_it_is_shown() {
    let today = Scope::day(Day::in_beijing(NOON));
    // A refund's memory has forgotten it by then.
    let far = Some(NOON.plus(DAY));
    let old = OldestAccepted { age: Some(Duration::from_secs(30)), learned: None };
    for (limit, oldest) in [(LIMIT, OldestAccepted::default()), (1_000_000, old)] {
        for refunded in [Some(NOON.minus(60)), None] {
            for scopes in [[Scope::Refunds, today], [today, Scope::Refunds]] {
                for restarts in [false, true] {
                    // An untimed refund is as young as its observation.
                    if limit > LIMIT && refunded.is_none() {
                        continue;
                    }
                    let mut runs = ProcessRuns::begin(writer(limit, oldest), NOON.minus(3600));
                    let row = || refunded_row(&"x".repeat(3000), refunded);
                    let first = runs.take(scopes[0], row(), None);
                    assert_eq!(first.dead_lettered, 1);
                    runs.take(Scope::Refunds, row(), far);
                    if restarts {
                        runs.restart();
                    }
                    for scope in [scopes[1], scopes[0], scopes[1]] {
                        let counts = runs.take(scope, row(), None);
                        assert_eq!((counts.dead_lettered, counts.published), (0, 0), "{scopes:?}");
                    }
                    assert_eq!((runs.letters, runs.events), (1, 0), "{scopes:?}, {refunded:?}, restart {restarts}");
                }
            }
        }
    }
}

/// To the millisecond, as the event itself tells it.
#[test]
fn the_record_of_a_refund_without_its_time_has_the_moment_in_which_it_was_observed() {
    let observed_at = UnixMillis(NOON.as_millis().0 + 789);
    let rows = vec![refunded_row("x", None)];
    let mut batch = Batch::default();
    begun(NOON.minus(3600)).take(PageFacts::read(&promoter(), Scope::Refunds, NOON, observed_at, rows), &mut batch);
    let mut times = Vec::new();
    let take = |record: promoter_connector::kafka::transaction::record::Record<'_>| {
        times.extend((record.topic == "orders").then_some(record.timestamp));
        Ok::<(), ()>(())
    };
    writer(LIMIT, OldestAccepted::default()).write(&batch, NOON.plus(5).as_millis(), take).unwrap();
    assert_eq!(times, [observed_at]);
}

#[test]
fn what_its_topic_takes_beside_it_is_published() {
    let old = OldestAccepted { age: Some(Duration::from_secs(120)), learned: None };
    let mut runs = ProcessRuns::begin(writer(LIMIT, old), NOON.minus(3600));
    let counts = runs.take(Scope::day(Day::in_beijing(NOON)), refunded_row("x", Some(NOON.minus(60))), None);
    assert_eq!((counts.dead_lettered, counts.published), (1, 1), "the payment is too old, the refund is not");
    assert_eq!((runs.letters, runs.events), (1, 1));
}

#[test]
fn what_has_grown_too_old_since_it_was_planned_is_a_dead_letter_all_the_same() {
    let mut state = begun(NOON.minus(3600));
    let (_, batch) = take(&mut state, window(NOON), NOON, vec![touch_row(NOON.minus(60))], None);
    let old = OldestAccepted { age: Some(Duration::from_secs(30)), learned: None };
    let counts = ["touches", "dead-letters"].map(|topic| written(&writer(LIMIT, old), &batch, topic));
    assert_eq!((batch.events.len(), counts), (1, [0, 1]));
}

proptest! {
    #[test]
    fn what_is_not_refused_is_written_and_what_is_refused_is_not(
        path in ".{0,700}", extra in proptest::option::of(".{0,300}"), out_trade_no in proptest::option::of(".{0,32}"),
        number in any::<i64>(), limit in 300usize..4000, is_order in any::<bool>(),
    ) {
        let touch = Touch {
            openid: "u".into(), path: Some(path), scene: Some(number), role_id: Some(number),
            extra_info: extra.clone(), retail_id: extra.clone(), share_extra_info: extra,
        };
        let ReadRow { content: Ok(Row::Order(_, payment)), .. } = order_row(NOON, Some(NOON)) else { panic!() };
        let payment = Payment { out_trade_no, paid_amount: number, ..payment };
        let fact = if is_order {
            Fact::refunded(&promoter(), touch, payment, Box::default())
        } else {
            Fact::touch(&promoter(), NOON, touch, Box::default())
        };
        let event = Event { promoter: promoter(), fact, observed_at: NOON.as_millis(), asked_before: None };
        let writer = writer(limit, OldestAccepted::default());
        let refused = writer.refusal(&event, || NOON.as_millis()).is_some();
        let batch = Batch { events: vec![event], ..Batch::default() };
        prop_assert_eq!(written(&writer, &batch, "dead-letters"), usize::from(refused));
    }
}
