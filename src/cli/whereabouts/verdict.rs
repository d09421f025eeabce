//! What has become of an order, by what was found of it.

use super::shown::UpstreamLook;
use super::topics::FoundRecords;
use crate::model::cursor::Cursor;

/// All that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Whereabouts {
    pub trade_no: String,
    /// Who was named.
    pub promoter: Option<String>,
    pub in_topics: FoundRecords,
    /// How far the orders of whoever was named are complete; nothing where they have not begun.
    pub cursor: Option<Cursor>,
    pub upstream: UpstreamLook,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrderVerdict {
    Published,
    /// It can't be read, or could not be published as it is.
    DeadLetter,
    /// The upstream shows it, and the polls have not passed it yet.
    NotYetDue,
    /// The upstream shows it, and did not before the polls had passed it.
    AfterLateness,
    /// The upstream shows it, and it was paid before the orders of the promoter begin.
    BeforeStart,
    /// The upstream shows it, and nobody has polled the promoter's orders.
    NeverPolled,
    /// The upstream does not show it as one of the promoter's.
    NotAttributed,
    /// Nothing is known of it.
    NotFound,
}

impl OrderVerdict {
    /// As programs read it.
    pub fn code(self) -> &'static str {
        match self {
            OrderVerdict::Published => "published",
            OrderVerdict::DeadLetter => "dead_letter",
            OrderVerdict::NotYetDue => "not_yet_due",
            OrderVerdict::AfterLateness => "after_lateness",
            OrderVerdict::BeforeStart => "before_start",
            OrderVerdict::NeverPolled => "never_polled",
            OrderVerdict::NotAttributed => "not_attributed",
            OrderVerdict::NotFound => "not_found",
        }
    }

    /// As people do, with what to do.
    pub fn words(self) -> &'static str {
        match self {
            OrderVerdict::Published => "published",
            OrderVerdict::DeadLetter => {
                "a dead letter: it can't be read, or could not be published as it is; what may be kept of its bytes stands in it"
            }
            OrderVerdict::NotYetDue => {
                "not published yet: the upstream shows it, and it is asked for again; explain says why it waits"
            }
            OrderVerdict::AfterLateness => {
                "not published: it appeared after the polls had passed its day; rewind brings it"
            }
            OrderVerdict::BeforeStart => {
                "not published: it was paid before the promoter's orders begin (start_from); rewind brings it"
            }
            OrderVerdict::NeverPolled => {
                "not published: the promoter's orders were never polled; promoters list says who is"
            }
            OrderVerdict::NotAttributed => "not published: the upstream attributes it to somebody else, or to nobody",
            OrderVerdict::NotFound => "not found: it stands in no topic, and what the upstream shows is not known",
        }
    }
}

impl Whereabouts {
    pub fn verdict(&self) -> OrderVerdict {
        if !self.in_topics.events.is_empty() {
            return OrderVerdict::Published;
        }
        if !self.in_topics.dead_letters.is_empty() {
            return OrderVerdict::DeadLetter;
        }
        match (&self.upstream, self.cursor) {
            (UpstreamLook::Shown(_), None) => OrderVerdict::NeverPolled,
            (UpstreamLook::Shown(paid), Some(cursor)) if *paid < cursor.start => OrderVerdict::BeforeStart,
            (UpstreamLook::Shown(paid), Some(cursor)) if *paid < cursor.complete_before => OrderVerdict::AfterLateness,
            (UpstreamLook::Shown(_), Some(_)) => OrderVerdict::NotYetDue,
            (UpstreamLook::NotShown { are_all: true, .. }, _) => OrderVerdict::NotAttributed,
            (UpstreamLook::NotShown { .. } | UpstreamLook::NotAsked(_) | UpstreamLook::Failed(_), _) => {
                OrderVerdict::NotFound
            }
        }
    }

    pub fn is_published(&self) -> bool {
        self.verdict() == OrderVerdict::Published
    }
}

#[cfg(test)]
mod tests {
    use super::super::topics::{FoundEvent, FoundLetter, RecordPlace};
    use super::*;
    use crate::model::time::UnixTime;

    fn place() -> RecordPlace {
        RecordPlace { topic: "orders".into(), partition: 3, offset: 1204, promoter: "wx1/o1".into() }
    }

    /// Of a promoter whose orders begin at 1000 and are complete to 2000.
    fn of(in_topics: FoundRecords, upstream: UpstreamLook) -> Whereabouts {
        let cursor =
            Cursor { start: UnixTime(1000), complete_before: UnixTime(2000), polled: true, history_seen: true };
        Whereabouts {
            trade_no: "42".into(),
            promoter: Some("wx1/o1".into()),
            in_topics,
            cursor: Some(cursor),
            upstream,
        }
    }

    #[test]
    fn what_stands_in_the_topics_counts_before_what_the_upstream_shows() {
        let (event_id, status, paid_time) = ("e".into(), "PAID".into(), "1970-01-01T00:20:00Z".into());
        let event = FoundEvent { place: place(), event_id, status, paid_time, refunded_time: None };
        let (source, reason, detail) = ("orders".into(), "missing_paid_time".into(), "none".into());
        let letter = FoundLetter { place: place(), source, reason, detail };
        let both = FoundRecords { events: vec![event], dead_letters: vec![letter.clone()] };
        let shown = UpstreamLook::Shown(UnixTime(1500));
        assert_eq!(of(both.clone(), shown.clone()).verdict(), OrderVerdict::Published);
        let letters = FoundRecords { dead_letters: vec![letter], ..FoundRecords::default() };
        assert_eq!(of(letters, shown).verdict(), OrderVerdict::DeadLetter);
        let told = of(both, UpstreamLook::NotAsked("no need"));
        assert!(told.text().contains("orders 3@1204  wx1/o1  PAID"), "{}", told.text());
        let json: serde_json::Value = serde_json::from_str(&told.json().unwrap()).unwrap();
        assert_eq!((&json["verdict"], &json["events"][0]["offset"]), (&"published".into(), &1204.into()));
        assert_eq!(
            (&json["dead_letters"][0]["partition"], &json["events"][0]["promoter"]),
            (&3.into(), &"wx1/o1".into())
        );
    }

    #[test]
    fn an_order_that_is_only_shown_is_judged_by_how_far_the_promoters_orders_are() {
        let shown = |paid| of(FoundRecords::default(), UpstreamLook::Shown(UnixTime(paid)));
        let verdicts = [999, 1000, 1999, 2000].map(|paid| shown(paid).verdict());
        use OrderVerdict::{AfterLateness, BeforeStart, NotYetDue};
        assert_eq!(verdicts, [BeforeStart, AfterLateness, AfterLateness, NotYetDue]);
        assert_eq!(Whereabouts { cursor: None, ..shown(1500) }.verdict(), OrderVerdict::NeverPolled);
        assert!(shown(1500).text().contains("rewind brings it"));
    }

    #[test]
    fn what_is_not_shown_is_another_ones_only_where_all_was_shown() {
        let not_shown = |are_all| of(FoundRecords::default(), UpstreamLook::NotShown { rows: 7, are_all });
        assert_eq!(
            [true, false].map(|are_all| not_shown(are_all).verdict()),
            [OrderVerdict::NotAttributed, OrderVerdict::NotFound]
        );
        for upstream in [UpstreamLook::NotAsked("name the promoter"), UpstreamLook::Failed("refused".into())] {
            let told = of(FoundRecords::default(), upstream);
            assert_eq!(told.verdict(), OrderVerdict::NotFound);
            assert!(told.text().contains("name the promoter") || told.text().contains("refused"), "{}", told.text());
        }
    }
}
