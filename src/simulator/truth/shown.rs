//! Exactly what the world has shown: the facts and unreadable rows that a faithful connector publishes.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::model::fact::OrderStatus;
use crate::model::feed::Feed;
use crate::model::promoter::Promoter;
use crate::model::row::{Payment, Touch};
use crate::model::time::UnixTime;

/// One event that must have been published once, or one dead letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    pub promoter: Promoter,
    /// The fact's own time, by which `start_from` decides; of an unreadable row the time it stands under.
    pub time: UnixTime,
    /// When a page first showed it. Later than the fact by more than a feed's lateness, the connector may leave it alone.
    pub first_shown: UnixTime,
    /// The feeds whose calls showed it, in the order of [`Feed::ALL`].
    pub feeds: Vec<Feed>,
    pub content: ShownContent,
    /// Whether the time of this refund was told only after it had appeared: its event may be without it.
    pub told_later: bool,
}

/// What the event says. `role_id`, `retail_id` and `extra_info` are left out: they are the merchant's latest words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ShownContent {
    /// With its `create_time`.
    Touch(UnixTime, Touch),
    Order {
        status: OrderStatus,
        touch: Touch,
        payment: Payment,
    },
    /// The bytes of a row that can't be read.
    DeadRow(Box<[u8]>),
}

impl Shown {
    /// One line of `/_truth`.
    pub fn to_json(&self) -> Value {
        let mut line = json!({
            "app_id": self.promoter.app_id(),
            "promoter_openid": self.promoter.promoter_id(),
            "time": self.time.0,
            "first_shown": self.first_shown.0,
            "feeds": self.feeds.iter().map(|feed| feed.name()).collect::<Vec<_>>(),
        });
        let (kind, create_time, touch) = match &self.content {
            ShownContent::Touch(create_time, touch) => ("touch", Some(*create_time), touch),
            ShownContent::Order { touch, payment, .. } => ("order", payment.create_time, touch),
            ShownContent::DeadRow(raw) => {
                line["kind"] = "dead_row".into();
                line["raw_base64"] = STANDARD.encode(raw).into();
                return line;
            }
        };
        line["kind"] = kind.into();
        line["create_time"] = create_time.map(|time| time.0).into();
        write_touch(&mut line, touch);
        if let ShownContent::Order { status, payment, .. } = &self.content {
            line["status"] = status_name(*status).into();
            write_payment(&mut line, payment);
        }
        line
    }
}

/// Names every field, so that a new one is told, or left out, on purpose.
fn write_touch(line: &mut Value, touch: &Touch) {
    let Touch { openid, path, scene, share_extra_info, role_id: _, retail_id: _, extra_info: _ } = touch;
    line["openid"] = openid.as_str().into();
    line["path"] = path.as_deref().into();
    line["scene"] = (*scene).into();
    line["share_extra_info"] = share_extra_info.as_deref().into();
}

/// Names every field, too. `create_time` is told of a touch as well.
fn write_payment(line: &mut Value, payment: &Payment) {
    let Payment { mch_id, trade_no, out_trade_no, create_time: _, status_code, paid_amount, paid_time, refunded_time } =
        payment;
    line["mch_id"] = mch_id.as_str().into();
    line["trade_no"] = trade_no.as_str().into();
    line["out_trade_no"] = out_trade_no.as_deref().into();
    line["status_code"] = (*status_code).into();
    line["paid_amount"] = (*paid_amount).into();
    line["paid_time"] = paid_time.0.into();
    line["refunded_time"] = refunded_time.map(|time| time.0).into();
}

/// Its own: whoever judges what the connector writes takes none of its words.
fn status_name(status: OrderStatus) -> &'static str {
    match status {
        OrderStatus::Paid => "PAID",
        OrderStatus::Refunded => "REFUNDED",
        OrderStatus::Unknown => "UNKNOWN",
    }
}
