//! `check` tells what `run` would meet with, and leaves no trace.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use serde_json::Value;

use super::{answer, told};
use crate::broker::secured::{grant_without, sasl_properties, with_properties};
use crate::broker::world::{BOUND, OPEN, PROMOTERS, SETTLE};
use crate::harness::client;
use crate::harness::consumer::high_watermarks;
use crate::harness::context::Context;
use crate::harness::rights::{READ, WRITE};
use crate::harness::security::{PASSWORD, PLAIN_USER};
use crate::harness::simulator::Simulator;

const TOPICS: [&str; 8] =
    ["touches", "orders", "dead-letters", "material.requests", "material.results", "registry", "state", "ledger"];

/// Nothing goes wrong in it: whoever checks tries everything once.
fn calm(context: &Context) -> Result<Simulator> {
    context.simulator(&["--promoters=12", "--history=10m", "--faults=none", "--late=0", "--quiet-after=2s"])
}

/// What was found of each subject, as its verdict and text.
fn findings(report: &Value) -> Result<BTreeMap<String, Vec<(String, String)>>> {
    let mut findings: BTreeMap<String, Vec<(String, String)>> = BTreeMap::new();
    for finding in report["findings"].as_array().context("a list of findings")? {
        let text = |name: &str| finding[name].as_str().unwrap_or_default().to_owned();
        findings.entry(text("subject")).or_default().push((text("verdict"), text("text")));
    }
    Ok(findings)
}

fn ends(context: &Context) -> Result<Vec<BTreeMap<i32, i64>>> {
    TOPICS.iter().map(|topic| high_watermarks(context.bootstrap(), &context.topics().name(topic))).collect()
}

pub fn sound(context: &Context) -> Result<()> {
    let simulator = calm(context)?;
    let config = context.config(simulator.url(), PROMOTERS, "");
    let check = || answer(context, &config, &["check", "--json"])?.must_end_with(0)?.json();
    let report = check()?;
    let found = findings(&report)?;
    ensure!(found["topics"][0].1.contains("8 would be made"), "{report}");
    ensure!(found["state"][0].1.contains("first start"), "{report}");
    for topic in TOPICS {
        ensure!(context.topics().partitions(&context.topics().name(topic))? == 0, "no topic is made: {topic}");
    }

    let connector = context.connector("one", &config, &[])?;
    connector.wait_logged(OPEN, 1, BOUND)?;
    let report = check()?;
    for subject in ["configuration", "kafka", "topics", "rights", "transactions", "group", "state", "wx_simulated"] {
        let found = findings(&report)?;
        let of_it = found.get(subject).with_context(|| format!("{subject} in {report}"))?;
        ensure!(of_it.iter().any(|(verdict, _)| verdict == "sound"), "{subject}: {of_it:?}");
    }
    ensure!(findings(&report)?["group"][0].1.starts_with("1 instance"), "{report}");
    ensure!(report["calls"]["wx_simulated"]["data"] == 1, "one call is spent: {report}");
    context.settle(&simulator, SETTLE)?;
    ensure!(connector.log()?.matches(OPEN).count() == 1, "the running one is left alone:\n{}", connector.log()?);
    ensure!(connector.terminate()?.success(), "it ends in order");

    let before = ends(context)?;
    let report = check()?;
    ensure!(findings(&report)?["state"][0].1.contains("this connector's"), "{report}");
    ensure!(ends(context)? == before, "no topic has grown");
    Ok(())
}

pub fn registered(context: &Context) -> Result<()> {
    let simulator = calm(context)?;
    // A day of a few calls is spread over it: a call that waited for its turn would take most of a minute.
    let quota = "quota.getrelation.per_day = 2000, promoters = [";
    let config = context.config(simulator.url(), 0, "").replace("promoters = [", quota);
    told(context, &config, &["topics", "create"], 0)?;
    let registered = ["promoters", "add", "oSimulated000002", "oSimulated000003", "oSimulated000004"];
    told(context, &config, &registered, 0)?;
    told(context, &config, &["promoters", "pause", "oSimulated000002"], 0)?;

    let report = answer(context, &config, &["check", "--json"])?.must_end_with(0)?.json()?;
    let found = findings(&report)?;
    ensure!(found["registry"] == [("sound".into(), "with the configuration 3 promoters, 1 paused".into())], "{report}");
    ensure!(found["wx_simulated"][0].1.ends_with("getrelation answers"), "{report}");
    // Two are asked about once a second where they are quiet, as the settings of the tests say.
    let all = report["findings"].as_array().context("a list of findings")?;
    let of = |subject: &'static str| all.iter().filter(move |finding| finding["subject"] == subject);
    let fixes: Vec<&str> = of("quota").filter_map(|finding| finding["fix"].as_str()).collect();
    ensure!(fixes.len() == 1 && fixes[0].starts_with("per_day = 172800 would do"), "{report}");
    let took = of("wx_simulated").next().map(|finding| &finding["milliseconds"]);
    ensure!(took.and_then(Value::as_u64).is_some_and(|took| took < 20_000), "{report}");

    let producer: BaseProducer = client::config(context.bootstrap()).create()?;
    let topic = context.topics().name("registry");
    let record = BaseRecord::to(&topic).key("wx_simulated/oSimulated000005").payload("{");
    producer.send(record).map_err(|(error, _)| error)?;
    producer.flush(BOUND)?;
    let shown = told(context, &config, &["check"], 0)?;
    ensure!(shown.contains("; 1 record of topic "), "{shown}");
    Ok(())
}

