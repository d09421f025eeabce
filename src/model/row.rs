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

/// What rows show, by the interface that lists them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowKind {
    /// Of `relation_list`.
    Touch,
    /// Of `order_list`.
    Order,
}

/// A row that can be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Row {
    /// With its `create_time`: when the user entered.
    Touch(UnixTime, Touch),
    Order(Touch, Payment),
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
