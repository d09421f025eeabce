//! What has become of an order, for people or for programs.

use serde_json::{Value as Json, json};

use super::shown::UpstreamLook;
use super::topics::{FoundEvent, FoundLetter, RecordPlace};
use super::verdict::Whereabouts;
use crate::cli::times::in_beijing;

impl Whereabouts {
    /// # Errors
    /// Where it makes no JSON, which nothing that was found does.
    pub fn json(&self) -> anyhow::Result<String> {
        let complete_before = self.cursor.map(|cursor| cursor.complete_before.to_string());
        let report = json!({
            "trade_no": self.trade_no,
            "promoter": self.promoter,
            "verdict": self.verdict().code(),
            "events": self.in_topics.events,
            "dead_letters": self.in_topics.dead_letters,
            "complete_before": complete_before,
            "upstream": upstream_json(&self.upstream),
        });
        Ok(serde_json::to_string(&report)? + "\n")
    }

    pub fn text(&self) -> String {
        let mut text = format!("{}: {}\n", self.trade_no, self.verdict().words());
        for FoundEvent { place, event_id, status, paid_time, refunded_time } in &self.in_topics.events {
            let refunded = refunded_time.as_ref().map(|time| format!(", refunded {time}")).unwrap_or_default();
            text += &format!("{}  {status}  paid {paid_time}{refunded}  event_id {event_id}\n", at(place));
        }
        for FoundLetter { place, source, reason, detail } in &self.in_topics.dead_letters {
            text += &format!("{}  dead letter of {source}, {reason}: {detail}\n", at(place));
        }
        text += &format!("upstream: {}\n", upstream_text(&self.upstream));
        if let Some(cursor) = &self.cursor {
            text += &format!("orders complete to {}\n", in_beijing(cursor.complete_before.as_millis()));
        }
        text
    }
}

fn at(RecordPlace { topic, partition, offset, promoter }: &RecordPlace) -> String {
    format!("{topic} {partition}@{offset}  {promoter}")
}

fn upstream_json(upstream: &UpstreamLook) -> Json {
    match upstream {
        UpstreamLook::NotAsked(why) => json!({ "answer": "not_asked", "why": why }),
        UpstreamLook::Failed(error) => json!({ "answer": "failed", "error": error }),
        UpstreamLook::Shown(paid_time) => json!({ "answer": "shown", "paid_time": paid_time.to_string() }),
        UpstreamLook::NotShown { rows, are_all } => {
            json!({ "answer": "not_shown", "rows": rows, "are_all": are_all })
        }
    }
}

fn upstream_text(upstream: &UpstreamLook) -> String {
    match upstream {
        UpstreamLook::NotAsked(why) => format!("not asked: {why}"),
        UpstreamLook::Failed(error) => format!("it gave no answer: {error}"),
        UpstreamLook::Shown(paid_time) => format!("it shows the order, paid {}", in_beijing(paid_time.as_millis())),
        UpstreamLook::NotShown { rows, are_all: true } => format!("the order is none of the {rows} of the promoter"),
        UpstreamLook::NotShown { rows, are_all: false } => {
            format!(
                "the order is not among the first {rows} of the promoter, who has more; verify compares all of them"
            )
        }
    }
}
