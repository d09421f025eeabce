//! What `rewind` says, for people or for programs.

use std::fmt::Write;

use serde_json::json;

use super::plan::{RewindPlan, UnknownFacts};
use crate::cli::times::in_beijing;
use crate::model::feed::Feed;
use crate::model::promoter::Promoter;
use crate::model::rewind::RewindId;
use crate::model::time::UnixTime;

pub struct RewindReport<'a> {
    pub promoter: &'a Promoter,
    pub plan: &'a RewindPlan,
    /// Where the registry has taken it.
    pub written: Option<RewindId>,
}

impl RewindReport<'_> {
    /// # Errors
    /// Where it makes no JSON, which no report does.
    pub fn json(&self) -> anyhow::Result<String> {
        let RewindPlan { feed, to, cursor, target, known_since, republish, calls_min, days } = self.plan;
        let report = json!({
            "promoter": self.promoter.key(),
            "feed": feed.name(),
            "to": to.to_string(),
            "cursor": cursor.complete_before.to_string(),
            "target": target.map(|target| target.to_string()),
            "days": days,
            "calls_min": calls_min,
            "known_since": known_since.to_string(),
            "republish": republish,
            "unknown_facts": match self.plan.unknown_facts() {
                UnknownFacts::None => "none",
                UnknownFacts::LeftAlone => "left_alone",
                UnknownFacts::PublishedAgain => "published_again",
                UnknownFacts::Refused => "refused",
            },
            "rewind_id": self.written.map(|id| id.to_string()),
        });
        Ok(serde_json::to_string(&report)? + "\n")
    }

    pub fn text(&self) -> String {
        let mut text = self.movement();
        text += &self.memory();
        text += match self.written {
            Some(_) => "written: it acts within seconds where instances run, and else when one starts\n",
            None => "nothing was changed\n",
        };
        text
    }

    /// Where the cursor goes, and what that costs.
    fn movement(&self) -> String {
        let RewindPlan { feed, cursor, target, calls_min, days, .. } = self.plan;
        let (promoter, stands) = (self.promoter, shown(cursor.complete_before));
        let mut text = format!("{promoter} {feed}: cursor {stands}");
        // Writing to a String never fails.
        let _ = match target {
            Some(target) => writeln!(text, " → {}: {days} days, {calls_min} calls or more", shown(*target)),
            None => {
                writeln!(text, ", which has not passed that time; one that has moved in silence since goes back to it")
            }
        };
        if *feed == Feed::Orders {
            text += "orders are asked for by days, so those of the whole day are\n";
        }
        text
    }

    /// What it recognises, and what becomes of the rest.
    fn memory(&self) -> String {
        let reaches = format!("memory reaches back to {}", shown(self.plan.known_since));
        match self.plan.unknown_facts() {
            UnknownFacts::None => format!("{reaches}: what is published is recognised, and comes once\n"),
            UnknownFacts::LeftAlone => format!(
                "{reaches}: what happened before that, and since {}, may be published already and is left alone\n",
                shown(self.plan.cursor.start)
            ),
            UnknownFacts::PublishedAgain => format!(
                "{reaches}: facts before that are unknown to it and are published AGAIN, each with the same event_id\n"
            ),
            UnknownFacts::Refused => {
                format!("{reaches}: facts before that are unknown to it and would be published AGAIN\n")
            }
        }
    }
}

fn shown(time: UnixTime) -> String {
    in_beijing(time.as_millis())
}
