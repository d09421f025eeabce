//! What was asked against what was answered.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail, ensure};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use promoter_connector::avro::decode::{Decoded, Decoder};
use promoter_connector::avro::schemas::RecordKind;
use serde_json::Value;

use super::requests::{asked, headers, key};
use crate::harness::consumer::{Record, read_all};
use crate::harness::context::Context;
use crate::harness::requests::{AVRO, End};

/// Of a promoter without authorisation.
const UNAUTHORISED: i64 = 103_006;
/// What a reply with material brings.
const BROUGHT: [&str; 6] = ["share_path", "qrcode", "qrcode_type", "tag", "issued_at", "expires_at"];
/// What every reply says, and why it brings nothing.
const SAID: [&str; 6] = ["request_id", "app_id", "promoter_openid", "status", "errcode", "errmsg"];

/// Each of the `count` requests has one answer, and the right one. Requests are told apart by their headers, which come
/// back; dead letters have none, and tell the place instead.
pub fn judge(context: &Context, count: usize) -> Result<()> {
    let [requests, results, dead_letters] = ["material.requests", "material.results", "dead-letters"]
        .map(|name| read_all(context.bootstrap(), &context.topics().name(name)));
    no_field_is_forgotten()?;
    let requests = requests?;
    ensure!(requests.len() == count, "{} requests stand on their topic", requests.len());
    // How many answers are missing to each request, by its number; too many are below 0.
    let mut missing = BTreeMap::new();
    let mut places = BTreeMap::new();
    for record in &requests {
        let number = number(record)?;
        *missing.entry(number).or_insert(0) += 1;
        places.insert((record.partition, record.offset), number);
    }
    let decoder = Decoder::new([]);
    for record in results? {
        let number = number(&record)?;
        *missing.entry(number).or_insert(0) -= 1;
        check_reply(&record, &decode(&decoder, &record)?, number).with_context(|| format!("{record:?}"))?;
    }
    for record in dead_letters? {
        let letter = decode(&decoder, &record)?;
        let place = |name: &str| letter.field(name).and_then(Value::as_i64).context("a place");
        let place = (i32::try_from(place("partition")?)?, place("offset")?);
        let number = *places.get(&place).context("a dead letter of no request")?;
        *missing.entry(number).or_insert(0) -= 1;
        check_letter(&letter, number).with_context(|| format!("{letter:?}"))?;
    }
    missing.retain(|_, count| *count != 0);
    ensure!(missing.is_empty(), "how many answers are missing to each request (too many: below 0): {missing:?}");
    Ok(())
}

/// Every field of a reply is checked below, one by one.
fn no_field_is_forgotten() -> Result<()> {
    let schema: Value = serde_json::from_str(RecordKind::MaterialResult.text())?;
    let fields = schema["fields"].as_array().context("the fields")?.iter().filter_map(|field| field["name"].as_str());
    let unknown: Vec<_> = fields.filter(|name| !BROUGHT.contains(name) && !SAID.contains(name)).collect();
    ensure!(unknown.is_empty(), "nothing here checks {unknown:?}");
    Ok(())
}

fn decode(decoder: &Decoder, record: &Record) -> Result<Decoded> {
    Ok(decoder.decode(record.value.as_deref().unwrap_or_default())?)
}

fn number(record: &Record) -> Result<usize> {
    let values: Vec<_> = record.headers.iter().filter(|(name, _)| name == "correlation-id").collect();
    ensure!(values.len() == 1, "one header correlation-id: {record:?}");
    Ok(std::str::from_utf8(&values[0].1)?.parse()?)
}

fn check_reply(record: &Record, reply: &Decoded, number: usize) -> Result<()> {
    ensure!(record.key_text() == key(number), "another key");
    let mut expected: Vec<_> = headers(number).into_iter().filter(|(name, _)| *name != "content-type").collect();
    expected.push(("content-type", AVRO.into()));
    let found: Vec<_> = record.headers.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
    ensure!(found == expected, "headers {found:?} instead of {expected:?}");
    let asked = asked(number);
    for (name, value) in [
        ("request_id", &asked.request.request_id),
        ("app_id", &asked.request.app_id),
        ("promoter_openid", &asked.request.promoter_openid),
    ] {
        ensure!(reply.text(name) == Some(value), "another {name}");
    }
    match asked.end {
        End::Succeeded => check_material(reply),
        End::Refused(status, words) => check_refusal(reply, status, words),
        End::DeadLetter(_) => bail!("a reply to what can't be read"),
    }
}

fn check_material(reply: &Decoded) -> Result<()> {
    ensure!(reply.text("status") == Some("SUCCEEDED"), "another status");
    ensure!(absent(reply, "errcode") && absent(reply, "errmsg"), "an error");
    for name in BROUGHT {
        ensure!(!absent(reply, name), "no {name}");
    }
    ensure!(reply.text("qrcode_type") == Some("image/png"), "another type of image");
    Ok(())
}

fn check_refusal(reply: &Decoded, status: &str, words: &str) -> Result<()> {
    ensure!(reply.text("status") == Some(status), "not {status}");
    for name in BROUGHT {
        ensure!(absent(reply, name), "{name} in a refusal");
    }
    let errcode = reply.field("errcode").and_then(Value::as_i64);
    ensure!(errcode == (status == "FAILED").then_some(UNAUTHORISED), "another errcode");
    ensure!(reply.text("errmsg").is_some_and(|message| message.contains(words)), "other words than {words:?}");
    Ok(())
}

fn check_letter(letter: &Decoded, number: usize) -> Result<()> {
    let asked = asked(number);
    let End::DeadLetter(reason) = asked.end else { bail!("a dead letter of a request that can be read") };
    ensure!(letter.text("source") == Some("commands") && letter.text("reason") == Some(reason), "not {reason}");
    let raw = match letter.field("raw").context("no bytes")? {
        Value::String(text) => text.clone().into_bytes(),
        other => BASE64_STANDARD.decode(other["base64"].as_str().context("no bytes")?)?,
    };
    ensure!(raw == asked.value.unwrap_or_default(), "other bytes");
    Ok(())
}

fn absent(reply: &Decoded, name: &str) -> bool {
    reply.field(name).is_some_and(Value::is_null)
}
