//! `schemas` with a registry that is a real one, and what `check` says of it.

use anyhow::{Context as _, Result, anyhow, ensure};
use promoter_connector::avro::schema_registry::SchemaRegistry;
use serde_json::Value;

use super::answer;
use crate::harness::apicurio::Apicurio;
use crate::harness::context::Context;
use crate::harness::wait::block_on;

pub fn registered(context: &Context) -> Result<()> {
    let apicurio = Apicurio::start().map_err(|error| anyhow!(error))?;
    let more = format!("schema_registry.url = \"{}\"", apicurio.url());
    let config = context.config("http://127.0.0.1:1", 1, &more);
    let rows = |command: &str, code: i32| -> Result<Vec<Value>> {
        let shown = answer(context, &config, &["schemas", command, "--json"])?.must_end_with(code)?.shown;
        Ok(shown.lines().map(serde_json::from_str).collect::<Result<_, _>>()?)
    };
    let all = |rows: &[Value], registration: &str| rows.iter().all(|row| row["registration"] == registration);
    let checked = rows("check", 0)?;
    ensure!(checked.len() == 7 && all(&checked, "possible"), "{checked:?}");
    ensure!(all(&rows("list", 0)?, "missing"), "nothing is registered by a check");
    let registered = rows("register", 0)?;
    ensure!(all(&registered, "registered"), "{registered:?}");
    let listed = rows("list", 0)?;
    ensure!(all(&listed, "there") && all(&rows("check", 0)?, "there"), "{listed:?}");
    let ids = |rows: &[Value]| rows.iter().map(|row| row["id"].clone()).collect::<Vec<_>>();
    ensure!(ids(&listed) == ids(&registered), "the ids stay");

    // Somebody's own schema stands under one of the subjects, with which ours would break its readers.
    let other = context.topics().name("other");
    let config = config.replace("topics = { ", &format!("topics = {{ touches = \"{other}\", "));
    let url: url::Url = apicurio.url().parse()?;
    let registry = SchemaRegistry::new(url.clone().into())?;
    let subject = format!("{other}-value");
    block_on(
        registry.register(&subject, r#"{"type": "record", "name": "Touch", "namespace": "promoter", "fields": []}"#),
    )?;
    let settings = format!("{url}/config/{subject}");
    let strict = async {
        let call = reqwest::Client::new().put(settings).header("content-type", "application/json");
        call.body(r#"{"compatibility": "FULL"}"#).send().await?.error_for_status()
    };
    block_on(strict).context("the registry takes the setting")?;
    let shown = answer(context, &config, &["schemas", "check"])?.must_end_with(1)?.shown;
    ensure!(shown.contains("refused: "), "{shown}");
    let report = answer(context, &config, &["check"])?.must_end_with(2)?.shown;
    ensure!(report.contains(&format!("✗ schemas        {subject} would be refused as incompatible")), "{report}");
    ensure!(answer(context, &config, &["schemas", "register"])?.code == Some(1), "nor is it registered");
    Ok(())
}
