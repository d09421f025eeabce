//! `[feeds.…]` and, over it, `[apps.feeds.…]`: how each feed is polled.

use std::time::Duration;

use super::reader::document::TomlValue;
use super::reader::problem::Mistake;
use super::reader::quantity::duration;
use super::reader::section::Section;
use super::reader::value::{boolean, quoted};
use crate::model::feed::{Feed, FeedDefaults, PerFeed, StartFrom};
use crate::model::pacing::PollSettings;
use crate::session::FeedPlan;
use crate::session::app_feeds::AppFeeds;

/// A feed's settings while they are layered: where it starts may depend on another feed, so it is settled last.
#[derive(Clone, Copy)]
struct FeedDraft {
    enabled: bool,
    settings: PollSettings,
    start_from: Option<StartFrom>,
}

impl FeedDraft {
    fn default_of(feed: Feed) -> FeedDraft {
        let FeedDefaults { every, idle_every, lateness, .. } = feed.defaults();
        let settings = PollSettings { every, idle_every, lateness: seconds(lateness) };
        FeedDraft { enabled: true, settings, start_from: None }
    }

    /// What `section` says, over `base`.
    fn read(mut section: Section, base: FeedDraft) -> FeedDraft {
        let enabled = section.or("enabled", base.enabled, boolean);
        let settings = PollSettings {
            every: section.or("every", base.settings.every, duration("100ms", "30d")),
            idle_every: section.or("idle_every", base.settings.idle_every, duration("100ms", "30d")),
            lateness: section.or("lateness", base.settings.lateness, lateness),
        };
        let start_from = section.optional("start_from", start_from).or(base.start_from);
        // Only of a section that says one of the two: what it takes over was reported where it is written.
        if (section.has("every") || section.has("idle_every")) && settings.idle_every < settings.every {
            let what = "is shorter than every, the pace it is to slow down from";
            section.problem("idle_every", Mistake::new(what, "write one that is at least as long"));
        }
        section.end();
        FeedDraft { enabled, settings, start_from }
    }
}

/// All feeds while they are layered.
pub struct FeedDrafts(PerFeed<FeedDraft>);

impl FeedDrafts {
    pub fn defaults() -> FeedDrafts {
        FeedDrafts(PerFeed::new(FeedDraft::default_of))
    }

    /// What `section` says, over `self`.
    pub fn overridden_by(&self, mut section: Section) -> FeedDrafts {
        let read = |feed: Feed| FeedDraft::read(section.section(feed.name()), self.0[feed]);
        let drafts = FeedDrafts(PerFeed::new(read));
        section.end();
        drafts
    }

    /// A feed that is told no start begins where the one does that it starts with, or now.
    pub fn settle(&self) -> AppFeeds {
        let plan = |feed: Feed| {
            let own = self.0[feed].start_from;
            let others = feed.defaults().starts_with.and_then(|other| self.0[other].start_from);
            let start_from = own.or(others).unwrap_or(StartFrom::Now);
            FeedPlan { settings: self.0[feed].settings, start_from }
        };
        let polled = PerFeed::new(|feed| self.0[feed].enabled.then(|| plan(feed)));
        AppFeeds { polled, refunds: plan(Feed::Refunds) }
    }
}

/// How far behind its cursor a feed still looks, in seconds; for orders, counted from the end of the day.
fn lateness(value: &TomlValue) -> Result<i64, Mistake> {
    duration("1s", "400d")(value).map(seconds)
}

/// Whole seconds, rounded up: a lateness is never cut short.
fn seconds(duration: Duration) -> i64 {
    let rounded = duration.as_secs() + u64::from(duration.subsec_nanos() > 0);
    i64::try_from(rounded).unwrap_or(i64::MAX)
}

/// # Errors
/// [`Mistake`] where it is neither a text nor a time, or none that a feed could begin at.
fn start_from(value: &TomlValue) -> Result<StartFrom, Mistake> {
    let text = match value {
        TomlValue::Time(text) => text,
        value => quoted(value)?,
    };
    text.parse().map_err(|_| Mistake::new("is no start", START_FROM_REMEDY))
}

pub const START_FROM_REMEDY: &str =
    "write \"now\", \"earliest\" or a time with its offset such as \"2026-01-01T00:00:00+08:00\"";
