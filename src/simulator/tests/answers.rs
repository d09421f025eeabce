//! The same requests have the same answers; wrong requests have the upstream's errcodes.

use std::time::Duration;

use serde_json::{Value, json};

use super::client::{Client, START};
use crate::simulator::obstacles::faults::{FaultRate, InjectedFault, Level};
use crate::simulator::{SimRequest, World, WorldOptions};
use crate::upstream::transport::Method;

const RELATION: &str = "/promoter/getrelation";
const ORDER: &str = "/promoter/getorder";

/// The bytes that each promoter gets when they are asked in this order, again and again.
fn bodies(options: &WorldOptions, order: &[usize]) -> Vec<Vec<u8>> {
    let mut client = Client::new(options);
    let ids = client.world.promoter_ids();
    let mut bodies = vec![Vec::new(); ids.len()];
    for _ in 0..20 {
        for index in order {
            for path in [RELATION, ORDER] {
                let answer = client.post(path, &json!({"openid": ids[*index]}));
                bodies[*index].extend_from_slice(&answer.body);
                bodies[*index].extend_from_slice(format!("{:?} {:?}", answer.delivery, answer.after).as_bytes());
                client.world.delivered(answer.receipt);
            }
        }
        client.pass(60);
    }
    let truth = client.world.truth().iter().map(|line| line.to_json().to_string()).collect::<String>();
    bodies.push(truth.into_bytes());
    bodies
}

#[test]
fn the_seed_decides_everything_whatever_the_order_of_the_promoters() {
    let revoked = FaultRate { fault: InjectedFault::TokenRevoked, rate: 0.0 };
    let tokens = FaultRate { fault: InjectedFault::TokenError, rate: 0.0 };
    let options =
        WorldOptions { promoters: 5, faults: Level::Many, fault: vec![revoked, tokens], ..WorldOptions::default() };
    let first = bodies(&options, &[0, 1, 2, 3, 4]);
    assert_eq!(first, bodies(&options, &[0, 1, 2, 3, 4]));
    assert_eq!(first, bodies(&options, &[4, 2, 0, 1, 3]));
    assert_ne!(first, bodies(&WorldOptions { seed: 2, ..options }, &[0, 1, 2, 3, 4]));
}

#[test]
fn a_latency_can_be_drawn_and_can_be_exact() {
    let latencies = |latency, latency_min| {
        let [latency, latency_min] = [latency, latency_min].map(Duration::from_millis);
        let mut client = Client::new(&WorldOptions { latency, latency_min, ..WorldOptions::plain() });
        let id = client.world.promoter_ids().remove(0);
        (0..50).map(|_| client.post(RELATION, &json!({"openid": id})).after.as_millis()).collect::<Vec<_>>()
    };
    let drawn = latencies(40, 20);
    assert!(
        drawn.iter().all(|latency| (20..=40).contains(latency)) && drawn.iter().any(|latency| *latency != drawn[0])
    );
    assert!(latencies(40, 100).iter().all(|latency| *latency == 100));
}

#[test]
fn a_start_id_works_only_for_the_request_and_the_promoter_it_was_given_to() {
    let mut client = Client::new(&WorldOptions { history_touches: Some(50), page_rows: 10, ..WorldOptions::plain() });
    let ids = client.world.promoter_ids();
    for id in &ids {
        let request = json!({"openid": id});
        let first: Value = serde_json::from_slice(&client.post(RELATION, &request).body).unwrap();
        assert_eq!(first["total_cnt"], 1000, "more pages follow");
        let start_id = &first["start_id"];
        assert_eq!(client.errcode(RELATION, &json!({"openid": id, "start_id": start_id})), 0);
        assert_eq!(client.errcode(RELATION, &json!({"openid": id, "start_id": start_id, "scene": 1007})), 40097);
        assert_eq!(client.errcode(RELATION, &json!({"openid": id, "start_id": "nonsense"})), 40097);
        let other = ids.iter().find(|other| *other != id).unwrap();
        assert_eq!(client.errcode(RELATION, &json!({"openid": other, "start_id": start_id})), 40097);
    }
    let numeric = ids.iter().filter(|id| {
        let body: Value = serde_json::from_slice(&client.post(RELATION, &json!({"openid": id})).body).unwrap();
        body["start_id"].is_u64()
    });
    let numeric = numeric.count();
    assert!(0 < numeric && numeric < ids.len(), "both forms of start_id are there: {numeric}");
}

