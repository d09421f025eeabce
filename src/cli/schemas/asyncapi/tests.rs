use std::collections::BTreeSet;

use super::*;
use crate::cli::schemas::topics;

const SECURED: &str = r#"
[connector]
name = "promoters-a"

[kafka]
"bootstrap.servers" = "SASL_SSL://one:9092, two:9093"
"security.protocol" = "sasl_ssl"
"sasl.mechanisms" = "SCRAM-SHA-512"
"sasl.username" = "connector"
"sasl.password" = "first-secret"

[schema_registry]
url = "https://registry:8081/of/ours"
username = "reader"
password = "second-secret"

[topics]
touches = "shop.touches"

[commands]
enabled = true
reply_topics = ["of.a", "of.b"]
"#;

const PLAIN: &str = "[connector]\nname = \"promoters\"\n[kafka]\n\"bootstrap.servers\" = \"localhost:9092\"\n[commands]\nenabled = false\n";

fn documented(text: &str) -> Value {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("connector.toml");
    std::fs::write(&path, text).unwrap();
    let config = RequestClientConfig::load(&path, &|_| None).unwrap();
    document(&config, &topics(&config))
}

/// Everything that the document refers to.
fn references(value: &Value) -> Vec<&str> {
    match value {
        Value::Object(members) => {
            let here = members.get("$ref").and_then(Value::as_str);
            here.into_iter().chain(members.values().flat_map(references)).collect()
        }
        Value::Array(items) => items.iter().flat_map(references).collect(),
        _ => Vec::new(),
    }
}

#[test]
fn each_topic_is_a_channel_of_its_address_with_the_schema_that_is_registered() {
    let document = documented(SECURED);
    let channels = document["channels"].as_object().unwrap();
    let addresses: BTreeSet<&str> = channels.values().map(|channel| channel["address"].as_str().unwrap()).collect();
    let expected = [
        "of.a",
        "of.b",
        "promoter.dead-letters",
        "promoter.ledger",
        "promoter.material.requests",
        "promoter.material.results",
        "promoter.orders",
        "promoter.registry",
        "shop.touches",
    ];
    assert_eq!(addresses, BTreeSet::from(expected));
    assert!(channels.values().all(|channel| channel["address"] == channel["bindings"]["kafka"]["topic"]));
    let touch: Value = serde_json::from_str(RecordKind::Touch.text()).unwrap();
    assert_eq!(document["components"]["messages"]["Touch"]["payload"]["schema"], touch);
}

#[test]
fn all_that_is_referred_to_is_there() {
    let document = documented(SECURED);
    let references = references(&document);
    assert!(references.len() > 12, "{references:?}");
    for reference in references {
        assert!(document.pointer(reference.trim_start_matches('#')).is_some(), "{reference}");
    }
}

#[test]
fn each_broker_is_a_server_and_no_secret_is_told() {
    let document = documented(SECURED);
    let told = |name: &str| (document["servers"][name]["host"].clone(), document["servers"][name]["protocol"].clone());
    assert_eq!(told("kafka-1"), ("one:9092".into(), "kafka-secure".into()));
    assert_eq!(told("kafka-2"), ("two:9093".into(), "kafka-secure".into()));
    assert_eq!(document["servers"]["kafka-1"]["security"], json!([{ "type": "scramSha512" }]));
    let registry = &document["servers"]["kafka-1"]["bindings"]["kafka"]["schemaRegistryUrl"];
    assert_eq!(registry, "https://registry:8081/of/ours");
    assert!(!document.to_string().contains("secret"), "{document}");
}

#[test]
fn without_a_registry_records_are_single_objects_and_without_requests_there_are_none() {
    let document = documented(PLAIN);
    let touch = &document["components"]["messages"]["Touch"];
    assert_eq!(touch["description"], SINGLE_OBJECT);
    assert_eq!(touch["bindings"]["kafka"].get("schemaIdLocation"), None);
    assert_eq!(document["servers"]["kafka-1"], json!({ "host": "localhost:9092", "protocol": "kafka" }));
    assert_eq!(document["channels"].get("materialRequests"), None);
}

#[test]
fn a_key_that_may_be_missing_is_told_so_and_headers_come_back() {
    let document = documented(SECURED);
    let message = |name: &str| &document["components"]["messages"][name];
    let key_type = |name: &str| message(name)["bindings"]["kafka"]["key"]["type"].clone();
    for name in ["Touch", "Order", "Promoter", "LedgerDay"] {
        assert_eq!(key_type(name), "string", "{name}");
    }
    for name in ["DeadLetter", "MaterialRequest", "MaterialResult"] {
        assert_eq!(key_type(name), json!(["string", "null"]), "{name}");
    }
    for name in ["MaterialRequest", "MaterialResult"] {
        assert!(message(name)["headers"]["properties"]["correlation-id"].is_object(), "{name}");
    }
    assert_eq!(document["operations"]["sendMaterialReplies2"]["channel"]["$ref"], "#/channels/materialReplies2");
}
