//! The configuration, in two steps: the file's image (`document`), then what its sections mean.
//!
//! Reading goes on after a mistake, so that every problem is reported at once. The result has no options left but
//! for what can truly be absent, and later parts need not check anything again.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use feeds::FeedDrafts;
use reader::document::{self, Table};
use reader::environment::Lookup;
use reader::problem::{Mistake, Problems};
use reader::secret;
use reader::section::{Context, Section};

pub use admin::Admin;
pub use apps::App;
pub use asking::Asking;
pub use commands::Commands;
pub use commit::Commit;
pub use connector::Connector;
pub use feeds::{FeedSettings, Feeds};
pub use http::Http;
pub use kafka::Kafka;
pub use log::Log;
pub use promoters::PromoterEntry;
pub use quota::{InterfaceQuota, Quota};
pub use reader::problem::ConfigError;
pub use retry::Retry;
pub use schema_registry::{BasicAuth, SchemaRegistry};
pub use token::TokenSource;
pub use topics::{Retention, Topics};

mod reader;

mod admin;
mod apps;
mod asking;
mod commands;
mod commit;
mod connector;
mod feeds;
mod http;
mod kafka;
mod log;
mod promoters;
mod quota;
mod retry;
mod schema_registry;
mod token;
mod topics;

#[cfg(test)]
mod tests;

pub use reader::quantity::parse_duration;

/// Everything the connector is told. Its `Debug` shows no secret.
#[derive(Clone, Debug)]
pub struct Config {
    pub connector: Connector,
    pub kafka: Kafka,
    pub topics: Topics,
    pub schema_registry: Option<SchemaRegistry>,
    /// At least one, each app once.
    pub apps: Vec<App>,
    pub commands: Commands,
    pub commit: Commit,
    pub retry: Retry,
    pub http: Http,
    pub admin: Admin,
    pub log: Log,
}

/// A list of 100,000 promoters in the file itself has some three megabytes.
const FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;

impl Config {
    /// Reads the file at `path`. Relative paths in it begin in its directory; `environment` answers for `${NAME}`.
    pub fn load(path: &Path, environment: Lookup) -> Result<Config, ConfigError> {
        match read_file(path) {
            Ok(text) => Config::parse(&text, path, environment),
            Err(mistake) => {
                let problems = Problems::default();
                problems.add("", None, mistake);
                Err(problems.into_error(path.to_owned()))
            }
        }
    }

    /// Reads `text` as if it stood in the file at `path`.
    pub fn parse(text: &str, path: &Path, environment: Lookup) -> Result<Config, ConfigError> {
        let directory = path.parent().unwrap_or(Path::new(""));
        let problems = Problems::default();
        let config = Config::read(&document::parse(text, environment, &problems), directory, &problems);
        config.filter(|_| problems.is_empty()).ok_or_else(|| problems.into_error(path.to_owned()))
    }

    /// `None` only where a problem was reported; but a problem may also stand beside a result.
    fn read(table: &Table, directory: &Path, problems: &Problems) -> Option<Config> {
        if !problems.is_empty() && table.is_empty() {
            // Not TOML: that everything is missing would be no news.
            return None;
        }
        let context = Context { directory, problems };
        let mut root = Section::root(table, &context);
        let connector = Connector::read(root.section("connector"));
        let kafka = Kafka::read(root.section("kafka"));
        let topics = Topics::read(root.section("topics"));
        let schema_registry = root.given("schema_registry").map(SchemaRegistry::read);
        let feeds = FeedDrafts::defaults().overridden_by(root.section("feeds"));
        let apps = apps::read(&mut root, &feeds);
        let commands = Commands::read(root.section("commands"), &topics);
        let commit = Commit::read(root.section("commit"));
        let retry = Retry::read(root.section("retry"));
        let http = Http::read(root.section("http"));
        let admin = Admin::read(root.section("admin"));
        let log = Log::read(root.section("log"));
        root.end();
        let apps = apps?;
        Some(Config { connector, kafka, topics, schema_registry, apps, commands, commit, retry, http, admin, log })
    }
}

fn read_file(path: &Path) -> Result<String, Mistake> {
    let remedy = "name the configuration with --config or PROMOTER_CONFIG";
    let mut bytes = Vec::new();
    match File::open(path).and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)) {
        Ok(length) if length as u64 > FILE_BYTES_MAX => {
            Err(Mistake::new(format!("has more than {FILE_BYTES_MAX} bytes"), remedy))
        }
        Ok(_) => secret::utf8(bytes),
        Err(error) => Err(Mistake::new(format!("can't be read ({})", error.kind()), remedy)),
    }
}
