//! The registry of promoters: what the commands make of its topic, and what they make of records that others write.

use std::collections::BTreeMap;
use std::process::{Command, Output};

use anyhow::{Context as _, Result, ensure};
use promoter_connector::model::promoter::Promoter;
use promoter_connector::model::shard::Shard;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use serde_json::Value;

use super::world::BOUND;
use crate::harness::apicurio::Apicurio;
use crate::harness::case::Case;
use crate::harness::client;
use crate::harness::connector::BINARY;
use crate::harness::consumer::read_all;
use crate::harness::context::Context;

mod discovered;
mod framed;
mod held_up;
mod reloaded;
mod rights;
mod running;
mod side_by_side;

const PARTITIONS: i32 = 3;
const PROMOTERS: usize = 1_000;

pub const CASES: &[Case] = &[
    Case::shared("registry: promoters are imported, paused, resumed and removed, and an export is whole", commands),
    Case::shared("registry: what was not committed registers nobody, and a stray partition is told", strays),
    Case::shared(
        "registry: commands wait for an open transaction of others, and write over nothing in it",
        held_up::commands,
    ),
    Case::shared(
        "registry: an open transaction of others is named, stops nobody, and acts when it ends",
        held_up::running,
    ),
    Case::shared(
        "registry: of commands that overtake each other one says what it has written over",
        side_by_side::overwritten_changes_are_told,
    ),
    Case::shared("registry: a stray record is not taken for a change", side_by_side::strays_are_not_written_over),
    Case::shared("registry: records of others are read in both framings and in JSON", framed::read)
        .with(&[Apicurio::available]),
    Case::shared("registry: who is registered while instances run is polled within seconds", running::are_polled),
    Case::shared("registry: who is registered while shards are restored is polled", running::while_shards_are_restored),
    Case::shared("registry: whom the configuration names at a hangup signal is polled", reloaded::by_a_signal),
    Case::shared("registry: whom a changed promoters_file names is polled by all instances", reloaded::by_a_change),
    Case::shared(
        "registry: whom the upstream lists is polled, and whoever was removed stays so after a restart",
        discovered::are_polled_and_stay_removed,
    ),
    Case::secured("registry: a right that is missing is named", rights::are_named),
];

/// A configuration of one app, and the registry topic.
fn prepare(context: &Context, more: &str) -> Result<String> {
    let bootstrap = format!("kafka.\"bootstrap.servers\" = \"{}\"", context.bootstrap());
    prepare_with(context, &format!("{bootstrap}\n{more}"))
}

/// The same where `more` says how the broker is reached, too.
fn prepare_with(context: &Context, more: &str) -> Result<String> {
    let topic = context.topics().create("registry", PARTITIONS, &[("cleanup.policy", "compact")])?;
    let prefix = topic.strip_suffix(".registry").context("the prefix of the topics")?;
    let app = "[[apps]]\napp_id = \"wx1\"\npromoters = [\"oConfigured\"]\n";
    let config = format!("topics.prefix = \"{prefix}\"\n{more}\n{app}");
    std::fs::write(context.directory().join("connector.toml"), config)?;
    Ok(topic)
}

fn promoters(context: &Context, arguments: &[&str]) -> Result<Output> {
    let command = Command::new(BINARY)
        .arg("promoters")
        .args(arguments)
        .args(["--config", "connector.toml", "--timeout", "60s"])
        .current_dir(context.directory())
        .output();
    command.context("the command does not start")
}

