//! Each fault can be reached, and the quiet ends them all.

use std::time::Duration;

use clap::ValueEnum;
use serde_json::{Value, json};

use crate::simulator::obstacles::faults::{FaultRate, InjectedFault, Level};
use crate::upstream::packing::unpacked;

use super::client::Client;
use crate::simulator::{Delivery, SimResponse, WorldOptions};

const RELATION: &str = "/promoter/getrelation";

fn struck_by(fault: InjectedFault) -> (Client, Value) {
    // Of small pages nobody could tell that the start_id is missing.
    let (touches, page_rows) = if fault == InjectedFault::MissingStartId { (1500, 1000) } else { (50, 10) };
    let options = WorldOptions {
        history_touches: Some(touches),
        page_rows,
        quiet_after: Some(Duration::from_secs(600)),
        ..WorldOptions::plain()
    };
    let mut client = Client::new(&options);
    let token = client.token.clone();
    client = Client::new(&WorldOptions { fault: vec![FaultRate { fault, rate: 1.0 }], ..options });
    // The token of a world without faults is the same, since the seed is.
    client.token = token;
    let id = client.world.promoter_ids()[0].clone();
    (client, json!({"openid": id}))
}

fn code(answer: &SimResponse) -> Option<i64> {
    serde_json::from_slice::<Value>(&answer.body).ok()?["errcode"].as_i64()
}

/// Whether an answer to the first page, or to a token, looks as its fault should.
fn looks_right(fault: InjectedFault, client: &mut Client, request: &Value, answer: &SimResponse) -> bool {
    let body = serde_json::from_slice::<Value>(&answer.body).unwrap_or_default();
    let mut token = || {
        let body = json!({"grant_type": "client_credential", "appid": "wx_simulated", "secret": "simulated-secret"});
        client.post("/cgi-bin/stable_token", &body)
    };
    match fault {
        InjectedFault::Error500 => answer.status == 500,
        InjectedFault::Error502 => answer.status == 502,
        InjectedFault::TooManyRequests => answer.status == 429 && answer.retry_after.is_some(),
        InjectedFault::Hang => answer.delivery == Delivery::Hang,
        InjectedFault::Reset => answer.delivery == Delivery::Reset,
        InjectedFault::Slow => answer.after >= Duration::from_secs(1) && answer.delivery == Delivery::Whole,
        InjectedFault::EmptyBody => answer.status == 200 && answer.body.is_empty(),
        InjectedFault::HtmlBody => answer.status == 200 && answer.body.starts_with(b"<html>"),
        InjectedFault::ForeignJson => {
            let known = ["errcode", "total_cnt", "start_id", "relation_list"];
            answer.status == 200 && body.is_object() && known.iter().all(|name| body[name].is_null())
        }
        InjectedFault::ListObject => body["relation_list"].is_object(),
        InjectedFault::RowsMissing => {
            !body["total_cnt"].is_null() && body["relation_list"].as_array().is_none_or(Vec::is_empty)
        }
        InjectedFault::Gzip => {
            answer.is_packed && unpacked(answer.body.clone(), 1 << 20).is_ok_and(|body| body.starts_with(b"{"))
        }
        InjectedFault::TrailingNul => answer.body.ends_with(b"}\0\0"),
        InjectedFault::Truncated => {
            matches!(answer.delivery, Delivery::Truncated(length) if length < answer.body.len())
        }
        InjectedFault::Busy => code(answer) == Some(-1),
        InjectedFault::TokenRejected => matches!(code(answer), Some(40001 | 40014 | 42001)),
        InjectedFault::TokenRevoked => code(answer) == Some(40001) && code(&token()).is_none(),
        InjectedFault::TryLater => matches!(code(answer), Some(103_009 | 103_011..=103_013)),
        InjectedFault::Unforeseen => matches!(code(answer), Some(9_300_001 | 61_007 | -605)),
        InjectedFault::RepeatingStartId => {
            let start_id = body["start_id"].clone();
            let mut request = request.clone();
            request["start_id"] = start_id.clone();
            let next: Value = serde_json::from_slice(&client.post(RELATION, &request).body).unwrap();
            let as_text = |value: &Value| value.to_string().replace('"', "").replace("p-", "");
            let same = |hex: &str, number: &str| u64::from_str_radix(hex, 16).ok() == number.parse::<u64>().ok();
            let (asked, given) = (as_text(&start_id), as_text(&next["start_id"]));
            asked == given || same(&asked, &given) || same(&given, &asked)
        }
        InjectedFault::MissingStartId => {
            body["total_cnt"] == 1000 && matches!(body["start_id"].as_str(), None | Some(""))
        }
        InjectedFault::TokenError => {
            let outcomes: Vec<_> = (0..40).map(|_| token()).collect();
            outcomes.iter().any(|token| code(token) == Some(-1)) && outcomes.iter().all(|token| !granted(token))
        }
        InjectedFault::TooFast => code(answer) == Some(45011),
        InjectedFault::Quota => code(answer) == Some(45009) && remaining(client) == Some(0),
        InjectedFault::Parked => matches!(code(answer), Some(103_014 | 103_007 | 40003)),
        InjectedFault::Endless => pulls_without_end(client, request),
        InjectedFault::Credentials => code(&token()) == Some(40125),
        InjectedFault::AddressRefused => code(&token()) == Some(40164),
        InjectedFault::Banned => matches!(code(answer), Some(48001 | 50002)),
        InjectedFault::ErrcodeText => body["errcode"] == "0",
        InjectedFault::TextPlain => answer.content_type.starts_with("text/plain"),
    }
}

