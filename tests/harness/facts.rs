//! What was shown and what was published, in the one form that the judge compares: keys, which the simulator makes for the
//! demo too, and for what was published its place in an order.

use anyhow::{Context, Result, bail};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use jiff::Timestamp;
use promoter_connector::avro::schemas::RecordKind;
use promoter_connector::simulator::fact_key::{published_key, shown_key};
use serde_json::{Value, json};

use super::judge::PublishedEvent;

/// The key of a line of the simulator's `/_truth`.
pub fn shown(line: &Value) -> Result<String> {
    shown_key(line).with_context(|| format!("a line of the truth of a kind that the judge does not know: {line}"))
}

/// The key and place of a decoded record of `promoter.touches`, `promoter.orders` or `promoter.dead-letters`: its
/// fields as JSON, times as RFC 3339, bytes as text or as `{"base64": …}`.
pub fn published(event: &Value) -> Result<PublishedEvent> {
    if event.get("raw").is_some() {
        return dead_letter(event);
    }
    let is_order = event.get("mch_id").is_some();
    let seconds_of = |name: &str| match &event[name] {
        Value::Null => Ok(None),
        time => seconds(time).map(Some).with_context(|| format!("{name} in {event}")),
    };
    let create_time = seconds_of("create_time")?;
    let (paid_time, refunded_time) = (seconds_of("paid_time")?, seconds_of("refunded_time")?);
    let time = match (is_order, refunded_time) {
        (false, _) => create_time,
        // It stands in its page's order by the moment when it was observed.
        (true, None) if event["status"] == "REFUNDED" => Some(observed(event)?),
        (true, refunded_time) => refunded_time.or(paid_time),
    };
    // What one page brought a promoter was observed at one moment. Orders and refunds are polled side by side, and at the
    // start one day of orders follows the other at once: so a page of each may be observed in the same millisecond. And where
    // rows have moved, a pull is read again at once, which may bring earlier ones.
    let pages_max = if is_order { 3 } else { 2 };
    let stream = json!([is_order, event["app_id"], event["promoter_openid"], event["observed_at"]]).to_string();
    let key = key(if is_order { RecordKind::Order } else { RecordKind::Touch }, event)?;
    Ok(PublishedEvent {
        key,
        stream,
        pages_max,
        time: time.with_context(|| format!("an event without its time: {event}"))?,
    })
}

fn key(record: RecordKind, event: &Value) -> Result<String> {
    published_key(record, |name| event.get(name)).with_context(|| format!("a {record} is no fact: {event}"))
}

/// The second in which an event was observed.
fn observed(event: &Value) -> Result<i64> {
    let text = event["observed_at"].as_str().with_context(|| format!("observed_at in {event}"))?;
    Ok(text.parse::<Timestamp>()?.as_second())
}

/// Dead letters have no time of their own, so no order either.
fn dead_letter(event: &Value) -> Result<PublishedEvent> {
    if !event["raw"].is_string() && !event["raw"]["base64"].is_string() {
        bail!("a dead letter without its bytes: {event}");
    }
    let key = key(RecordKind::DeadLetter, event)?;
    Ok(PublishedEvent { key, stream: "dead letters".to_owned(), pages_max: 1, time: 0 })
}

/// The touch that became a dead letter, as if it had been published: its row has the plain form.
pub fn touch_in_dead_letter(letter: &Value) -> Result<PublishedEvent> {
    let bytes = match (&letter["raw"], &letter["raw"]["base64"]) {
        (Value::String(text), _) => text.clone().into_bytes(),
        (_, base64) => BASE64_STANDARD.decode(base64.as_str().context("bytes")?)?,
    };
    let mut touch: Value = serde_json::from_slice(&bytes).context("the row is JSON")?;
    touch["kind"] = json!("touch");
    touch["app_id"] = letter["app_id"].clone();
    touch["promoter_openid"] = letter["promoter_openid"].clone();
    Ok(PublishedEvent { key: shown(&touch)?, ..published(letter)? })
}

/// The upstream knows whole seconds only, so a fraction is a fault.
fn seconds(time: &Value) -> Result<i64> {
    let text = time.as_str().context("a time that is not text")?;
    let time: Timestamp = text.parse()?;
    if time.subsec_nanosecond() != 0 {
        bail!("the time {text} has a fraction");
    }
    Ok(time.as_second())
}
