//! How an answer goes out, and that what arrived whole was shown.

use std::io::Write;
use std::time::Duration;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use rand::RngExt;

use super::reply::{PLAIN, Reply};
use super::state::World;
use crate::model::time::UnixMillis;
use crate::simulator::exchange::{Delivery, SimResponse};
use crate::simulator::obstacles::faults::InjectedFault;
use crate::simulator::pages::page::Receipt;
use crate::simulator::pages::rows::RowRef;
use crate::simulator::seed::Seed;

impl World {
    /// Marks what a page showed.
    pub fn delivered(&mut self, receipt: Receipt) {
        let Some(promoter) = self.apps.get_mut(receipt.app).and_then(|app| app.promoters.get_mut(receipt.promoter))
        else {
            return;
        };
        let now = receipt.answered_at;
        for row in receipt.rows {
            match row {
                RowRef::Touch(index) => promoter.touches[index].shown.mark(now),
                RowRef::Paid(order) => promoter.orders[order].shown.mark(now),
                RowRef::Refunded { refund, .. } if receipt.refunds_only => {
                    promoter.refunds[refund].shown_by_refunds.mark(now);
                }
                RowRef::Refunded { order, refund } => {
                    promoter.orders[order].shown.mark(now);
                    promoter.refunds[refund].shown_by_orders.mark(now);
                }
            }
        }
    }

    /// What chance makes of a reply on its way. Counts the call.
    pub(super) fn deliver(&mut self, now: UnixMillis, path: &'static str, reply: Reply, call: Seed) -> SimResponse {
        let mut rng = call.text("delivery").rng();
        let strikes = |fault| self.faults.strikes(fault, now, call);
        let slow = if strikes(InjectedFault::Slow) { rng.random_range(1000..5000) } else { 0 };
        let after = Duration::from_millis(slow + rng.random_range(self.latency.clone()));
        let cut = reply.status == 200 && reply.body.len() > 1 && strikes(InjectedFault::Truncated);
        let content_type = if strikes(InjectedFault::TextPlain) { PLAIN } else { reply.content_type };
        let is_packed = reply.status == 200 && !reply.body.is_empty() && strikes(InjectedFault::Gzip);
        let mut body = reply.body;
        if strikes(InjectedFault::TrailingNul) {
            body = [&body[..], b"\0\0"].concat().into();
        }
        if is_packed {
            body = packed(&body);
        }
        let delivery = match reply.played {
            Some(InjectedFault::Hang) => Delivery::Hang,
            Some(_) => Delivery::Reset,
            None if cut => Delivery::Truncated(rng.random_range(0..body.len())),
            None => Delivery::Whole,
        };
        let outcome = if cut && reply.played.is_none() { InjectedFault::Truncated.name() } else { reply.outcome };
        self.calls.count(path, outcome);
        SimResponse {
            status: reply.status,
            content_type,
            date: UnixMillis(now.0.saturating_add(self.clock_skew_millis)).as_seconds(),
            retry_after: reply.retry_after,
            is_packed,
            body,
            after,
            delivery,
            receipt: if delivery == Delivery::Whole { reply.receipt } else { Receipt::default() },
        }
    }
}

fn packed(body: &[u8]) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(body).and_then(|()| encoder.finish()).expect("writing to memory can't fail").into()
}