#[test]
fn a_last_page_that_is_full_is_followed_by_103006() {
    let mut client =
        Client::new(&WorldOptions { history_touches: Some(1000), touches_per_hour: 0.0, ..WorldOptions::plain() });
    let id = client.world.promoter_ids()[0].clone();
    let first: Value = serde_json::from_slice(&client.post(RELATION, &json!({"openid": id})).body).unwrap();
    assert_eq!((first["relation_list"].as_array().unwrap().len(), &first["total_cnt"]), (1000, &json!(1000)));
    assert_eq!(client.errcode(RELATION, &json!({"openid": id, "start_id": first["start_id"]})), 103_006);
}

#[test]
fn wrong_calls_get_the_upstreams_errcodes() {
    let mut client = Client::new(&WorldOptions { per_minute: 100, ..WorldOptions::plain() });
    let id = client.world.promoter_ids()[0].clone();
    assert_eq!(client.errcode(RELATION, &json!({"openid": "oStranger"})), 103_014);
    assert_eq!(client.errcode(RELATION, &json!({"openid": "oSimulated000021"})), 103_014);
    assert_eq!(client.errcode(RELATION, &json!({"openid": id, "need_unionid": 1})), 103_014);
    assert_eq!(client.errcode("/promoter/getsharematerial", &json!({"openid": "oStranger", "path": "p"})), 103_006);
    assert_eq!(client.errcode(RELATION, &json!({})), 40003);
    assert_eq!(client.errcode(RELATION, &json!([])), 47001);
    assert_eq!(client.errcode("/promoter/other", &json!({})), 40066);
    let token = std::mem::replace(&mut client.token, "stale".to_owned());
    assert_eq!(client.errcode(RELATION, &json!({"openid": id})), 40001);
    client.token.clear();
    assert_eq!(client.errcode(RELATION, &json!({"openid": id})), 41001);
    client.token = token;
    client.pass(7200);
    assert_eq!(client.errcode(RELATION, &json!({"openid": id})), 42001);
}

#[test]
fn wrong_credentials_are_told_apart() {
    let mut world = World::new(&WorldOptions::plain(), START).unwrap();
    let mut classic = |app: &str, secret: &str, grant: &str| {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let query = vec![pair("grant_type", grant), pair("appid", app), pair("secret", secret)];
        let request =
            SimRequest { method: Method::Get, path: "/cgi-bin/token".to_owned(), query, body: bytes::Bytes::new() };
        let body: Value = serde_json::from_slice(&world.answer(START, &request).body).unwrap();
        body.get("errcode").and_then(Value::as_i64)
    };
    assert_eq!(classic("wx_simulated", "simulated-secret", "client_credential"), None, "success has no errcode");
    assert_eq!(classic("wx_simulated", "wrong", "client_credential"), Some(40001));
    assert_eq!(classic("wx_simulated", "", "client_credential"), Some(41004));
    assert_eq!(classic("wx_other", "simulated-secret", "client_credential"), Some(40013));
    assert_eq!(classic("wx_simulated", "simulated-secret", "password"), Some(40002));
    let mut client = Client::new(&WorldOptions::plain());
    let body = json!({"grant_type": "client_credential", "appid": "wx_simulated", "secret": "wrong"});
    assert_eq!(client.errcode("/cgi-bin/stable_token", &body), 40125);
}

#[test]
fn one_call_too_many_in_a_minute_is_too_fast_and_the_next_minute_is_not() {
    let mut client = Client::new(&WorldOptions { per_minute: 3, ..WorldOptions::plain() });
    client.pass(60 - START.as_seconds().0 % 60);
    let id = client.world.promoter_ids()[0].clone();
    let codes: Vec<i64> = (0..4).map(|_| client.errcode(ORDER, &json!({"openid": id}))).collect();
    assert!(codes[..3].iter().all(|code| *code != 45011) && codes[3] == 45011, "{codes:?}");
    assert_ne!(client.errcode(RELATION, &json!({"openid": id})), 45011, "each interface counts alone");
    client.pass(60);
    assert_ne!(client.errcode(ORDER, &json!({"openid": id})), 45011);
}

