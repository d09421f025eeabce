//! What the upstream tells of an interface's quota: `quota/get`, which costs none of it.

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::repair::bare;
use crate::model::feed::Interface;

pub const PATH: &str = "/cgi-bin/openapi/quota/get";

/// Of an app, over all who call for it, on the day in Beijing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DailyQuota {
    pub limit: u64,
    pub used: u64,
}

impl DailyQuota {
    pub fn left(self) -> u64 {
        self.limit.saturating_sub(self.used)
    }
}

/// Why an answer gives no quota.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum QuotaAnswerError {
    #[error("the answer is none: {0}")]
    NotAnAnswer(String),
    #[error("errcode {0}")]
    Refused(i64),
    #[error("the answer names no quota of the day")]
    Unnamed,
}

pub fn request_body(interface: Interface) -> Bytes {
    json!({ "cgi_path": interface.path() }).to_string().into()
}

/// Reads an answer. Numbers may come as text. A limit of 0 is none that anybody could have.
///
/// # Errors
/// [`QuotaAnswerError`], by whether it can't be read, is a refusal, or tells nothing.
pub fn read(body: &[u8]) -> Result<DailyQuota, QuotaAnswerError> {
    let answer: Map<String, Value> =
        serde_json::from_slice(bare(body)).map_err(|error| QuotaAnswerError::NotAnAnswer(error.to_string()))?;
    match answer.get("errcode").and_then(integer) {
        None | Some(0) => {}
        Some(errcode) => return Err(QuotaAnswerError::Refused(errcode)),
    }
    let quota = answer.get("quota").and_then(Value::as_object).ok_or(QuotaAnswerError::Unnamed)?;
    let count = |name| quota.get(name).and_then(integer).and_then(|number| u64::try_from(number).ok());
    match (count("daily_limit"), count("used")) {
        (Some(limit), Some(used)) if limit > 0 => Ok(DailyQuota { limit, used }),
        _ => Err(QuotaAnswerError::Unnamed),
    }
}

fn integer(value: &Value) -> Option<i64> {
    match value {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_tells_the_limit_and_what_is_used_of_it() {
        let told = br#"{"errcode":0,"errmsg":"ok","quota":{"daily_limit":"1000","used":16,"remain":984},
            "rate_limit":{"call_count":5000,"refresh_second":60}}"#;
        let quota = read(told).unwrap();
        assert_eq!((quota, quota.left()), (DailyQuota { limit: 1000, used: 16 }, 984));
        assert_eq!(DailyQuota { limit: 10, used: 16 }.left(), 0);
    }

    #[test]
    fn what_tells_nothing_is_no_quota() {
        assert_eq!(read(br#"{"errcode":48001,"errmsg":"api unauthorized"}"#), Err(QuotaAnswerError::Refused(48001)));
        for body in [
            "{}",
            r#"{"quota":{}}"#,
            r#"{"quota":{"daily_limit":0,"used":0}}"#,
            r#"{"quota":{"used":-1}}"#,
            r#"{"quota":7}"#,
        ] {
            assert_eq!(read(body.as_bytes()), Err(QuotaAnswerError::Unnamed), "{body}");
        }
        for body in ["", "<html>", "[]"] {
            assert!(matches!(read(body.as_bytes()), Err(QuotaAnswerError::NotAnAnswer(_))), "{body}");
        }
    }
}
