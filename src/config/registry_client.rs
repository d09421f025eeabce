//! What of the configuration the commands need that look at the registry of promoters and change it: where it stands, and whom
//! the file itself names. The secrets of the apps need not be there.

use std::collections::HashMap;
use std::path::Path;

use super::feeds::FeedDrafts;
use super::reader::environment::Environment;
use super::reader::problem::{ConfigError, Mistake, Problems};
use super::reader::section::Section;
use super::topics::TopicsSection;
use super::{admin, apps, connector, kafka, load, log, promoters, read, schema_registry};
use crate::admin::AdminSettings;
use crate::changes::settings::{ChangeSettings, RegisteringApp};
use crate::kafka::client::settings::Settings;
use crate::model::promoter::AppId;
use crate::telemetry::log::LogSettings;

/// What is wrong elsewhere is passed over.
const KEYS: [&str; 11] = [
    "admin.listen",
    "connector",
    "kafka",
    "topics",
    "schema_registry",
    "log",
    "feeds",
    "apps.app_id",
    "apps.promoters",
    "apps.promoters_file",
    "apps.feeds",
];

/// What these keys say: a part of what the connector is told.
#[derive(Clone, Debug)]
pub struct RegistryClientConfig {
    pub changes: ChangeSettings,
    pub log: LogSettings,
    /// Where an instance on this host listens with the same file.
    pub admin: AdminSettings,
}

impl RegistryClientConfig {
    /// Reads these keys of the file at `path`. What is wrong elsewhere in it is passed over, unless it is not TOML.
    ///
    /// # Errors
    /// With every problem of these keys.
    pub fn load(path: &Path, environment: Environment) -> Result<RegistryClientConfig, ConfigError> {
        load(path, |text, problems| RegistryClientConfig::parse(text, path, environment, problems))
    }

    fn parse(text: &str, path: &Path, environment: Environment, problems: &Problems) -> Option<RegistryClientConfig> {
        read(text, path, environment, problems, |mut root| {
            problems.keep_below(&KEYS);
            RegistryClientConfig::read(&mut root)
        })
    }

    fn read(root: &mut Section) -> Option<RegistryClientConfig> {
        let (name, instance_id) = connector::read(root.section("connector"));
        let (properties, credentials) = kafka::read(root.section("kafka"));
        let TopicsSection { names: topics, policy: topic_policy, .. } = TopicsSection::read(root.section("topics"));
        let schema_registry = root.given("schema_registry").map(schema_registry::read);
        let log = log::read(root.section("log"));
        let admin = admin::read(root.section("admin"));
        let kafka = Settings { properties, credentials, name, instance_id, topics, topic_policy };
        let apps = read_apps(root)?;
        Some(RegistryClientConfig { changes: ChangeSettings { kafka, schema_registry, apps }, log, admin })
    }
}

fn read_apps(root: &mut Section) -> Option<Vec<RegisteringApp>> {
    let feeds = FeedDrafts::defaults().overridden_by(root.section("feeds"));
    let sections = root.sections("apps")?;
    if sections.is_empty() {
        root.problem("apps", Mistake::new("has no app", "write a table [[apps]] with app_id"));
    }
    let mut paths = HashMap::new();
    let read_app = |section| read_app(section, &feeds, &mut paths);
    // Every app is read before the first failure counts, for the sake of its problems.
    let apps: Vec<Option<RegisteringApp>> = sections.into_iter().map(read_app).collect();
    apps.into_iter().collect()
}

fn read_app(mut section: Section, feeds: &FeedDrafts, paths: &mut HashMap<AppId, String>) -> Option<RegisteringApp> {
    let app_id = apps::app_id_of(&mut section, paths);
    let feeds = feeds.overridden_by(section.section("feeds")).settle().names();
    let promoters = promoters::read(&mut section, &apps::key_of(app_id.as_ref()));
    Some(RegisteringApp { app_id: app_id?, feeds, promoters })
}

#[cfg(test)]
mod tests {
    use super::super::without_problems;
    use super::*;
    use crate::model::promoter::Promoter;
    use crate::registry::table::ConfiguredPromoter;

    const KAFKA: &str = "[kafka]\n\"bootstrap.servers\" = \"localhost:9092\"\n";

    fn parse(text: &str) -> Result<RegistryClientConfig, ConfigError> {
        let problems = Problems::default();
        let path = Path::new("connector.toml");
        without_problems(RegistryClientConfig::parse(text, path, &|_| None, &problems), problems, path)
    }

    #[test]
    fn no_secret_is_needed_and_what_is_somebody_elses_is_passed_over() {
        let apps = "[[apps]]\napp_id = \"wx1\"\nsecret = \"${NOT_SET}\"\npromoters = [\"o1\"]\nfeeds.refunds.enabled = false\n";
        let config = parse(&[KAFKA, apps, "[http]\ntimeout = \"never\"\n[retry]\nattemps = 1\n"].concat()).unwrap();
        let app = &config.changes.apps[0];
        assert_eq!((app.app_id.as_str(), app.feeds.to_string()), ("wx1", "touches;orders".to_owned()));
        assert_eq!(app.promoters, [(Promoter::from_key("wx1/o1").unwrap(), ConfiguredPromoter::default())]);
    }

    #[test]
    fn what_is_needed_is_checked_as_ever() {
        let app = "[[apps]]\napp_id = \"wx1\"\n";
        for (text, key) in [
            (app.to_owned(), "kafka.bootstrap.servers"),
            (KAFKA.to_owned(), "apps has no app"),
            (format!("{KAFKA}[[apps]]\nsecret = \"s\"\n"), "apps[0].app_id (line 3) is missing"),
            (format!("{KAFKA}{app}{app}"), "apps[1].app_id (line 6) is the same as that of apps[0]"),
            (format!("{KAFKA}{app}promoters = [\"o 1\"]\n"), "apps[0].promoters[0]"),
            (format!("{KAFKA}{app}promoters_file = \"none.csv\"\n"), "apps[0].promoters_file"),
            (format!("{KAFKA}{app}[feeds.touchs]\n"), "feeds.touchs"),
        ] {
            let error = parse(&text).unwrap_err().to_string();
            assert!(error.contains(key) && error.lines().count() == 2, "{key}: {error}");
        }
    }
}
