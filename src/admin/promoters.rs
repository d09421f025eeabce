//! `/api/v1/promoters` and `/api/v1/promoters/{app}/{id}`: who is polled by this instance, and why one is where he is.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};

use super::answer::{RefusalAnswer, json};
use super::causes::{DEAD_LETTERS_NEW, LATE, PARKED, StatusCause, causes};
use super::explanation::{Explanation, FeedFinding, FoundRegistration, ParkedFinding, PromoterFindings, PromoterPlace};
use super::observed::ObservedConnector;
use super::status::quota;
use crate::clock;
use crate::model::feed::{Feed, NoFeed};
use crate::model::promoter::Promoter;
use crate::poll::feed_query::{FeedsFilter, FeedsPage, PolledFeedView};
use crate::poll::freshness::FeedCondition;
use crate::registry::known::KnownPromoter;
use crate::session::PolledApp;
use crate::session::registration_query::{RegistrationQuery, ShardStanding};
use crate::telemetry::pipeline;

/// Feeds of an answer, unless fewer are asked for.
const LIMIT_MAX: usize = 500;

/// Of those that the page shows.
const SHOWN_MAX: usize = 20;

/// Which feeds are asked for. All of them where nothing is said.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PromotersQuery {
    app: Option<String>,
    feed: Option<String>,
    state: Option<String>,
    limit: Option<usize>,
    /// The `next` of the page before.
    after: Option<String>,
}

