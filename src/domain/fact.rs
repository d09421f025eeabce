//! A row in its final form: its identity, its time, its content.

use std::fmt;

use super::feed::Feed;
use super::promoter::Promoter;
use super::row::{Payment, Touch};
use super::time::UnixTime;

/// What makes two sightings the same fact: the first 128 bits of a BLAKE3 hash.
///
/// The hash is cryptographic because users control some of the hashed text: with a weaker one, a constructed
/// collision would suppress somebody's commission.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FactId(pub [u8; 16]);

impl fmt::Display for FactId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for FactId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// What an order event tells of its order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OrderStatus {
    Paid,
    Refunded,
    /// A code that was not documented when this was written.
    Unknown,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    Touch(Touch),
    /// `payment` is as the event shows it: `status_code` and `refunded_time` fit `status`.
    Order {
        status: OrderStatus,
        touch: Touch,
        payment: Payment,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact {
    pub id: FactId,
    /// When it happened: the event's Kafka timestamp, and what `start_from` and the order of events go by.
    pub time: UnixTime,
    /// The feed whose memory it is looked up in: every refund in that of `refunds`, whichever feed met it.
    pub memory: Feed,
    pub content: Content,
    /// The row's bytes as the upstream sent them, for the dead letters in case it can't be published.
    pub raw: Box<[u8]>,
}

impl Fact {
    /// A touch, or nothing where the row has no `create_time` (the reader has refused such a row already).
    pub fn touch(promoter: &Promoter, touch: Touch, raw: Box<[u8]>) -> Option<Fact> {
        let time = touch.create_time?;
        let id = Identity::new("touch", promoter)
            .text(&touch.openid)
            .number(time.0)
            .optional_text(touch.path.as_deref())
            .optional_number(touch.scene)
            .optional_text(touch.share_extra_info.as_deref())
            .finish();
        Some(Fact { id, time, memory: Feed::Touches, content: Content::Touch(touch), raw })
    }

    /// The payment that a row of any status but an unknown one shows.
    pub fn paid(promoter: &Promoter, touch: Touch, payment: Payment, raw: Box<[u8]>) -> Fact {
        let payment = Payment { status_code: 1, refunded_time: None, ..payment };
        let id = order_identity("PAID", promoter, &payment).finish();
        Fact {
            id,
            time: payment.paid_time,
            memory: Feed::Orders,
            content: Content::Order { status: OrderStatus::Paid, touch, payment },
            raw,
        }
    }

    /// The refund that a row of status 2 shows. One without its own time takes the payment's.
    pub fn refunded(promoter: &Promoter, touch: Touch, payment: Payment, raw: Box<[u8]>) -> Fact {
        let payment = Payment { status_code: 2, ..payment };
        let id = order_identity("REFUNDED", promoter, &payment)
            .optional_number(payment.refunded_time.map(|time| time.0))
            .finish();
        Fact {
            id,
            time: payment.refunded_time.unwrap_or(payment.paid_time),
            memory: Feed::Refunds,
            content: Content::Order { status: OrderStatus::Refunded, touch, payment },
            raw,
        }
    }

    /// An order in a status that was not documented when this was written.
    pub fn unknown(promoter: &Promoter, touch: Touch, payment: Payment, raw: Box<[u8]>) -> Fact {
        let id = order_identity("UNKNOWN", promoter, &payment).number(payment.status_code).finish();
        Fact {
            id,
            time: payment.paid_time,
            memory: Feed::Orders,
            content: Content::Order { status: OrderStatus::Unknown, touch, payment },
            raw,
        }
    }
}

/// The identity of a row that can't be read: its bytes, per promoter, whichever feed meets them.
pub fn dead_row_id(promoter: &Promoter, raw: &[u8]) -> FactId {
    Identity::new("dead", promoter).bytes(raw).finish()
}

fn order_identity(status: &str, promoter: &Promoter, payment: &Payment) -> Identity {
    Identity::new(status, promoter).text(&payment.mch_id).text(&payment.trade_no)
}

/// Hashes fields so that no two different lists of fields give the same input: each text carries its length,
/// each optional field says whether it is there.
struct Identity(blake3::Hasher);

impl Identity {
    fn new(kind: &str, promoter: &Promoter) -> Identity {
        Identity(blake3::Hasher::new()).text(kind).text(promoter.app_id()).text(promoter.promoter_id())
    }

    fn bytes(mut self, bytes: &[u8]) -> Identity {
        self.0.update(&(bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
        self
    }

    fn text(self, text: &str) -> Identity {
        self.bytes(text.as_bytes())
    }

    fn number(mut self, number: i64) -> Identity {
        self.0.update(&number.to_le_bytes());
        self
    }

    fn optional_text(mut self, text: Option<&str>) -> Identity {
        self.0.update(&[u8::from(text.is_some())]);
        match text {
            Some(text) => self.text(text),
            None => self,
        }
    }

    fn optional_number(mut self, number: Option<i64>) -> Identity {
        self.0.update(&[u8::from(number.is_some())]);
        match number {
            Some(number) => self.number(number),
            None => self,
        }
    }

    fn finish(self) -> FactId {
        let mut id = [0; 16];
        id.copy_from_slice(&self.0.finalize().as_bytes()[..16]);
        FactId(id)
    }
}
