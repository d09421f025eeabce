//! `rewind`: has a feed of a promoter asked again from an earlier time on.

use std::path::Path;

use clap::Args;

use self::report::RewindReport;
use super::promoters::{TimeBound, names};
use super::{Failure, stdout};
use crate::changes::moment::rewind_time;
use crate::changes::registry_view::RegistryView;
use crate::changes::rewind::{RewindRequest, WOULD_REPUBLISH};
use crate::clock;
use crate::config::RegistryClientConfig;
use crate::model::feed::Feed;
use crate::model::time::UnixTime;
use crate::telemetry::log;

mod report;

#[derive(Clone, Debug, Args)]
pub struct RewindOptions {
    /// Whom it is about: APP_ID/ID, or the id alone where one app is configured.
    #[arg(long, value_name = "PROMOTER")]
    pub promoter: String,
    #[arg(long, value_name = "FEED", help = format!("What is asked again: {}", Feed::names()))]
    pub feed: Feed,
    /// From when on: a time in RFC 3339, or a day such as 2026-11-03, which begins at midnight in Beijing.
    #[arg(long, value_name = "TIME", value_parser = rewind_time)]
    pub to: UnixTime,
    /// Publish again what may be published and is not remembered any more.
    #[arg(long)]
    pub republish: bool,
    /// Say what it would come to, and write nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub bound: TimeBound,
}

/// Says what it comes to, and writes the signal unless that is refused.
///
/// # Errors
/// [`Failure::Refused`] where the promoter or the feed is not polled, the time lies ahead, or facts would be published again without
/// that being asked for; else why Kafka can't be read or written.
pub fn run(path: &Path, options: &RewindOptions) -> Result<(), Failure> {
    let config = RegistryClientConfig::load(path, &|name| std::env::var(name).ok())?;
    log::start(&config.log)?;
    let RewindOptions { feed, to, republish, dry_run, .. } = *options;
    let apps = config.changes.apps.iter().map(|app| &app.app_id);
    let promoter = names::promoter_of_any_app(&options.promoter, apps)?;
    let (request, now) = (RewindRequest { promoter, feed, to, republish, dry_run }, clock::now());
    request.check(&config.changes.apps, now)?;
    let view = RegistryView::of_promoter(config.changes, &request.promoter, options.bound.until())?;
    let planned = request.carry_out(&view, now)?;
    let report = RewindReport { promoter: &request.promoter, planned: &planned };
    stdout::print(&if options.json { report.json()? } else { report.text() })?;
    match planned.plan.is_refused() {
        true => Err(Failure::Refused(format!("refused without --republish: {WOULD_REPUBLISH}"))),
        false => Ok(()),
    }
}
