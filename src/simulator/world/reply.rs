//! An answer in the making: what it says, before chance decides how it is delivered.

use bytes::Bytes;

use crate::simulator::obstacles::faults::InjectedFault;
use crate::simulator::pages::page::Receipt;
use crate::simulator::seed::Seed;

pub struct Reply {
    pub status: u16,
    pub content_type: &'static str,
    pub retry_after: Option<u64>,
    pub body: Bytes,
    pub receipt: Receipt,
    /// For the statistics: an errcode or the name of a fault.
    pub outcome: String,
    /// A fault that is played instead of delivering the answer.
    pub played: Option<InjectedFault>,
}

/// What gateways say, and what they make of an answer.
const FOREIGN: [&str; 5] = [
    "{}",
    r#"{"code":50013,"message":"rate limited"}"#,
    r#"{"errcode":null,"errmsg":null}"#,
    r#"{"code":0,"data":{"relation_list":[],"order_list":[],"total_cnt":0,"errcode":0}}"#,
    r#"{"success":true,"result":"{\"errcode\":103006}"}"#,
];
const ROWS_MISSING: [&str; 3] = [
    r#"{"errcode":0,"errmsg":"ok","total_cnt":12}"#,
    r#"{"relation_list":null,"order_list":[],"total_cnt":"3","errcode":0}"#,
    r#"{"relation_list":[],"order_list":"","total_cnt":1000,"start_id":"7"}"#,
];

pub const JSON: &str = "application/json; charset=UTF-8";
const HTML: &str = "text/html; charset=utf-8";
pub const PLAIN: &str = "text/plain; charset=utf-8";

impl Reply {
    pub fn success(body: impl Into<Bytes>) -> Reply {
        Reply {
            status: 200,
            content_type: JSON,
            retry_after: None,
            body: body.into(),
            receipt: Receipt::default(),
            outcome: "0".to_owned(),
            played: None,
        }
    }

    /// HTTP 200 with an errcode; the message ends with an id of the call as the upstream's do.
    pub fn errcode(code: i64, call: Seed, as_text: bool) -> Reply {
        let quote = if as_text { "\"" } else { "" };
        let message = message(code);
        let body = format!(r#"{{"errcode":{quote}{code}{quote},"errmsg":"{message} rid: {:016x}"}}"#, call.bits());
        Reply { outcome: code.to_string(), ..Reply::success(body) }
    }

    /// What a fault of the transport looks like.
    pub fn fault(fault: InjectedFault, call: Seed) -> Reply {
        const PAGE: &str = "<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>";
        let html = |status| Reply { status, content_type: HTML, ..Reply::success(PAGE) };
        let pick = |bodies: &[&'static str]| bodies[(call.text("body").bits() % bodies.len() as u64) as usize];
        let reply = match fault {
            InjectedFault::ForeignJson => Reply::success(pick(&FOREIGN)),
            InjectedFault::ListObject => {
                Reply::success(r#"{"relation_list":{},"order_list":{},"promoter_list":{},"total_cnt":0,"errcode":0}"#)
            }
            InjectedFault::RowsMissing => Reply::success(pick(&ROWS_MISSING)),
            InjectedFault::Error500 => Reply { status: 500, content_type: PLAIN, ..Reply::success("internal error") },
            InjectedFault::Error502 => html(502),
            InjectedFault::HtmlBody => html(200),
            InjectedFault::TooManyRequests => {
                Reply { status: 429, retry_after: Some(1 + call.bits() % 3), ..Reply::success("slow down") }
            }
            _ => Reply::success(Bytes::new()),
        };
        let played = matches!(fault, InjectedFault::Hang | InjectedFault::Reset).then_some(fault);
        Reply { outcome: fault.name(), played, ..reply }
    }
}

fn message(code: i64) -> &'static str {
    match code {
        -1 => "system error",
        40001 | 40014 => "invalid credential, access_token is invalid or not latest",
        40002 => "invalid grant_type",
        40003 => "invalid openid",
        40013 => "invalid appid",
        40066 => "invalid url",
        40097 => "invalid args",
        40125 => "invalid appsecret",
        40164 => "invalid ip, not in whitelist",
        41001 => "access_token missing",
        42001 => "access_token expired",
        43002 => "require POST method",
        44002 => "empty post data",
        45009 => "reach max api daily quota limit",
        45011 => "api minute-quota reach limit must slower retry next minute",
        47001 => "data format error",
        48001 => "api unauthorized",
        50002 => "user limited",
        103006 => "data does not exist",
        103014 => "promoter not authorized",
        _ => "failed",
    }
}
