//! The facts and unreadable rows of one promoter that were shown, drawn again from their seeds.

use crate::model::fact::OrderStatus;
use crate::model::feed::Feed;
use crate::model::promoter::Promoter;
use crate::model::row::{Payment, Touch};
use crate::model::time::UnixTime;
use crate::simulator::facts::details::{Drawer, Merchant, RowDefect, TouchDetail};
use crate::simulator::facts::fact::RefundFact;
use crate::simulator::facts::promoter::SimPromoter;
use crate::simulator::pages::page::Paging;
use crate::simulator::pages::rows::{Renderer, RowRef};

use super::shown::{Shown, ShownContent};

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
    let merchant = &Merchant::at_revision(promoter, 0);
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
        // The merchant's latest words, which are no part of the truth.
        role_id: None,
        retail_id: None,
        extra_info: None,
    }
}
