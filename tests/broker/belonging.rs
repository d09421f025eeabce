//! Whose the topics are: the state topic knows its connector, its number of partitions and the ids of each app, and what
//! does not agree with it stops before it has polled anything.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use promoter_connector::kafka::client::partitioner;
use promoter_connector::model::material::MaterialRequest;
use promoter_connector::model::promoter::Promoter;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer, ThreadedProducer};

use super::producer::Transactional;
use super::world::{BOUND, OPEN, PROMOTERS, QUICK_GROUP, SETTLE, SMALL_TRANSACTIONS, lively, wait_for_records};
use crate::harness::case::Case;
use crate::harness::client;
use crate::harness::connector::Connector;
use crate::harness::consumer::{read_all, read_until};
use crate::harness::context::Context;
use crate::harness::judge::Verdict;
use crate::harness::requests::{JSON, json};
use crate::harness::simulator::Simulator;
use crate::harness::wait::wait_until;

const PARTITIONS: i32 = 3;
/// Members look at the topics again soon.
const QUICK_METADATA: &str = r#"kafka."topic.metadata.refresh.interval.ms" = 500"#;

pub const CASES: &[Case] = &[
    Case::shared("belonging: partitions raised under two instances stop both and double nothing", raised_partitions),
    Case::shared("belonging: an instance of new partitions only finds the others' fences", new_partitions_only),
    Case::shared("belonging: a fence that nobody has compared proves nothing", a_fence_of_nobody),
    Case::shared("belonging: a second name on the same topics stops before it polls", a_second_name),
    Case::shared(
        "belonging: of two names that start at once none leaves anything in the other's way",
        two_names_at_once,
    ),
    Case::shared(
        "belonging: of two names that start at once none answers requests before it has the topics",
        two_names_at_once_with_requests,
    ),
    Case::shared("belonging: another kind of ids stops before it polls", another_id_kind),
    Case::shared("belonging: a state that is missing beside its registry is not made anew", a_missing_state),
    Case::shared("belonging: a state that was made anew beside its registry stops", an_emptied_state),
    Case::shared("belonging: with both topics deleted it begins anew", both_deleted),
    Case::shared("belonging: topics that were made before the first start are taken", topics_made_before),
    Case::shared("belonging: a stray record stops nothing, and a damaged one until its tombstone", stray_records),
    Case::shared("belonging: every partition that is taken over has a fence", every_partition_has_a_fence),
    Case::shared("belonging: an open transaction in the state is waited for", an_open_transaction_is_waited_for),
];

fn raised_partitions(context: &Context) -> Result<()> {
    let simulator = lively(context, "60s")?;
    let more = format!("{SMALL_TRANSACTIONS}\n{QUICK_GROUP}\n{QUICK_METADATA}");
    let config = |instance| context.config_of(instance, simulator.url(), PROMOTERS, &more);
    let one = context.connector("one", &config("one"), &[])?;
    wait_for_records(context, &one, "orders", 1)?;
    let two = context.connector("two", &config("two"), &[])?;
    two.wait_logged(OPEN, 1, BOUND)?;
    one.wait_logged(OPEN, 2, BOUND)?;

    for topic in ["state", "registry"] {
        context.topics().grow(&context.topics().name(topic), 6)?;
    }
    let three = context.connector("three", &config("three"), &[])?;
    for connector in [&one, &two, &three] {
        stops(connector, "it was written when it had another number of partitions: 3 then, 6 now")?;
    }
    ensure!(!three.log()?.contains(OPEN), "the new one has polled nothing");
    nothing_twice(context, &simulator)
}

fn new_partitions_only(context: &Context) -> Result<()> {
    let (simulator, config, holder) = raised(context)?;
    let connector = context.connector("new", &config, &[])?;
    finds_other_partitions(&connector, &holder)?;
    let records = read_all(context.bootstrap(), &context.topics().name("state"))?;
    for partition in PARTITIONS..6 {
        ensure!(records.iter().any(|record| record.partition == partition), "it was given partition {partition}");
        ensure!(fence_in(context, partition, context.topics().prefix())?.is_none(), "its fence stays in {partition}");
    }
    nothing_twice(context, &simulator)
}

