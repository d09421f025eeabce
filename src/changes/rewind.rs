//! Has a feed of a promoter asked again from an earlier time on.
//!
//! Nothing is moved here: who owns the promoter's shard does that, in the transaction that remembers that it has
//! ([`crate::model::rewind`]). A signal goes to the registry that lasts until somebody has met it, so it is the same whether
//! instances run or not. What is said beforehand rests on what stands in Kafka at that moment; what is left alone or published again
//! is reckoned once more where the cursor is moved.

use serde_json::json;

use super::registry_view::RegistryView;
use super::rewind_plan::{RewindPlan, UnknownFacts};
use super::settings::RegisteringApp;
use super::{ChangeError, committed_progress};
use crate::avro::framing::Framing;
use crate::avro::promoter::PromoterEncoder;
use crate::clock;
use crate::kafka::registry_topic::writer::RegistryWriter;
use crate::kafka::topics::tables;
use crate::model::feed::Feed;
use crate::model::promoter::Promoter;
use crate::model::rewind::{Rewind, RewindId};
use crate::model::time::{UnixMillis, UnixTime};
use crate::registry::record::RegistryContent;

#[derive(Clone, Debug)]
pub struct RewindRequest {
    pub promoter: Promoter,
    pub feed: Feed,
    /// From when on.
    pub to: UnixTime,
    /// Whether what may be published and is not remembered any more is published again.
    pub republish: bool,
    /// Whether nothing is to be written.
    pub dry_run: bool,
}

/// What a rewind comes to, and whether it was written.
#[derive(Debug)]
pub struct PlannedRewind {
    pub plan: RewindPlan,
    /// An earlier one of the feed that nobody has met yet: an instance that runs meets both, one that starts the last alone.
    pub replaces: Option<Rewind>,
    /// Where the registry has taken it.
    pub written: Option<RewindId>,
}

impl RewindRequest {
    /// What can be told before Kafka is asked.
    ///
    /// # Errors
    /// [`ChangeError::Unknown`] where the promoter's app is none of `apps`, [`ChangeError::Refused`] where the time lies ahead.
    pub fn check(&self, apps: &[RegisteringApp], now: UnixMillis) -> Result<(), ChangeError> {
        let RewindRequest { promoter, to, .. } = self;
        RegisteringApp::refuse_unknown(apps, promoter)?;
        if *to >= now.as_seconds() {
            return Err(ChangeError::Refused(format!("{to} is not past: nothing of it could be asked again")));
        }
        Ok(())
    }

    /// Plans, and writes the signal unless that is refused or not asked for. Blocks.
    ///
    /// # Errors
    /// [`ChangeError`] where the promoter or the feed is not polled, or Kafka can't be read or written. A plan that is refused is no
    /// error: it says so.
    pub fn carry_out(&self, view: &RegistryView, now: UnixMillis) -> Result<PlannedRewind, ChangeError> {
        let RewindRequest { promoter, feed, to, republish, dry_run } = self;
        refuse_idle(view, promoter, *feed)?;
        let mut progress = committed_progress::of_promoter(&view.settings.kafka, promoter, view.until)?;
        let progress = progress[*feed].take().ok_or_else(|| not_begun(promoter, *feed))?;
        let asked_for = view.rewinds.get(&(promoter.clone(), *feed)).copied();
        let replaces = asked_for.filter(|earlier| progress.rewound.as_ref().is_none_or(|met| met.id != earlier.id));
        let plan = RewindPlan::new(*feed, &progress, *to, *republish, now.as_seconds());
        let is_written = !dry_run && !plan.is_refused();
        let rewind = Rewind { id: RewindId(rand::random()), to: *to, republish: *republish };
        if is_written {
            write(view, promoter, *feed, rewind)?;
        }
        Ok(PlannedRewind { plan, replaces, written: is_written.then_some(rewind.id) })
    }
}

/// What is told where [`RewindPlan::is_refused`].
pub const WOULD_REPUBLISH: &str = "facts would be published again";

impl PlannedRewind {
    pub fn json(&self, promoter: &Promoter) -> serde_json::Value {
        let RewindPlan { feed, to, cursor, target, start, known_since, republish, calls_min, days } = &self.plan;
        json!({
            "promoter": promoter.key(),
            "feed": feed.name(),
            "to": to.to_string(),
            "cursor": cursor.complete_before.to_string(),
            "target": target.map(|target| target.to_string()),
            "start": start.to_string(),
            "days": days,
            "calls_min": calls_min,
            "known_since": known_since.to_string(),
            "republish": republish,
            "replaces": self.replaces.map(|earlier| earlier.to.to_string()),
            "unknown_facts": match self.plan.unknown_facts() {
                UnknownFacts::None => "none",
                UnknownFacts::LeftAlone => "left_alone",
                UnknownFacts::PublishedAgain => "published_again",
                UnknownFacts::Refused => "refused",
            },
            "rewind_id": self.written.map(|id| id.to_string()),
        })
    }
}

/// What nobody polls nobody asks again.
///
/// # Errors
/// [`ChangeError`] where the feed is not polled, with the command that changes or shows it.
fn refuse_idle(view: &RegistryView, promoter: &Promoter, feed: Feed) -> Result<(), ChangeError> {
    let Some(merged) = view.table.get(promoter) else {
        return Err(ChangeError::Unknown(format!(
            "{promoter} is not polled: it is neither registered nor configured; promoters add registers it"
        )));
    };
    let refused = |why: String| Err(ChangeError::Refused(why));
    if merged.is_paused.value {
        return refused(format!("{promoter} is paused, so nothing would be asked: promoters resume first"));
    }
    if !view.feeds(promoter, &merged).value.contains(feed) {
        return refused(format!("{feed} of {promoter} are not polled: promoters list shows its feeds"));
    }
    Ok(())
}

fn not_begun(promoter: &Promoter, feed: Feed) -> ChangeError {
    ChangeError::Refused(format!("{feed} of {promoter} have not begun yet: they begin where their start_from says"))
}

/// Blocks until the registry has taken the signal.
///
/// # Errors
/// Where the brokers can't be reached in time, or do not take it, or the topic's partitions are not as they have to be.
fn write(view: &RegistryView, promoter: &Promoter, feed: Feed, rewind: Rewind) -> anyhow::Result<()> {
    tables::refuse_unequal(&view.settings.kafka, view.partitions, view.until)?;
    // Rewinds are JSON, whatever records of promoters are framed with.
    let encoder = PromoterEncoder::new(Framing::SingleObject);
    let mut writer = RegistryWriter::open(&view.settings.kafka, encoder, view.partitions, view.until)?;
    writer.put(promoter, &RegistryContent::Rewind(feed, Some(rewind)), clock::now())?;
    Ok(writer.finish(1, |_| {})?)
}
