//! Whether the promoters of a feed are late: when they come to be, and when they have ceased to.

use std::time::Duration;

use tokio::time::Instant;

use crate::model::feed::Feed;
use crate::model::promoter::{AppId, Promoter};
use crate::model::time::UnixTime;
use crate::poll::freshness::FreshnessFigures;
use crate::telemetry::pipeline;

/// So long nobody may be late before they are on time again: or one who is late now and then would fill the log.
const ON_TIME_FOR: Duration = Duration::from_secs(60);

/// What was told of a feed of an app.
#[derive(Debug, Default)]
pub struct LateFeed {
    /// Since when it is told that promoters are late.
    told: Option<Instant>,
    /// Since when nobody is, though it is told so.
    on_time_since: Option<Instant>,
}

/// What is to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LateChange {
    Late(FreshnessFigures),
    /// After they were late for so long.
    OnTimeAgain(Duration),
}

impl LateFeed {
    pub fn look(&mut self, figures: &FreshnessFigures, now: Instant) -> Option<LateChange> {
        let Some(told) = self.told else {
            self.told = (figures.late > 0).then_some(now);
            return self.told.map(|_| LateChange::Late(*figures));
        };
        if figures.late > 0 {
            self.on_time_since = None;
            return None;
        }
        // Nobody is polled, as between two sessions: that nobody is late then tells nothing.
        if figures.on_time == 0 {
            *self = LateFeed::default();
            return None;
        }
        let since = *self.on_time_since.get_or_insert(now);
        (now.saturating_duration_since(since) >= ON_TIME_FOR).then(|| {
            *self = LateFeed::default();
            LateChange::OnTimeAgain(since.saturating_duration_since(told))
        })
    }
}

impl LateChange {
    /// `longest` is the promoter whose polls have come to nothing longest, where one is known; `clock` is this host's.
    pub fn tell(self, app: &AppId, feed: Feed, longest: Option<Promoter>, clock: UnixTime) {
        let pipeline = pipeline::POLLS;
        match self {
            LateChange::Late(FreshnessFigures { late, on_time, oldest, .. }) => {
                let worst_age = oldest.map(|oldest| clock.0.saturating_sub(oldest.0).max(0));
                let promoter = longest.map(tracing::field::display);
                tracing::warn!(pipeline, %app, %feed, late, on_time, worst_age, promoter, "promoters are late");
            }
            LateChange::OnTimeAgain(after) => {
                let seconds = after.as_secs();
                tracing::info!(pipeline, %app, %feed, seconds, "promoters on time again");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::captured::Captured;

    fn figures(late: usize, on_time: usize) -> FreshnessFigures {
        FreshnessFigures { late, on_time, oldest: Some(UnixTime(1000)), ..FreshnessFigures::default() }
    }

    /// What is told, look by look, of those that follow each other after so many seconds.
    fn told(looks: &[(u64, FreshnessFigures)]) -> Vec<Option<LateChange>> {
        let (mut feed, mut now) = (LateFeed::default(), Instant::now());
        let mut look = |(after, figures): &(u64, FreshnessFigures)| {
            now += Duration::from_secs(*after);
            feed.look(figures, now)
        };
        looks.iter().map(&mut look).collect()
    }

    #[test]
    fn that_promoters_are_late_is_told_once_and_that_they_are_on_time_once_they_are_for_a_minute() {
        let late = Some(LateChange::Late(figures(1, 9)));
        let looks =
            [(0, figures(0, 10)), (5, figures(1, 9)), (5, figures(4, 6)), (5, figures(0, 10)), (59, figures(1, 9))];
        assert_eq!(told(&looks), [None, late, None, None, None]);
        let looks = [(0, figures(1, 9)), (30, figures(0, 10)), (60, figures(0, 10)), (5, figures(1, 9))];
        let again = Some(LateChange::OnTimeAgain(Duration::from_secs(30)));
        assert_eq!(told(&looks), [late, None, again, late]);
    }

    #[test]
    fn where_nobody_is_polled_nobody_is_on_time_again() {
        let late = Some(LateChange::Late(figures(1, 9)));
        let looks =
            [(0, figures(1, 9)), (5, figures(0, 0)), (60, figures(0, 0)), (5, figures(0, 10)), (60, figures(1, 9))];
        assert_eq!(told(&looks), [late, None, None, None, late]);
    }

    #[test]
    fn a_line_tells_of_whom_how_many_and_how_long() {
        let (captured, app) = (Captured::start(), AppId::new("wx1").unwrap());
        let longest = Promoter::from_key("wx1/o1").unwrap();
        LateChange::Late(figures(1, 9)).tell(&app, Feed::Orders, Some(longest), UnixTime(1090));
        LateChange::OnTimeAgain(Duration::from_secs(30)).tell(&app, Feed::Orders, None, UnixTime(1090));
        let late = &captured.events("promoters are late")[0];
        assert_eq!((&late["level"], &late["pipeline"], &late["app"]), (&"WARN".into(), &"polls".into(), &"wx1".into()));
        assert_eq!((&late["feed"], &late["promoter"]), (&"orders".into(), &"wx1/o1".into()));
        assert_eq!((&late["late"], &late["on_time"], &late["worst_age"]), (&1.into(), &9.into(), &90.into()));
        let again = &captured.events("promoters on time again")[0];
        assert_eq!((&again["level"], &again["seconds"]), (&"INFO".into(), &30.into()));
    }
}
