//! Of topics that belong to another name, or to another kind of ids.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use promoter_connector::model::material::MaterialRequest;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer, ThreadedProducer};

use super::{PARTITIONS, fence_in, lived, nothing_twice, stops};
use crate::broker::producer::Transactional;
use crate::broker::world::{BOUND, OPEN, PROMOTERS, SETTLE, SMALL_TRANSACTIONS, lively, wait_for_records};
use crate::harness::client;
use crate::harness::consumer::{read_all, read_until};
use crate::harness::context::Context;
use crate::harness::requests::{JSON, json};
use crate::harness::simulator::Simulator;
use crate::harness::wait::wait_until;

/// The configuration of the case's connector under another name, on the same topics.
fn config_named(context: &Context, simulator: &Simulator, name: &str) -> String {
    let config = context.config(simulator.url(), PROMOTERS, "");
    let own = format!("connector = {{ name = \"{}\"", context.topics().prefix());
    config.replace(&own, &format!("connector = {{ name = \"{name}\""))
}

pub fn two_names_at_once(context: &Context) -> Result<()> {
    for topic in ["registry", "state"] {
        context.topics().create(topic, PARTITIONS, &[("cleanup.policy", "compact")])?;
    }
    let simulator = lively(context, "2s")?;
    let names = ["first", "second"].map(|name| format!("{}-{name}", context.topics().prefix()));
    let config = |name: &str| config_named(context, &simulator, name);
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
        let other = names.iter().find(|name| *name != owner).context("there are two")?;
        ensure!(fence_in(context, partition, other)?.is_none(), "{other} has left a fence in {partition}");
    }
    let again = context.connector("again", &config(owner), &[])?;
    context.settle(&simulator, SETTLE)?;
    again.must_run()
}

/// What neither of them has read yet keeps both from writing a fence.
pub fn two_names_at_once_with_requests(context: &Context) -> Result<()> {
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
    let config = |name: &str| config_named(context, &simulator, name);
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

pub fn a_second_name(context: &Context) -> Result<()> {
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

pub fn another_id_kind(context: &Context) -> Result<()> {
    let (simulator, config) = lived(context)?;
    let changed = config.replace("app_id = \"wx_simulated\",", "app_id = \"wx_simulated\", id_kind = \"unionid\",");
    ensure!(changed != config, "the kind is set");
    let again = context.connector("changed", &changed, &[])?;
    stops(&again, "go back to id_kind = \"openid\"")?;
    let back = context.connector("back", &config, &[])?;
    back.wait_logged(OPEN, 1, BOUND)?;
    nothing_twice(context, &simulator)
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