fn granted(answer: &SimResponse) -> bool {
    answer.delivery == Delivery::Whole && answer.body.starts_with(b"{\"access_token")
}

fn remaining(client: &mut Client) -> Option<i64> {
    let answer = client.post("/cgi-bin/openapi/quota/get", &json!({"cgi_path": RELATION}));
    serde_json::from_slice::<Value>(&answer.body).ok()?["quota"]["remain"].as_i64()
}

fn pulls_without_end(client: &mut Client, request: &Value) -> bool {
    let mut request = request.clone();
    let mut seen = std::collections::HashSet::new();
    (0..100).all(|_| {
        let body: Value = serde_json::from_slice(&client.post(RELATION, &request).body).unwrap();
        request["start_id"] = body["start_id"].clone();
        body["total_cnt"] == 1000 && seen.insert(body["start_id"].to_string())
    })
}

#[test]
fn each_fault_can_be_reached_and_ends_with_the_quiet() {
    for fault in InjectedFault::value_variants() {
        let (mut client, request) = struck_by(*fault);
        let answer = client.post(RELATION, &request);
        assert!(looks_right(*fault, &mut client, &request, &answer), "{fault:?}: {:?}", answer.body);
        client.pass(600);
        client.refresh("wx_simulated", "simulated-secret");
        let answer = client.post(RELATION, &request);
        assert!(answer.delivery == Delivery::Whole && answer.status == 200, "{fault:?} goes on");
        assert_eq!(code(&answer), Some(0), "{fault:?} goes on");
        let rows: usize = client.pages(RELATION, &request).iter().map(|page| page.rows.len()).sum();
        assert!(rows >= 50, "{fault:?}: {rows} rows");
    }
}

#[test]
fn many_faults_leave_more_than_half_of_the_calls_alone() {
    let mut client = Client::new(&WorldOptions { faults: Level::Many, ..WorldOptions::default() });
    let ids = client.world.promoter_ids();
    let (mut good, mut all) = (0, 0);
    for _ in 0..20 {
        for id in &ids {
            let answer = client.post(RELATION, &json!({"openid": id}));
            let body = String::from_utf8_lossy(&answer.body).into_owned();
            let fine = body.contains("total_cnt") || body.contains("103006");
            good += usize::from(fine && answer.delivery == Delivery::Whole);
            all += 1;
            if body.contains("40001") {
                client.refresh("wx_simulated", "simulated-secret");
            }
        }
        client.pass(5);
    }
    assert!(good * 2 > all && good < all, "{good} of {all}");
}
