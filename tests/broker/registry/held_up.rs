//! Another program has a transaction open in the registry, as one that writes exactly once has most of the time.

use std::process::{Command, Output};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use super::{OtherWriter, PARTITIONS, listed, partition_of, prepare, shown};
use crate::broker::world::{BOUND, OPEN, PROMOTERS, QUICK_GROUP, SETTLE, SMALL_TRANSACTIONS, lively};
use crate::harness::admin_port::{AdminPort, opened};
use crate::harness::connector::BINARY;
use crate::harness::consumer::{high_watermarks, stable_offsets};
use crate::harness::context::Context;
use crate::harness::process::Process;
use crate::harness::wait::wait_until;

const PROMOTER: &str = "wx1/oX";
/// What a command says while it waits.
const WAITS: &str = "waiting for a transaction that somebody has open";
/// What an instance says, and that it is over.
const HELD_UP: &str = "somebody has a transaction open in the registry";
const OVER: &str = "a transaction in the registry has ended";
/// From the end of the transaction to what stands behind it.
const ACTS_WITHIN: Duration = Duration::from_secs(5);

/// Those that read what is registered, and the shorter time that they are given.
fn held_up(context: &Context, command: &[&str]) -> Result<Output> {
    let arguments = [command, &["--config", "connector.toml", "--timeout", "3s"]].concat();
    Ok(Command::new(BINARY).args(arguments).current_dir(context.directory()).output()?)
}

