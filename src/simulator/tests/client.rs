//! A naive client of the world: it reads everything, and knows nothing about how the world makes it.

use std::collections::BTreeSet;

use bytes::Bytes;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::{Value, json};

use crate::model::feed::Feed;
use crate::model::time::{Day, UnixMillis, UnixTime};
use crate::simulator::{Delivery, SimRequest, SimResponse, World, WorldOptions};
use crate::upstream::transport::Method;

pub const START: UnixMillis = UnixMillis(1_750_000_000_000);

pub struct Client {
    pub world: World,
    pub now: UnixMillis,
    pub token: String,
}

impl Client {
    pub fn new(options: &WorldOptions) -> Client {
        let mut client = Client { world: World::new(options, START).unwrap(), now: START, token: String::new() };
        client.refresh(&options.apps[0], &options.secret);
        client
    }

    pub fn refresh(&mut self, app: &str, secret: &str) {
        let body = json!({"grant_type": "client_credential", "appid": app, "secret": secret, "force_refresh": false});
        let answer = self.post("/cgi-bin/stable_token", &body);
        if let Ok(body) = serde_json::from_slice::<Value>(&answer.body) {
            self.token = body["access_token"].as_str().unwrap_or_default().to_owned();
        }
    }

    pub fn pass(&mut self, seconds: i64) {
        self.now.0 += seconds * 1000;
    }

    pub fn post(&mut self, path: &str, body: &Value) -> SimResponse {
        let request = SimRequest {
            method: Method::Post,
            path: path.to_owned(),
            query: vec![("access_token".to_owned(), self.token.clone())],
            body: Bytes::from(body.to_string()),
        };
        self.world.answer(self.now, &request)
    }

    /// The errcode of an answer, 0 where there is none.
    pub fn errcode(&mut self, path: &str, body: &Value) -> i64 {
        let answer = self.post(path, body);
        let body: Value = serde_json::from_slice(&answer.body).unwrap();
        body["errcode"].as_i64().unwrap_or(0)
    }

    /// All pages of a request, in their order. Faults must be off.
    pub fn pages(&mut self, path: &str, request: &Value) -> Vec<Page> {
        let mut request = request.clone();
        let mut pages = Vec::new();
        loop {
            let answer = self.post(path, &request);
            assert_eq!(answer.delivery, Delivery::Whole);
            let body = answer.body.clone();
            self.world.delivered(answer.receipt);
            let Some(page) = Page::read(&body) else {
                return pages;
            };
            let (total, start_id) = (page.total, page.start_id.clone());
            pages.push(page);
            if total < 1000 {
                return pages;
            }
            request["start_id"] = start_id;
            assert!(pages.len() < 10_000, "the pull has no end");
        }
    }

    pub fn touches(&mut self, promoter: &str, from: i64) -> Vec<Page> {
        let request = json!({"openid": promoter, "begin_time": from - 1, "end_time": self.now.as_seconds().0 + 1});
        self.pages("/promoter/getrelation", &request)
    }

    pub fn orders(&mut self, promoter: &str, day: Day) -> Vec<Page> {
        self.pages("/promoter/getorder", &json!({"openid": promoter, "date": day.as_yyyymmdd()}))
    }

    pub fn refunds(&mut self, promoter: &str) -> Vec<Page> {
        self.pages("/promoter/getorder", &json!({"openid": promoter, "status": 2}))
    }

    /// Reads everything of all promoters since a time, and tells the facts.
    pub fn read_all(&mut self, from: UnixTime) -> BTreeSet<String> {
        let mut facts = BTreeSet::new();
        for promoter in self.world.promoter_ids() {
            let mut read = |pages: Vec<Page>, feed| {
                let rows = pages.iter().flat_map(|page| &page.rows);
                rows.for_each(|row| facts.extend(facts_of_row(&promoter, row, feed)));
            };
            read(self.touches(&promoter, from.0), Feed::Touches);
            let mut day = Day::in_beijing(from);
            while day <= Day::in_beijing(self.now.as_seconds()) {
                read(self.orders(&promoter, day), Feed::Orders);
                day = day.next();
            }
            read(self.refunds(&promoter), Feed::Refunds);
        }
        facts
    }

    /// The truth in the same words as [`Client::read_all`].
    pub fn truth(&self) -> BTreeSet<String> {
        let lines: Vec<String> = self.world.truth().iter().map(|shown| fact_of_line(&shown.to_json())).collect();
        let set: BTreeSet<String> = lines.iter().cloned().collect();
        assert_eq!(lines.len(), set.len(), "the truth tells each fact once");
        set
    }
}

/// A row with its keys in their order, doubled ones too.
pub struct Row(pub Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Row {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Row, D::Error> {
        struct Keys;
        impl<'de> Visitor<'de> for Keys {
            type Value = Row;
            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Row, A::Error> {
                let mut keys = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    keys.push(entry);
                }
                Ok(Row(keys))
            }
        }
        deserializer.deserialize_map(Keys)
    }
}

