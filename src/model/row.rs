//! One row of an answer, read: what `getrelation` and `getorder` show, before it becomes facts.

use super::time::UnixTime;

/// What a row says about the promoter and the user who came through the promoter's material.
/// Both kinds of rows carry it. Text that the upstream left empty is absent. *When* the user came stands beside it: a row
/// of `getrelation` always says so ([`Row::Touch`]), one of `getorder` not always ([`Payment::create_time`]).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Touch {
    /// The user. Never empty.
    pub openid: String,
    pub path: Option<String>,
    /// An open list of numbers.
    pub scene: Option<i64>,
    /// The `extra_info` that was given when the material was issued.
    pub share_extra_info: Option<String>,
    /// What the merchant keeps about the promoter, and may edit at any time: no part of an identity.
    pub role_id: Option<i64>,
    pub retail_id: Option<String>,
    pub extra_info: Option<String>,
}

impl Touch {
    /// How many bytes its texts have.
    pub(crate) fn text_length(&self) -> usize {
        let Touch { openid, path, scene: _, share_extra_info, role_id: _, retail_id, extra_info } = self;
        openid.len() + length_of_texts(&[path, share_extra_info, retail_id, extra_info])
    }
}

/// What a row of `getorder` adds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payment {
    pub mch_id: String,
    pub trade_no: String,
    pub out_trade_no: Option<String>,
    /// When the user entered through the material.
    pub create_time: Option<UnixTime>,
    /// The upstream's code: 1 paid, 2 refund accepted; 0 where the row has none.
    pub status_code: i64,
    /// In fen, a hundredth of a yuan.
    pub paid_amount: i64,
    pub paid_time: UnixTime,
    /// When the refund was created.
    pub refunded_time: Option<UnixTime>,
}

impl Payment {
    /// How many bytes its texts have.
    pub(crate) fn text_length(&self) -> usize {
        let Payment {
            mch_id,
            trade_no,
            out_trade_no,
            create_time: _,
            status_code: _,
            paid_amount: _,
            paid_time: _,
            refunded_time: _,
        } = self;
        mch_id.len() + trade_no.len() + length_of_texts(&[out_trade_no])
    }
}

fn length_of_texts(texts: &[&Option<String>]) -> usize {
    texts.iter().filter_map(|text| text.as_ref()).map(String::len).sum()
}

/// What rows show, by the interface that lists them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowKind {
    Touch,
    Order,
}

impl RowKind {
    /// The name of the list in an answer.
    pub(crate) fn list_name(self) -> &'static str {
        match self {
            RowKind::Touch => "relation_list",
            RowKind::Order => "order_list",
        }
    }
}

/// A row that can be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Row {
    /// With its `create_time`: when the user entered.
    Touch(UnixTime, Touch),
    Order(Touch, Payment),
}

impl Row {
    /// When what it shows first happened: a refunded order shows its payment as well.
    pub(crate) fn time(&self) -> UnixTime {
        match self {
            Row::Touch(time, _) => *time,
            Row::Order(_, payment) => payment.paid_time,
        }
    }

    /// The payment of an order.
    pub(crate) fn payment(&self) -> Option<&Payment> {
        match self {
            Row::Order(_, payment) => Some(payment),
            Row::Touch(..) => None,
        }
    }
}

/// Why a row can't be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowFault {
    /// A short code, stable for programs: `not_json`, `missing_openid`, `time_ahead`, …
    pub reason: &'static str,
    /// For people: which field, what is wrong. Never a secret.
    pub detail: String,
}

/// One element of a page's list: its bytes exactly as the upstream sent them, and what they say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadRow {
    pub raw: Box<[u8]>,
    pub content: Result<Row, RowFault>,
}

#[cfg(test)]
impl Row {
    /// Some row of the kind, of which all that has to be there is: of a payment, where it is an order.
    pub(crate) fn sample(kind: RowKind, time: UnixTime) -> Row {
        match kind {
            RowKind::Touch => Row::Touch(time, Touch::default()),
            RowKind::Order => {
                let payment = Payment {
                    mch_id: "m".into(),
                    trade_no: "t".into(),
                    out_trade_no: None,
                    create_time: None,
                    status_code: 1,
                    paid_amount: 1,
                    paid_time: time,
                    refunded_time: None,
                };
                Row::Order(Touch::default(), payment)
            }
        }
    }
}
