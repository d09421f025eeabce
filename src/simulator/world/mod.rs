//! The seeded world: it answers what the upstream would answer at a given time, and remembers what it showed.

mod credentials;
mod data;
mod material;
mod picture;
mod registry;
mod reply;
pub(in crate::simulator) mod stats;

use std::io::Write;
use std::ops::RangeInclusive;
use std::time::Duration;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use rand::RngExt;
use serde_json::{Map, Value};

use crate::model::promoter::{AppId, InvalidId};
use crate::model::time::{UnixMillis, UnixTime};
use crate::simulator::exchange::{Delivery, SimRequest, SimResponse};
use crate::simulator::facts::promoters::SimPromoter;
use crate::simulator::obstacles::faults::{Faults, InjectedFault};
use crate::simulator::obstacles::limits::Limits;
use crate::simulator::obstacles::tokens::{Tokens, Worth};
use crate::simulator::options::{Ids, WorldOptions};
use crate::simulator::pages::page::{Paging, Receipt};
use crate::simulator::pages::rows::RowRef;
use crate::simulator::seed::Seed;

use reply::{PLAIN, Reply};
use stats::Stats;

pub(in crate::simulator) struct App {
    pub id: AppId,
    pub seed: Seed,
    pub tokens: Tokens,
    pub promoters: Vec<SimPromoter>,
    /// Calls that belong to no promoter.
    calls: u64,
}

/// Pure with respect to time and transport: no clock, no I/O. The same seed, and the same questions at the same
/// times, give the same answers.
pub struct World {
    pub(in crate::simulator) apps: Vec<App>,
    pub(in crate::simulator) paging: Paging,
    pub(in crate::simulator) stats: Stats,
    pub(in crate::simulator) quiet_at: Option<UnixMillis>,
    /// From here on no fact is made and none becomes visible.
    pub(in crate::simulator) still_at: Option<UnixMillis>,
    pub(in crate::simulator) secret: String,
    pub(in crate::simulator) ids: Ids,
    pub(in crate::simulator) faults: Faults,
    pub(in crate::simulator) limits: Limits,
    /// Share of the calls in which all rows stand in another order.
    pub(in crate::simulator) restless: f64,
    start: UnixMillis,
    /// Milliseconds that an answer takes.
    latency: RangeInclusive<u64>,
    clock_skew_millis: i64,
    /// For calls that belong to no app.
    seed: Seed,
    strangers: u64,
}

/// The paths that are counted by name.
pub(in crate::simulator) const RELATION: &str = "/promoter/getrelation";
pub(in crate::simulator) const ORDER: &str = "/promoter/getorder";
pub(in crate::simulator) const MATERIAL: &str = "/promoter/getsharematerial";
const PROMOTER: &str = "/promoter/getpromoter";
const STABLE_TOKEN: &str = "/cgi-bin/stable_token";
const CLASSIC_TOKEN: &str = "/cgi-bin/token";
const QUOTA: &str = "/cgi-bin/openapi/quota/get";
const COUNTED: [&str; 7] = [RELATION, ORDER, MATERIAL, PROMOTER, STABLE_TOKEN, CLASSIC_TOKEN, QUOTA];

fn whole_millis(duration: Duration) -> u64 {
    // The flags allow ten years.
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn packed(body: &[u8]) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(body).and_then(|()| encoder.finish()).expect("writing to memory can't fail").into()
}

