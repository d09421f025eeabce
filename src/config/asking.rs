//! What is needed to ask for material: where requests and replies stand. The rest of the file is somebody else's, as are
//! the secrets of the apps, which need not be there.

use std::path::Path;

use super::reader::document;
use super::reader::environment::Lookup;
use super::reader::problem::{ConfigError, Problems};
use super::reader::section::{Context, Section};
use super::{Commands, Connector, Kafka, Log, SchemaRegistry, Topics, read_file};

const SECTIONS: [&str; 6] = ["connector", "kafka", "topics", "schema_registry", "commands", "log"];

#[derive(Clone, Debug)]
pub struct Asking {
    pub connector: Connector,
    pub kafka: Kafka,
    pub topics: Topics,
    pub schema_registry: Option<SchemaRegistry>,
    pub commands: Commands,
    pub log: Log,
}

impl Asking {
    /// Reads these sections of the file at `path`. What is wrong elsewhere in it is passed over, unless it is not TOML.
    pub fn load(path: &Path, environment: Lookup) -> Result<Asking, ConfigError> {
        let problems = Problems::default();
        let asking = match read_file(path) {
            Ok(text) => Asking::parse(&text, path, environment, &problems),
            Err(mistake) => {
                problems.add("", None, mistake);
                None
            }
        };
        asking.filter(|_| problems.is_empty()).ok_or_else(|| problems.into_error(path.to_owned()))
    }

    fn parse(text: &str, path: &Path, environment: Lookup, problems: &Problems) -> Option<Asking> {
        let table = document::parse(text, environment, problems);
        problems.keep_sections(&SECTIONS);
        if !problems.is_empty() && table.is_empty() {
            // Not TOML: that everything is missing would be no news.
            return None;
        }
        let context = Context { directory: path.parent().unwrap_or(Path::new("")), problems };
        let mut root = Section::root(&table, &context);
        let topics = Topics::read(root.section("topics"));
        Some(Asking {
            connector: Connector::read(root.section("connector")),
            kafka: Kafka::read(root.section("kafka")),
            schema_registry: root.given("schema_registry").map(SchemaRegistry::read),
            commands: Commands::read(root.section("commands"), &topics),
            log: Log::read(root.section("log")),
            topics,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Asking, ConfigError> {
        let problems = Problems::default();
        let asking = Asking::parse(text, Path::new("connector.toml"), &|_| None, &problems);
        asking.filter(|_| problems.is_empty()).ok_or_else(|| problems.into_error("connector.toml".into()))
    }

    #[test]
    fn no_app_and_no_secret_is_needed_to_ask() {
        let kafka = "[kafka]\n\"bootstrap.servers\" = \"localhost:9092\"\n[topics]\nprefix = \"shop\"\n";
        assert_eq!(parse(kafka).unwrap().topics.material_requests, "shop.material.requests");
        let apps = "[[apps]]\napp_id = \"wx1\"\nsecret = \"${NOT_SET}\"\n[http]\ntimeout = \"never\"\n";
        parse(&[kafka, apps].concat()).unwrap();
    }

    #[test]
    fn what_is_needed_is_checked_as_ever() {
        for (text, key) in [
            ("[topics]\nprefix = \"shop\"\n", "kafka.bootstrap.servers"),
            ("[kafka]\n\"bootstrap.servers\" = \"${NOT_SET}\"\n", "kafka.bootstrap.servers"),
            ("[kafka]\n\"bootstrap.servers\" = \"a:1\"\n[topics]\nprefixx = \"shop\"\n", "topics.prefixx"),
            ("[kafka", "TOML"),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains(key), "{error}");
        }
    }
}
