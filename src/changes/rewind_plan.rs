//! What a rewind comes to, by what stands in Kafka now.

use super::committed_progress::FeedProgress;
use crate::model::cursor::Cursor;
use crate::model::feed::Feed;
use crate::model::pacing::backfill_cost::least_calls;
use crate::model::rewind::{known_since, published_since};
use crate::model::time::UnixTime;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RewindPlan {
    pub feed: Feed,
    pub to: UnixTime,
    pub cursor: Cursor,
    /// Where the cursor goes; nothing where it has not passed that, as far as its last record tells, and does not start later.
    pub target: Option<UnixTime>,
    /// Since when facts are published then.
    pub start: UnixTime,
    /// What happened then or later is recognised where it is published.
    pub known_since: UnixTime,
    pub republish: bool,
    /// To come to `now` again.
    pub calls_min: u64,
    pub days: i64,
}

/// What becomes of facts that happened before the memory begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnknownFacts {
    /// There are none on the way.
    None,
    /// They are published already, or came too late, and are left alone.
    LeftAlone,
    PublishedAgain,
    /// They would be published again, which was not asked for.
    Refused,
}

impl RewindPlan {
    pub fn new(feed: Feed, progress: &FeedProgress, to: UnixTime, republish: bool, now: UnixTime) -> RewindPlan {
        let cursor = progress.cursor;
        let (begun, rewound) = (Cursor::begin(feed, to), cursor.rewound(feed, to));
        let target = (rewound != cursor).then_some(rewound.complete_before);
        let seconds = now.0.saturating_sub(begun.complete_before.0).max(0);
        RewindPlan {
            feed,
            to,
            cursor,
            target,
            start: rewound.start,
            known_since: known_since(feed, progress.whole_from()),
            republish,
            calls_min: least_calls(feed, &begun, now),
            days: (seconds + DAY_SECONDS - 1) / DAY_SECONDS,
        }
    }

    /// Facts that happened before the first start are none of them, but for refunds: nobody has published these.
    pub fn unknown_facts(&self) -> UnknownFacts {
        let RewindPlan { feed, to, cursor, known_since, .. } = self;
        let start = published_since(*feed, cursor.start);
        let are_met = self.target.is_some() && *to < *known_since && start < *known_since;
        match are_met {
            false => UnknownFacts::None,
            true if self.republish => UnknownFacts::PublishedAgain,
            true if *to < start => UnknownFacts::LeftAlone,
            true => UnknownFacts::Refused,
        }
    }

    pub fn is_refused(&self) -> bool {
        self.unknown_facts() == UnknownFacts::Refused
    }
}

const DAY_SECONDS: i64 = 24 * 3600;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::rewind::{MaybeForgotten, MetRewind, RewindId};
    use crate::model::time::Day;

    /// 2022-11-17 12:00 in Beijing.
    const NOON: UnixTime = UnixTime(1_668_657_600);

    fn progress(complete_before: UnixTime) -> FeedProgress {
        let cursor = Cursor { start: NOON.minus(30 * DAY_SECONDS), complete_before, polled: true, history_seen: true };
        FeedProgress { cursor, rewound: None, forgotten_before: None }
    }

    fn unknown(progress: &FeedProgress, feed: Feed, to: UnixTime, republish: bool) -> UnknownFacts {
        RewindPlan::new(feed, progress, to, republish, NOON).unknown_facts()
    }

    #[test]
    fn touches_are_known_from_the_cursor_on_and_orders_two_days_before() {
        let complete = progress(NOON.minus(3600));
        let touches = |to| unknown(&complete, Feed::Touches, to, false);
        assert_eq!(touches(NOON.minus(3600)), UnknownFacts::None);
        assert_eq!(touches(NOON.minus(3601)), UnknownFacts::Refused);
        let today = Day::in_beijing(NOON);
        let complete = progress(today.beijing_start());
        let orders = |to| unknown(&complete, Feed::Orders, to, false);
        let first_known = today.previous().previous().beijing_start();
        assert_eq!(orders(first_known), UnknownFacts::None);
        assert_eq!(orders(first_known.minus(1)), UnknownFacts::Refused);
        assert_eq!(unknown(&complete, Feed::Orders, first_known.minus(1), true), UnknownFacts::PublishedAgain);
    }

    #[test]
    fn what_happened_before_the_first_start_is_not_published_again_and_the_rest_is_left_alone() {
        let complete = progress(NOON.minus(3600));
        let before_start = NOON.minus(40 * DAY_SECONDS);
        assert_eq!(unknown(&complete, Feed::Touches, before_start, false), UnknownFacts::LeftAlone);
        assert_eq!(unknown(&complete, Feed::Touches, before_start, true), UnknownFacts::PublishedAgain);
        let new = FeedProgress { cursor: Cursor::begin(Feed::Touches, NOON), rewound: None, forgotten_before: None };
        assert_eq!(unknown(&new, Feed::Touches, before_start, false), UnknownFacts::None, "it has forgotten nothing");
    }

    #[test]
    fn while_a_rewind_is_on_its_way_what_it_may_have_forgotten_is_not_known() {
        let on_its_way = FeedProgress {
            rewound: Some(MetRewind {
                id: RewindId(1),
                maybe_forgotten: vec![MaybeForgotten { from: NOON.minus(99_999), until: NOON.minus(3600) }],
            }),
            forgotten_before: None,
            ..progress(NOON.minus(90_000))
        };
        let plan = RewindPlan::new(Feed::Touches, &on_its_way, NOON.minus(95_000), false, NOON);
        assert_eq!((plan.known_since, plan.unknown_facts()), (NOON.minus(3600), UnknownFacts::Refused));
    }

    #[test]
    fn a_time_that_the_cursor_has_not_passed_moves_nothing() {
        let plan = RewindPlan::new(Feed::Touches, &progress(NOON.minus(3600)), NOON.minus(60), false, NOON);
        assert_eq!((plan.target, plan.is_refused()), (None, false));
        let orders = RewindPlan::new(Feed::Orders, &progress(NOON), NOON.minus(2 * DAY_SECONDS), false, NOON);
        assert_eq!(orders.target, Some(Day::in_utc(NOON.minus(2 * DAY_SECONDS)).beijing_start()));
        assert_eq!((orders.days, orders.calls_min), (3, 3));
        let open = FeedProgress { cursor: Cursor::begin(Feed::Orders, NOON), ..progress(NOON) };
        let earlier = RewindPlan::new(Feed::Orders, &open, NOON.minus(600), false, NOON);
        assert_eq!(earlier.target, Some(open.cursor.complete_before), "its start moves");
        assert_eq!(earlier.unknown_facts(), UnknownFacts::None);
    }
}