/// Killed between writing its fences and comparing them, it has left its number in the new partitions.
fn a_fence_of_nobody(context: &Context) -> Result<()> {
    let (simulator, config, holder) = raised(context)?;
    let killed = context.connector("killed", &config, &[("PROMOTER_FAILPOINT", "fences_written")])?;
    ends(&killed, &holder)?;
    let left = (PARTITIONS..6).map(|partition| fence_in(context, partition, context.topics().prefix()));
    ensure!(left.collect::<Result<Vec<_>>>()?.iter().any(Option::is_some), "it has left a fence");
    let next = context.connector("next", &config, &[])?;
    finds_other_partitions(&next, &holder)?;
    nothing_twice(context, &simulator)
}

/// Topics with a life behind them and more partitions now, the configuration of another instance, and a member like one
/// that still runs: it comes first in the order of names, and so keeps the old partitions.
fn raised(context: &Context) -> Result<(Simulator, String, BaseConsumer)> {
    let (simulator, config) = lived(context)?;
    for topic in ["state", "registry"] {
        context.topics().grow(&context.topics().name(topic), 6)?;
    }
    let holder: BaseConsumer = client::config(context.bootstrap())
        .set("group.id", context.topics().prefix())
        .set("client.id", "a")
        .set("partition.assignment.strategy", "range")
        .set("session.timeout.ms", "3000")
        .set("heartbeat.interval.ms", "500")
        .set("enable.auto.commit", "false")
        .create()?;
    holder.subscribe(&[&context.topics().name("registry")])?;
    wait_until("the member has all partitions", BOUND, || {
        holder.poll(Duration::from_millis(100));
        Ok((holder.assignment()?.count() == 6).then_some(()))
    })?;
    Ok((simulator, config.replace("instance_id = \"one\"", "instance_id = \"z\""), holder))
}

fn finds_other_partitions(connector: &Connector, holder: &BaseConsumer) -> Result<()> {
    ends(connector, holder)?;
    stops(connector, "it was written when it had another number of partitions: 3 then, 6 now")?;
    ensure!(!connector.log()?.contains(OPEN), "it has polled nothing");
    Ok(())
}

/// It ends by itself, while the member takes part in the group.
fn ends(connector: &Connector, holder: &BaseConsumer) -> Result<()> {
    wait_until("the instance has ended", BOUND, || {
        holder.poll(Duration::from_millis(100));
        Ok(connector.must_run().is_err().then_some(()))
    })
}

fn two_names_at_once(context: &Context) -> Result<()> {
    for topic in ["registry", "state"] {
        context.topics().create(topic, PARTITIONS, &[("cleanup.policy", "compact")])?;
    }
    let simulator = lively(context, "2s")?;
    let names = ["first", "second"].map(|name| format!("{}-{name}", context.topics().prefix()));
    let config = context.config(simulator.url(), PROMOTERS, "");
    let own = format!("connector = {{ name = \"{}\"", context.topics().prefix());
    let config = |name: &str| config.replace(&own, &format!("connector = {{ name = \"{name}\""));
    let start = |name: &String| context.connector(name, &config(name), &[]);
    let both = [start(&names[0])?, start(&names[1])?];
    // Each of them either polls or has stopped.
    let mut polling = Vec::new();
    for (name, connector) in names.iter().zip(&both) {
        let polls = wait_until("it polls or has stopped", BOUND, || {
            if connector.log()?.contains(OPEN) {
                return Ok(Some(true));
            }
            Ok(connector.must_run().is_err().then_some(false))
        })?;
        if polls {
            polling.push(name);
            ensure!(connector.terminate()?.success(), "it ends in order");
        } else {
            stops(connector, "it belongs to the connector")?;
        }
    }
    ensure!(polling.len() < 2, "both have polled");
    let owner = polling.first().copied().unwrap_or(&names[0]);
    for partition in 0..PARTITIONS {
        let stranger = names.iter().find(|name| *name != owner).context("there are two")?;
        ensure!(fence_in(context, partition, stranger)?.is_none(), "{stranger} has left a fence in {partition}");
    }
    let again = context.connector("again", &config(owner), &[])?;
    context.settle(&simulator, SETTLE)?;
    again.must_run()
}

