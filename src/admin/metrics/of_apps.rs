//! Of each app's polls.

use super::catalogue as metric;
use super::samples::Samples;
use crate::admin::observed::ObservedConnector;
use crate::model::disposition::RowCounts;
use crate::model::feed::Feed;
use crate::model::pacing::PollSettings;
use crate::model::time::UnixTime;
use crate::poll::freshness::FeedCondition;
use crate::poll::outcome::PollEnd;
use crate::session::PolledApp;

pub fn add(observed: &ObservedConnector, samples: &mut Samples) {
    for app in observed.apps.iter() {
        let now = app.client.local_now().as_seconds();
        for feed in Feed::ALL {
            add_counts(observed, app, feed, samples);
            if let Some(plan) = app.feeds.polled[feed] {
                add_freshness(app, feed, plan.settings, now, samples);
            }
        }
    }
}

fn add_counts(observed: &ObservedConnector, app: &PolledApp, feed: Feed, samples: &mut Samples) {
    let (app_id, ends) = (app.app.as_str(), app.reports.ends()[feed]);
    for end in PollEnd::ALL {
        samples.count(&metric::POLLS, &[app_id, feed.name(), end.name()], ends[end]);
    }
    let RowCounts { published, dead_lettered, duplicates, behind_cursor, before_start } =
        observed.polls.figures.rows(app_id, feed);
    let fates = [
        ("published", published),
        ("duplicate", duplicates),
        ("behind", behind_cursor),
        ("before_start", before_start),
        ("dead_letter", dead_lettered),
    ];
    for (fate, count) in fates {
        samples.count(&metric::ROWS, &[app_id, feed.name(), fate], count);
    }
}

fn add_freshness(app: &PolledApp, feed: Feed, settings: PollSettings, now: UnixTime, samples: &mut Samples) {
    let labels = [app.app.as_str(), feed.name()];
    let figures = app.reports.freshness(feed, settings.idle_every, now);
    samples.number(&metric::OLDEST_COMPLETE, &labels, figures.oldest.unwrap_or(now).min(now).0 as f64);
    samples.number(&metric::INTERVAL_MAX, &labels, settings.idle_every.as_secs_f64());
    let remaining = figures.backfill_from.map_or(0, |from| now.0.saturating_sub(from.0).max(0));
    samples.number(&metric::BACKFILL_REMAINING, &labels, remaining as f64);
    for state in FeedCondition::ALL {
        samples.count(&metric::PROMOTERS, &[labels[0], labels[1], state.name()], figures.count(state) as u64);
    }
    let paused = app.reports.paused()[feed];
    samples.count(&metric::PROMOTERS, &[labels[0], labels[1], "paused"], paused as u64);
}
