//! The header `reply-topic`, topics that do not take every reply, and a request topic that is made anew.

use anyhow::{Context as _, Result, ensure};
use promoter_connector::avro::decode::{Decoded, Decoder};
use promoter_connector::model::material::MaterialRequest;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use super::{config, prepare};
use crate::broker::world::{BOUND, TAKEN};
use crate::harness::client;
use crate::harness::connector::Connector;
use crate::harness::consumer::{Record, read_all, read_until};
use crate::harness::context::Context;
use crate::harness::requests::{JSON, json};

/// Room for a refusal and for a short link, not for a long path.
const LIMIT: &str = "600";
const SHORT_LINK: i32 = 1;
const PATH: i32 = 2;

pub fn only_listed_topics(context: &Context) -> Result<()> {
    let simulator = prepare(context, "10ms")?;
    let listed = context.topics().create("replies", 1, &[])?;
    let unlisted = context.topics().create("others", 1, &[])?;
    let own = context.topics().name("dead-letters");
    let more = format!("commands.reply_topics = [\"{listed}\"]");
    let connector = context.connector("one", &config(context, "one", &simulator, &more), &[])?;
    ask(context, "listed", SHORT_LINK, Some(("reply-topic", &listed)))?;
    ask(context, "in capitals", SHORT_LINK, Some(("Reply-Topic", &listed)))?;
    ask(context, "unlisted", SHORT_LINK, Some(("reply-topic", &unlisted)))?;
    ask(context, "the connector's own", SHORT_LINK, Some(("reply-topic", &own)))?;
    ask(context, "missing", SHORT_LINK, Some(("reply-topic", "no-such-topic")))?;
    ask(context, "no wish", SHORT_LINK, None)?;
    let results = context.topics().name("material.results");
    read_until(context.bootstrap(), &[&listed, &results], BOUND, |seen| seen.len() >= 6)?;
    ensure!(connector.terminate()?.success(), "it ends in order");

    let listed = read_all(context.bootstrap(), &listed)?;
    ensure!(ids(&listed)? == ["in capitals", "listed"], "on the topic that is listed: {listed:?}");
    ensure!(listed.iter().all(|reply| reply.headers.len() == 2), "the header comes back: {listed:?}");
    let results = read_all(context.bootstrap(), &results)?;
    let expected = ["missing", "no wish", "the connector's own", "unlisted"];
    ensure!(ids(&results)? == expected, "on the usual topic: {results:?}");
    for topic in [&unlisted, &own] {
        ensure!(read_all(context.bootstrap(), topic)?.is_empty(), "{topic} stays empty");
    }
    Ok(())
}

pub fn too_large(context: &Context) -> Result<()> {
    let simulator = prepare(context, "10ms")?;
    let small = context.topics().create("small", 1, &[("max.message.bytes", LIMIT)])?;
    let tiny = context.topics().create("tiny", 1, &[("max.message.bytes", "150")])?;
    let more = format!("commands.reply_topics = [\"{small}\", \"{tiny}\"]");
    let connector = context.connector("one", &config(context, "one", &simulator, &more), &[])?;
    ask(context, "too long", PATH, Some(("reply-topic", &small)))?;
    ask(context, "too long even to say so", PATH, Some(("reply-topic", &tiny)))?;
    // The pipeline goes on behind both.
    let replies = replies_beyond(context, &small, 1)?;
    must_say_so(&replies[0], "too long", &small)?;
    ask(context, "short", SHORT_LINK, Some(("reply-topic", &small)))?;
    let replies = replies_beyond(context, &small, 2)?;
    ensure!(replies[1].text("request_id") == Some("short"), "{:?}", replies[1]);
    ensure!(replies[1].text("status") == Some("SUCCEEDED"), "{:?}", replies[1]);

    let letters = replies_beyond(context, &context.topics().name("dead-letters"), 1)?;
    ensure!(letters.len() == 1 && letters[0].text("reason") == Some("too_large"), "{letters:?}");
    ensure!(letters[0].text("raw").is_some_and(|raw| raw.contains("even to say so")), "{letters:?}");
    ensure!(read_all(context.bootstrap(), &tiny)?.is_empty(), "what does not fit is not there");
    ensure!(openings(&connector)? == 1, "the broker was never asked to take what is too large");
    connector.must_run()
}

pub fn a_limit_is_lowered_meanwhile(context: &Context) -> Result<()> {
    let simulator = prepare(context, "10ms")?;
    let connector = context.connector("one", &config(context, "one", &simulator, ""), &[])?;
    let results = context.topics().name("material.results");
    ask(context, "before", PATH, None)?;
    let replies = replies_beyond(context, &results, 1)?;
    ensure!(replies[0].text("status") == Some("SUCCEEDED"), "so far it fits: {replies:?}");

    context.topics().set(&results, "max.message.bytes", LIMIT)?;
    ask(context, "behind", PATH, None)?;
    let replies = replies_beyond(context, &results, 2)?;
    let behind = replies.iter().find(|reply| reply.text("request_id") == Some("behind"));
    must_say_so(behind.context("no reply")?, "behind", &results)?;
    ensure!(openings(&connector)? == 2, "the pipeline was opened again, once");

    ask(context, "short", SHORT_LINK, None)?;
    let replies = replies_beyond(context, &results, 3)?;
    let short = replies.iter().find(|reply| reply.text("request_id") == Some("short")).context("no reply")?;
    ensure!(replies.len() == 3 && short.text("status") == Some("SUCCEEDED"), "the pipeline goes on: {replies:?}");
    connector.must_run()
}

