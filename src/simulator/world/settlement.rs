//! How much of what exists has been shown.

use serde_json::{Value, json};

use super::state::World;
use crate::model::time::{UnixMillis, UnixTime};

/// How far the world has been seen. Facts are touches, payments and refunds, unreadable rows among them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Settlement {
    /// Nothing more will come, nothing will go wrong, and every fact has been shown. In a world that never
    /// becomes quiet, or was told to stand still: every visible fact has been shown.
    pub settled: bool,
    /// Facts made so far, visible or not.
    pub existing: u64,
    pub visible: u64,
    /// Those of the visible ones that some page showed.
    pub shown: u64,
}

impl World {
    /// How much of the facts with this time or a later one has been shown.
    pub fn settlement(&mut self, now: UnixMillis, from: Option<UnixTime>) -> Settlement {
        let seconds = self.facts_until(now);
        let mut settlement = Settlement::default();
        let mut count = |time: u32, visible_at: u32, shown: Option<u32>| {
            if from.is_none_or(|from| i64::from(time) >= from.0) {
                let visible = i64::from(visible_at) <= seconds.0;
                settlement.existing += 1;
                settlement.visible += u64::from(visible);
                settlement.shown += u64::from(visible && shown.is_some());
            }
        };
        for promoter in self.apps.iter_mut().flat_map(|app| &mut app.promoters) {
            promoter.advance(seconds);
            promoter.touches.iter().for_each(|touch| count(touch.time, touch.visible_at, touch.shown.at()));
            promoter.orders.iter().for_each(|order| count(order.time, order.visible_at, order.shown.at()));
            promoter.refunds.iter().for_each(|refund| {
                count(refund.time, refund.visible_at, refund.shown_by_orders.at().or(refund.shown_by_refunds.at()));
            });
        }
        let all_visible = settlement.visible == settlement.existing;
        let nothing_to_come =
            self.still_at.is_some() || self.quiet_at.is_none_or(|quiet_at| now >= quiet_at && all_visible);
        settlement.settled = settlement.shown == settlement.visible && nothing_to_come;
        settlement
    }

    /// What `/_stats` tells.
    pub fn statistics(&mut self, now: UnixMillis) -> Value {
        let facts = self.settlement(now, None);
        json!({"calls": self.calls, "facts": facts})
    }
}