/// What a command shows that has to succeed.
fn shown(context: &Context, arguments: &[&str]) -> Result<String> {
    let output = promoters(context, arguments)?;
    ensure!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

/// One number of what a command has done.
fn count(context: &Context, what: &str, arguments: &[&str]) -> Result<u64> {
    let shown = shown(context, &[arguments, &["--json"]].concat())?;
    let report: Value = serde_json::from_str(&shown)?;
    report[what].as_u64().with_context(|| format!("{what} in {report}"))
}

/// The rows of the list, by the promoters' ids.
fn listed(context: &Context) -> Result<BTreeMap<String, Value>> {
    let row = |line: &str| {
        let row: Value = serde_json::from_str(line)?;
        Ok((row["promoter_openid"].as_str().context("an id")?.to_owned(), row))
    };
    shown(context, &["list", "--json"])?.lines().map(row).collect()
}

fn commands(context: &Context) -> Result<()> {
    let topic = prepare(context, "")?;
    let rows: String = (0..PROMOTERS).map(|number| format!("o{number:04},touches;orders,earliest\n")).collect();
    std::fs::write(context.directory().join("new.csv"), "promoter,feeds,start_from\n".to_owned() + &rows)?;
    ensure!(count(context, "added", &["import", "new.csv", "--dry-run"])? == 1_000, "a dry run counts");
    ensure!(read_all(context.bootstrap(), &topic)?.is_empty(), "and writes nothing");
    ensure!(count(context, "added", &["import", "new.csv"])? == 1_000, "all are new");
    ensure!(count(context, "unchanged", &["import", "new.csv"])? == 1_000, "none is, any more");
    let records = read_all(context.bootstrap(), &topic)?;
    ensure!(records.len() == PROMOTERS, "each is written once, not {} times", records.len());
    for record in &records {
        let promoter = Promoter::from_key(&record.key_text())?;
        ensure!(record.partition == Shard::of(&promoter, PARTITIONS).0, "{promoter} stands where it belongs");
    }

    ensure!(count(context, "changed", &["pause", "o0001", "o0002"])? == 2, "two are paused");
    ensure!(count(context, "changed", &["resume", "o0002", "o0003"])? == 1, "one of them was");
    ensure!(count(context, "removed", &["remove", "o0000", "oNobody"])? == 1, "one was there");
    let list = listed(context)?;
    ensure!(list.len() == PROMOTERS, "one less, and one that is configured: {}", list.len());
    ensure!(!list.contains_key("o0000") && list["o0001"]["state"] == "paused", "{}", list["o0001"]);
    ensure!(list["o0001"]["start_from"]["value"] == "earliest", "a pause keeps the rest: {}", list["o0001"]);
    ensure!(list["o0002"]["state"] == "polled" && list["oConfigured"]["feeds"]["source"] == "default", "the others");
    export_is_whole(context)
}

/// Import of an export changes nothing, whether the registry is as it was or empty.
fn export_is_whole(context: &Context) -> Result<()> {
    for (format, file) in [("csv", "all.csv"), ("jsonl", "all.jsonl")] {
        let export = shown(context, &["export", "--format", format])?;
        std::fs::write(context.directory().join(file), &export)?;
        ensure!(count(context, "unchanged", &["import", file])? == 999, "{format}: it is what is there");
    }
    let export = shown(context, &["export"])?;
    let all: Vec<String> = (1..PROMOTERS).map(|number| format!("o{number:04}")).collect();
    let remove: Vec<&str> = ["remove"].into_iter().chain(all.iter().map(String::as_str)).collect();
    ensure!(count(context, "removed", &remove)? == 999, "all are removed");
    ensure!(listed(context)?.len() == 1, "but for whom the configuration names");
    ensure!(count(context, "added", &["import", "all.csv"])? == 999, "and all are registered again");
    ensure!(shown(context, &["export"])? == export, "as they were");
    Ok(())
}

/// Another program that writes to the registry, in JSON.
struct OtherWriter {
    topic: String,
    producer: BaseProducer,
}

impl OtherWriter {
    /// One that writes in transactions, which the broker ends by itself only after minutes.
    fn transactional(context: &Context, topic: &str) -> Result<OtherWriter> {
        let mut config = client::config(context.bootstrap());
        config.set("transactional.id", format!("{topic}-other")).set("transaction.timeout.ms", "600000");
        let producer: BaseProducer = config.create()?;
        producer.init_transactions(BOUND)?;
        Ok(OtherWriter { topic: topic.to_owned(), producer })
    }

    /// One that writes without.
    fn plain(context: &Context, topic: &str) -> Result<OtherWriter> {
        Ok(OtherWriter { topic: topic.to_owned(), producer: client::config(context.bootstrap()).create()? })
    }

    /// Says `more` of the promoter of this key, to this partition, and waits until the broker has it.
    fn put(&self, key: &str, partition: i32, more: &str) -> Result<()> {
        let (app, id) = key.split_once('/').context("no key of a promoter")?;
        let value = format!("{{\"app_id\":\"{app}\",\"promoter_openid\":\"{id}\"{more}}}");
        let headers = OwnedHeaders::new().insert(Header { key: "content-type", value: Some("application/json") });
        let record = BaseRecord::to(&self.topic).key(key).payload(&value).partition(partition).headers(headers);
        self.producer.send(record).map_err(|(error, _)| error)?;
        Ok(self.producer.flush(BOUND)?)
    }

    /// The same to the partition in which it belongs.
    fn say(&self, key: &str, more: &str) -> Result<()> {
        self.put(key, partition_of(key)?, more)
    }

    fn begin(&self) -> Result<()> {
        Ok(self.producer.begin_transaction()?)
    }

    fn commit(&self) -> Result<()> {
        Ok(self.producer.commit_transaction(BOUND)?)
    }

    fn abort(&self) -> Result<()> {
        Ok(self.producer.abort_transaction(BOUND)?)
    }
}

fn partition_of(key: &str) -> Result<i32> {
    Ok(Shard::of(&Promoter::from_key(key)?, PARTITIONS).0)
}

fn strays(context: &Context) -> Result<()> {
    let topic = prepare(context, "")?;
    let other = OtherWriter::transactional(context, &topic)?;
    other.begin()?;
    other.say("wx1/oAborted", "")?;
    other.abort()?;
    other.begin()?;
    other.say("wx1/oCommitted", "")?;
    other.put("wx1/oStray", (partition_of("wx1/oStray")? + 1) % PARTITIONS, "")?;
    other.commit()?;

    let output = promoters(context, &["list"])?;
    let (list, told) = (String::from_utf8(output.stdout)?, String::from_utf8(output.stderr)?);
    ensure!(output.status.success() && list.contains("wx1/oCommitted"), "{list}{told}");
    ensure!(!list.contains("wx1/oAborted") && !list.contains("wx1/oStray"), "{list}");
    ensure!(told.contains("key \"wx1/oStray\", changes nothing: misplaced: "), "{told}");
    let export = promoters(context, &["export"])?;
    let told = String::from_utf8(export.stderr)?;
    ensure!(export.status.success() && told.contains("the export lacks nothing that acts"), "{told}");
    Ok(())
}
