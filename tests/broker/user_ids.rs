//! Users' ids as pseudonyms: what consumers get of a user joins, and his id is nowhere on Kafka.

use anyhow::{Context as _, Result, ensure};
use promoter_connector::user_ids::{PseudonymKey, UserIds};
use serde_json::Value;

use super::world::{PROMOTERS, SETTLE, lively};
use crate::harness::case::Case;
use crate::harness::consumer::{Record, read_all};
use crate::harness::context::Context;
use crate::harness::facts;
use crate::harness::judge::{Verdict, judge};
use crate::harness::simulator::Simulator;
use crate::harness::wait::wait_until;

pub const CASES: &[Case] =
    &[Case::shared("user ids: no topic holds a user's id where they are pseudonyms", no_topic_holds_a_users_id)];

const KEY: &str = "a key of the test's own";
const TOPICS: [&str; 8] =
    ["touches", "orders", "dead-letters", "registry", "state", "ledger", "material.requests", "material.results"];

fn no_topic_holds_a_users_id(context: &Context) -> Result<()> {
    let simulator = lively(context, "6s")?;
    let records = format!("records = {{ user_ids = \"hmac-sha256\", user_ids_key = \"{KEY}\" }}");
    let connector = context.connector("one", &context.config(simulator.url(), PROMOTERS, &records), &[])?;
    let mut last = Verdict::default();
    wait_until("everything is an event under a pseudonym", SETTLE, || {
        if simulator.stats()?["facts"]["settled"] != true {
            return Ok(None);
        }
        last = verdict(context, &simulator)?;
        Ok(last.is_exact().then_some(()))
    })
    .with_context(|| last.to_string())?;

    let truth = simulator.truth()?;
    ensure!(truth.iter().filter_map(user).all(|id| has_user_id(id.as_bytes())), "ids are found by their form");
    for topic in TOPICS {
        let name = context.topics().name(topic);
        let records = read_all(context.bootstrap(), &name)?;
        ensure!(
            !records.is_empty() || !["touches", "orders", "dead-letters", "state"].contains(&topic),
            "{topic} is empty"
        );
        let leak = records.iter().find(|record| bytes_of(record).any(has_user_id));
        ensure!(leak.is_none(), "{topic} holds a user's id: {:?}", leak.map(Record::value_text));
    }
    let log = connector.log()?;
    ensure!(!has_user_id(log.as_bytes()), "the log holds a user's id");
    connector.must_run()
}

/// What was shown, with pseudonyms, against the events.
fn verdict(context: &Context, simulator: &Simulator) -> Result<Verdict> {
    let user_ids = UserIds::Pseudonyms(PseudonymKey::new(&KEY.into())?);
    let mut shown = Vec::new();
    for mut line in simulator.truth()? {
        if let Some(id) = user(&line).map(str::to_owned) {
            line["openid"] = user_ids.shown(&id).as_str().into();
            shown.push(facts::shown(&line)?);
        }
    }
    let events = ["touches", "orders"].map(|topic| context.decoded(topic)).into_iter().collect::<Result<Vec<_>>>()?;
    let published = events.iter().flatten().map(facts::published).collect::<Result<Vec<_>>>()?;
    Ok(judge(shown, published))
}

/// The user of a line of the truth; nothing of a row that can't be read.
fn user(line: &Value) -> Option<&str> {
    line["openid"].as_str()
}

fn bytes_of(record: &Record) -> impl Iterator<Item = &[u8]> {
    let headers = record.headers.iter().map(|(_, value)| value.as_slice());
    record.key.as_deref().into_iter().chain(record.value.as_deref()).chain(headers)
}

/// Users of the simulated world are T or P with 26 hex digits behind it, and nothing else is.
pub fn has_user_id(bytes: &[u8]) -> bool {
    let is_hex = |byte: &u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(byte);
    bytes.windows(27).any(|window| b"TP".contains(&window[0]) && window[1..].iter().all(is_hex))
}