/// A compacted topic takes no record without a key; a topic that does not exist takes none at all.
pub fn what_other_topics_do_not_take(context: &Context) -> Result<()> {
    let simulator = prepare(context, "10ms")?;
    let latest = context.topics().create("latest", 1, &[("cleanup.policy", "compact")])?;
    let missing = context.topics().name("not-made");
    let more = format!("commands.reply_topics = [\"{latest}\", \"{missing}\"]");
    let connector = context.connector("one", &config(context, "one", &simulator, &more), &[])?;
    ask_under(None, context, "without a key", SHORT_LINK, Some(("reply-topic", &latest)))?;
    ask(context, "with a key", SHORT_LINK, Some(("reply-topic", &latest)))?;
    ask(context, "nowhere", SHORT_LINK, Some(("reply-topic", &missing)))?;
    let results = context.topics().name("material.results");
    read_until(context.bootstrap(), &[&latest, &results], BOUND, |seen| seen.len() >= 3)?;
    ensure!(
        connector.log()?.contains("a topic of commands.reply_topics does not exist"),
        "the log tells of the topic that is missing"
    );
    ensure!(openings(&connector)? == 1, "no topic of somebody else made the pipeline open again");
    ensure!(connector.terminate()?.success(), "it ends in order");
    ensure!(ids(&read_all(context.bootstrap(), &latest)?)? == ["with a key"], "on the compacted topic");
    ensure!(ids(&read_all(context.bootstrap(), &results)?)? == ["nowhere", "without a key"], "on the usual topic");
    Ok(())
}

/// The topic is deleted and made anew while the connector runs: its offsets begin again.
pub fn made_anew(context: &Context) -> Result<()> {
    let simulator = prepare(context, "10ms")?;
    let connector = context.connector("one", &config(context, "one", &simulator, ""), &[])?;
    let results = context.topics().name("material.results");
    let asked = |name: &str, count: usize| (0..count).map(|number| format!("{name} {number:02}")).collect::<Vec<_>>();
    let before = asked("before", 20);
    before.iter().try_for_each(|id| ask(context, id, SHORT_LINK, None))?;
    replies_beyond(context, &results, before.len())?;

    context.topics().delete(&context.topics().name("material.requests"))?;
    context.topics().create("material.requests", 3, &[])?;
    let after = asked("after", 5);
    after.iter().try_for_each(|id| ask(context, id, SHORT_LINK, None))?;
    read_until(context.bootstrap(), &[&results], BOUND, |seen| seen.len() >= before.len() + after.len())?;
    connector.must_run()?;
    ensure!(connector.terminate()?.success(), "it ends in order");
    let all = [after, before].concat();
    ensure!(ids(&read_all(context.bootstrap(), &results)?)? == all, "each request has one reply");
    Ok(())
}

fn ask(context: &Context, id: &str, share_type: i32, wish: Option<(&str, &str)>) -> Result<()> {
    ask_under(Some("wx_simulated/oSimulated000001"), context, id, share_type, wish)
}

/// Asks for one promoter's material, with a path that lz4 can't make shorter.
fn ask_under(
    key: Option<&str>,
    context: &Context,
    id: &str,
    share_type: i32,
    wish: Option<(&str, &str)>,
) -> Result<()> {
    let mut path = [0; 400];
    blake3::Hasher::new().update(id.as_bytes()).finalize_xof().fill(&mut path);
    let request = MaterialRequest {
        request_id: id.to_owned(),
        app_id: "wx_simulated".into(),
        promoter_openid: "oSimulated000001".into(),
        path: path.iter().map(|byte| format!("{byte:02x}")).collect(),
        share_type: Some(share_type),
        ..MaterialRequest::default()
    };
    let content_type = Header { key: "content-type", value: Some(JSON) };
    let headers = OwnedHeaders::new().insert(content_type);
    let headers = match wish {
        Some((key, topic)) => headers.insert(Header { key, value: Some(topic) }),
        None => headers,
    };
    let topic = context.topics().name("material.requests");
    let producer: BaseProducer = client::config(context.bootstrap()).create()?;
    let value = json(&request);
    let mut record: BaseRecord<'_, str, Vec<u8>> = BaseRecord::to(&topic).payload(&value).headers(headers);
    record.key = key;
    producer.send(record).map_err(|(error, _)| error)?;
    Ok(producer.flush(BOUND)?)
}

/// What is committed on a topic once it is at least `count` records.
fn replies_beyond(context: &Context, topic: &str, count: usize) -> Result<Vec<Decoded>> {
    decoded(&read_until(context.bootstrap(), &[topic], BOUND, |seen| seen.len() >= count)?)
}

fn decoded(records: &[Record]) -> Result<Vec<Decoded>> {
    let decoder = Decoder::new([]);
    records.iter().map(|record| Ok(decoder.decode(record.value.as_deref().unwrap_or_default())?)).collect()
}

/// In the order of the alphabet.
fn ids(records: &[Record]) -> Result<Vec<String>> {
    let decoded = decoded(records)?;
    let mut ids: Vec<String> = decoded.iter().filter_map(|reply| reply.text("request_id")).map(str::to_owned).collect();
    ids.sort_unstable();
    Ok(ids)
}

fn must_say_so(reply: &Decoded, id: &str, topic: &str) -> Result<()> {
    ensure!(reply.text("request_id") == Some(id) && reply.text("status") == Some("FAILED"), "{reply:?}");
    let message = reply.text("errmsg").unwrap_or_default();
    let words = format!(" bytes long, topic {topic} takes {LIMIT}");
    ensure!(message.starts_with("the reply is ") && message.ends_with(&words), "{message:?}");
    Ok(())
}

fn openings(connector: &Connector) -> Result<usize> {
    Ok(connector.log()?.matches(TAKEN).count())
}