impl World {
    /// # Errors
    /// When an app id can't be one.
    pub fn new(options: &WorldOptions, start: UnixMillis) -> Result<World, InvalidId> {
        let seed = Seed::new(options.seed);
        let millis = |duration: Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        let quiet_at = options.quiet_after.map(|quiet| UnixMillis(start.0.saturating_add(millis(quiet))));
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
            stats: Stats::default(),
            quiet_at,
            still_at: None,
            secret: options.secret.clone(),
            ids: options.ids,
            faults: Faults::new(options.faults, &options.fault, seed, millis(options.spell), quiet_at),
            limits: Limits::new(options.per_minute),
            restless: options.restless,
            start,
            latency: whole_millis(options.latency_min)..=whole_millis(options.latency.max(options.latency_min)),
            clock_skew_millis: i64::try_from(options.clock_skew.as_millis()).unwrap_or(0),
            seed,
            strangers: 0,
        })
    }

    /// The time the world began with.
    pub fn start(&self) -> UnixMillis {
        self.start
    }

    /// The ids of the promoters of every app that have facts.
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
    pub(in crate::simulator) fn facts_until(&self, now: UnixMillis) -> UnixTime {
        self.still_at.map_or(now, |still_at| still_at.min(now)).as_seconds()
    }

    /// Answers one request. Whoever plays the delivery hands the receipt to [`World::delivered`] when the whole
    /// body has gone out; what never arrived was never shown.
    pub fn answer(&mut self, now: UnixMillis, request: &SimRequest) -> SimResponse {
        let path = COUNTED.into_iter().find(|path| *path == request.path);
        let body = serde_json::from_slice::<Map<String, Value>>(&request.body);
        let (reply, call) = match path {
            Some(RELATION) => self.data(now, request, body, RELATION),
            Some(ORDER) => self.data(now, request, body, ORDER),
            Some(MATERIAL) => self.data(now, request, body, MATERIAL),
            Some(PROMOTER) => self.data(now, request, body, PROMOTER),
            Some(QUOTA) => self.quota(now, request, body.unwrap_or_default()),
            Some(STABLE_TOKEN) => self.stable_token(now, request, &body.unwrap_or_default()),
            Some(CLASSIC_TOKEN) => self.classic_token(now, request),
            _ => {
                let call = self.stranger();
                (Reply::errcode(40066, call, false), call)
            }
        };
        self.deliver(now, path.unwrap_or("other"), reply, call)
    }

    /// Marks what a page showed.
    pub fn delivered(&mut self, receipt: Receipt) {
        let Some(promoter) = self.apps.get_mut(receipt.app).and_then(|app| app.promoters.get_mut(receipt.promoter))
        else {
            return;
        };
        let now = receipt.answered_at;
        for row in receipt.rows {
            match row {
                RowRef::Touch(index) => promoter.touches[index].shown.mark(now),
                RowRef::Paid(order) => promoter.orders[order].shown.mark(now),
                RowRef::Refunded { refund, .. } if receipt.refunds_only => {
                    promoter.refunds[refund].shown_by_refunds.mark(now);
                }
                RowRef::Refunded { order, refund } => {
                    promoter.orders[order].shown.mark(now);
                    promoter.refunds[refund].shown_by_orders.mark(now);
                }
            }
        }
    }

    fn deliver(&mut self, now: UnixMillis, path: &'static str, reply: Reply, call: Seed) -> SimResponse {
        let mut rng = call.text("delivery").rng();
        let strikes = |fault| self.faults.strikes(fault, now, call);
        let slow = if strikes(InjectedFault::Slow) { rng.random_range(1000..5000) } else { 0 };
        let after = Duration::from_millis(slow + rng.random_range(self.latency.clone()));
        let cut = reply.status == 200 && reply.body.len() > 1 && strikes(InjectedFault::Truncated);
        let content_type = if strikes(InjectedFault::TextPlain) { PLAIN } else { reply.content_type };
        let is_packed = reply.status == 200 && !reply.body.is_empty() && strikes(InjectedFault::Gzip);
        let mut body = reply.body;
        if strikes(InjectedFault::TrailingNul) {
            body = [&body[..], b"\0\0"].concat().into();
        }
        if is_packed {
            body = packed(&body);
        }
        let delivery = match reply.played {
            Some(InjectedFault::Hang) => Delivery::Hang,
            Some(_) => Delivery::Reset,
            None if cut => Delivery::Truncated(rng.random_range(0..body.len())),
            None => Delivery::Whole,
        };
        let outcome = if cut && reply.played.is_none() { InjectedFault::Truncated.name() } else { reply.outcome };
        self.stats.count(path, outcome);
        SimResponse {
            status: reply.status,
            content_type,
            date: UnixMillis(now.0.saturating_add(self.clock_skew_millis)).as_seconds(),
            retry_after: reply.retry_after,
            is_packed,
            body,
            after,
            delivery,
            receipt: if delivery == Delivery::Whole { reply.receipt } else { Receipt::default() },
        }
    }

    pub(in crate::simulator) fn app_of_token(&self, now: UnixMillis, request: &SimRequest) -> Result<usize, i64> {
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
    pub(in crate::simulator) fn call(&mut self, app: Option<usize>, promoter: Option<usize>) -> Seed {
        let Some(app) = app.map(|app| &mut self.apps[app]) else {
            return self.stranger();
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

    pub(in crate::simulator) fn stranger(&mut self) -> Seed {
        self.strangers += 1;
        self.seed.text("stranger").number(self.strangers)
    }
}
