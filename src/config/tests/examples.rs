//! The files in `config/`.

use std::collections::BTreeSet;
use std::time::Duration;

use secrecy::ExposeSecret;

use super::*;
use crate::model::feed::{EventTopic, Feed, Interface, StartFrom};
use crate::upstream::token::TokenSource;

#[test]
fn the_minimal_example_loads() {
    let config = load(&example("minimal.toml")).unwrap();
    let app = &config.apps[0];
    assert_eq!(app.client.app_id.as_str(), "wx0123456789abcdef");
    let TokenSource::Stable(secret) = &app.client.token_source else { panic!("{app:?}") };
    assert_eq!(secret.latest().expose_secret(), "from-environment");
    let promoters: Vec<&str> = app.promoters.iter().map(|(promoter, _)| promoter.promoter_id()).collect();
    assert_eq!(promoters, ["oABC", "oDEF"]);
    assert!(config.schema_registry.is_none());
    assert!(!config.kafka.instance_id.is_empty());
}

#[test]
fn the_example_of_docker_compose_loads() {
    let config = load(&example("compose.toml")).unwrap();
    assert_eq!(registry_urls(&config), ["http://registry:8080/apis/ccompat/v7"]);
    assert_eq!(config.apps[0].promoters.len(), 5);
}

#[test]
fn the_full_example_says_what_the_defaults_are() {
    let shown = |config: Config| format!("{:#?}", Config { schema_registry: None, ..config });
    assert_eq!(
        shown(load(&example("full.toml")).unwrap()),
        shown(load(&example("minimal.toml")).unwrap()),
        "left: full.toml, right: the defaults"
    );
}

#[test]
fn what_is_off_in_the_full_example_is_right_too() {
    let files = Files::with(&[
        ("kafka-password", "one\n"),
        ("registry-password", "two\r\n"),
        ("wx-secret", "three"),
        ("admin-token", "four\n"),
        ("promoters.csv", "promoter,feeds,start_from\noGHI,touches,earliest\n"),
    ]);
    let config = files.load(&full_example_switched_on()).unwrap();
    assert_eq!(config.kafka.instance_id, "connector-1");
    assert!(config.kafka.properties.contains(&("sasl.password".to_owned(), "one".to_owned())));
    let credentials = config.schema_registry.unwrap().credentials.unwrap();
    assert_eq!((credentials.username.as_str(), credentials.password.latest().expose_secret()), ("connector", "two"));
    let app = &config.apps[0];
    let TokenSource::Stable(secret) = &app.client.token_source else { panic!("{app:?}") };
    assert_eq!(secret.latest().expose_secret(), "three");
    let every = |promoter: usize, feed: Feed| plan(&promoters_of(app)[promoter], feed).map(|plan| plan.settings.every);
    assert_eq!(every(0, Feed::Touches), Some(Duration::from_secs(30)));
    assert_eq!(polled(&promoters_of(app)[2]), [Feed::Touches]);
    assert_eq!(plan(&promoters_of(app)[2], Feed::Touches).unwrap().start_from, StartFrom::Earliest);
    assert_eq!(config.log.otlp.unwrap().as_str(), "http://localhost:4317/");
}

#[test]
fn every_key_stands_in_the_full_example() {
    let mut keys = BTreeSet::new();
    collect_keys("", &full_example_switched_on().parse().unwrap(), &mut keys);
    let sections = [
        ("connector", "name instance_id"),
        ("kafka", "bootstrap.servers"),
        ("topics", "prefix material_requests material_results dead_letters registry state"),
        ("topics", "create partitions replication retention"),
        ("schema_registry", "url username password_file"),
        ("apps", "app_id secret_file base_url spare_urls id_kind token.source promoters promoters_file"),
        ("apps", "discover discover_remove_max discover_tags"),
        ("apps.feeds.touches", "every"),
        ("commands", "enabled concurrency reply_topics"),
        ("commit", "linger events_max bytes_max"),
        ("retry", "initial max attempts too_fast parked stopped"),
        ("poll", "catch_up_spread"),
        ("records", "user_ids"),
        ("http", "timeout in_flight response_max"),
        ("registry", "forget"),
        ("admin", "listen token_file"),
        ("log", "level format otlp"),
    ];
    let named =
        sections.into_iter().flat_map(|(section, names)| names.split(' ').map(move |name| format!("{section}.{name}")));
    let feed_settings = |feed: Feed| {
        ["enabled", "every", "idle_every", "lateness", "start_from"].map(|name| format!("feeds.{feed}.{name}"))
    };
    let quotas = Interface::ALL
        .into_iter()
        .flat_map(|interface| ["per_minute", "per_day"].map(|limit| format!("apps.quota.{interface}.{limit}")));
    let of_topics = EventTopic::ALL.map(|topic| format!("topics.{}", topic.name()));
    for key in named.chain(Feed::ALL.into_iter().flat_map(feed_settings)).chain(of_topics).chain(quotas) {
        assert!(keys.contains(&key), "{key} is not in full.toml");
    }
    assert!(example("full.toml").contains("\nsecret = \"${WX_SECRET}\"\n"));
}

fn collect_keys(path: &str, table: &toml::Table, keys: &mut BTreeSet<String>) {
    for (key, value) in table {
        let path = document::join(path, key);
        match value {
            toml::Value::Table(table) => collect_keys(&path, table, keys),
            toml::Value::Array(items) if items.iter().any(toml::Value::is_table) => {
                items.iter().filter_map(toml::Value::as_table).for_each(|table| collect_keys(&path, table, keys));
            }
            _ => {
                keys.insert(path);
            }
        }
    }
}
