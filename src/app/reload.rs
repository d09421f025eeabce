//! The configuration is read again while the connector runs: on a hangup signal at once, and where one of its files has changed.
//!
//! Whom it names acts then, without a pause for anybody whom it names as before; and so do the apps' secrets and the schema registry's
//! password that stand in files of their own. All else that has changed is named, and acts after a restart. A file with any fault
//! changes nothing at all.

use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::Signal;
use tokio::sync::watch;

use crate::config::{ConfigFile, ConfigReading, SettingMarks, WatchedFile};
use crate::model::roster::Roster;
use crate::secret::Secret;
use crate::session::configured::{ListChange, roster};
use crate::session::{AppSettings, PolledApp};

/// Between two looks at the files. A changed one is read at the second look that finds it the same: who writes it where it
/// stands is through with it by then.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// After so many looks what could not be read is read again, though nothing has changed that is looked at: what was wrong may have been
/// something else that it names, as a secret's file that was away for a moment.
const READ_AGAIN_AFTER: u32 = 30;
/// A file system that does not answer is told of after that.
const ANSWER_MAX: Duration = Duration::from_secs(30);
/// So many settings are named, and the others counted; so many tables are named.
const NAMED_MAX: usize = 20;

/// What the connector began with, and who asks for it to be read again.
pub struct ReloadSource {
    pub file: ConfigFile,
    /// As they were when it was read.
    pub files: Vec<WatchedFile>,
    pub marks: SettingMarks,
    /// Those that are read again, by the settings that name their files.
    pub secrets: Vec<(String, Secret)>,
    pub hangups: Signal,
}

/// What reads it again, and acts on it.
struct Reload {
    file: ConfigFile,
    files: FileLooks,
    /// What the process runs with.
    at_start: SettingMarks,
    secrets: Vec<(String, Secret)>,
    /// Where the latest reading has failed.
    failed: Option<FailedReading>,
    /// The settings that were named last.
    reported: Vec<String>,
    apps: Arc<Vec<PolledApp>>,
    roster: watch::Sender<Roster>,
}

/// A reading that was of no use.
struct FailedReading {
    /// What was wrong.
    told: String,
    looks_since: u32,
}

/// When changed files are read.
struct FileLooks {
    read: Vec<WatchedFile>,
    last: Vec<WatchedFile>,
}

/// Has no end. Whom `apps` poll by the configuration alone is told to `roster`.
pub async fn run(source: ReloadSource, apps: Arc<Vec<PolledApp>>, roster: watch::Sender<Roster>) {
    let ReloadSource { file, files, marks, secrets, mut hangups } = source;
    let files = FileLooks::of(files);
    let mut reload = Reload { file, files, at_start: marks, secrets, failed: None, reported: Vec::new(), apps, roster };
    loop {
        let is_requested = tokio::select! {
            Some(()) = hangups.recv() => true,
            () = tokio::time::sleep(LOOK_EVERY) => false,
        };
        // Off the runtime: a file system that hangs, as one over a network does, must not hold up a poll.
        let mut working = tokio::task::spawn_blocking(move || {
            match is_requested {
                true => reload.read(is_requested),
                false => reload.look(),
            }
            reload
        });
        // Only one goes to the file system at a time, whatever becomes of it there.
        let answer = match tokio::time::timeout(ANSWER_MAX, &mut working).await {
            Ok(answer) => answer,
            Err(_) => {
                tracing::warn!("the files of the configuration do not answer: what changes in them does not act");
                working.await
            }
        };
        reload = answer.expect("a panic ends the process, and nobody aborts it");
    }
}

impl Reload {
    fn look(&mut self) {
        let have_changed = self.files.are_to_be_read(self.files.read.iter().map(WatchedFile::again).collect());
        let is_due = self.failed.as_mut().is_some_and(FailedReading::is_due);
        if have_changed || is_due {
            self.read(false);
        }
    }

    /// Where somebody has asked for it, he is told in any case.
    fn read(&mut self, is_requested: bool) {
        let ConfigReading { files, outcome } = self.file.read();
        // Also of a file with faults, which are told once.
        self.files = FileLooks::of(files);
        match outcome {
            Ok((config, marks)) => {
                let had_failed = self.failed.take().is_some();
                let changed = self.at_start.changed(&marks);
                let change = self.take(config.apps, &changed);
                if is_requested || !change.is_empty() || had_failed {
                    self.say_promoters(change);
                }
                self.say_settings(changed, is_requested);
                self.read_secrets();
            }
            Err(error) => {
                let told = error.to_string();
                if is_requested || self.failed.as_ref().is_none_or(|failed| failed.told != told) {
                    // The error names keys, and what they name is no part of it.
                    let tables = self.files.tables();
                    tracing::error!(
                        error = told,
                        tables,
                        "the configuration can't be read again: the promoters stay as they were"
                    );
                }
                self.failed = Some(FailedReading { told, looks_since: 0 });
            }
        }
    }

    /// Whom it names from now on. Those of an app whose ids are of another kind are left alone: they are no ids of what runs.
    fn take(&self, apps: Vec<AppSettings>, changed: &[String]) -> ListChange {
        let mut change = ListChange::default();
        for AppSettings { client, promoters, .. } in apps {
            let is_other_kind = changed.contains(&format!("apps[{}].id_kind", client.app_id));
            let app = self.apps.iter().find(|app| app.app == client.app_id && !is_other_kind);
            change += app.map(|app| app.promoters.replace(promoters)).unwrap_or_default();
        }
        if !change.is_empty() {
            self.roster.send_replace(roster(&self.apps));
        }
        change
    }

    /// Whoever uses one has the new one with his next try.
    fn read_secrets(&self) {
        for (setting, secret) in &self.secrets {
            match secret.read_again() {
                Ok(true) => tracing::info!(setting, "a secret was read again from its file"),
                Ok(false) => {}
                Err(error) => tracing::warn!(setting, reason = %error, "a secret can't be read again from its file"),
            }
        }
    }

    fn say_promoters(&self, ListChange { added, changed, removed }: ListChange) {
        let promoters: usize = self.apps.iter().map(|app| app.promoters.latest().promoters.len()).sum();
        tracing::info!(added, changed, removed, promoters, "the configuration was read again");
    }

    /// Names the settings that act after a restart, unless they were.
    fn say_settings(&mut self, changed: Vec<String>, is_requested: bool) {
        if !changed.is_empty() && (is_requested || changed != self.reported) {
            let more = changed.len().saturating_sub(NAMED_MAX);
            let settings = changed[..changed.len() - more].join(", ");
            tracing::warn!(settings, more, "settings have changed that act only after a restart");
        }
        self.reported = changed;
    }
}

impl FailedReading {
    /// Takes one look.
    fn is_due(&mut self) -> bool {
        self.looks_since += 1;
        self.looks_since >= READ_AGAIN_AFTER
    }
}

impl FileLooks {
    /// The tables of promoters that were read, by their paths: all but the first file, which is the configuration's own.
    fn tables(&self) -> String {
        let paths = self.read.iter().skip(1).filter_map(WatchedFile::opened_path).take(NAMED_MAX);
        paths.map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
    }

    fn of(read: Vec<WatchedFile>) -> FileLooks {
        FileLooks { last: read.clone(), read }
    }

    /// Takes what a look has found: whether they have changed since they were read, and not since the last look.
    fn are_to_be_read(&mut self, now: Vec<WatchedFile>) -> bool {
        let is_settled = now == self.last && now != self.read;
        self.last = now;
        is_settled
    }
}

#[cfg(test)]
mod tests;
