//! `verify`: what the upstream shows of a promoter, against what stands in the topics.
//!
//! Only what must be published is compared: facts from where the feed began to where it is complete, as its cursor says. What
//! is younger than the lateness may come yet.

use std::path::Path;

use anyhow::Context;
use clap::Args;
use tokio_util::sync::CancellationToken;

use self::comparison::{FactComparison, compare};
use self::judged::JudgedFeed;
use self::published::Published;
use self::shown::UpstreamReader;
use super::promoters::{TimeBound, names};
use super::{Failure, signals, stdout};
use crate::config::Config;
use crate::model::feed::Feed;
use crate::model::promoter::Promoter;
use crate::model::time::UnixTime;
use crate::telemetry::{last_words, log};

mod comparison;
mod judged;
mod published;
mod report;
mod shown;

#[derive(Clone, Debug, Args)]
pub struct VerifyOptions {
    /// Whom it is about: APP_ID/ID, or the id alone where one app is configured.
    #[arg(long, value_name = "PROMOTER")]
    pub promoter: String,
    /// Facts of this time and later: RFC 3339.
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub from: UnixTime,
    /// Facts before this time.
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub to: UnixTime,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub bound: TimeBound,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("write a time with its offset such as 2026-01-01T00:00:00+08:00")]
pub(crate) struct InvalidTime;

/// A fraction of a second belongs to the next whole one.
fn time(text: &str) -> Result<UnixTime, InvalidTime> {
    let time: jiff::Timestamp = text.parse().map_err(|_| InvalidTime)?;
    Ok(UnixTime(time.as_second() + i64::from(time.subsec_nanosecond() > 0)))
}

/// Prints what differs.
///
/// # Errors
/// [`Failure::Found`] with 1 where anything is missing, too much or different; else why it can't be told.
pub fn run(path: &Path, options: &VerifyOptions) -> Result<(), Failure> {
    let config = Config::load(path, &|name| std::env::var(name).ok())?;
    log::start(&config.log)?;
    let apps = config.apps.iter().map(|app| &app.client.app_id);
    let promoter = names::promoter_of_any_app(&options.promoter, apps)?;
    let runtime = super::runtime()?;
    let stop = CancellationToken::new();
    let comparison = runtime.block_on(async {
        signals::cancel_on_signal(stop.clone())?;
        stop.run_until_cancelled(verify(&config, options, &promoter)).await.context("stopped by a signal")?
    });
    runtime.shutdown_background();
    let comparison = match comparison {
        Err(error) => {
            let refused = |what: Incomparable| Failure::Refused(what.to_string());
            return Err(error.downcast().map_or_else(Failure::Running, refused));
        }
        Ok(comparison) => comparison,
    };
    stdout::print(&if options.json { comparison.json()? } else { comparison.text() })?;
    if comparison.is_exact() { Ok(()) } else { Err(Failure::Found { exit_code: 1 }) }
}

/// What was asked for can't be compared, whatever the topics hold.
#[derive(Debug, thiserror::Error)]
enum Incomparable {
    #[error("app {0} is not configured here")]
    UnknownApp(String),
    #[error("no feed of {0} has begun: nothing was ever polled for it; `promoters list` says who is polled")]
    NeverPolled(Promoter),
    #[error("--from has to lie before --to")]
    NoTime,
}

/// # Errors
/// [`Incomparable`] where there is nothing that could be compared, and where what stands in the topics or at the upstream can't be read: then nothing is compared.
async fn verify(config: &Config, options: &VerifyOptions, promoter: &Promoter) -> anyhow::Result<FactComparison> {
    let VerifyOptions { from, to, .. } = options;
    if from >= to {
        return Err(Incomparable::NoTime.into());
    }
    let until = options.bound.until();
    let app = config.apps.iter().find(|app| app.client.app_id.is_of(promoter));
    let app = app.with_context(|| Incomparable::UnknownApp(promoter.app_id().to_owned()))?;
    let published = Published { kafka: config.kafka.clone(), schema_registry: config.schema_registry.clone(), until };
    // The cursors are read before the topics: what they call complete was committed with them, so it stands there by then.
    let cursors = published.cursors(promoter).await?;
    if Feed::ALL.into_iter().all(|feed| cursors[feed].is_none()) {
        return Err(Incomparable::NeverPolled(promoter.clone()).into());
    }
    let (mut judged, mut unjudged) = (Vec::new(), Vec::new());
    for feed in Feed::ALL {
        match JudgedFeed::new(feed, cursors[feed], *from, *to) {
            Ok(feed) => judged.push(feed),
            Err(reason) => unjudged.push((feed, reason)),
        }
    }
    let calls: u64 = judged.iter().map(JudgedFeed::calls_min).sum();
    let word = if calls == 1 { "call" } else { "calls" };
    last_words::say(&format_args!("{promoter}: costs {calls} {word} or more, as pages go"));
    let shown = UpstreamReader::new(app, config.http)?.facts(promoter, &judged).await?;
    let events = published.facts(promoter, &judged).await?;
    Ok(FactComparison { unjudged, ..compare(promoter, &judged, shown, events) })
}