pub fn all_at_once(context: &Context) -> Result<()> {
    let topics = context.topics();
    topics.create("registry", 3, &[("cleanup.policy", "delete")])?;
    topics.create("state", 2, &[("cleanup.policy", "compact,delete"), ("max.message.bytes", "1000")])?;
    topics.create("touches", 3, &[("message.timestamp.type", "LogAppendTime")])?;
    topics.create("orders", 3, &[("cleanup.policy", "compact")])?;
    let simulator = calm(context)?;
    let config = context
        .config(simulator.url(), 1, "kafka.\"session.timeout.ms\" = 100\nkafka.\"transaction.timeout.ms\" = 7200000\n")
        .replace("replication = 1", "replication = 7")
        .replace("simulated-secret", "wrong-secret");
    let shown = answer(context, &config, &["check"])?.must_end_with(2)?.shown;
    let state = topics.name("state");
    for words in [
        &format!("✗ topics         topic {state} has 2 partitions"),
        &format!("topic {} has cleanup.policy=delete", topics.name("registry")),
        &format!("topic {state} has cleanup.policy=compact,delete"),
        &format!("--alter --topic {state} --add-config cleanup.policy=compact\n"),
        &format!("topic {state} has max.message.bytes=1000"),
        &format!("topic {} has message.timestamp.type=LogAppendTime", topics.name("touches")),
        &format!("topic {} has cleanup.policy=compact", topics.name("orders")),
        &format!("topic {} can't be created", topics.name("dead-letters")),
        "✗ transactions   kafka.\"transaction.timeout.ms\" is longer",
        "✗ group          kafka.\"session.timeout.ms\" is not between",
        "✗ wx_simulated   errcode 4",
        "fix: correct app_id and secret",
    ] {
        ensure!(shown.contains(words), "{words:?} is not in\n{shown}");
    }
    ensure!(topics.partitions(&topics.name("dead-letters"))? == 0, "none is made");
    Ok(())
}

pub fn another_connector(context: &Context) -> Result<()> {
    let simulator = calm(context)?;
    let config = context.config(simulator.url(), PROMOTERS, "");
    let connector = context.connector("one", &config, &[])?;
    connector.wait_logged(OPEN, 1, BOUND)?;
    ensure!(connector.terminate()?.success(), "it ends in order");
    let name = format!("name = \"{}\"", context.topics().prefix());
    let another_name = config.replace(&name, "name = \"another\"");
    let another_kind =
        config.replace("app_id = \"wx_simulated\",", "app_id = \"wx_simulated\", id_kind = \"unionid\",");
    for (config, words) in [(another_name, "it belongs to the connector"), (another_kind, "go back to id_kind")] {
        let shown = answer(context, &config, &["check"])?.must_end_with(2)?.shown;
        ensure!(shown.contains("✗ state") && shown.contains(words), "{words:?} is not in\n{shown}");
    }
    for topic in ["state", "registry"] {
        context.topics().grow(&context.topics().name(topic), 4)?;
    }
    let shown = answer(context, &config, &["check"])?.must_end_with(2)?.shown;
    ensure!(shown.contains("it was written when it had another number of partitions"), "{shown}");
    Ok(())
}

pub fn rights(context: &Context) -> Result<()> {
    for topic in ["registry", "state"] {
        context.topics().create(topic, 3, &[("cleanup.policy", "compact")])?;
    }
    for topic in ["touches", "orders", "dead-letters", "material.requests", "material.results"] {
        context.topics().create(topic, 3, &[])?;
    }
    let (state, touches) = (context.topics().name("state"), context.topics().name("touches"));
    let group = context.topics().prefix().to_owned();
    grant_without(context, PLAIN_USER, &[(WRITE, &state), (WRITE, &touches), (READ, &group)])?;
    let simulator = calm(context)?;
    let config = context.config(simulator.url(), 1, "");
    let properties = sasl_properties(context, "PLAIN", "plain", PASSWORD)?;
    let shown = answer(context, &with_properties(context, &config, &properties), &["check"])?.must_end_with(2)?.shown;
    for words in [
        &format!("✗ rights         topic {state} may not be written; allow this user to WRITE it"),
        &format!("✗ rights         topic {touches} may not be written; allow this user to WRITE it"),
        // Its id is its own, and README.md lists it apart.
        "! transactions   not tried: transactional.id",
    ] {
        ensure!(shown.contains(words), "{words:?} is not in\n{shown}");
    }
    ensure!(!shown.contains(PASSWORD), "no password is shown");

    let wrong = sasl_properties(context, "PLAIN", "plain", "wrong")?;
    let shown = answer(context, &with_properties(context, &config, &wrong), &["check"])?.must_end_with(1)?.shown;
    ensure!(shown.contains("✗ kafka") && shown.contains("Authentication failed"), "{shown}");
    ensure!(shown.contains("✓ wx_simulated"), "and the upstream is looked at all the same: {shown}");
    Ok(())
}
