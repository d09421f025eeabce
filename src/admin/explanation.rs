//! Why a promoter is where he is: made of what was found, by one function, whoever found it. An instance finds how it polls; the
//! command line finds what stands in Kafka, where no instance tells.

use serde::{Deserialize, Serialize};

use super::causes::StatusCause;
use super::status::QuotaStatus;
use crate::model::feed::Feed;
use crate::model::promoter::Promoter;
use crate::model::time::UnixTime;
use crate::poll::freshness::FeedCondition;
use crate::poll::parked::ParkedFeed;
use crate::registry::known::KnownPromoter;

mod lines;

/// What was found of a promoter.
pub struct PromoterFindings {
    pub promoter: Promoter,
    pub as_of: UnixTime,
    /// The promoter's, where it is known.
    pub partition: Option<i32>,
    pub place: PromoterPlace,
    pub registration: FoundRegistration,
    /// Those that are polled, or would be.
    pub feeds: Vec<FeedFinding>,
    /// Of the connector's causes those that concern this promoter.
    pub causes: Vec<StatusCause>,
    /// Of the interfaces of his feeds.
    pub calls: Vec<QuotaStatus>,
}

/// Who has the promoter's partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PromoterPlace {
    /// The instance that is named polls it.
    Here(String),
    /// It is the instance's that is named, which reads its state.
    Restoring(String),
    /// It is not the instance's that is named and tells this.
    Elsewhere(String),
    /// The instance that is named polls nobody now.
    NoSession(String),
    /// The group says that it is the instance's that is named, which does not tell how it polls.
    Untold(String),
    /// It belongs to the member of the group that is described, which is no instance.
    Foreign(String),
    /// No instance is in the group, or none has it yet.
    Nobody,
    /// Neither an instance tells nor the group.
    Unknown,
}

/// What the sources say of the promoter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FoundRegistration {
    /// Whoever tells does not know.
    Untold,
    /// No source names him.
    Nobody,
    Known(KnownPromoter),
}

/// One feed of the promoter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedFinding {
    pub feed: Feed,
    /// How it is polled, where an instance tells.
    pub condition: Option<FeedCondition>,
    /// Up to when it is read, by polls that were read to their end; nothing before there was one, or where no instance tells.
    pub read_to: Option<UnixTime>,
    /// The cursor; nothing where it has none yet.
    pub complete_before: Option<UnixTime>,
    pub is_polled_now: bool,
    /// Within how many seconds it was promised to be read again, where that is known.
    pub promised_seconds: Option<u64>,
    pub parked: Option<ParkedFinding>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParkedFinding {
    pub parked: ParkedFeed,
    /// When it is tried again, at the earliest.
    pub next_try: UnixTime,
}

/// Times are RFC 3339.
#[derive(Debug, Serialize)]
pub struct Explanation {
    pub promoter: String,
    pub as_of: String,
    pub partition: Option<i32>,
    /// here, restoring, elsewhere, no_session, untold, foreign, nobody or unknown.
    pub place: &'static str,
    /// Whom the place names.
    pub instance: Option<String>,
    /// Which sources name the promoter; absent where that is not told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sources: Option<Vec<&'static str>>,
    /// Which of them says that he is not polled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paused_by: Option<&'static str>,
    pub feeds: Vec<ExplainedFeed>,
    pub calls: Vec<QuotaStatus>,
    pub causes: Vec<StatusCause>,
    /// All of it, for people.
    pub lines: Vec<ExplanationLine>,
}