/// What neither of them has read yet keeps both from writing a fence.
fn two_names_at_once_with_requests(context: &Context) -> Result<()> {
    const REQUESTS: usize = 20;
    for topic in ["registry", "state"] {
        context.topics().create(topic, PARTITIONS, &[("cleanup.policy", "compact")])?;
    }
    for topic in ["material.requests", "material.results"] {
        context.topics().create(topic, PARTITIONS, &[])?;
    }
    ask(context, REQUESTS)?;
    let state = context.topics().name("state");
    let open = Transactional::open(context.bootstrap(), &state)?;
    open.begin()?;
    open.write_to(&state, 1, "hello", "open")?;

    let simulator = lively(context, "2s")?;
    let names = ["first", "second"].map(|name| format!("{}-{name}", context.topics().prefix()));
    let config = context.config(simulator.url(), PROMOTERS, "");
    let own = format!("connector = {{ name = \"{}\"", context.topics().prefix());
    let config = |name: &str| config.replace(&own, &format!("connector = {{ name = \"{name}\""));
    let start = |name: &String| context.connector(name, &config(name), &[]);
    let both = [start(&names[0])?, start(&names[1])?];
    let results = context.topics().name("material.results");
    for connector in &both {
        connector.wait_logged("requests wait until the polls", 1, BOUND)?;
    }
    ensure!(read_all(context.bootstrap(), &results)?.is_empty(), "nobody answers");
    open.abort()?;
    let mut owner = &names[0];
    for (name, connector) in names.iter().zip(&both) {
        let polls = wait_until("it polls or has stopped", BOUND, || {
            let stopped = connector.must_run().is_err();
            Ok((stopped || connector.log()?.contains(OPEN)).then_some(!stopped))
        })?;
        if polls {
            owner = name;
            ensure!(connector.terminate()?.success(), "it ends in order");
        } else {
            stops(connector, "it belongs to the connector")?;
        }
    }
    let again = context.connector("again", &config(owner), &[])?;
    let replies = read_until(context.bootstrap(), &[&results], BOUND, |seen| seen.len() >= REQUESTS)?;
    again.must_run()?;
    ensure!(again.terminate()?.success(), "it ends in order");
    let keys: std::collections::BTreeSet<_> = replies.iter().map(|reply| reply.key_text()).collect();
    let all = read_all(context.bootstrap(), &results)?;
    ensure!((keys.len(), all.len()) == (REQUESTS, REQUESTS), "each once: {keys:?} of {}", all.len());
    Ok(())
}

/// So many requests for material, each under a key of its own.
fn ask(context: &Context, count: usize) -> Result<()> {
    let producer: ThreadedProducer<_> = client::config(context.bootstrap()).create()?;
    let topic = context.topics().name("material.requests");
    for number in 0..count {
        let request = MaterialRequest {
            request_id: number.to_string(),
            app_id: "wx_simulated".into(),
            promoter_openid: "oSimulated000001".into(),
            path: "pages/index".into(),
            ..MaterialRequest::default()
        };
        let (key, value) = (format!("request {number}"), json(&request));
        let headers = OwnedHeaders::new().insert(Header { key: "content-type", value: Some(JSON) });
        let record = BaseRecord::to(&topic).key(&key).payload(&value).headers(headers);
        producer.send(record).map_err(|(error, _)| error)?;
    }
    Ok(producer.flush(Duration::from_secs(10))?)
}

fn a_second_name(context: &Context) -> Result<()> {
    let simulator = lively(context, "8s")?;
    let config = context.config(simulator.url(), PROMOTERS, SMALL_TRANSACTIONS);
    let name = format!("connector = {{ name = \"{}\"", context.topics().prefix());
    let renamed = config.replace(&name, "connector = { name = \"renamed\"");
    ensure!(renamed != config, "the name is replaced");
    let first = context.connector("one", &config, &[])?;
    wait_for_records(context, &first, "orders", 1)?;
    for start in 0..2 {
        let second = context.connector(&format!("second-{start}"), &renamed, &[])?;
        stops(&second, &format!("it belongs to the connector \"{}\"", context.topics().prefix()))?;
        ensure!(!second.log()?.contains(OPEN), "it has polled nothing");
    }
    context.settle(&simulator, SETTLE)?;
    // It has left nothing that would stop the first one.
    ensure!(first.terminate()?.success(), "the first one goes on, and ends in order");
    let again = context.connector("again", &config, &[])?;
    again.wait_logged(OPEN, 1, BOUND)
}