pub fn commands(context: &Context) -> Result<()> {
    let topic = prepare(context, "")?;
    shown(context, &["add", "oX", "--feeds", "touches"])?;
    let other = OtherWriter::transactional(context, &topic)?;
    let partition = partition_of(PROMOTER)?;
    other.begin()?;
    other.say(PROMOTER, r#","feeds":["TOUCHES"],"tags":{"by":"other"}"#)?;
    let offset = stable_offsets(context.bootstrap(), &topic)?[&partition];
    let written = high_watermarks(context.bootstrap(), &topic)?;
    ensure!(offset < written[&partition], "it is open");

    for command in [
        &["promoters", "add", "oX", "--feeds", "touches,orders"][..],
        &["promoters", "pause", "oX"],
        &["promoters", "remove", "oX"],
        &["promoters", "list"],
        &["promoters", "export"],
        &["explain", "oX"],
        &["status"],
    ] {
        let output = held_up(context, command)?;
        let (shown, told) = (String::from_utf8(output.stdout)?, String::from_utf8(output.stderr)?);
        let place = format!("in partition {partition} from offset {offset} on");
        ensure!(output.status.code() == Some(1) && shown.is_empty(), "{command:?}: {shown}{told}");
        ensure!(told.contains(&topic) && told.contains(&place) && told.contains("kafka-transactions"), "{told}");
    }
    ensure!(high_watermarks(context.bootstrap(), &topic)? == written, "nothing was written over what is not seen");

    // One that has the time waits, and sees all of it.
    let mut add = Command::new(BINARY);
    add.args(["promoters", "add", "oX", "--feeds", "touches,orders", "--config", "connector.toml"]);
    let adding = Process::start("adding", &add, context.directory())?;
    wait_until("the command says that it waits", BOUND, || {
        adding.must_run()?;
        Ok(adding.errors()?.contains(WAITS).then_some(()))
    })?;
    other.commit()?;
    let (end, told) = (adding.wait_exit(BOUND)?, adding.errors()?);
    ensure!(end.success() && told.matches(WAITS).count() == 1, "{end}: {told}");
    let list = listed(context)?;
    ensure!(list["oX"]["feeds"]["value"] == json!(["TOUCHES", "ORDERS"]), "{}", list["oX"]);
    ensure!(list["oX"]["tags"]["value"] == json!({"by": "other"}), "what the other has said is kept: {}", list["oX"]);

    // What was aborted is none, and holds up nobody.
    other.begin()?;
    other.say(PROMOTER, r#","tags":{"by":"nobody"}"#)?;
    other.abort()?;
    shown(context, &["add", "oX", "--tag", "k=v"])?;
    let list = listed(context)?;
    ensure!(list["oX"]["feeds"]["value"] == json!(["TOUCHES", "ORDERS"]), "{}", list["oX"]);
    ensure!(list["oX"]["tags"]["value"]["k"] == "v", "{}", list["oX"]);
    Ok(())
}

/// Each partition is held up, and behind that all but one promoter are registered.
pub fn running(context: &Context) -> Result<()> {
    let simulator = lively(context, "40s")?;
    let more = format!("{SMALL_TRANSACTIONS}\n{QUICK_GROUP}");
    let config = |instance| opened(&context.config_of(instance, simulator.url(), 1, &more));
    let one = context.connector("one", &config("one"), &[])?;
    one.wait_logged(OPEN, 1, BOUND)?;
    let topic = context.topics().name("registry");
    let (other, plain) = (OtherWriter::transactional(context, &topic)?, OtherWriter::plain(context, &topic)?);
    other.begin()?;
    for partition in 0..PARTITIONS {
        let stray =
            (0..).map(|number| format!("wx_other/o{number}")).find(|key| partition_of(key).ok() == Some(partition));
        other.say(&stray.unwrap_or_default(), "")?;
    }
    let keys: Vec<String> = (1..=PROMOTERS).map(|number| format!("wx_simulated/oSimulated{number:06}")).collect();
    keys[1..].iter().try_for_each(|key| plain.say(key, ""))?;

    one.wait_logged(HELD_UP, 1, BOUND)?;
    let port = AdminPort::of(&one)?;
    let cause = |answer: &Value| {
        let causes = answer["causes"].as_array().cloned().unwrap_or_default();
        causes.into_iter().find(|cause| cause["code"] == "registry_held_up")
    };
    let told = wait_until("all partitions are told", BOUND, || {
        let status = port.json("/api/v1/status")?.1;
        Ok(cause(&status).filter(|cause| cause["partitions"] == json!([0, 1, 2])))
    })?;
    ensure!(told["since"].is_string() && told["text"].to_string().contains(&topic), "{told}");
    let explained = port.get(&format!("/api/v1/promoters/{}", keys[1]))?.1;
    ensure!(explained.contains("as far as the registry can be read now"), "{explained}");
    ensure!(explained.contains("registry_held_up since"), "{explained}");

    let mut discover = Command::new(BINARY);
    discover.args(["promoters", "discover", "--config", "one.toml", "--timeout", "3s"]);
    let (began, output) = (Instant::now(), discover.current_dir(context.directory()).output()?);
    let told = String::from_utf8(output.stdout)? + &String::from_utf8(output.stderr)?;
    ensure!(output.status.code() == Some(1) && told.contains("somebody has a transaction open in partition"), "{told}");
    ensure!(began.elapsed() < Duration::from_secs(10), "it took {:?}", began.elapsed());

    // Who takes a shard over does not wait for somebody else's transaction, and the promoter of the configuration is polled.
    let two = context.connector("two", &config("two"), &[])?;
    two.wait_logged(OPEN, 1, BOUND)?;
    let ports = [port, AdminPort::of(&two)?];
    // By whom the promoter is known to the instance that has his partition; nothing while none has it.
    let known_by = |key: &String| -> Result<Option<Value>> {
        let explanations = ports
            .iter()
            .map(|port| Ok(port.json(&format!("/api/v1/promoters/{key}"))?.1))
            .collect::<Result<Vec<_>>>()?;
        Ok(explanations.into_iter().find(|told| told["place"] == "here").map(|told| told["sources"].clone()))
    };
    let all_known_by = |sources: Value| -> Result<Option<()>> {
        let known = keys[1..].iter().map(known_by).collect::<Result<Vec<_>>>()?;
        Ok(known.iter().all(|known| known.as_ref() == Some(&sources)).then_some(()))
    };
    wait_until("the configured one is polled on", BOUND, || {
        Ok((known_by(&keys[0])? == Some(json!(["configuration"]))).then_some(()))
    })?;
    wait_until("each shard is polled, and nobody of those behind the transaction", BOUND, || all_known_by(json!([])))?;

    other.abort()?;
    let began = Instant::now();
    wait_until("those behind the transaction are known", BOUND, || all_known_by(json!(["registry"])))?;
    let took = began.elapsed();
    println!("known {took:?} behind the transaction's end");
    ensure!(took < ACTS_WITHIN, "it took {took:?}");
    one.wait_logged(OVER, 1, BOUND)?;
    wait_until("no cause is left", BOUND, || {
        let left = ports.iter().map(|port| Ok(cause(&port.json("/api/v1/status")?.1))).collect::<Result<Vec<_>>>()?;
        Ok(left.iter().all(Option::is_none).then_some(()))
    })?;
    let log = one.log()?;
    // One transaction is met by all partitions within a look or two.
    ensure!((1..=2).contains(&log.matches(HELD_UP).count()), "{}", log.matches(HELD_UP).count());
    context.settle(&simulator, SETTLE)?;
    two.must_run()
}
