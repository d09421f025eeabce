//! What was shown and what was published, in the one form that the judge compares.
//!
//! A key is a JSON array of the fields that a fact consists of: so texts with any character in them stay apart, and a
//! person can read what is missing. Times in it are Unix seconds, bytes are base64. What a merchant may edit later is
//! left out, and so is what the connector adds by itself.

use anyhow::{Context, Result, bail};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::judge::Sighting;

const TOUCH_FIELDS: [&str; 5] = ["openid", "create_time", "path", "scene", "share_extra_info"];
const ORDER_FIELDS: [&str; 8] =
    ["mch_id", "trade_no", "out_trade_no", "status", "status_code", "paid_amount", "paid_time", "refunded_time"];

/// The key of a line of the simulator's `/_truth`.
pub fn shown(line: &Value) -> Result<String> {
    let kind = line["kind"].as_str().with_context(|| format!("a line of the truth without its kind: {line}"))?;
    match kind {
        "touch" => Ok(key(kind, line, &TOUCH_FIELDS)),
        "order" => Ok(key(kind, line, &[TOUCH_FIELDS.as_slice(), ORDER_FIELDS.as_slice()].concat())),
        "dead_row" => Ok(key(kind, line, &["raw_base64"])),
        _ => bail!("the truth tells of a {kind}, which the judge does not know"),
    }
}

/// The key and place of a decoded record of `promoter.touches`, `promoter.orders` or `promoter.dead-letters`: its
/// fields as JSON, times as RFC 3339, bytes as text or as `{"base64": …}`.
pub fn published(event: &Value) -> Result<Sighting> {
    if event.get("raw").is_some() {
        return dead_letter(event);
    }
    let mut fields = event.clone();
    for name in ["create_time", "paid_time", "refunded_time"] {
        if let Some(time) = event.get(name).filter(|time| !time.is_null()) {
            fields[name] = seconds(time).with_context(|| format!("{name} in {event}"))?.into();
        }
    }
    let is_order = event.get("mch_id").is_some();
    let (key, time) = if is_order {
        let time = match fields["refunded_time"].as_i64() {
            // It stands in its page's order by the moment when it was observed.
            None if event["status"] == "REFUNDED" => Some(observed(event)?),
            refunded_time => refunded_time.or(fields["paid_time"].as_i64()),
        };
        (key("order", &fields, &[TOUCH_FIELDS.as_slice(), ORDER_FIELDS.as_slice()].concat()), time)
    } else {
        (key("touch", &fields, &TOUCH_FIELDS), fields["create_time"].as_i64())
    };
    // What one page brought a promoter was observed at one moment. Orders and refunds are polled side by side, and at the
    // start one day of orders follows the other at once: so a page of each may be observed in the same millisecond.
    let harvests = if is_order { 3 } else { 1 };
    let stream = json!([is_order, event["app_id"], event["promoter_openid"], event["observed_at"]]).to_string();
    Ok(Sighting { key, stream, harvests, time: time.with_context(|| format!("an event without its time: {event}"))? })
}

/// The second in which an event was observed.
fn observed(event: &Value) -> Result<i64> {
    let text = event["observed_at"].as_str().with_context(|| format!("observed_at in {event}"))?;
    Ok(text.parse::<Timestamp>()?.as_second())
}

/// Dead letters have no time of their own, so no order either.
fn dead_letter(event: &Value) -> Result<Sighting> {
    let raw = match (&event["raw"], &event["raw"]["base64"]) {
        (Value::String(text), _) => BASE64_STANDARD.encode(text),
        (_, Value::String(base64)) => base64.clone(),
        _ => bail!("a dead letter without its bytes: {event}"),
    };
    let fields = json!({
        "app_id": event["app_id"], "promoter_openid": event["promoter_openid"], "raw_base64": raw
    });
    Ok(Sighting {
        key: key("dead_row", &fields, &["raw_base64"]),
        stream: "dead letters".to_owned(),
        harvests: 1,
        time: 0,
    })
}

/// The touch that became a dead letter, as if it had been published: its row has the plain form.
pub fn touch_in_dead_letter(letter: &Value) -> Result<Sighting> {
    let bytes = match (&letter["raw"], &letter["raw"]["base64"]) {
        (Value::String(text), _) => text.clone().into_bytes(),
        (_, base64) => BASE64_STANDARD.decode(base64.as_str().context("bytes")?)?,
    };
    let mut touch: Value = serde_json::from_slice(&bytes).context("the row is JSON")?;
    touch["kind"] = json!("touch");
    touch["app_id"] = letter["app_id"].clone();
    touch["promoter_openid"] = letter["promoter_openid"].clone();
    Ok(Sighting { key: shown(&touch)?, ..published(letter)? })
}

/// A field that is not there is as good as null on both sides.
fn key(kind: &str, fields: &Value, names: &[&str]) -> String {
    let mut key = vec![json!(kind), fields["app_id"].clone(), fields["promoter_openid"].clone()];
    key.extend(names.iter().map(|name| fields[*name].clone()));
    Value::Array(key).to_string()
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