fn another_id_kind(context: &Context) -> Result<()> {
    let (simulator, config) = lived(context)?;
    let changed = config.replace("app_id = \"wx_simulated\",", "app_id = \"wx_simulated\", id_kind = \"unionid\",");
    ensure!(changed != config, "the kind is set");
    let again = context.connector("changed", &changed, &[])?;
    stops(&again, "go back to id_kind = \"openid\"")?;
    let back = context.connector("back", &config, &[])?;
    back.wait_logged(OPEN, 1, BOUND)?;
    nothing_twice(context, &simulator)
}

fn a_missing_state(context: &Context) -> Result<()> {
    let (simulator, config) = lived(context)?;
    delete(context, "state")?;
    let again = context.connector("again", &config, &[])?;
    stops(&again, &format!("topic {} does not exist, and topic", context.topics().name("state")))?;
    ensure!(context.topics().partitions(&context.topics().name("state"))? == 0, "it was not made anew");
    nothing_twice(context, &simulator)
}

fn an_emptied_state(context: &Context) -> Result<()> {
    let (simulator, config) = lived(context)?;
    delete(context, "state")?;
    context.topics().create("state", PARTITIONS, &[("cleanup.policy", "compact")])?;
    let again = context.connector("again", &config, &[])?;
    stops(&again, "it was emptied or made anew")?;
    ensure!(!again.log()?.contains(OPEN), "it has polled nothing");
    nothing_twice(context, &simulator)
}

fn both_deleted(context: &Context) -> Result<()> {
    let (_simulator, config) = lived(context)?;
    delete(context, "registry")?;
    delete(context, "state")?;
    let again = context.connector("again", &config, &[])?;
    again.wait_logged(OPEN, 1, BOUND)
}

fn topics_made_before(context: &Context) -> Result<()> {
    for topic in ["registry", "state"] {
        context.topics().create(topic, PARTITIONS, &[("cleanup.policy", "compact")])?;
    }
    for topic in ["touches", "orders", "dead-letters"] {
        context.topics().create(topic, PARTITIONS, &[])?;
    }
    let simulator = lively(context, "2s")?;
    let connector = context.connector("one", &context.config(simulator.url(), PROMOTERS, ""), &[])?;
    context.settle(&simulator, SETTLE)?;
    connector.must_run()
}

fn stray_records(context: &Context) -> Result<()> {
    let (simulator, config) = lived(context)?;
    let put = |partition: i32, key: &str, value: Option<&str>| put(context, partition, key, value);
    put(0, "hello", Some("world"))?;
    let strayed = context.connector("strayed", &config, &[])?;
    strayed.wait_logged("a stray record of the state is skipped", 1, BOUND)?;
    strayed.wait_logged(OPEN, 1, BOUND)?;
    ensure!(strayed.terminate()?.success(), "it ends in order");

    // Behind every number that the connector has used.
    let promoter = Promoter::from_key("wx_simulated/oSimulated000001")?;
    let key = format!("seen/{promoter}/touches/999999");
    let home = partitioner::of(&promoter, PARTITIONS);
    put(home, &key, Some("damaged"))?;
    let damaged = context.connector("damaged", &config, &[])?;
    stops(&damaged, &format!("the record at partition {home} offset"))?;
    put(home, &key, None)?;
    let healed = context.connector("healed", &config, &[])?;
    healed.wait_logged(OPEN, 1, BOUND)?;
    ensure!(healed.terminate()?.success(), "it ends in order");

    let key = format!("fence/{}", context.topics().prefix());
    put(1, &key, Some("damaged"))?;
    let damaged = context.connector("damaged-fence", &config, &[])?;
    stops(&damaged, "the record at partition 1 offset")?;
    put(1, &key, None)?;
    let healed = context.connector("healed-fence", &config, &[])?;
    healed.wait_logged(OPEN, 1, BOUND)?;
    context.settle(&simulator, SETTLE)?;
    healed.must_run()
}