#[derive(Debug, Serialize)]
pub struct ExplainedFeed {
    pub feed: &'static str,
    /// on_time, late, backfilling, parked or not_begun; absent where no instance tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub read_to: Option<String>,
    pub complete_before: Option<String>,
    pub is_polled_now: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub promised_seconds: Option<u64>,
    /// The upstream's code, of one that is parked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub errcode: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_try: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExplanationLine {
    pub sign: LineSign,
    pub text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LineSign {
    /// As it should be.
    Well,
    /// In the way.
    Trouble,
    /// To be known; also what a later version writes.
    #[serde(other)]
    Note,
}

impl LineSign {
    pub fn character(self) -> char {
        match self {
            LineSign::Well => '✓',
            LineSign::Trouble => '✗',
            LineSign::Note => '·',
        }
    }
}

impl Explanation {
    pub fn of(findings: PromoterFindings) -> Explanation {
        let lines = lines::lines(&findings);
        let PromoterFindings { promoter, as_of, partition, place, registration, feeds, causes, calls } = findings;
        let (sources, paused_by) = match registration {
            FoundRegistration::Untold => (None, None),
            FoundRegistration::Nobody => (Some(Vec::new()), None),
            FoundRegistration::Known(known) => {
                let sources = known.sources.into_iter().map(|source| source.name()).collect();
                (Some(sources), known.paused_by.map(|source| source.name()))
            }
        };
        Explanation {
            promoter: promoter.key().to_owned(),
            as_of: as_of.to_string(),
            partition,
            place: place.name(),
            instance: place.instance().map(str::to_owned),
            sources,
            paused_by,
            feeds: feeds.iter().map(ExplainedFeed::of).collect(),
            calls,
            causes,
            lines,
        }
    }

    /// For people, line by line.
    pub fn text(&self) -> String {
        text(&self.promoter, &self.lines)
    }
}

/// What is told of the promoter of this key, for people, line by line.
pub fn text(promoter: &str, lines: &[ExplanationLine]) -> String {
    let line = |ExplanationLine { sign, text }: &ExplanationLine| format!("{} {text}\n", sign.character());
    format!("{promoter}\n") + &lines.iter().map(line).collect::<String>()
}

impl ExplainedFeed {
    fn of(finding: &FeedFinding) -> ExplainedFeed {
        let told = |time: Option<UnixTime>| time.map(|time| time.to_string());
        ExplainedFeed {
            feed: finding.feed.name(),
            state: finding.state(),
            read_to: told(finding.read_to),
            complete_before: told(finding.complete_before),
            is_polled_now: finding.is_polled_now,
            promised_seconds: finding.promised_seconds,
            errcode: finding.parked.and_then(|parked| parked.parked.errcode()),
            next_try: told(finding.parked.map(|parked| parked.next_try)),
        }
    }
}

impl FeedFinding {
    /// Whose first cursor is not written yet, or was not found.
    pub fn not_begun(feed: Feed) -> FeedFinding {
        let (condition, read_to, complete_before, promised_seconds, parked) = (None, None, None, None, None);
        FeedFinding { feed, condition, read_to, complete_before, is_polled_now: false, promised_seconds, parked }
    }

    fn state(&self) -> Option<&'static str> {
        match (self.condition, self.complete_before) {
            (Some(condition), _) => Some(condition.name()),
            (None, None) => Some("not_begun"),
            (None, Some(_)) => None,
        }
    }
}

impl PromoterPlace {
    /// The word of one where the promoter is polled, as answers have it.
    pub const HERE: &'static str = "here";

    /// What an instance has answered of itself; nothing where that says neither that it has the promoter's partition nor that it
    /// polls nobody.
    pub fn of_answer(word: &str, instance: String) -> Option<PromoterPlace> {
        let places = [PromoterPlace::Here, PromoterPlace::Restoring, PromoterPlace::NoSession];
        places.into_iter().map(|place| place(instance.clone())).find(|place| place.name() == word)
    }

    fn name(&self) -> &'static str {
        match self {
            PromoterPlace::Here(_) => PromoterPlace::HERE,
            PromoterPlace::Restoring(_) => "restoring",
            PromoterPlace::Elsewhere(_) => "elsewhere",
            PromoterPlace::NoSession(_) => "no_session",
            PromoterPlace::Untold(_) => "untold",
            PromoterPlace::Foreign(_) => "foreign",
            PromoterPlace::Nobody => "nobody",
            PromoterPlace::Unknown => "unknown",
        }
    }

    fn instance(&self) -> Option<&str> {
        match self {
            PromoterPlace::Here(instance)
            | PromoterPlace::Restoring(instance)
            | PromoterPlace::Elsewhere(instance)
            | PromoterPlace::NoSession(instance)
            | PromoterPlace::Untold(instance) => Some(instance),
            PromoterPlace::Foreign(_) | PromoterPlace::Nobody | PromoterPlace::Unknown => None,
        }
    }
}

#[cfg(test)]
mod tests;
