//! The configuration, in two steps: the file's image ([`reader`]), then what its sections mean: one file for each, which
//! gives the settings of its subsystem as that subsystem defines them.
//!
//! Reading goes on after a mistake, so that every problem is reported at once. The result has no options left but
//! for what can truly be absent, and later parts need not check anything again.

use std::cell::RefCell;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::time::Duration;

use reader::document;
use reader::environment::Environment;
use reader::problem::Problems;
use reader::secret;
use reader::section::{Context, Section};

use crate::admin::AdminSettings;
use crate::avro::schema_registry::SchemaRegistrySettings;
use crate::commit::pace::BatchBounds;
use crate::kafka::client::settings::Settings;
use crate::session::AppSettings;
use crate::telemetry::log::LogSettings;
use crate::upstream::http::HttpSettings;
use crate::user_ids::UserIds;
use apps::OfAllApps;
use feeds::FeedDrafts;
use retry::RetrySection;

pub use reader::problem::{ConfigError, Mistake};
pub use reader::section::nearest;
pub use reader::watched_file::WatchedFile;
pub use registry_client::RegistryClientConfig;
pub use reload::{ConfigFile, ConfigReading};
pub use request_client::RequestClientConfig;
pub use requests::RequestSettings;
pub use setting_marks::SettingMarks;

mod reader;

mod admin;
mod apps;
mod commit;
mod connector;
mod discovery;
mod feeds;
mod http;
mod kafka;
mod log;
mod poll;
pub mod promoter_rows;
mod promoters;
mod quota;
mod records;
mod registry;
mod registry_client;
mod reload;
mod request_client;
mod requests;
mod retry;
mod schema_registry;
mod setting_marks;
mod token;
mod topics;

#[cfg(test)]
mod tests;

/// Everything the connector is told. Its `Debug` shows no secret.
#[derive(Clone, Debug)]
pub struct Config {
    pub kafka: Settings,
    pub schema_registry: Option<SchemaRegistrySettings>,
    /// At least one, each app once, with its promoters, each once.
    pub apps: Vec<AppSettings>,
    pub http: HttpSettings,
    /// Absent where requests are not taken.
    pub requests: Option<RequestSettings>,
    pub commit: BatchBounds,
    /// How long the progress of a promoter is kept whom nobody names any more.
    pub forget: Duration,
    pub admin: AdminSettings,
    /// How records show users' ids.
    pub user_ids: UserIds,
    pub log: LogSettings,
}

/// A list of 100,000 promoters in the file itself has some three megabytes.
const FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;

impl Config {
    /// Reads the file at `path`. Relative paths in it begin in its directory; `environment` answers for `${NAME}`.
    ///
    /// # Errors
    /// With every problem of the file.
    pub fn load(path: &Path, environment: Environment) -> Result<Config, ConfigError> {
        load(path, |text, problems| read(text, path, environment, problems, Config::read))
    }

    /// Reads `text` as if it stood in the file at `path`.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn parse(text: &str, path: &Path, environment: Environment) -> Result<Config, ConfigError> {
        let problems = Problems::default();
        let config = read(text, path, environment, &problems, Config::read);
        without_problems(config, problems, path)
    }

    /// `None` only where a problem was reported; but a problem may also stand beside a result.
    fn read(mut root: Section) -> Option<Config> {
        let RequestClientConfig { kafka, schema_registry, requests, log, .. } = RequestClientConfig::read(&mut root);
        let feeds = FeedDrafts::defaults().overridden_by(root.section("feeds"));
        let commit = commit::read(root.section("commit"));
        let retry = RetrySection::read(root.section("retry"));
        let http = http::read(root.section("http"));
        let forget = registry::forget(root.section("registry"));
        let admin = admin::read(root.section("admin"));
        let user_ids = records::read(root.section("records"));
        let catch_up_spread = poll::read(root.section("poll"));
        let of_all = OfAllApps { feeds, retry, in_flight: http.in_flight, catch_up_spread };
        let apps = apps::read(&mut root, &of_all);
        root.end();
        Some(Config {
            kafka,
            schema_registry,
            apps: apps?,
            http,
            requests,
            commit,
            forget,
            admin,
            user_ids: user_ids?,
            log,
        })
    }
}

/// What `read` makes of the text of the file at `path`, or all that is wrong with it.
fn load<C>(path: &Path, read: impl FnOnce(&str, &Problems) -> Option<C>) -> Result<C, ConfigError> {
    let problems = Problems::default();
    let config = match read_file(path) {
        Ok(text) => read(&text, &problems),
        Err(mistake) => {
            problems.add("", None, mistake);
            None
        }
    };
    without_problems(config, problems, path)
}

fn without_problems<C>(config: Option<C>, problems: Problems, path: &Path) -> Result<C, ConfigError> {
    config.filter(|_| problems.is_empty()).ok_or_else(|| problems.into_error(path.to_owned()))
}

/// What `meaning` makes of the root of the image of `text`.
fn read<C>(
    text: &str,
    path: &Path,
    environment: Environment,
    problems: &Problems,
    meaning: impl FnOnce(Section) -> Option<C>,
) -> Option<C> {
    let table = document::parse(text, environment, problems);
    if !problems.is_empty() && table.is_empty() {
        // Not TOML: that everything is missing would be no news.
        return None;
    }
    let directory = path.parent().unwrap_or(Path::new(""));
    let context = Context { directory, problems, tables: RefCell::default() };
    meaning(Section::root(&table, &context))
}

/// # Errors
/// Where there is no such file, it is larger than [`FILE_BYTES_MAX`], or no text.
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
