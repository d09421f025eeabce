//! The whole configuration, from text to `Config` or to its problems.

use std::path::Path;

use super::*;
use crate::model::feed::Feed;
use crate::session::{FeedPlan, PolledPromoter};

mod examples;
mod meaning;
mod problems;
mod properties;
mod records;
mod secrets;

/// A directory with a configuration file and what it names.
struct Files {
    directory: tempfile::TempDir,
}

impl Files {
    fn with(files: &[(&str, &str)]) -> Files {
        let directory = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(directory.path().join(name), text).unwrap();
        }
        Files { directory }
    }

    fn load(&self, text: &str) -> Result<Config, String> {
        let path = self.directory.path().join("connector.toml");
        std::fs::write(&path, text).unwrap();
        Config::load(&path, &environment).map_err(|error| {
            let text = error.to_string().replace(&*path.to_string_lossy(), "connector.toml");
            text.replace(&*self.directory.path().to_string_lossy(), "DIRECTORY")
        })
    }
}

fn environment(name: &str) -> Option<String> {
    match name {
        "WX_SECRET" => Some("from-environment".to_owned()),
        "EMPTY" => Some(String::new()),
        "SERVERS" => Some("k1:9092,k2:9092".to_owned()),
        _ => None,
    }
}

fn load(text: &str) -> Result<Config, String> {
    Files::with(&[]).load(text)
}

/// The problems of `text`, without the line that names the file.
fn problems(text: &str) -> Vec<String> {
    problems_of(load(text))
}

fn problems_of(outcome: Result<Config, String>) -> Vec<String> {
    outcome.unwrap_err().lines().skip(1).map(|line| line.trim_start().to_owned()).collect()
}

const KAFKA: &str = "[kafka]\n\"bootstrap.servers\" = \"localhost:9092\"\n";
const APP: &str = "[[apps]]\napp_id = \"wx1\"\nsecret = \"s\"\n";

/// A file that is right but for what `more` adds at its end.
fn with(more: &str) -> String {
    format!("{KAFKA}{APP}{more}")
}

/// How a feed is polled for a promoter.
fn plan(promoter: &PolledPromoter, feed: Feed) -> Option<FeedPlan> {
    promoter.feeds[feed]
}

/// The feeds that are polled for a promoter.
fn polled(promoter: &PolledPromoter) -> Vec<Feed> {
    Feed::ALL.into_iter().filter(|feed| plan(promoter, *feed).is_some()).collect()
}

/// The promoters of an app as the configuration alone has them polled.
fn promoters_of(app: &AppSettings) -> Vec<PolledPromoter> {
    let polled = app
        .promoters
        .iter()
        .map(|(promoter, configured)| app.feeds.polled_for(promoter.clone(), configured.feeds, configured.start_from));
    polled.collect()
}

fn registry_urls(config: &Config) -> Vec<&str> {
    config.schema_registry.iter().flat_map(|registry| &registry.urls).map(|url| url.as_str()).collect()
}

fn example(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("config").join(name)).unwrap()
}

/// full.toml with its lines "# key = …" switched on; `secret` gives way to `secret_file`.
fn full_example_switched_on() -> String {
    let switched_on = |line: &str| {
        let key_line = line.strip_prefix("# ").filter(|rest| {
            let key = rest.split_once(" = ").map_or("", |(key, _)| key);
            !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_lowercase() || b"_.\"".contains(&byte))
        });
        key_line.unwrap_or(line).to_owned() + "\n"
    };
    example("full.toml").lines().filter(|line| !line.starts_with("secret = ")).map(switched_on).collect()
}
