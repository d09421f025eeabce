//! What a call of `getrelation` or `getorder` asks, read from its body.

use serde_json::{Map, Value};

use super::start_id;

/// What the rows must fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    Touches {
        begin: Option<i64>,
        end: Option<i64>,
        scene: Option<i64>,
        path: Option<String>,
    },
    Orders {
        /// yyyymmdd
        date: Option<u32>,
        status: Option<i64>,
        mch_id: Option<String>,
        trade_no: Option<String>,
        out_trade_no: Option<String>,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataRequest {
    pub promoter_id: String,
    pub union_ids: bool,
    pub subject: Subject,
    /// Where the pull goes on; `Some(None)` for what can't be one of ours.
    pub start_id: Option<Option<u64>>,
}

/// The interface that was called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DataCall {
    Relation,
    Order,
}

impl DataRequest {
    /// Numbers may come as text and text as numbers; what is empty or null counts as absent.
    pub fn read(call: DataCall, body: &Map<String, Value>) -> DataRequest {
        let text = |name: &str| match body.get(name) {
            Some(Value::String(text)) if !text.is_empty() => Some(text.clone()),
            Some(Value::Number(number)) => Some(number.to_string()),
            _ => None,
        };
        let number = |name: &str| text(name).and_then(|text| text.parse::<i64>().ok());
        let subject = match call {
            DataCall::Relation => Subject::Touches {
                begin: number("begin_time"),
                end: number("end_time"),
                scene: number("scene"),
                path: text("path"),
            },
            DataCall::Order => Subject::Orders {
                date: number("date").map(|date| u32::try_from(date).unwrap_or(0)),
                status: number("status"),
                mch_id: text("mch_id"),
                trade_no: text("trade_no"),
                out_trade_no: text("out_trade_no"),
            },
        };
        DataRequest {
            promoter_id: text("openid").unwrap_or_default(),
            union_ids: number("need_unionid") == Some(1),
            subject,
            start_id: text("start_id").map(|text| start_id::from_text(&text)),
        }
    }

    /// Whether the answer shows refunds alone: a pull of `status` 2 without a date.
    pub fn refunds_only(&self) -> bool {
        matches!(self.subject, Subject::Orders { date: None, status: Some(2), .. })
    }
}
