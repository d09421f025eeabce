//! A row in its final form: its identity, its time, its content.

use std::fmt;

use smallvec::SmallVec;

use super::feed::Feed;
use super::promoter::Promoter;
use super::row::{Payment, Touch};
use super::time::UnixTime;
use crate::text;

/// The upstream's number for no scene: a row says so or leaves the field out.
const NO_SCENE: i64 = 0;

/// What makes two observed facts the same: the first 128 bits of a BLAKE3 hash.
///
/// The hash is cryptographic because users control some of the hashed text: with a weaker one, a constructed
/// collision would suppress somebody's commission.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FactId(pub [u8; 16]);

impl FactId {
    /// Reads it back from [`hex`](Self::hex).
    pub(crate) fn from_hex(text: &str) -> Option<FactId> {
        let digits: &[u8; 32] = text.as_bytes().try_into().ok()?;
        let mut id = [0; 16];
        for (byte, [high, low]) in id.iter_mut().zip(digits.as_chunks::<2>().0) {
            let value = |digit: u8| char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
            *byte = value(*high)? << 4 | value(*low)?;
        }
        Some(FactId(id))
    }

    /// As text: 32 hex digits in lower case.
    pub(crate) fn hex(self) -> HexId {
        let mut digits = [0; 32];
        text::write_hex(&self.0, &mut digits);
        HexId(digits)
    }
}

/// An id as text, without an allocation: every event carries one.
pub(crate) struct HexId([u8; 32]);

impl HexId {
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("hex digits are ASCII")
    }
}

impl fmt::Display for FactId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.hex().as_str())
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

impl OrderStatus {
    /// As events have it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            OrderStatus::Paid => "PAID",
            OrderStatus::Refunded => "REFUNDED",
            OrderStatus::Unknown => "UNKNOWN",
        }
    }
}

/// What a fact tells beside its identity and its time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FactContent {
    /// The fact's time is its `create_time`.
    Touch(Touch),
    /// `payment` is as the event shows it: `status_code` and `refunded_time` fit `status`.
    Order { status: OrderStatus, touch: Touch, payment: Payment },
}

impl FactContent {
    /// What an order event tells of its order, and the payment as it shows that.
    pub(crate) fn order(&self) -> Option<(OrderStatus, &Payment)> {
        match self {
            FactContent::Order { status, payment, .. } => Some((*status, payment)),
            FactContent::Touch(_) => None,
        }
    }

    pub(crate) fn payment(&self) -> Option<&Payment> {
        self.order().map(|(_, payment)| payment)
    }

    /// How many bytes all its texts have.
    pub(crate) fn text_length(&self) -> usize {
        match self {
            FactContent::Touch(touch) => touch.text_length(),
            FactContent::Order { touch, payment, .. } => touch.text_length() + payment.text_length(),
        }
    }
}

/// One thing that happened, published once: a touch, a payment, a refund, or an order in an unknown status. A row of the
/// upstream shows one of them, or two: a refunded order shows its payment as well.
///
/// It takes about 300 bytes, so it is moved as seldom as can be: from the page into the batch, where it stays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact {
    pub id: FactId,
    /// When it happened: the event's Kafka timestamp, and what `start_from` and the order of events go by.
    pub time: UnixTime,
    /// The feed whose memory it is looked up in: every refund in that of `refunds`, whichever feed met it.
    pub memory: Feed,
    pub content: FactContent,
    /// The row's bytes as the upstream sent them, for the dead letters in case it can't be published.
    pub raw: Box<[u8]>,
}

impl Fact {
    /// The touch that a row of `getrelation` shows: the user entered at `create_time`.
    pub fn touch(promoter: &Promoter, create_time: UnixTime, touch: Touch, raw: Box<[u8]>) -> Fact {
        // Without what the merchant keeps about the promoter: an edit of that must not publish history again.
        let Touch { openid, path, scene, share_extra_info, role_id: _, retail_id: _, extra_info: _ } = &touch;
        let id = IdentityHasher::new("touch", promoter)
            .text(openid)
            .number(create_time.0)
            .optional_text(path.as_deref())
            .optional_number(scene.filter(|scene| *scene != NO_SCENE))
            .optional_text(share_extra_info.as_deref())
            .finish();
        Fact { id, time: create_time, memory: Feed::Touches, content: FactContent::Touch(touch), raw }
    }

