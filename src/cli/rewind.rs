//! `rewind`: has a feed of a promoter asked again from an earlier time on.
//!
//! The command moves nothing itself: who owns the promoter's shard does, in the transaction that remembers that it has
//! ([`crate::model::rewind`]). It writes a signal to the registry that lasts until somebody has met it, so it is the same whether
//! instances run or not. What it says beforehand rests on what stands in Kafka at that moment; what is left alone or published again
//! is reckoned once more where the cursor is moved.

use std::path::Path;

use clap::Args;

use self::plan::RewindPlan;
use self::report::RewindReport;
use super::committed_progress;
use super::named_promoter::named_promoter;
use super::promoters::TimeBound;
use super::promoters::registry_view::RegistryView;
use super::times::{InvalidMoment, moment};
use super::{Failure, stdout};
use crate::avro::framing::Framing;
use crate::avro::promoter::PromoterEncoder;
use crate::clock;
use crate::config::RegistryClientConfig;
use crate::kafka::registry_topic::writer::RegistryWriter;
use crate::model::feed::Feed;
use crate::model::promoter::Promoter;
use crate::model::rewind::{Rewind, RewindId};
use crate::model::time::UnixTime;
use crate::registry::record::RegistryContent;
use crate::telemetry::log;

mod plan;
mod report;

#[derive(Clone, Debug, Args)]
pub struct RewindOptions {
    /// Whom it is about.
    #[arg(long, value_name = "APP_ID/ID", value_parser = named_promoter)]
    pub promoter: Promoter,
    /// What is asked again: touches, orders or refunds.
    #[arg(long, value_name = "FEED", value_parser = feed)]
    pub feed: Feed,
    /// From when on: a time in RFC 3339, or a day such as 2026-11-03, which begins at midnight in Beijing.
    #[arg(long, value_name = "TIME", value_parser = to)]
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

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is none of touches, orders, refunds")]
pub struct UnknownFeedName;

fn feed(text: &str) -> Result<Feed, UnknownFeedName> {
    Feed::from_name(text).ok_or(UnknownFeedName)
}

fn to(text: &str) -> Result<UnixTime, InvalidMoment> {
    Ok(moment(text)?.max(UnixTime::EARLIEST))
}

/// Says what it comes to, and writes the signal unless that is refused.
///
/// # Errors
/// [`Failure::Refused`] where the promoter or the feed is not polled, the time lies ahead, or facts would be published again without
/// that being asked for; else why Kafka can't be read or written.
pub fn run(path: &Path, options: &RewindOptions) -> Result<(), Failure> {
    let config = RegistryClientConfig::load(path, &|name| std::env::var(name).ok())?;
    log::start(&config.log)?;
    let RewindOptions { promoter, feed, to, republish, dry_run, .. } = options;
    refuse_unknown_app(&config, promoter)?;
    let now = clock::now();
    if *to >= now.as_seconds() {
        return Err(Failure::Refused(format!("{to} is not past: nothing of it could be asked again")));
    }
    let view = RegistryView::read(config, options.bound.until())?;
    refuse_idle(&view, promoter, *feed)?;
    let mut progress = committed_progress::of_promoter(&view.config.kafka, promoter, view.until)?;
    let progress = progress[*feed].take().ok_or_else(|| not_begun(promoter, *feed))?;
    let plan = RewindPlan::new(*feed, &progress, *to, *republish, now.as_seconds());
    let is_written = !dry_run && !plan.is_refused();
    let rewind = Rewind { id: RewindId(rand::random()), to: *to, republish: *republish };
    if is_written {
        write(&view, promoter, *feed, rewind)?;
    }
    let report = RewindReport { promoter, plan: &plan, written: is_written.then_some(rewind.id) };
    stdout::print(&if options.json { report.json()? } else { report.text() })?;
    match plan.is_refused() {
        true => Err(Failure::Refused("refused without --republish: facts would be published again".to_owned())),
        false => Ok(()),
    }
}

/// # Errors
/// [`Failure::Refused`] where the promoter's app is none of the configured ones.
fn refuse_unknown_app(config: &RegistryClientConfig, promoter: &Promoter) -> Result<(), Failure> {
    let is_known = config.apps.iter().any(|app| app.app_id.as_str() == promoter.app_id());
    let told = || Failure::Refused(format!("app {} is not configured here", promoter.app_id()));
    is_known.then_some(()).ok_or_else(told)
}

/// What nobody polls nobody asks again.
///
/// # Errors
/// [`Failure::Refused`] where the feed is not polled, with the command that changes or shows it.
fn refuse_idle(view: &RegistryView, promoter: &Promoter, feed: Feed) -> Result<(), Failure> {
    let refused = |why: String| Err(Failure::Refused(why));
    let Some(merged) = view.table.get(promoter) else {
        return refused(format!(
            "{promoter} is not polled: it is neither registered nor configured; promoters add registers it"
        ));
    };
    if merged.is_paused.value {
        return refused(format!("{promoter} is paused, so nothing would be asked: promoters resume first"));
    }
    if !view.feeds(promoter, &merged).value.contains(feed) {
        return refused(format!("{feed} of {promoter} are not polled: promoters list shows its feeds"));
    }
    Ok(())
}

fn not_begun(promoter: &Promoter, feed: Feed) -> Failure {
    Failure::Refused(format!("{feed} of {promoter} have not begun yet: they begin where their start_from says"))
}

/// Blocks until the registry has taken the signal.
///
/// # Errors
/// Where the brokers can't be reached in time, or do not take it.
fn write(view: &RegistryView, promoter: &Promoter, feed: Feed, rewind: Rewind) -> anyhow::Result<()> {
    // Rewinds are JSON, whatever records of promoters are framed with.
    let encoder = PromoterEncoder::new(Framing::SingleObject);
    let mut writer = RegistryWriter::open(&view.config.kafka, encoder, view.partitions, view.until)?;
    writer.put(promoter, &RegistryContent::Rewind(feed, Some(rewind)), clock::now())?;
    Ok(writer.finish(1, |_| {})?)
}
