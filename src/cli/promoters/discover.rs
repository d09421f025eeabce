//! `promoters discover`: reads the upstream's lists of promoters once, and registers what they say, by the rules that running
//! instances discover by.

use std::path::Path;
use std::pin::pin;
use std::time::Duration;

use anyhow::{Context, anyhow};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::{DiscoverOptions, names};
use crate::app;
use crate::cli::{self, Failure, stdout};
use crate::config::Config;
use crate::registry::discovery::{DiscoveryCounts, DiscoveryPlan, HeldBack};
use crate::session::discovery::{DiscoveredApp, Discovery, DiscoveryError, DiscoveryOrder};
use crate::telemetry::{last_words, log};
use crate::text::{self, with_causes};
use crate::upstream::client::PromoterListError;
use crate::upstream::error::CallError;

/// Of how many promoters it is said by name that they are listed no longer; `--json` names all.
const NAMED_MAX: usize = 10;

/// What a reading that was not done in time takes to find out why.
const LAST_WORDS: Duration = Duration::from_secs(3);

/// The apps' secrets have to be there: their lists are asked for.
///
/// # Errors
/// [`Failure`] where the configuration or the app is wrong, or the list of an app can't be read or its registry not written: those
/// of the others are all the same.
pub fn run(path: &Path, options: &DiscoverOptions) -> Result<(), Failure> {
    let mut config = Config::load(path, &|name| std::env::var(name).ok())?;
    log::start(&config.log)?;
    if let Some(wanted) = &options.app {
        if !config.apps.iter().any(|app| app.client.app_id.as_str() == wanted) {
            let apps = config.apps.iter().map(|app| &app.client.app_id);
            return Err(Failure::Refused(names::none_of_the_apps(wanted, apps)));
        }
        config.apps.retain(|app| app.client.app_id.as_str() == wanted);
    }
    let until = options.bound.until();
    let discovering = async {
        let discovery = app::discovery(config, until, options.output.dry_run).await?;
        let give_up = CancellationToken::new();
        // Side by side, each for all of the time: one that does not answer holds up no other.
        let apps = discovery.apps.iter().map(|app| discover_app(&discovery, app, options, &give_up));
        let mut reports = pin!(futures_util::future::join_all(apps));
        Ok(match tokio::time::timeout_at(until.into(), &mut reports).await {
            Ok(reports) => reports,
            // The registry tells by itself what has held it up, a moment after that.
            Err(_) => {
                give_up.cancel();
                reports.await
            }
        })
    };
    let bounded = async { tokio::time::timeout_at((until + LAST_WORDS).into(), discovering).await };
    let apps: anyhow::Result<Vec<AppReport>> =
        cli::runtime()?.block_on(bounded).context("discovery has not come to its end in time")?;
    let apps = apps?;
    let failed = apps.iter().filter(|app| app.error.is_some()).count();
    let report = DiscoverReport { dry_run: options.output.dry_run, apps };
    stdout::print(&if options.output.json { report.json()? } else { report.text() })?;
    report.tell_held_back();
    if failed > 0 {
        return Err(anyhow!("{failed} of {} lists could not be read or registered", report.apps.len()).into());
    }
    Ok(())
}

async fn discover_app(
    discovery: &Discovery,
    app: &DiscoveredApp,
    options: &DiscoverOptions,
    give_up: &CancellationToken,
) -> AppReport {
    let order = DiscoveryOrder { dry_run: options.output.dry_run, removes_all: options.remove };
    let app_id = app.client.app_id().to_string();
    // The list is asked for as a running instance does it: until there is an answer.
    let error = match discovery.discover(app, order, give_up).await {
        Ok(DiscoveryPlan { counts, held_back_by, missing, .. }) => {
            let missing = missing.iter().map(|promoter| promoter.promoter_id().to_owned()).collect();
            return AppReport { app_id, counts, missing, held_back_by, error: None };
        }
        Err(DiscoveryError::List(PromoterListError::Call(CallError::Cancelled))) => format!(
            "no answer within {:?}: check tells whether the upstream serves this app; or its budget for getpromoter lets fewer calls \
             through",
            options.bound.timeout
        ),
        Err(error) => with_causes(&error),
    };
    AppReport {
        app_id,
        counts: DiscoveryCounts::default(),
        missing: Vec::new(),
        held_back_by: None,
        error: Some(error),
    }
}

/// What was done, for programs.
#[derive(Serialize)]
struct DiscoverReport {
    dry_run: bool,
    apps: Vec<AppReport>,
}

#[derive(Serialize)]
struct AppReport {
    app_id: String,
    /// All are 0 where there is an error, so that programs find the same fields there.
    #[serde(flatten)]
    counts: DiscoveryCounts,
    /// The ids of those who are listed no longer, whether they are removed or held back.
    missing: Vec<String>,
    #[serde(skip)]
    held_back_by: Option<HeldBack>,
    error: Option<String>,
}

impl DiscoverReport {
    fn json(&self) -> anyhow::Result<String> {
        Ok(serde_json::to_string(self)? + "\n")
    }

    fn text(&self) -> String {
        let mut told_of_all = String::new();
        for AppReport { app_id, counts, missing, error, .. } in &self.apps {
            told_of_all += &match error {
                None => format!("{app_id}: {}\n", told(counts)),
                Some(error) => format!("{app_id}: {error}\n"),
            };
            if !missing.is_empty() {
                told_of_all += &format!("  listed no longer: {}\n", text::first_few(missing.iter(), NAMED_MAX));
            }
        }
        told_of_all + if self.dry_run { "dry run: nothing was written\n" } else { "" }
    }

    fn tell_held_back(&self) {
        for AppReport { app_id, counts, held_back_by, .. } in &self.apps {
            let Some(why) = held_back_by else { continue };
            let missing = counts.held_back;
            last_words::say(&match why {
                HeldBack::Limit => format!(
                    "{app_id}: {missing} promoters are missing from the list, more than discover_remove_max lets go at once; they \
                     are polled on. If they are to go: promoters discover --remove"
                ),
                HeldBack::Empty => {
                    format!(
                        "{app_id}: the list is empty; {missing} promoters are polled on. promoters remove takes them away"
                    )
                }
                HeldBack::Cut => {
                    format!("{app_id}: the list ends before all are listed, so none of {missing} is removed")
                }
                HeldBack::Unreadable => {
                    format!("{app_id}: {} rows name no promoter, so none of {missing} is removed", counts.unreadable)
                }
            });
        }
    }
}

fn told(counts: &DiscoveryCounts) -> String {
    let named = [
        (counts.listed, "listed"),
        (counts.found, "found"),
        (counts.parked, "paused"),
        (counts.resumed, "resumed"),
        (counts.changed, "changed"),
        (counts.unchanged, "unchanged"),
        (counts.removed, "removed"),
        (counts.held_back, "missing"),
        (counts.kept_removed, "removed by an operator"),
        (counts.not_authorised, "not authorised"),
        (counts.unreadable, "unreadable"),
    ];
    let first = |(at, (count, _)): &(usize, (usize, &str))| *at < 2 || *count > 0;
    let shown = named.into_iter().enumerate().filter(first).map(|(_, (count, name))| format!("{count} {name}"));
    shown.collect::<Vec<_>>().join(", ")
}