/// Times are RFC 3339.
#[derive(Debug, Serialize)]
struct PromotersAnswer {
    as_of: String,
    feeds: Vec<FeedAnswer>,
    /// To be given as `after`; absent behind the last page. A page may be empty before it is the last: each looks at a bounded
    /// number of feeds.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

#[derive(Debug, Serialize)]
pub struct FeedAnswer {
    pub promoter: String,
    pub feed: &'static str,
    pub state: &'static str,
    /// Up to when it is read, by polls of this instance that were read to their end.
    pub read_to: Option<String>,
    /// The cursor: all before it is settled.
    pub complete_before: String,
    pub is_polled_now: bool,
    pub promised_seconds: Option<u64>,
}

/// What is asked for can't be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidQuery {
    #[error("app: it is not configured")]
    App,
    #[error("feed: {0}")]
    Feed(#[from] NoFeed),
    #[error("state: write on_time, late, backfilling or parked")]
    State,
    #[error("after: write what an answer gave as next")]
    After,
}

pub async fn promoters(State(observed): State<Arc<ObservedConnector>>, query: Query<PromotersQuery>) -> Response {
    match page(&observed, query.0).await {
        Ok(answer) => json(StatusCode::OK, &answer),
        Err(error) => json(StatusCode::BAD_REQUEST, &RefusalAnswer { error: error.to_string() }),
    }
}

pub async fn explain(
    State(observed): State<Arc<ObservedConnector>>,
    Path((app, id)): Path<(String, String)>,
) -> Response {
    match explanation_of(&observed, &app, &id).await {
        Some(explanation) => json(StatusCode::OK, &explanation),
        None => {
            let error = "the app is not configured, or that is no id of a promoter".to_owned();
            json(StatusCode::NOT_FOUND, &RefusalAnswer { error })
        }
    }
}

/// Nothing where the app is not configured, or `id` can't be a promoter's.
pub async fn explanation_of(observed: &ObservedConnector, app: &str, id: &str) -> Option<Explanation> {
    let app = observed.apps.iter().find(|configured| configured.app.as_str() == app)?;
    let promoter = Promoter::new(&app.app, id).ok()?;
    Some(explanation(observed, app, promoter).await)
}

/// The first few that are parked.
pub async fn parked(observed: &ObservedConnector) -> Vec<FeedAnswer> {
    let query = PromotersQuery {
        state: Some(FeedCondition::Parked.name().to_owned()),
        limit: Some(SHOWN_MAX),
        ..PromotersQuery::default()
    };
    page(observed, query).await.map_or_else(|_| Vec::new(), |answer| answer.feeds)
}

/// # Errors
/// [`InvalidQuery`] where an app, a feed, a state or a place is asked for that there is not.
async fn page(observed: &ObservedConnector, query: PromotersQuery) -> Result<PromotersAnswer, InvalidQuery> {
    let limit = query.limit.unwrap_or(LIMIT_MAX).clamp(1, LIMIT_MAX);
    let filter = FeedsFilter {
        feed: query.feed.map(|name| name.parse::<Feed>()).transpose()?,
        state: query.state.map(|name| FeedCondition::from_name(&name).ok_or(InvalidQuery::State)).transpose()?,
    };
    let (first, from) = query.after.map(|after| place(observed, &after)).transpose()?.unwrap_or((0, 0));
    let is_requested = |app: &PolledApp| query.app.as_ref().is_none_or(|wanted| wanted == app.app.as_str());
    if !observed.apps.iter().any(is_requested) {
        return Err(InvalidQuery::App);
    }
    let mut answer = PromotersAnswer { as_of: clock::now().as_seconds().to_string(), feeds: Vec::new(), next: None };
    for (number, app) in observed.apps.iter().enumerate().skip(first).filter(|(_, app)| is_requested(app)) {
        let from = if number == first { from } else { 0 };
        let left = limit - answer.feeds.len();
        let FeedsPage { feeds, next } = app.reports.polled_feeds(filter, from, left).await.unwrap_or_default();
        answer.feeds.extend(feeds.into_iter().map(|feed| feed_answer(app, feed)));
        // One that is full ends where its app does, too: the next one begins with the next app.
        if let Some(next) = next {
            answer.next = Some(format!("{}/{next}", app.app));
            return Ok(answer);
        }
        if answer.feeds.len() >= limit {
            answer.next = observed.apps.get(number + 1).map(|app| format!("{}/0", app.app));
            return Ok(answer);
        }
    }
    Ok(answer)
}

/// The app and the place in it that an earlier answer has named.
///
/// # Errors
/// [`InvalidQuery::After`] where it names no configured app, or no place.
fn place(observed: &ObservedConnector, after: &str) -> Result<(usize, usize), InvalidQuery> {
    let found = after.split_once('/').and_then(|(app, place)| {
        let number = observed.apps.iter().position(|one| one.app.as_str() == app)?;
        Some((number, place.parse().ok()?))
    });
    found.ok_or(InvalidQuery::After)
}

async fn explanation(observed: &ObservedConnector, app: &PolledApp, promoter: Promoter) -> Explanation {
    let instance = observed.instance.clone();
    let view = observed.registrations.ask(|reply| RegistrationQuery { promoter: promoter.clone(), reply }).await;
    let partition = view.as_ref().map(|view| view.partition);
    let (place, registration) = match view.map(|view| view.standing) {
        None => (PromoterPlace::NoSession(instance), FoundRegistration::Untold),
        Some(ShardStanding::Elsewhere) => (PromoterPlace::Elsewhere(instance), FoundRegistration::Untold),
        Some(ShardStanding::Restoring) => (PromoterPlace::Restoring(instance), FoundRegistration::Untold),
        Some(ShardStanding::Here(None)) => (PromoterPlace::Here(instance), FoundRegistration::Nobody),
        Some(ShardStanding::Here(Some(known))) => (PromoterPlace::Here(instance), FoundRegistration::Known(known)),
    };
    let feeds = feed_findings(app, &promoter, &registration).await;
    let uses = |interface: &str| feeds.iter().any(|finding| finding.feed.interface().name() == interface);
    let is_late = feeds.iter().any(|finding| finding.condition == Some(FeedCondition::Late));
    let concerns = |cause: &StatusCause| {
        let is_of_app = cause.app.as_deref().is_none_or(|named| named == app.app.as_str());
        // These count promoters; of this one it is told anyway, feed by feed. Kinds of dead letters are told of the whole instance.
        let is_his = ![PARKED, DEAD_LETTERS_NEW].contains(&cause.code) && (cause.code != LATE || is_late);
        let is_there = cause.partitions.is_empty() || partition.is_none_or(|own| cause.partitions.contains(&own));
        is_of_app
            && is_his
            && is_there
            && cause.interface.is_none_or(uses)
            && cause.pipeline != Some(pipeline::REQUESTS)
    };
    Explanation::of(PromoterFindings {
        as_of: app.client.local_now().as_seconds(),
        partition,
        place,
        registration,
        causes: causes(observed).into_iter().filter(concerns).collect(),
        calls: quota(app).into_iter().filter(|quota| uses(quota.interface)).collect(),
        feeds,
        promoter,
    })
}

/// What the scheduler knows, and of feeds that are to be polled and that it does not know, that they have not begun.
async fn feed_findings(app: &PolledApp, promoter: &Promoter, registration: &FoundRegistration) -> Vec<FeedFinding> {
    let polled = app.reports.feeds_of(promoter.clone()).await.unwrap_or_default();
    let mut findings: Vec<FeedFinding> = polled.into_iter().map(|view| feed_finding(app, view)).collect();
    if let FoundRegistration::Known(known @ KnownPromoter { paused_by: None, .. }) = registration {
        let wanted = app.feeds.polled_for(promoter.clone(), known.feeds, None).feeds;
        let is_missing = |feed: &Feed| wanted[*feed].is_some() && findings.iter().all(|known| known.feed != *feed);
        let missing: Vec<Feed> = Feed::ALL.into_iter().filter(is_missing).collect();
        findings.extend(missing.into_iter().map(FeedFinding::not_begun));
    }
    findings.sort_by_key(|finding| finding.feed);
    findings
}

fn feed_finding(app: &PolledApp, view: PolledFeedView) -> FeedFinding {
    let PolledFeedView { feed, state, read_to, cursor, is_polled_now, parked, .. } = view;
    let pause = i64::try_from(app.parked_for.as_secs()).unwrap_or(i64::MAX);
    FeedFinding {
        feed,
        condition: Some(state),
        read_to,
        complete_before: Some(cursor),
        is_polled_now,
        promised_seconds: app.feeds.polled[feed].map(|plan| plan.settings.idle_every.as_secs()),
        parked: parked.map(|parked| ParkedFinding { parked, next_try: parked.refused_at().plus(pause) }),
    }
}

fn feed_answer(app: &PolledApp, view: PolledFeedView) -> FeedAnswer {
    let PolledFeedView { promoter, feed, state, read_to, cursor, is_polled_now, .. } = view;
    FeedAnswer {
        promoter: promoter.key().to_owned(),
        feed: feed.name(),
        state: state.name(),
        read_to: read_to.map(|time| time.to_string()),
        complete_before: cursor.to_string(),
        is_polled_now,
        promised_seconds: app.feeds.polled[feed].map(|plan| plan.settings.idle_every.as_secs()),
    }
}
