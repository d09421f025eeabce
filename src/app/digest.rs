//! The digest of what all instances of a connector have to be configured with alike. How often and where from something is
//! asked is each one's own; how many calls an app may make is not, for instances have their parts of one budget.

use crate::config::{Config, RequestSettings};
use crate::model::configuration_digest::ConfigurationDigest;
use crate::model::feed::Feed;
use crate::session::app_feeds::AppFeeds;
use crate::session::{AppSettings, FeedPlan};

/// Whose pseudonym tells keys apart.
const SOMEBODY: &str = "somebody";

/// Of what decides which events there are, where, and in which form. Whom each polls is compared by itself
/// ([`crate::model::roster`]).
pub fn of(config: &Config) -> ConfigurationDigest {
    let Config { kafka, schema_registry, apps, requests, user_ids, forget, .. } = config;
    let of_feed = |feed: Feed| (format!("feeds.{feed}"), of_apps(apps, |app| feed_of(&app.feeds, feed)));
    let topics: Vec<&String> = kafka.topics.all().collect();
    let others = [
        ("apps", of_apps(apps, |app| format!("{:?}", app.client.id_kind))),
        ("quota", of_apps(apps, |app| format!("{:?}", app.client.budgets))),
        ("registry", format!("{forget:?}")),
        ("records", user_ids.shown(SOMEBODY).as_str().to_owned()),
        ("topics", format!("{topics:?}")),
        ("schema_registry", format!("{}", schema_registry.is_some())),
        ("commands", format!("{:?}", requests.as_ref().map(|RequestSettings { topics, .. }| topics))),
    ];
    let others = others.map(|(name, said)| (name.to_owned(), said));
    ConfigurationDigest::new(others.into_iter().chain(Feed::ALL.map(of_feed)))
}

/// In the order of their ids.
fn of_apps(apps: &[AppSettings], said: impl Fn(&AppSettings) -> String) -> String {
    let mut lines: Vec<String> = apps.iter().map(|app| format!("{} {}\n", app.client.app_id, said(app))).collect();
    lines.sort_unstable();
    lines.concat()
}

/// Refunds that are not polled are still remembered where orders meet them.
fn feed_of(feeds: &AppFeeds, feed: Feed) -> String {
    let said = |plan: &FeedPlan| format!("{} {:?}", plan.settings.lateness, plan.start_from);
    let polled = feeds.polled[feed].as_ref().map(said);
    let remembered = (feed == Feed::Refunds).then(|| said(&feeds.refunds));
    format!("{polled:?} {remembered:?}")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// The sections in which a configuration with `changed` in place of `was` differs.
    fn differing(was: &str, changed: &str) -> Vec<String> {
        const TEXT: &str = r#"
            kafka."bootstrap.servers" = "localhost:9092"
            feeds.touches = { every = "1m", lateness = "10m" }
            feeds.refunds = { enabled = true, start_from = "now" }
            apps = [
                { app_id = "wx1", secret = "one", promoters = ["oA"] },
                { app_id = "wx2", secret = "two", promoters = ["oB"], id_kind = "unionid" },
            ]
            commands = { reply_topics = ["a"], concurrency = 16 }
            commit.linger = "50ms"
        "#;
        assert!(TEXT.contains(was), "{was}");
        let digest = |text: &str| of(&Config::parse(text, Path::new("a.toml"), &|_| None).unwrap());
        digest(TEXT).differing(&digest(&TEXT.replace(was, changed))).into_iter().map(str::to_owned).collect()
    }

    #[test]
    fn what_decides_about_events_has_to_be_the_same_and_is_named() {
        assert_eq!(differing("lateness = \"10m\"", "lateness = \"11m\""), ["feeds.touches"]);
        assert_eq!(differing("start_from = \"now\"", "start_from = \"earliest\""), ["feeds.refunds"]);
        assert_eq!(differing("enabled = true", "enabled = false"), ["feeds.refunds"]);
        assert_eq!(differing("\"unionid\"", "\"openid\""), ["apps"]);
        assert_eq!(
            differing("\"wx2\"", "\"wx3\""),
            ["apps", "feeds.orders", "feeds.refunds", "feeds.touches", "quota"]
        );
        assert_eq!(differing("commit.linger", "registry.forget = \"2h\"\ncommit.linger"), ["registry"]);
        let quota = "secret = \"one\", quota = { getorder = { per_minute = 60 } }";
        assert_eq!(differing("secret = \"one\"", quota), ["quota"]);
        assert_eq!(differing("reply_topics = [\"a\"]", "reply_topics = []"), ["commands"]);
        assert_eq!(differing("commit.linger", "topics.prefix = \"p\"\ncommit.linger"), ["commands", "topics"]);
        let key = "records = { user_ids = \"hmac-sha256\", user_ids_key = \"0123456789abcdef0123456789abcdef\" }\ncommit.linger";
        assert_eq!(differing("commit.linger", key), ["records"]);
        let registry = "schema_registry.url = \"http://localhost:8081\"\ncommit.linger";
        assert_eq!(differing("commit.linger", registry), ["schema_registry"]);
    }

    #[test]
    fn how_it_is_asked_for_is_each_ones_own() {
        for (was, changed) in [
            ("every = \"1m\"", "every = \"2m\""),
            ("secret = \"one\"", "secret = \"other\", base_url = \"http://localhost:1\""),
            ("[\"oA\"]", "[\"oC\"]"),
            ("linger = \"50ms\"", "linger = \"9ms\""),
            ("concurrency = 16", "concurrency = 2"),
            ("localhost:9092", "localhost:9093"),
        ] {
            assert_eq!(differing(was, changed), [""; 0], "{changed}");
        }
    }
}
