//! The world's own data, and what each of its interfaces needs of it: whose token it is, and the seed of a call.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::call_counts::ServedCalls;
use super::registry;
use crate::model::duration::milliseconds;
use crate::model::promoter::{AppId, InvalidId};
use crate::model::time::{UnixMillis, UnixTime};
use crate::simulator::exchange::SimRequest;
use crate::simulator::facts::promoter::SimPromoter;
use crate::simulator::obstacles::faults::Faults;
use crate::simulator::obstacles::limits::Limits;
use crate::simulator::obstacles::tokens::{Tokens, Worth};
use crate::simulator::options::{Ids, WorldOptions};
use crate::simulator::pages::page::Paging;
use crate::simulator::seed::Seed;

pub(super) struct App {
    pub id: AppId,
    pub seed: Seed,
    pub tokens: Tokens,
    pub promoters: Vec<SimPromoter>,
    /// Calls that belong to no promoter.
    calls: u64,
}

/// Pure with respect to time and transport: no clock, no I/O. The same seed, and the same requests at the same
/// times, give the same answers.
pub struct World {
    pub(super) apps: Vec<App>,
    pub(super) paging: Paging,
    pub(super) calls: ServedCalls,
    pub(super) quiet_at: Option<UnixMillis>,
    /// From here on no fact is made and none becomes visible.
    pub(super) still_at: Option<UnixMillis>,
    pub(super) secret: String,
    pub(super) ids: Ids,
    pub(super) faults: Faults,
    pub(super) limits: Limits,
    /// Share of the calls in which all rows stand in another order.
    pub(super) restless: f64,
    start: UnixMillis,
    /// Milliseconds that an answer takes.
    pub(super) latency: RangeInclusive<u64>,
    pub(super) clock_skew_millis: i64,
    /// For calls that belong to no app.
    seed: Seed,
    calls_without_app: u64,
}

impl World {
    /// # Errors
    /// When an app id can't be one.
    pub fn new(options: &WorldOptions, start: UnixMillis) -> Result<World, InvalidId> {
        let seed = Seed::new(options.seed);
        let millis = |duration: Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        let quiet_at = options.quiet_after.map(|quiet| start.plus(quiet));
        let promoters_total = u64::from(options.promoters) * options.apps.len() as u64;
        let facts_max = usize::try_from(options.facts_max / promoters_total.max(1)).unwrap_or(usize::MAX);
        let app = |id: &String| {
            let seed = seed.text(id);
            let promoter = |number| {
                let id = registry::promoter_id(options.ids, number);
                let seed = seed.text(&id);
                SimPromoter::new(id, seed, options, start.as_seconds(), facts_max)
            };
            Ok(App {
                id: AppId::new(id)?,
                seed,
                tokens: Tokens::new(seed, options.token_life),
                promoters: (1..=options.promoters).map(promoter).collect(),
                calls: 0,
            })
        };
        Ok(World {
            apps: options.apps.iter().map(app).collect::<Result<_, InvalidId>>()?,
            paging: Paging::new(options),
            calls: ServedCalls::default(),
            quiet_at,
            still_at: None,
            secret: options.secret.clone(),
            ids: options.ids,
            faults: Faults::new(options.faults, &options.fault, seed, millis(options.spell), quiet_at),
            limits: Limits::new(options.per_minute, options.per_day),
            restless: options.restless,
            start,
            latency: milliseconds(options.latency_min)..=milliseconds(options.latency.max(options.latency_min)),
            clock_skew_millis: i64::try_from(options.clock_skew.as_millis()).unwrap_or(0),
            seed,
            calls_without_app: 0,
        })
    }

    /// The time the world began with.
    pub fn start(&self) -> UnixMillis {
        self.start
    }

    /// The ids of the promoters of every app that have facts.
    #[cfg(any(test, debug_assertions, feature = "testing"))]
    pub fn promoter_ids(&self) -> Vec<String> {
        self.apps
            .first()
            .map(|app| app.promoters.iter().map(|promoter| promoter.id.clone()).collect())
            .unwrap_or_default()
    }

    /// The ids of the promoters of the first app to whom most happens, the liveliest first.
    pub fn liveliest(&self, count: usize) -> Vec<String> {
        let mut promoters: Vec<&SimPromoter> =
            self.apps.first().map_or(Vec::new(), |app| app.promoters.iter().collect());
        promoters.sort_by(|one, other| other.pace().total_cmp(&one.pace()));
        promoters.into_iter().take(count).map(|promoter| promoter.id.clone()).collect()
    }

    /// From now on nothing new appears and nothing goes wrong; what is visible goes on being shown.
    pub fn stand_still(&mut self, now: UnixMillis) {
        self.still_at.get_or_insert(now);
        self.faults.end(now);
    }

    /// Up to when facts are made and become visible.
    pub(super) fn facts_until(&self, now: UnixMillis) -> UnixTime {
        self.still_at.map_or(now, |still_at| still_at.min(now)).as_seconds()
    }

    /// Whose token a request bears.
    ///
    /// # Errors
    /// The errcode of a token that is missing, has expired, or is nobody's.
    pub(super) fn app_of_token(&self, now: UnixMillis, request: &SimRequest) -> Result<usize, i64> {
        let token = request.parameter("access_token").filter(|token| !token.is_empty()).ok_or(41001)?;
        let now = now.as_seconds();
        let worths = self.apps.iter().map(|app| app.tokens.worth(now, token));
        match worths.enumerate().find(|(_, worth)| *worth != Worth::Unknown) {
            Some((app, Worth::Good)) => Ok(app),
            Some(_) => Err(42001),
            None => Err(40001),
        }
    }

    /// The seed of one call: of its promoter where there is one, so that other promoters' calls change nothing.
    pub(super) fn call(&mut self, app: Option<usize>, promoter: Option<usize>) -> Seed {
        let Some(app) = app.map(|app| &mut self.apps[app]) else {
            return self.call_without_app();
        };
        match promoter.and_then(|promoter| app.promoters.get_mut(promoter)) {
            Some(promoter) => {
                promoter.calls += 1;
                promoter.seed.text("call").number(promoter.calls)
            }
            None => {
                app.calls += 1;
                app.seed.text("call").number(app.calls)
            }
        }
    }

    pub(super) fn call_without_app(&mut self) -> Seed {
        self.calls_without_app += 1;
        self.seed.text("stranger").number(self.calls_without_app)
    }
}
