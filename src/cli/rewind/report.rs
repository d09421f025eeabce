//! What `rewind` says, for people or for programs.

use crate::changes::rewind::PlannedRewind;
use crate::changes::rewind_plan::{RewindPlan, UnknownFacts};
use crate::cli::times::in_beijing;
use crate::model::feed::PulledBy;
use crate::model::promoter::Promoter;
use crate::model::time::UnixTime;

pub struct RewindReport<'a> {
    pub promoter: &'a Promoter,
    pub planned: &'a PlannedRewind,
}

impl RewindReport<'_> {
    /// # Errors
    /// Where it makes no JSON, which no report does.
    pub fn json(&self) -> anyhow::Result<String> {
        Ok(serde_json::to_string(&self.planned.json(self.promoter))? + "\n")
    }

    pub fn text(&self) -> String {
        let mut text = self.movement();
        text += &self.memory();
        text += &self.replaced();
        text += match self.planned.written {
            Some(_) => "written: it acts within seconds where instances run, and else when one starts\n",
            None => "nothing was changed\n",
        };
        text
    }

    /// Where the cursor goes, and what that costs.
    fn movement(&self) -> String {
        let RewindPlan { feed, cursor, target, start, calls_min, days, .. } = &self.planned.plan;
        let (promoter, stands) = (self.promoter, shown(cursor.complete_before));
        let mut text = format!("{promoter} {feed}: cursor {stands}");
        text += &match target {
            Some(target) => {
                let days = if *days == 1 { "1 day".to_owned() } else { format!("{days} days") };
                let calls = if *calls_min == 1 { "1 call".to_owned() } else { format!("{calls_min} calls") };
                let start = match *start < cursor.start {
                    true => format!(", start {} → {}", shown(cursor.start), shown(*start)),
                    false => String::new(),
                };
                format!(" → {}{start}: {days}, {calls} or more\n", shown(*target))
            }
            None => {
                ", which has not passed that time; one that has moved in silence since goes back to it\n".to_owned()
            }
        };
        if feed.pulled_by() == PulledBy::Day {
            text += &format!("{feed} are asked for by days, so those of the whole day are\n");
        }
        text
    }

    /// Which earlier rewind may be lost by it.
    fn replaced(&self) -> String {
        let Some(earlier) = self.planned.replaces else { return String::new() };
        let lost = if self.planned.written.is_some() { "is lost" } else { "would be lost" };
        format!(
            "one to {} was not met yet: unless an instance that runs meets it before this one, it {lost}\n",
            shown(earlier.to)
        )
    }

    /// What it recognises, and what becomes of the rest.
    fn memory(&self) -> String {
        let reaches = format!("memory reaches back to {}", shown(self.planned.plan.known_since));
        match self.planned.plan.unknown_facts() {
            UnknownFacts::None => format!("{reaches}: what is published is recognised, and comes once\n"),
            UnknownFacts::LeftAlone => format!(
                "{reaches}: what happened before that, and since {}, may be published already and is left alone\n",
                shown(self.planned.plan.cursor.start)
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
