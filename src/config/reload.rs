//! The file of the configuration, which is read again while the connector runs: whom it names acts then, and of all else it is
//! told what has changed.

use std::path::{Path, PathBuf};

use super::reader::problem::ConfigError;
use super::reader::watched_file::WatchedFile;
use super::setting_marks::{REGISTRY_PASSWORD, SettingMarker, SettingMarks};
use super::{Config, load, read};
use crate::secret::Secret;
use crate::session::AppSettings;
use crate::upstream::token::TokenSource;

/// Where the configuration is, and the environment that `${NAME}` means.
pub struct ConfigFile {
    path: PathBuf,
    environment: fn(&str) -> Option<String>,
    marker: SettingMarker,
}

/// What one reading has found.
pub struct ConfigReading {
    /// The files that were read: the configuration's own and the promoters' tables, as they were just before. What is written
    /// meanwhile makes them differ from what they are then.
    pub files: Vec<WatchedFile>,
    /// As a whole, or all that is wrong with it.
    pub outcome: Result<(Config, SettingMarks), ConfigError>,
}

impl ConfigFile {
    pub fn new(path: &Path, environment: fn(&str) -> Option<String>) -> ConfigFile {
        ConfigFile { path: path.to_owned(), environment, marker: SettingMarker::new() }
    }

    /// Reads it as at the start. Blocks.
    pub fn read(&self) -> ConfigReading {
        let mut files = vec![WatchedFile::look(self.path.clone())];
        let outcome = load(&self.path, |text, problems| {
            read(text, &self.path, &self.environment, problems, |root| {
                let context = root.context();
                let marks = self.marker.marks(root.entries(), context.directory);
                let config = Config::read(root);
                files.extend(context.tables.take());
                config.map(|config| (config, marks))
            })
        });
        ConfigReading { files, outcome }
    }
}

impl Config {
    /// The secrets that are read again while the connector runs, each by the key path of the setting that names its file.
    pub fn filed_secrets(&self) -> Vec<(String, Secret)> {
        let of_app = |app: &AppSettings| match &app.client.token_source {
            TokenSource::Stable(secret) | TokenSource::Classic(secret) => {
                Some((format!("apps[{}].secret_file", app.client.app_id), secret.clone()))
            }
            TokenSource::File(_) | TokenSource::Url(_) => None,
        };
        let credentials = self.schema_registry.as_ref().and_then(|registry| registry.credentials.as_ref());
        let of_registry = credentials.map(|credentials| (REGISTRY_PASSWORD.to_owned(), credentials.password.clone()));
        let all = self.apps.iter().filter_map(of_app).chain(of_registry);
        all.filter(|(_, secret)| secret.is_of_file()).collect()
    }
}

#[cfg(test)]
mod tests;