impl Row {
    fn all(&self, key: &str) -> Vec<&Value> {
        self.0.iter().filter(|(name, _)| name == key).map(|(_, value)| value).collect()
    }

    fn text(&self, key: &str) -> Value {
        match self.all(key).first() {
            Some(Value::String(text)) if !text.is_empty() => Value::from(text.as_str()),
            Some(Value::Number(number)) => Value::from(number.to_string()),
            _ => Value::Null,
        }
    }

    fn numbers(&self, key: &str) -> Vec<i64> {
        let number = |value: &&Value| value.as_i64().or_else(|| value.as_str()?.parse().ok());
        self.all(key).iter().filter_map(number).collect()
    }
}

pub struct Page {
    pub rows: Vec<Row>,
    pub total: usize,
    pub start_id: Value,
}

impl Page {
    /// Nothing where the answer is 103006.
    fn read(body: &[u8]) -> Option<Page> {
        #[derive(serde::Deserialize)]
        struct Image {
            #[serde(alias = "order_list", default)]
            relation_list: Option<Vec<Row>>,
            #[serde(default)]
            total_cnt: Value,
            #[serde(default)]
            start_id: Value,
            #[serde(default)]
            errcode: Value,
        }
        let image: Image = serde_json::from_str(&repaired(body)).expect("a page that has been repaired is JSON");
        let number = |value: &Value| value.as_i64().or_else(|| value.as_str()?.parse().ok());
        match number(&image.errcode).unwrap_or(0) {
            0 => {
                let total = usize::try_from(number(&image.total_cnt).expect("each page has a total_cnt")).unwrap();
                Some(Page { rows: image.relation_list.unwrap_or_default(), total, start_id: image.start_id })
            }
            103_006 => None,
            other => panic!("unexpected errcode {other}"),
        }
    }
}

/// Broken UTF-8 and halves of pairs become U+FFFD, raw control characters are escaped.
fn repaired(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body).replace("\\ud83d", "\u{fffd}").replace("\\ude00", "\u{fffd}");
    // Between rows stand only spaces and these; inside of strings the world's controls are \n and \u{1}.
    text.replace("\r\n\t", "").replace('\n', "\\n").replace('\u{1}', "\\u0001")
}

fn facts_of_row(promoter: &str, row: &Row, feed: Feed) -> Vec<String> {
    let paid_times = row.numbers("paid_time");
    let words = |kind: &str, status: &str, code: i64, refunded: Option<i64>| {
        json!([
            kind,
            promoter,
            status,
            code,
            refunded,
            row.text("openid"),
            row.numbers("create_time").first(),
            row.text("path"),
            row.numbers("scene").first(),
            row.text("share_extra_info"),
            row.text("mch_id"),
            row.text("trade_no"),
            row.text("out_trade_no"),
            row.numbers("paid_amount").first(),
            paid_times.first(),
        ])
        .to_string()
    };
    if feed == Feed::Touches {
        return vec![words("touch", "", 0, None)];
    }
    let refunded = row.numbers("refunded_time").first().or(paid_times.get(1)).copied();
    match (row.numbers("status").first().copied().unwrap_or(0), feed) {
        (1, _) => vec![words("order", "PAID", 1, None)],
        (2, Feed::Refunds) => vec![words("order", "REFUNDED", 2, refunded)],
        (2, _) => vec![words("order", "PAID", 1, None), words("order", "REFUNDED", 2, refunded)],
        (code, _) => vec![words("order", "UNKNOWN", code, None)],
    }
}

/// What a line of the truth tells beside the words that are compared.
const NOT_COMPARED: [&str; 4] = ["app_id", "time", "first_shown", "feeds"];
const COMPARED: [&str; 15] = [
    "kind",
    "promoter_openid",
    "status",
    "status_code",
    "refunded_time",
    "openid",
    "create_time",
    "path",
    "scene",
    "share_extra_info",
    "mch_id",
    "trade_no",
    "out_trade_no",
    "paid_amount",
    "paid_time",
];

/// In the words of [`facts_of_row`], and in their order.
fn fact_of_line(line: &Value) -> String {
    let told = line.as_object().expect("a line is an object").keys();
    told.filter(|name| !NOT_COMPARED.contains(&name.as_str()))
        .for_each(|name| assert!(COMPARED.contains(&name.as_str()), "{name} is compared with nothing that was read"));
    let or = |name: &str, otherwise: Value| if line[name].is_null() { otherwise } else { line[name].clone() };
    let word = |name: &str| match name {
        "status" => or(name, "".into()),
        "status_code" => or(name, 0.into()),
        _ => line[name].clone(),
    };
    Value::Array(COMPARED.map(word).into()).to_string()
}
