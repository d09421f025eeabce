//! Exactly what the world has shown: the facts and unreadable rows that a faithful connector publishes.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::model::fact::OrderStatus;
use crate::model::feed::Feed;
use crate::model::promoter::Promoter;
use crate::model::row::{Payment, Touch};
use crate::model::time::UnixTime;
use crate::simulator::facts::details::{Drawer, RowDefect, TouchDetail};
use crate::simulator::facts::promoters::{RefundFact, SimPromoter};
use crate::simulator::pages::page::Paging;
use crate::simulator::pages::rows::{Renderer, RowRef};

/// One event that must have been published once, or one dead letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    pub promoter: Promoter,
    /// The fact's own time, by which `start_from` judges; of an unreadable row the time it stands under.
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

fn status_name(status: OrderStatus) -> &'static str {
    match status {
        OrderStatus::Paid => "PAID",
        OrderStatus::Refunded => "REFUNDED",
        OrderStatus::Unknown => "UNKNOWN",
    }
}

/// Facts of one promoter, of either kind, in the order of the truth: touches, then orders with their refunds.
pub struct PromoterTruth<'a> {
    pub paging: &'a Paging,
    pub promoter: &'a SimPromoter,
    pub key: Promoter,
}

impl PromoterTruth<'_> {
    /// How many places there are; each holds the shown facts of one touch or one order.
    pub fn places(&self) -> usize {
        self.promoter.touches.len() + self.promoter.orders.len()
    }

    pub fn at(&self, place: usize) -> Vec<Shown> {
        match place.checked_sub(self.promoter.touches.len()) {
            None => self.touch(place).into_iter().collect(),
            Some(order) => self.order(order),
        }
    }

    fn touch(&self, index: usize) -> Option<Shown> {
        let fact = &self.promoter.touches[index];
        let first_shown = fact.shown.at()?;
        let time = UnixTime(i64::from(fact.time));
        let detail = self.drawer().touch(self.promoter, index);
        let content = match detail.defect {
            Some(_) => self.dead(RowRef::Touch(index)),
            None => ShownContent::Touch(time, touch(&detail)),
        };
        Some(self.shown(time, first_shown, vec![Feed::Touches], content))
    }

    fn order(&self, index: usize) -> Vec<Shown> {
        let fact = &self.promoter.orders[index];
        let refunds = fact.refunds().map(|refund| &self.promoter.refunds[refund]);
        let first_shown =
            |refund: &RefundFact| refund.shown_by_orders.at().into_iter().chain(refund.shown_by_refunds.at()).min();
        let refunds: Vec<_> = refunds.filter_map(|refund| Some((refund, first_shown(refund)?))).collect();
        if fact.shown.at().is_none() && refunds.is_empty() {
            return Vec::new();
        }
        let detail = self.drawer().order(self.promoter, index);
        let paid_time = UnixTime(i64::from(fact.time));
        if detail.touch.defect.is_some() {
            let dead = |at| self.shown(paid_time, at, vec![Feed::Orders], self.dead(RowRef::Paid(index)));
            return fact.shown.at().map(dead).into_iter().collect();
        }
        let touch = touch(&detail.touch);
        let payment = Payment {
            mch_id: detail.mch_id,
            trade_no: detail.trade_no,
            out_trade_no: detail.out_trade_no,
            create_time: detail.touch.has_create_time.then(|| paid_time.minus(detail.touch_before)),
            status_code: detail.unknown_status.unwrap_or(1),
            paid_amount: detail.paid_amount,
            paid_time,
            refunded_time: None,
        };
        let mut lines = Vec::with_capacity(1 + refunds.len());
        if let Some(at) = fact.shown.at() {
            let status = if detail.unknown_status.is_some() { OrderStatus::Unknown } else { OrderStatus::Paid };
            let content = ShownContent::Order { status, touch: touch.clone(), payment: payment.clone() };
            lines.push(self.shown(paid_time, at, vec![Feed::Orders], content));
        }
        for (refund, at) in refunds {
            let refunded_time = (!detail.hides_refund_time).then_some(UnixTime(i64::from(refund.time)));
            let payment = Payment { status_code: 2, refunded_time, ..payment.clone() };
            let content = ShownContent::Order { status: OrderStatus::Refunded, touch: touch.clone(), payment };
            let told_later = refund.told_at > 0;
            let by_orders = refund.shown_by_orders.at().map(|_| Feed::Orders);
            let by_refunds = refund.shown_by_refunds.at().map(|_| Feed::Refunds);
            let feeds = by_orders.into_iter().chain(by_refunds).collect();
            let time = refunded_time.unwrap_or(paid_time);
            lines.push(Shown { told_later, ..self.shown(time, at, feeds, content) });
        }
        lines
    }

    fn drawer(&self) -> &Drawer {
        &self.paging.drawer
    }

    fn shown(&self, time: UnixTime, first_shown: u32, feeds: Vec<Feed>, content: ShownContent) -> Shown {
        let first_shown = UnixTime(i64::from(first_shown));
        Shown { promoter: self.key.clone(), time, first_shown, feeds, content, told_later: false }
    }

    fn dead(&self, row: RowRef) -> ShownContent {
        ShownContent::DeadRow(dead_bytes(self.paging, self.promoter, row))
    }
}

fn dead_bytes(paging: &Paging, promoter: &SimPromoter, row: RowRef) -> Box<[u8]> {
    let merchant = &crate::simulator::facts::details::Merchant::at_revision(promoter, 0);
    let renderer = Renderer { drawer: &paging.drawer, promoter, now: 0, merchant, first_merchant: merchant };
    let mut raw = Vec::new();
    renderer.render(&mut raw, row, None);
    raw.into_boxed_slice()
}

fn touch(detail: &TouchDetail) -> Touch {
    debug_assert!(detail.defect != Some(RowDefect::MissingOpenid), "dead rows are no facts");
    Touch {
        openid: detail.openid.clone(),
        path: detail.path.clone(),
        scene: detail.scene,
        share_extra_info: detail.repaired_share_extra_info(),
        ..Touch::default()
    }
}
