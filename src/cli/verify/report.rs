//! What a comparison says, for people or for programs.

use serde_json::{Value as Json, json};

use super::comparison::{ComparedFact, ComparedOrder, FactComparison};
use super::judged::JudgedTimes;
use crate::cli::times::in_beijing;
use crate::model::feed::Feed;

/// How many facts of each kind are told one by one for people.
const LISTED_MAX: usize = 50;

impl FactComparison {
    /// # Errors
    /// Where it makes no JSON, which no comparison does.
    pub fn json(&self) -> anyhow::Result<String> {
        let facts = |facts: &[ComparedFact]| facts.iter().map(fact_json).collect::<Vec<Json>>();
        let (unjudged, different) = (self.unjudged.iter(), self.different.iter());
        let report = json!({
            "promoter": self.promoter,
            "judged": self.judged.iter().map(JudgedTimes::from).collect::<Vec<_>>(),
            "unjudged": unjudged
                .map(|(feed, reason)| json!({"feed": feed.name(), "reason": reason.in_words(|time| time.to_string())}))
                .collect::<Vec<_>>(),
            "calls": self.calls,
            "shown": self.shown,
            "published": self.published,
            "missing": facts(&self.missing),
            "extra": facts(&self.extra),
            "twice": facts(&self.twice),
            "different": different
                .map(|(shown, published)| json!({"shown": fact_json(shown), "published": fact_json(published)}))
                .collect::<Vec<_>>(),
            "dead_letters": self.dead_letters,
        });
        Ok(serde_json::to_string(&report)? + "\n")
    }

    pub fn text(&self) -> String {
        let mut text = String::new();
        for feed in &self.judged {
            let (from, to) = (in_beijing(feed.from.as_millis()), in_beijing(feed.to.as_millis()));
            text += &format!("{}: from {from} to {to}\n", feed.feed);
        }
        for (feed, reason) in &self.unjudged {
            let reason = reason.in_words(|time| in_beijing(time.as_millis()));
            text += &format!("{feed}: nothing to compare: {reason}\n");
        }
        text += &format!("upstream {}, topics {} ({} calls)\n", self.shown, self.published, self.calls);
        for (name, facts) in [("missing", &self.missing), ("extra", &self.extra), ("twice", &self.twice)] {
            list(&mut text, facts.len(), facts.iter().map(|fact| format!("{name:9} {}", in_words(fact))));
        }
        let different = self.different.iter();
        let lines = different
            .map(|(shown, published)| format!("different {}, published as {}", in_words(shown), in_words(published)));
        list(&mut text, self.different.len(), lines);
        text += &format!(
            "missing {}, extra {}, twice {}, different {}; dead letters {} (not counted as missing)\n",
            self.missing.len(),
            self.extra.len(),
            self.twice.len(),
            self.different.len(),
            self.dead_letters
        );
        text
    }
}

fn list(text: &mut String, all: usize, lines: impl Iterator<Item = String>) {
    for line in lines.take(LISTED_MAX) {
        *text += &format!("{line}\n");
    }
    if all > LISTED_MAX {
        *text += &format!("          and {} more\n", all - LISTED_MAX);
    }
}

fn in_words(ComparedFact { id, feed, time, order }: &ComparedFact) -> String {
    let time = time.map_or_else(|| "without its time".to_owned(), |time| in_beijing(time.as_millis()));
    match order {
        Some(ComparedOrder { status, mch_id, trade_no, paid_amount, .. }) => {
            format!("{status} {paid_amount} fen {mch_id}/{trade_no} {time} {id}")
        }
        None => format!("{} {time} {id}", if *feed == Feed::Touches { "touch" } else { feed.name() }),
    }
}

fn fact_json(ComparedFact { id, feed, time, order }: &ComparedFact) -> Json {
    let order = order.as_ref().map(|ComparedOrder { status, mch_id, trade_no, paid_amount, paid_time }| {
        json!({
            "status": status, "mch_id": mch_id, "trade_no": trade_no, "paid_amount": paid_amount,
            "paid_time": paid_time.to_string(),
        })
    });
    json!({
        "event_id": id.to_string(), "feed": feed.name(), "time": time.map(|time| time.to_string()), "order": order,
    })
}

#[cfg(test)]
mod tests {
    use super::super::judged::{JudgedFeed, Unjudged};
    use super::*;
    use crate::model::time::UnixTime;

    #[test]
    fn a_feed_of_which_nothing_is_compared_is_told_with_why() {
        let begin = UnixTime(1_668_657_600); // 2022-11-17T04:00:00Z
        let judged = vec![JudgedFeed { feed: Feed::Touches, from: begin, to: begin.plus(3600) }];
        let unjudged = vec![(Feed::Orders, Unjudged::CompleteTo(begin)), (Feed::Refunds, Unjudged::NotPolled)];
        let comparison = FactComparison { judged, unjudged, ..FactComparison::default() };
        let text = comparison.text();
        let lines: Vec<&str> = text.lines().take(3).collect();
        assert!(lines[0].starts_with("touches: from "), "{text}");
        assert_eq!(lines[1], "orders: nothing to compare: it is complete to 2022-11-17 12:00:00+08 only");
        assert_eq!(lines[2], "refunds: nothing to compare: it is not polled");
        let json: Json = serde_json::from_str(&comparison.json().unwrap()).unwrap();
        assert_eq!(json["unjudged"][1], json!({"feed": "refunds", "reason": "it is not polled"}));
    }
}