fn every_partition_has_a_fence(context: &Context) -> Result<()> {
    lived(context)?;
    for partition in 0..PARTITIONS {
        let fence = fence_in(context, partition, context.topics().prefix())?;
        let text = fence.with_context(|| format!("partition {partition} has no fence"))?;
        let fence: serde_json::Value = serde_json::from_str(&text)?;
        ensure!(fence["partitions"] == PARTITIONS && fence["id_kinds"]["wx_simulated"] == "openid", "{text}");
        ensure!(fence["generation"].as_i64().is_some_and(|generation| generation >= 0), "{text}");
        ensure!(fence["member"].as_str().is_some_and(|member| member.starts_with("one-")), "{text}");
    }
    Ok(())
}

fn an_open_transaction_is_waited_for(context: &Context) -> Result<()> {
    let (_simulator, config) = lived(context)?;
    let topic = context.topics().name("state");
    let open = Transactional::open(context.bootstrap(), &topic)?;
    open.begin()?;
    open.write(&topic, "hello", "open")?;
    let connector = context.connector("waiting", &config, &[])?;
    connector.wait_logged("waiting for an open transaction", 1, BOUND)?;
    ensure!(!connector.log()?.contains(OPEN), "what stands behind the transaction is not read yet");
    open.commit()?;
    connector.wait_logged(OPEN, 1, BOUND)
}

/// Topics with a life behind them, of a connector that has ended in order, and its configuration.
fn lived(context: &Context) -> Result<(Simulator, String)> {
    let simulator = lively(context, "2s")?;
    let config = context.config(simulator.url(), PROMOTERS, QUICK_GROUP);
    let connector = context.connector("one", &config, &[])?;
    context.settle(&simulator, SETTLE)?;
    ensure!(connector.terminate()?.success(), "it ends in order");
    Ok((simulator, config))
}

fn delete(context: &Context, topic: &str) -> Result<()> {
    let name = context.topics().name(topic);
    context.topics().delete(&name)?;
    wait_until("the topic is gone", BOUND, || Ok((context.topics().partitions(&name)? == 0).then_some(())))
}

/// It ends by itself with 1, and says `words`.
fn stops(connector: &Connector, words: &str) -> Result<()> {
    let end = connector.wait_exit(BOUND)?;
    // The log is JSON, in which quotes are escaped.
    let log = connector.log()?.replace("\\\"", "\"");
    ensure!(end.code() == Some(1), "it stops, and does not end with {end}:\n{log}");
    ensure!(log.contains(words), "{words:?} is not in\n{log}");
    Ok(())
}

/// The fence of a connector in a partition of the state, as it stands after compaction.
fn fence_in(context: &Context, partition: i32, connector: &str) -> Result<Option<String>> {
    let key = format!("fence/{connector}");
    let records = read_all(context.bootstrap(), &context.topics().name("state"))?;
    let last = records.iter().rfind(|record| record.partition == partition && record.key_text() == key);
    Ok(last.filter(|record| record.value.is_some()).map(|record| record.value_text()))
}

/// Some of what was shown may be missing, for nobody polls any more.
fn nothing_twice(context: &Context, simulator: &Simulator) -> Result<()> {
    let Verdict { twice, foreign, found, .. } = context.verdict(simulator)?;
    ensure!(found > 0 && twice.is_empty() && foreign.is_empty(), "{found} found, twice {twice:?}, foreign {foreign:?}");
    Ok(())
}

/// Writes a record as anybody could, into the state topic.
fn put(context: &Context, partition: i32, key: &str, value: Option<&str>) -> Result<()> {
    let producer: ThreadedProducer<_> = client::config(context.bootstrap()).create()?;
    let topic = context.topics().name("state");
    let mut record: BaseRecord<'_, str, str> = BaseRecord::to(&topic).partition(partition).key(key);
    record.payload = value;
    producer.send(record).map_err(|(error, _)| error)?;
    producer.flush(Duration::from_secs(10))?;
    Ok(())
}
