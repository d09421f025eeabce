//! What is changed over the admin port of a connector that runs.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::broker::world::{BOUND, PROMOTERS, SETTLE, lively};
use crate::harness::admin_port::{AdminPort, opened, opened_for};
use crate::harness::consumer::read_all;
use crate::harness::context::Context;
use crate::harness::simulator::Simulator;
use crate::harness::wait::wait_until;

const TOKEN: &str = "a-token-of-the-tests";
/// Longer than a call that is under way may last.
const CALL_MAX: SignedDuration = SignedDuration::from_secs(3);

/// The promoter that is changed.
struct Changed<'a> {
    context: &'a Context,
    simulator: &'a Simulator,
    port: &'a AdminPort,
    openid: String,
}

pub fn by_whoever_shows_the_token(context: &Context) -> Result<()> {
    std::fs::write(context.directory().join("admin-token"), format!("{TOKEN}\n"))?;
    let simulator = lively(context, "40s")?;
    let config = context.config(simulator.url(), PROMOTERS, "");
    let connector = context.connector("one", &opened_for(&config, "admin-token"), &[])?;
    let port = AdminPort::of(&connector)?;
    let openid = busiest(&simulator)?;
    let changed = Changed { context, simulator: &simulator, port: &port, openid };
    changed.by_nobody_else()?;
    changed.paused()?;
    let (status, resumed) = changed.post("resume", Some(TOKEN), &json!({}))?;
    ensure!(status == 200 && resumed["paused"] == false && resumed["changed"] == true, "{status}: {resumed}");
    context.settle(&simulator, SETTLE)?;
    changed.rewound()?;
    context.settle(&simulator, SETTLE)?;
    ensure!(!connector.log()?.contains(TOKEN), "the token is in the log");
    ensure!(connector.terminate()?.success(), "it ends in order");

    let closed = context.connector("closed", &opened(&config), &[])?;
    let port = AdminPort::of(&closed)?;
    for what in ["pause", "resume", "rewind"] {
        let (status, answer) =
            Changed { port: &port, openid: changed.openid.clone(), ..changed }.post(what, Some(TOKEN), &json!({}))?;
        ensure!(status == 403 && answer["error"].to_string().contains("names a token"), "{status}: {answer}");
    }
    Ok(())
}

/// Whom most was shown of, once everybody was asked about.
fn busiest(simulator: &Simulator) -> Result<String> {
    wait_until("something is shown of everybody", BOUND, || {
        let mut shown = BTreeMap::<String, usize>::new();
        for line in simulator.truth()? {
            *shown.entry(line["promoter_openid"].as_str().context("an id")?.to_owned()).or_default() += 1;
        }
        let busiest = shown.iter().max_by_key(|(_, count)| **count).map(|(openid, _)| openid.clone());
        Ok(busiest.filter(|_| shown.len() > PROMOTERS / 2))
    })
}

impl Changed<'_> {
    fn path(&self) -> String {
        format!("/api/v1/promoters/wx_simulated/{}", self.openid)
    }

    fn post(&self, what: &str, token: Option<&str>, body: &Value) -> Result<(u16, Value)> {
        self.port.post(&format!("{}/{what}", self.path()), token, body)
    }

    /// Nothing is written for whoever shows no token, or another one.
    fn by_nobody_else(&self) -> Result<()> {
        for token in [None, Some("another")] {
            let (status, answer) = self.post("pause", token, &json!({}))?;
            ensure!(status == 401 && answer["error"].to_string().contains("admin.token_file"), "{status}: {answer}");
        }
        let registry = read_all(self.context.bootstrap(), &self.context.topics().name("registry"))?;
        ensure!(registry.is_empty(), "something is registered");
        Ok(())
    }

    /// Nobody asks about who is paused, while all of the others is published.
    fn paused(&self) -> Result<()> {
        let (status, paused) = self.post("pause", Some(TOKEN), &json!({}))?;
        ensure!(status == 200 && paused["paused"] == true && paused["changed"] == true, "{status}: {paused}");
        wait_until("nothing of the promoter is polled", BOUND, || {
            let (_, told) = self.port.json(&self.path())?;
            let is_idle = told["feeds"].as_array().is_some_and(Vec::is_empty);
            Ok((is_idle && told["paused_by"] == "registry").then_some(()))
        })?;
        ensure!(self.post("pause", Some(TOKEN), &json!({}))?.1["changed"] == false, "it is paused already");
        let (status, refused) = self.post("rewind", Some(TOKEN), &json!({"feed": "touches", "to": "2026-01-01"}))?;
        ensure!(status == 409 && refused["error"].to_string().contains("is paused"), "{status}: {refused}");

        self.others_read_to(Timestamp::now().checked_add(CALL_MAX)?)?;
        let shown = self.shown()?;
        wait_until("the promoter has facts that are not shown", SETTLE, || {
            let facts = &self.simulator.stats()?["facts"];
            let is_quiet = facts["visible"] == facts["existing"];
            Ok((is_quiet && facts["shown"].as_u64() < facts["visible"].as_u64()).then_some(()))
        })?;
        self.others_read_to(Timestamp::now())?;
        ensure!(self.shown()? == shown, "somebody has asked about who is paused");
        Ok(())
    }

    /// How many of its facts were shown.
    fn shown(&self) -> Result<usize> {
        Ok(self.simulator.truth()?.iter().filter(|line| line["promoter_openid"] == self.openid.as_str()).count())
    }

    fn others_read_to(&self, time: Timestamp) -> Result<()> {
        wait_until("the others are read on", SETTLE, || {
            let (_, told) = self.port.json("/api/v1/promoters?feed=touches")?;
            let feeds = told["feeds"].as_array().context("feeds")?;
            let read_on = |feed: &Value| feed["read_to"].as_str().and_then(|read_to| read_to.parse::<Timestamp>().ok());
            let is_whole = feeds.len() == PROMOTERS - 1;
            Ok((is_whole && feeds.iter().all(|feed| read_on(feed) > Some(time))).then_some(()))
        })
    }

    /// The cursor goes back once, and what is remembered comes once.
    fn rewound(&self) -> Result<()> {
        let to = Timestamp::now().checked_sub(SignedDuration::from_mins(5))?.to_string();
        let rewind =
            |dry_run: bool| self.post("rewind", Some(TOKEN), &json!({"feed": "touches", "to": to, "dry_run": dry_run}));
        let (status, planned) = rewind(true)?;
        ensure!(
            status == 200 && planned["rewind_id"].is_null() && planned["calls_min"].is_u64(),
            "{status}: {planned}"
        );
        let (status, written) = rewind(false)?;
        ensure!(status == 200 && written["rewind_id"].is_string(), "{status}: {written}");
        let registry = read_all(self.context.bootstrap(), &self.context.topics().name("registry"))?;
        let rewinds = registry.iter().filter(|record| record.key_text().contains("/rewind/touches")).count();
        ensure!(rewinds == 1, "{rewinds} rewinds are written");
        Ok(())
    }
}
