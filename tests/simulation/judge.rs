//! What the world has shown against what the log has, as exact multisets.

use std::collections::HashSet;

use promoter_connector::model::fact::{FactContent, OrderStatus};
use promoter_connector::model::promoter::Promoter;
use promoter_connector::model::row::{Payment, Touch};
use promoter_connector::model::time::UnixTime;
use promoter_connector::simulator::ledger::Ledger;
use promoter_connector::simulator::{Shown, ShownContent};

use crate::process_runs::Outcome;

pub fn judge(outcome: &Outcome) -> Result<usize, String> {
    if let Some(key) = outcome.early.first() {
        return Err(format!("{} was not durable when its feed was polled for the first time", key.encode()));
    }
    let durable = outcome.durable.lock().map_err(|error| error.to_string())?;
    let mut ledger = Ledger::default();
    let mut allowed = HashSet::new();
    for shown in &outcome.shown {
        let dead = matches!(shown.content, ShownContent::DeadRow(_));
        if may_be_history(shown, outcome.from) {
            allowed.insert(expected_key(shown));
        } else if dead || shown.time >= outcome.from {
            ledger.show(expected_key(shown));
        }
    }
    // A refund whose time is told later is one, published with it or without it.
    let told_later: HashSet<_> = outcome.shown.iter().filter(|shown| shown.told_later).map(expected_key).collect();
    for event in &durable.events {
        let without_time = key(&event.promoter, event.fact.time, &untimed(event.fact.content.clone()));
        let is_one_of_them = told_later.contains(&without_time);
        ledger.publish(match is_one_of_them {
            true => without_time,
            false => key(&event.promoter, event.fact.time, &event.fact.content),
        });
    }
    for letter in &durable.dead_letters {
        let promoter = letter.promoter.as_ref().unwrap();
        ledger.publish(format!("{promoter} dead {}", String::from_utf8_lossy(&letter.raw)));
    }
    allowed.iter().for_each(|key| ledger.allow(key));
    let verdict = ledger.verdict();
    if verdict.is_exact() { Ok(verdict.shown) } else { Err(verdict.to_string()) }
}

/// A refund that has no time, of an order from before the start: history, if the first pull of refunds shows it, and
/// news otherwise.
fn may_be_history(shown: &Shown, from: UnixTime) -> bool {
    match &shown.content {
        ShownContent::Order { status: OrderStatus::Refunded, payment, .. } => {
            payment.paid_time < from && (shown.told_later || payment.refunded_time.is_none())
        }
        _ => false,
    }
}

fn expected_key(shown: &Shown) -> String {
    let content = match &shown.content {
        ShownContent::Touch(_, touch) => FactContent::Touch(touch.clone()),
        ShownContent::Order { status, touch, payment } => {
            FactContent::Order { status: *status, touch: touch.clone(), payment: payment.clone() }
        }
        ShownContent::DeadRow(raw) => return format!("{} dead {}", shown.promoter, String::from_utf8_lossy(raw)),
    };
    key(&shown.promoter, shown.time, &if shown.told_later { untimed(content) } else { content })
}

fn untimed(content: FactContent) -> FactContent {
    match content {
        FactContent::Order { status, touch, payment } => {
            FactContent::Order { status, touch, payment: Payment { refunded_time: None, ..payment } }
        }
        touch @ FactContent::Touch(_) => touch,
    }
}

/// Everything but what the merchant may edit: a field that is new is compared without another word. An order carries its times
/// itself, a touch is its fact's.
fn key(promoter: &Promoter, time: UnixTime, content: &FactContent) -> String {
    let lasting = |touch: &Touch| Touch { role_id: None, retail_id: None, extra_info: None, ..touch.clone() };
    match content {
        FactContent::Touch(touch) => format!("{promoter} {time:?} {:?}", lasting(touch)),
        FactContent::Order { status, touch, payment } => {
            format!("{promoter} {status:?} {:?} {payment:?}", lasting(touch))
        }
    }
}
