//! Our registry client and a real registry.

use std::collections::HashMap;

use promoter_connector::avro::schema_registry::{SchemaRegistry, SchemaRegistryError};
use promoter_connector::avro::schemas::RecordKind;
use serde_json::json;
use tokio::runtime::Runtime;

use crate::harness::apicurio::Apicurio;

pub fn every_schema_is_registered_once(apicurio: &Apicurio) -> Result<(), String> {
    with(apicurio, async |registry| {
        let mut ids = HashMap::new();
        for kind in RecordKind::ALL {
            let subject = format!("once.{kind}-value");
            let unknown = registry.look_up(&subject, kind.text()).await?;
            let first = registry.resolve(&subject, kind.text()).await?;
            let found = registry.look_up(&subject, kind.text()).await?;
            let again = registry.resolve(&subject, kind.text()).await?;
            let registered_again = registry.register(&subject, kind.text()).await?;
            ids.insert(kind, (unknown, [Some(first), found, Some(again), Some(registered_again)]));
        }
        Ok(ids)
    })
    .and_then(|ids| {
        let sound = ids.values().all(|(unknown, ids)| unknown.is_none() && ids.iter().all(|id| *id == ids[0]));
        let mut different: Vec<_> = ids.values().map(|(_, ids)| ids[0]).collect();
        different.sort_unstable();
        different.dedup();
        expect(sound && different.len() == RecordKind::ALL.len(), &ids)
    })
}

pub fn an_incompatible_schema_is_refused_by_name(apicurio: &Apicurio) -> Result<(), String> {
    let subject = "refused-value";
    let touch = RecordKind::Touch.text();
    let broken = touch.replace(r#""name": "openid","#, r#""name": "user","#);
    let optional = r#""fields": [{"name": "more", "type": ["null", "string"], "default": null},"#;
    let extended = touch.replace(r#""fields": ["#, optional);

    let error = with(apicurio, async |registry| {
        registry.resolve(subject, touch).await?;
        demand_backward_compatibility(apicurio, subject).await;
        let error = registry.resolve(subject, &broken).await;
        registry.resolve(subject, &extended).await?;
        Ok(error)
    })?;
    let named = matches!(&error, Err(SchemaRegistryError::Incompatible { subject: named, .. }) if named == subject);
    expect(named, &error)?;
    let words = error.map_err(|error| error.to_string());
    expect(matches!(&words, Err(words) if words.contains("/fields/")), &words)
}

pub fn a_url_without_the_path_is_told_to_be_no_registry(apicurio: &Apicurio) -> Result<(), String> {
    let url = apicurio.url().replace("/apis/ccompat/v7", "");
    let registry = registry_at(&url)?;
    let result = runtime()?.block_on(registry.resolve("pathless-value", RecordKind::Touch.text()));
    expect(matches!(result, Err(SchemaRegistryError::UnexpectedResponse { .. })), &result)
}

/// The registry accepts anything until it is told not to.
async fn demand_backward_compatibility(apicurio: &Apicurio, subject: &str) {
    let response = reqwest::Client::new()
        .put(format!("{}/config/{subject}", apicurio.url()))
        .header("content-type", "application/vnd.schemaregistry.v1+json")
        .body(json!({ "compatibility": "BACKWARD" }).to_string())
        .send()
        .await;
    assert!(response.is_ok_and(|response| response.status().is_success()), "the compatibility rule can't be set");
}

fn with<T>(
    apicurio: &Apicurio,
    work: impl AsyncFnOnce(SchemaRegistry) -> Result<T, SchemaRegistryError>,
) -> Result<T, String> {
    let registry = registry_at(&apicurio.url())?;
    runtime()?.block_on(work(registry)).map_err(|error| error.to_string())
}

fn registry_at(url: &str) -> Result<SchemaRegistry, String> {
    let url: url::Url = url.parse().map_err(|error| format!("{url}: {error}"))?;
    SchemaRegistry::new(url.into()).map_err(|error| error.to_string())
}

fn runtime() -> Result<Runtime, String> {
    Runtime::new().map_err(|error| error.to_string())
}

fn expect(holds: bool, found: &impl std::fmt::Debug) -> Result<(), String> {
    if holds { Ok(()) } else { Err(format!("found {found:?}")) }
}
