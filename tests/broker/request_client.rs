//! `material request` against a broker that asks who is there: its last lines say what keeps it from asking, or from reading
//! the reply.

use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

use anyhow::{Context as _, Result, ensure};

use super::secured::sasl_properties;
use super::world::BOUND;
use crate::harness::connector::BINARY;
use crate::harness::consumer::high_watermarks;
use crate::harness::context::Context;
use crate::harness::rights::{self, DESCRIBE, READ, TOPIC, WRITE};
use crate::harness::security::{PASSWORD, SCRAM_USER};
use crate::harness::wait::wait_until;

/// Grants one right after the other, exactly those of README.md, until it is answered. A connector need not run until then,
/// since nothing may be asked before.
pub fn names_the_right_that_is_missing(context: &Context) -> Result<()> {
    let topic = |name: &str| context.topics().name(name);
    let (requests, results) = (topic("material.requests"), topic("material.results"));
    let config = config(context, "requester", &sasl_properties(context, "SCRAM-SHA-512", "scram", PASSWORD)?)?;
    let says = |words: &[String]| -> Result<String> {
        // A right that was given is known to the broker a moment later.
        wait_until(&format!("{words:?} is said"), BOUND, || {
            let asked = ask(&config, "4s")?.wait_with_output()?;
            let told = String::from_utf8_lossy(&asked.stderr).into_owned();
            ensure!(asked.status.code() == Some(1), "it fails, and does not end with {}: {told}", asked.status);
            Ok(words.iter().all(|words| told.contains(words)).then_some(told))
        })
    };
    let allow = |operation, topic: &String| {
        rights::allow(context.bootstrap(), SCRAM_USER, &[operation], TOPIC, std::slice::from_ref(topic))
    };
    let asked_before = high_watermarks(context.bootstrap(), &requests)?;
    says(&[
        format!("topic {requests} may not be looked at; allow this user DESCRIBE and WRITE on it"),
        format!("topic {results} may not be looked at; allow this user DESCRIBE and READ on it"),
    ])?;
    allow(DESCRIBE, &requests)?;
    allow(DESCRIBE, &results)?;
    says(&[format!("topic {results} may not be read; allow this user to READ it")])?;
    allow(READ, &results)?;
    says(&[format!("topic {requests} may not be written; allow this user to WRITE it")])?;
    ensure!(high_watermarks(context.bootstrap(), &requests)? == asked_before, "nothing was asked");
    allow(WRITE, &requests)?;
    // Nobody runs who could answer.
    let told = says(&[format!("no reply came to {results}")])?;
    ensure!(told.lines().count() == 1, "no right is missing any more: {told}");
    Ok(())
}

/// A name, properties, and what is to be said of a connection with them.
pub type History<'a> = (&'a str, Vec<(&'a str, String)>, &'a str);

/// The cause of a connection that fails is in the last line.
pub fn tells_causes(context: &Context, histories: &[History<'_>]) -> Result<()> {
    let start =
        |(name, properties, _): &History<'_>| ask(&config(context, &format!("requester-{name}"), properties)?, "8s");
    let started = histories.iter().map(start).collect::<Result<Vec<Child>>>()?;
    for (child, (name, _, words)) in started.into_iter().zip(histories) {
        let Output { status, stderr, .. } = child.wait_with_output()?;
        let told = String::from_utf8_lossy(&stderr);
        let last = told.lines().last().unwrap_or_default();
        ensure!(status.code() == Some(1) && last.contains(words), "{name}: {words:?} is not the end of\n{told}");
        ensure!(!told.contains(PASSWORD), "no password is shown");
    }
    Ok(())
}

/// Where requests and replies stand, and nothing else.
fn config(context: &Context, name: &str, properties: &[(&str, String)]) -> Result<PathBuf> {
    let requests = context.topics().name("material.requests");
    let prefix = requests.strip_suffix(".material.requests").context("the prefix of the topics")?;
    // Of two properties of a name, the last.
    let last: std::collections::BTreeMap<_, _> = properties.iter().map(|(name, value)| (*name, value)).collect();
    let lines = last.iter().map(|(name, value)| format!("kafka.\"{name}\" = {value:?}\n"));
    let path = context.directory().join(format!("{name}.toml"));
    std::fs::write(&path, lines.chain([format!("topics.prefix = {prefix:?}\n")]).collect::<String>())?;
    Ok(path)
}

fn ask(config: &PathBuf, timeout: &str) -> Result<Child> {
    Command::new(BINARY)
        .args(["material", "request", "--app", "wx_simulated", "--promoter", "oSimulated000001"])
        .args(["--path", "pages/index", "--timeout", timeout, "--config"])
        .arg(config)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .context("the command does not start")
}