    /// The payment that a row of any status but an unknown one shows.
    pub fn paid(promoter: &Promoter, touch: Touch, payment: Payment, raw: Box<[u8]>) -> Fact {
        let payment = Payment { status_code: 1, refunded_time: None, ..payment };
        let id = order_identity("PAID", promoter, &payment).finish();
        Fact {
            id,
            time: payment.paid_time,
            memory: Feed::Orders,
            content: FactContent::Order { status: OrderStatus::Paid, touch, payment },
            raw,
        }
    }

    /// The refund that a row of status 2 shows. One without its own time stands at the payment's; when it happened is
    /// for its reader to say ([`Fact::has_time`]).
    pub fn refunded(promoter: &Promoter, touch: Touch, payment: Payment, raw: Box<[u8]>) -> Fact {
        let payment = Payment { status_code: 2, ..payment };
        let id = order_identity("REFUNDED", promoter, &payment)
            .optional_number(payment.refunded_time.map(|time| time.0))
            .finish();
        Fact {
            id,
            time: payment.refunded_time.unwrap_or(payment.paid_time),
            memory: Feed::Refunds,
            content: FactContent::Order { status: OrderStatus::Refunded, touch, payment },
            raw,
        }
    }

    /// The user whom it is about.
    pub(crate) fn user_id(&self) -> &str {
        match &self.content {
            FactContent::Touch(touch) | FactContent::Order { touch, .. } => &touch.openid,
        }
    }

    /// Whether the row told when it happened.
    pub(crate) fn has_time(&self) -> bool {
        match self.content.order() {
            Some((OrderStatus::Refunded, payment)) => payment.refunded_time.is_some(),
            _ => true,
        }
    }

    /// An order in a status that was not documented when this was written.
    pub fn unknown(promoter: &Promoter, touch: Touch, payment: Payment, raw: Box<[u8]>) -> Fact {
        let id = order_identity("UNKNOWN", promoter, &payment).number(payment.status_code).finish();
        Fact {
            id,
            time: payment.paid_time,
            memory: Feed::Orders,
            content: FactContent::Order { status: OrderStatus::Unknown, touch, payment },
            raw,
        }
    }
}

/// What the memory of refunds holds about one order, beside the identities of its refunds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RefundMark {
    /// A refund without a time was met. It is that refund's own identity.
    Untimed,
    /// A refund with a time was met.
    Timed,
    /// The refund without a time was told its time.
    Told,
}

impl RefundMark {
    pub fn id(self, promoter: &Promoter, payment: &Payment) -> FactId {
        let kind = match self {
            RefundMark::Untimed => return order_identity("REFUNDED", promoter, payment).optional_number(None).finish(),
            RefundMark::Timed => "refund with a time",
            RefundMark::Told => "refund told its time",
        };
        order_identity(kind, promoter, payment).finish()
    }
}

/// The identity of a row that can't be read: its bytes, per promoter, whichever feed meets them.
pub(crate) fn dead_row_id(promoter: &Promoter, raw: &[u8]) -> FactId {
    IdentityHasher::new("dead", promoter).bytes(raw).finish()
}

fn order_identity(status: &str, promoter: &Promoter, payment: &Payment) -> IdentityHasher {
    // What may differ between two showings of one payment, or of one refund, is left out; the time of a refund is added by whoever has one.
    let Payment {
        mch_id,
        trade_no,
        out_trade_no: _,
        create_time: _,
        status_code: _,
        paid_amount: _,
        paid_time: _,
        refunded_time: _,
    } = payment;
    let mut identity = IdentityHasher::new(status, promoter);
    identity.text(mch_id).text(trade_no);
    identity
}

/// Hashes fields so that no two different lists of fields give the same input: each text carries its length,
/// each optional field says whether it is there.
///
/// The input is gathered first: hashing a few hundred bytes at once costs half of what hashing them in pieces does.
struct IdentityHasher(SmallVec<[u8; IDENTITY_BYTES]>);