#[test]
fn one_call_too_many_of_a_day_spends_the_quota_until_midnight() {
    let mut client = Client::new(&WorldOptions { per_day: 3, ..WorldOptions::plain() });
    let id = client.world.promoter_ids()[0].clone();
    let codes: Vec<i64> = (0..5).map(|_| client.errcode(ORDER, &json!({"openid": id}))).collect();
    assert!(codes[..3].iter().all(|code| *code != 45009) && codes[3..] == [45009, 45009], "{codes:?}");
    let quota = |client: &mut Client, path: &str| -> Value {
        let answer = client.post("/cgi-bin/openapi/quota/get", &json!({"cgi_path": path}));
        serde_json::from_slice::<Value>(&answer.body).unwrap()["quota"].clone()
    };
    assert_eq!(quota(&mut client, ORDER), json!({"daily_limit": 3, "used": 3, "remain": 0}));
    assert_eq!(quota(&mut client, RELATION), json!({"daily_limit": 3, "used": 0, "remain": 3}));
    client.pass(24 * 3600);
    client.refresh("wx_simulated", "simulated-secret");
    assert_ne!(client.errcode(ORDER, &json!({"openid": id})), 45009);
}

#[test]
fn an_edit_of_the_merchant_changes_old_rows_and_no_fact() {
    let options =
        WorldOptions { edit_every: Duration::from_secs(600), history_touches: Some(30), ..WorldOptions::plain() };
    let mut client = Client::new(&WorldOptions { touches_per_hour: 0.0, ..options });
    let id = client.world.promoter_ids()[0].clone();
    let rows = |client: &mut Client| {
        let body: Value = serde_json::from_slice(&client.post(RELATION, &json!({"openid": id})).body).unwrap();
        let rows = body["relation_list"].as_array().unwrap().clone();
        let words = |row: &Value| json!([row["role_id"], row["retail_id"], row["extra_info"]]).to_string();
        (words(&rows[0]), rows.iter().map(|row| row["openid"].to_string()).collect::<Vec<_>>())
    };
    let before = rows(&mut client);
    client.pass(600);
    let after = rows(&mut client);
    assert_ne!(before.0, after.0);
    assert_eq!(before.1, after.1);
}

#[test]
fn material_and_the_list_of_promoters_are_there_too() {
    let mut client = Client::new(&WorldOptions::plain());
    let id = client.world.promoter_ids()[0].clone();
    let path = "/promoter/getsharematerial";
    let answer = client.post(path, &json!({"openid": id, "path": "pages/a?b=1"}));
    let material: Value = serde_json::from_slice(&answer.body).unwrap();
    assert!(material["share_path"].as_str().unwrap().starts_with("pages/a?b=1&"));
    assert!(material["qrcode"].as_str().unwrap().starts_with("iVBORw0KGgo"), "a PNG in base64");
    assert!(material["tag"].is_string());
    assert_eq!(client.errcode(path, &json!({"openid": id, "path": "p", "title": "推广活动页推广活"})), 103_002);
    assert_eq!(client.errcode(path, &json!({"openid": id, "path": "p", "extra_info": "x".repeat(81)})), 103_001);
    assert_eq!(client.errcode(path, &json!({"openid": id, "path": "p".repeat(1024)})), 0);
    assert_eq!(client.errcode(path, &json!({"openid": id, "path": "p".repeat(1025)})), 103_005);

    let page: Value = serde_json::from_slice(&client.post("/promoter/getpromoter", &json!({})).body).unwrap();
    let rows = page["promoter_list"].as_array().unwrap();
    assert_eq!(rows.iter().filter(|row| row["auth_status"] == 1).count(), 20);
    assert!(rows.iter().any(|row| row["auth_status"] != 1));
    let after = rows.last().unwrap()["id"].clone();
    assert_eq!(client.errcode("/promoter/getpromoter", &json!({"start_id": after})), 103_006);
}
