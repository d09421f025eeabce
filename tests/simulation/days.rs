//! The ledger of days against what the topics hold and what the world has shown: counted anew, by code that the connector has no part
//! in.

use std::collections::{BTreeMap, BTreeSet};

use promoter_connector::commit::testing::durable_topics::{DurableTopics, PARTITIONS};
use promoter_connector::model::cursor::Cursor;
use promoter_connector::model::day_record::CountedDay;
use promoter_connector::model::dead_letter::DeadLetterSource;
use promoter_connector::model::fact::{FactContent, OrderStatus};
use promoter_connector::model::feed::Feed;
use promoter_connector::model::promoter::Promoter;
use promoter_connector::model::shard::Shard;
use promoter_connector::model::state_record::{StateKey, StateValue};
use promoter_connector::simulator::ShownContent;

use crate::process_runs::Outcome;

/// Days since 1970 in Beijing.
type DayNumber = i64;
/// A feed of one app in one shard.
type Place = (Shard, String, Feed);

const DAY: i64 = 86_400;

fn day(seconds: i64) -> DayNumber {
    (seconds + 8 * 3600).div_euclid(DAY)
}

/// How many days were closed in a ledger that is right.
pub fn judge_days(outcome: &Outcome) -> Result<usize, String> {
    let durable = outcome.durable.lock().map_err(|error| error.to_string())?;
    let held = held(&durable);
    let mut ledger: BTreeMap<Place, BTreeMap<DayNumber, &CountedDay>> = BTreeMap::new();
    for ((shard, key), told) in &durable.ledger {
        let place = (*shard, key.app.to_string(), key.feed);
        ledger.entry(place).or_default().insert(key.day.number().into(), told);
    }
    for (place, days) in &ledger {
        for (on, told) in days {
            let counts = held.get(&(place.clone(), *on)).copied().unwrap_or_default();
            let said = (told.status.counts.published, told.status.counts.dead_letters);
            if said != counts {
                return Err(format!("{place:?} day {on}: the ledger says {said:?}, the topics hold {counts:?}"));
            }
        }
    }
    let cursors = cursors(&durable);
    let mut closed = 0;
    let places: BTreeSet<&Place> = cursors.keys().chain(ledger.keys()).collect();
    for place in places {
        let empty = (BTreeMap::new(), Vec::new());
        let days = ledger.get(place).unwrap_or(&empty.0);
        let stand = cursors.get(place).unwrap_or(&empty.1);
        let least = stand.iter().map(|cursor| standing(place.2, cursor)).min();
        for (on, told) in days {
            if told.status.closed_at.is_some() && least.is_some_and(|least| least <= *on) {
                return Err(format!("{place:?} day {on} is closed, and a cursor stands on {least:?}"));
            }
        }
        // Behind the last page every day from the first start on is closed that all have passed, or it is told by the one behind it.
        let first = stand.iter().map(|cursor| day(cursor.start.0)).min();
        let (Some(first), Some(least)) = (first, least) else { continue };
        for on in first..least {
            let Some((_, told)) = days.range(on..).next() else {
                return Err(format!("{place:?} day {on}: all have passed it, and nothing is told"));
            };
            if told.status.closed_at.is_none() || i64::from(told.status.since.number()) > on {
                return Err(format!("{place:?} day {on}: all have passed it, and it is told to be {:?}", told.status));
            }
            closed += 1;
        }
        let empty_days = |on: DayNumber| !days.contains_key(&on) && held.contains_key(&(place.clone(), on));
        if let Some(on) = (first..least).find(|on| empty_days(*on)) {
            return Err(format!("{place:?} day {on}: something was published, and it is told to be empty"));
        }
    }
    of_world(outcome, &ledger, &cursors)?;
    Ok(closed)
}

/// How many events and dead letters the topics hold of each day.
fn held(durable: &DurableTopics) -> BTreeMap<(Place, DayNumber), (u64, u64)> {
    let mut held: BTreeMap<(Place, DayNumber), (u64, u64)> = BTreeMap::new();
    let place = |promoter: &Promoter, feed| (Shard::of(promoter, PARTITIONS), promoter.app_id().to_owned(), feed);
    for event in &durable.events {
        let (feed, time) = match &event.fact.content {
            FactContent::Touch(_) => (Feed::Touches, event.fact.time.0),
            FactContent::Order { status: OrderStatus::Refunded, payment, .. } => {
                let observed = event.observed_at.0.div_euclid(1000);
                (Feed::Refunds, payment.refunded_time.map_or(observed, |time| time.0))
            }
            FactContent::Order { payment, .. } => (Feed::Orders, payment.paid_time.0),
        };
        held.entry((place(&event.promoter, feed), day(time))).or_default().0 += 1;
    }
    for letter in &durable.dead_letters {
        if let (DeadLetterSource::Feed(feed), Some(promoter)) = (letter.source, &letter.promoter) {
            let observed = letter.observed_at.0.div_euclid(1000);
            held.entry((place(promoter, feed), day(observed))).or_default().1 += 1;
        }
    }
    held
}

/// The cursors of everybody who is not marked as removed.
fn cursors(durable: &DurableTopics) -> BTreeMap<Place, Vec<Cursor>> {
    let removed = |promoter: &Promoter| durable.state.contains_key(&StateKey::Removed(promoter.clone()).encode());
    let mut cursors: BTreeMap<Place, Vec<Cursor>> = BTreeMap::new();
    for (key, value) in &durable.state {
        let Ok(key @ StateKey::Cursor(..)) = StateKey::decode(key.as_bytes()) else { continue };
        let Ok(StateValue::Cursor(cursor)) = StateValue::decode(&key, value) else { continue };
        let StateKey::Cursor(promoter, feed) = key else { continue };
        if cursor.polled && !removed(&promoter) {
            let place = (Shard::of(&promoter, PARTITIONS), promoter.app_id().to_owned(), feed);
            cursors.entry(place).or_default().push(cursor);
        }
    }
    cursors
}

/// The first day that a cursor has not completed: a payment may be listed under the day after its own.
fn standing(feed: Feed, cursor: &Cursor) -> DayNumber {
    let complete = day(cursor.complete_before.0) - i64::from(feed == Feed::Orders);
    complete.max(day(cursor.start.0))
}

/// Of a day that every shard has closed, the shards' counts of touches are together what the world has shown.
fn of_world(
    outcome: &Outcome,
    ledger: &BTreeMap<Place, BTreeMap<DayNumber, &CountedDay>>,
    cursors: &BTreeMap<Place, Vec<Cursor>>,
) -> Result<(), String> {
    let mut shown: BTreeMap<(String, DayNumber), u64> = BTreeMap::new();
    for fact in outcome.shown.iter().filter(|fact| fact.time >= outcome.from) {
        if let ShownContent::Touch(..) = fact.content {
            *shown.entry((fact.promoter.app_id().to_owned(), day(fact.time.0))).or_default() += 1;
        }
    }
    for ((app, on), expected) in shown {
        let mut of_app = cursors.iter().filter(|((_, of, feed), _)| *of == app && *feed == Feed::Touches);
        // Whoever is not named just now has been left out above.
        let is_closed = of_app.all(|(_, all)| all.iter().all(|cursor| standing(Feed::Touches, cursor) > on));
        let told = ledger.iter().filter(|((_, of, feed), _)| *of == app && *feed == Feed::Touches);
        let published: u64 = told.filter_map(|(_, days)| days.get(&on)).map(|told| told.status.counts.published).sum();
        if is_closed && published != expected {
            return Err(format!("{app} day {on}: the ledger sums up to {published} touches, {expected} were shown"));
        }
    }
    Ok(())
}