/// Most identities are shorter, and take no allocation.
const IDENTITY_BYTES: usize = 320;

impl IdentityHasher {
    fn new(kind: &str, promoter: &Promoter) -> IdentityHasher {
        let mut identity = IdentityHasher(SmallVec::new());
        identity.text(kind).text(promoter.app_id()).text(promoter.promoter_id());
        identity
    }

    fn bytes(&mut self, bytes: &[u8]) -> &mut IdentityHasher {
        self.0.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
        self.0.extend_from_slice(bytes);
        self
    }

    fn text(&mut self, text: &str) -> &mut IdentityHasher {
        self.bytes(text.as_bytes())
    }

    fn number(&mut self, number: i64) -> &mut IdentityHasher {
        self.0.extend_from_slice(&number.to_le_bytes());
        self
    }

    fn optional_text(&mut self, text: Option<&str>) -> &mut IdentityHasher {
        self.0.push(u8::from(text.is_some()));
        match text {
            Some(text) => self.text(text),
            None => self,
        }
    }

    fn optional_number(&mut self, number: Option<i64>) -> &mut IdentityHasher {
        self.0.push(u8::from(number.is_some()));
        match number {
            Some(number) => self.number(number),
            None => self,
        }
    }

    fn finish(&self) -> FactId {
        let mut id = [0; 16];
        id.copy_from_slice(&blake3::hash(&self.0).as_bytes()[..16]);
        FactId(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::feed::EventTopic;
    use crate::model::row::RowKind;

    #[test]
    fn a_touch_without_a_scene_is_the_same_as_one_of_scene_0() {
        let promoter = Promoter::from_key("wx1/oABC").unwrap();
        let id = |scene| {
            let touch = Touch { openid: "u".into(), scene, ..Touch::default() };
            Fact::touch(&promoter, UnixTime(1), touch, Box::default()).id
        };
        assert_eq!(id(None), id(Some(0)));
        assert_ne!(id(None), id(Some(1)));
    }

    #[test]
    fn an_id_is_read_back_from_its_text() {
        let id = dead_row_id(&Promoter::from_key("wx1/oABC").unwrap(), b"{");
        assert_eq!(FactId::from_hex(id.hex().as_str()), Some(id));
        for text in ["", "1166d742696535ca380a25ea7f2d4e3", "1166d742696535ca380a25ea7f2d4e3g"] {
            assert_eq!(FactId::from_hex(text), None, "{text}");
        }
    }

    /// An identity that changed would publish again all that is remembered.
    #[test]
    fn ids_never_change() {
        let promoter = Promoter::from_key("wx1/oABC").unwrap();
        let touch =
            Touch { openid: "oUSER".into(), path: Some("pages/index".into()), scene: Some(1007), ..Touch::default() };
        let payment = Payment {
            mch_id: "1230000109".into(),
            trade_no: "4200001".into(),
            out_trade_no: None,
            create_time: None,
            status_code: 2,
            paid_amount: 990,
            paid_time: UnixTime(1_668_614_400),
            refunded_time: Some(UnixTime(1_668_700_800)),
        };
        let of_rows = |topic: EventTopic| match topic.rows() {
            RowKind::Touch => vec![Fact::touch(&promoter, UnixTime(1_668_614_400), touch.clone(), Box::default())],
            RowKind::Order => [Fact::paid, Fact::refunded, Fact::unknown]
                .map(|make| make(&promoter, touch.clone(), payment.clone(), Box::default()))
                .into(),
        };
        let ids = EventTopic::ALL.into_iter().flat_map(of_rows).map(|fact| fact.id);
        assert_eq!(
            ids.chain([dead_row_id(&promoter, b"{")]).map(|id| id.to_string()).collect::<Vec<_>>(),
            [
                "7e48d2e87b0b914f10f8ef0ab7884763",
                "ca34aaca386d36a8aa4f7e16004928e3",
                "d967b3c4c3391d0b2542f471f375e1d9",
                "b554cbdf01f88ce5a50ddd8089664297",
                "1166d742696535ca380a25ea7f2d4e3c",
            ]
        );
    }
}
