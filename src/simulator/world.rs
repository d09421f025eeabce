//! The seeded world: it answers what the upstream would answer at a given time, and remembers what it showed.

use std::time::Duration;

use rand::RngExt;
use serde_json::{Map, Value, json};

use crate::domain::promoter::{AppId, InvalidId};
use crate::domain::time::{UnixMillis, UnixTime};
use crate::wechat::transport::Method;

use super::exchange::{Delivery, SimRequest, SimResponse};
use super::faults::{Fault, Faults};
use super::limits::{DAILY_LIMIT, Limits};
use super::options::{Ids, Options};
use super::pages::{Page, Paging, Receipt, Twist};
use super::promoters::SimPromoter;
use super::question::{DataCall, Question};
use super::registry;
use super::reply::{PLAIN, Reply};
use super::rows::RowRef;
use super::seed::Seed;
use super::stats::Stats;
use super::tokens::{Granted, Tokens, Worth};

pub(super) struct App {
    pub id: AppId,
    seed: Seed,
    tokens: Tokens,
    pub promoters: Vec<SimPromoter>,
    /// Calls that belong to no promoter.
    calls: u64,
}

/// Pure with respect to time and transport: no clock, no I/O. The same seed, and the same questions at the same
/// times, give the same answers.
pub struct World {
    pub(super) apps: Vec<App>,
    pub(super) paging: Paging,
    pub(super) stats: Stats,
    pub(super) quiet_at: Option<UnixMillis>,
    secret: String,
    ids: Ids,
    faults: Faults,
    limits: Limits,
    start: UnixMillis,
    latency: Duration,
    clock_skew_millis: i64,
    /// For calls that belong to no app.
    seed: Seed,
    strangers: u64,
}

/// The paths that are counted by name.
const RELATION: &str = "/promoter/getrelation";
const ORDER: &str = "/promoter/getorder";
const MATERIAL: &str = "/promoter/getsharematerial";
const PROMOTER: &str = "/promoter/getpromoter";
const STABLE_TOKEN: &str = "/cgi-bin/stable_token";
const CLASSIC_TOKEN: &str = "/cgi-bin/token";
const QUOTA: &str = "/cgi-bin/openapi/quota/get";
const COUNTED: [&str; 7] = [RELATION, ORDER, MATERIAL, PROMOTER, STABLE_TOKEN, CLASSIC_TOKEN, QUOTA];

/// Faults of the transport, in the order in which they are tried.
const TRANSPORT: [Fault; 7] = [
    Fault::Hang,
    Fault::Reset,
    Fault::Error500,
    Fault::Error502,
    Fault::TooManyRequests,
    Fault::EmptyBody,
    Fault::HtmlBody,
];

/// A data call that has passed all that stands before its data.
struct Admitted {
    app: usize,
    call: Seed,
}

impl World {
    /// # Errors
    /// When an app id can't be one.
    pub fn new(options: &Options, start: UnixMillis) -> Result<World, InvalidId> {
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
            secret: options.secret.clone(),
            ids: options.ids,
            faults: Faults::new(options.faults, &options.fault, seed, millis(options.spell), quiet_at),
            limits: Limits::new(options.per_minute),
            start,
            latency: options.latency,
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
        let slow = if strikes(Fault::Slow) { rng.random_range(1000..5000) } else { 0 };
        let latency = u64::try_from(self.latency.as_millis()).unwrap_or(u64::MAX);
        let after = Duration::from_millis(slow + rng.random_range(0..=latency));
        let cut = reply.status == 200 && reply.body.len() > 1 && strikes(Fault::Truncated);
        let delivery = match reply.played {
            Some(Fault::Hang) => Delivery::Hang,
            Some(_) => Delivery::Reset,
            None if cut => Delivery::Truncated(rng.random_range(0..reply.body.len())),
            None => Delivery::Whole,
        };
        let content_type = if strikes(Fault::TextPlain) { PLAIN } else { reply.content_type };
        let outcome = if cut && reply.played.is_none() { Fault::Truncated.name() } else { reply.outcome };
        self.stats.count(path, outcome);
        SimResponse {
            status: reply.status,
            content_type,
            date: UnixMillis(now.0.saturating_add(self.clock_skew_millis)).as_seconds(),
            retry_after: reply.retry_after,
            body: reply.body,
            after,
            delivery,
            receipt: if delivery == Delivery::Whole { reply.receipt } else { Receipt::default() },
        }
    }

    /// A call of one of the `/promoter/` interfaces.
    fn data(
        &mut self,
        now: UnixMillis,
        request: &SimRequest,
        body: serde_json::Result<Map<String, Value>>,
        path: &'static str,
    ) -> (Reply, Seed) {
        let app = self.app_of_token(now, request);
        let id = body.as_ref().ok().and_then(|body| body.get("openid")).and_then(Value::as_str).unwrap_or_default();
        let promoter = registry::promoter_index(self.ids, id);
        let call = self.call(app.as_ref().ok().copied(), promoter);
        let admitted = match self.admit(now, request, app, call, path) {
            Ok(app) => Admitted { app, call },
            Err(reply) => return (*reply, call),
        };
        let text = self.faults.strikes(Fault::ErrcodeText, now, call);
        let answer = match body {
            Err(_) => Err(47001),
            Ok(body) => match path {
                RELATION => self.page(now, &admitted, promoter, &Question::read(DataCall::Relation, &body)),
                ORDER => self.page(now, &admitted, promoter, &Question::read(DataCall::Order, &body)),
                MATERIAL => self.material(now, &admitted, promoter, &body),
                _ => self.registered(now, &admitted, &body),
            },
        };
        (answer.unwrap_or_else(|code| Reply::errcode(code, call, text)), call)
    }

    /// Everything that stands before the data: the transport, the token, the app's state, its limits.
    fn admit(
        &mut self,
        now: UnixMillis,
        request: &SimRequest,
        app: Result<usize, i64>,
        call: Seed,
        path: &'static str,
    ) -> Result<usize, Box<Reply>> {
        let strikes = |fault: &Fault| self.faults.strikes(*fault, now, call);
        if let Some(fault) = TRANSPORT.into_iter().find(|fault| strikes(fault)) {
            return Err(Box::new(Reply::fault(fault, call)));
        }
        let text = strikes(&Fault::ErrcodeText);
        let refuse = |code| Err(Box::new(Reply::errcode(code, call, text)));
        if request.method != Method::Post {
            return refuse(43002);
        }
        if request.body.is_empty() {
            return refuse(44002);
        }
        let app = match app {
            Ok(app) => app,
            Err(code) => return refuse(code),
        };
        let pick = |codes: &[i64]| codes[(call.text("code").bits() % codes.len() as u64) as usize];
        if strikes(&Fault::TokenRevoked) {
            self.apps[app].tokens.revoke(now.as_seconds());
            return refuse(40001);
        }
        if strikes(&Fault::TokenRejected) {
            return refuse(pick(&[40001, 40014, 42001]));
        }
        let name = self.apps[app].id.as_str();
        if self.faults.holds(Fault::Banned, now, name) {
            return refuse(if self.apps[app].seed.text("ban").chance(0.5) { 48001 } else { 50002 });
        }
        if self.faults.holds(Fault::Quota, now, &format!("{name}{path}")) {
            return refuse(45009);
        }
        let too_fast = self.faults.holds(Fault::TooFast, now, &format!("{name}{path}"));
        if !self.limits.admit(now.as_seconds(), app, path) || too_fast {
            return refuse(45011);
        }
        if strikes(&Fault::Busy) {
            return refuse(-1);
        }
        if strikes(&Fault::TryLater) {
            return refuse(pick(&[103_009, 103_011, 103_012, 103_013]));
        }
        if strikes(&Fault::Unforeseen) {
            return refuse(pick(&[9_300_001, 61_007, -605]));
        }
        Ok(app)
    }

    fn page(
        &mut self,
        now: UnixMillis,
        Admitted { app, call }: &Admitted,
        index: Option<usize>,
        question: &Question,
    ) -> Result<Reply, i64> {
        if question.promoter_id.is_empty() {
            return Err(40003);
        }
        let index = self.known(now, *app, index, question.union_ids)?;
        let subject = format!("{}/{}", self.apps[*app].id, question.promoter_id);
        let strikes = |fault| self.faults.strikes(fault, now, *call);
        let twist = Twist {
            repeats_start_id: strikes(Fault::RepeatingStartId),
            hides_start_id: strikes(Fault::MissingStartId),
            endless: self.faults.holds(Fault::Endless, now, &subject),
            errcode_text: strikes(Fault::ErrcodeText),
        };
        let seconds = now.as_seconds();
        let promoter = &mut self.apps[*app].promoters[index];
        promoter.advance(seconds);
        let seconds = u32::try_from(seconds.0).unwrap_or(u32::MAX);
        match self.paging.page(promoter, question, seconds, *call, twist) {
            Page::NoData => Err(103_006),
            Page::BadStartId => Err(40097),
            Page::Rows { body, rows } => {
                let refunds_only = question.refunds_only();
                let receipt = Receipt { app: *app, promoter: index, refunds_only, answered_at: seconds, rows };
                Ok(Reply { receipt, ..Reply::success(body) })
            }
        }
    }

    /// The promoter's index, unless it is unknown, asked for by the wrong kind of id, or parked.
    fn known(&self, now: UnixMillis, app: usize, index: Option<usize>, union_ids: bool) -> Result<usize, i64> {
        let right_ids = union_ids == (self.ids == Ids::Unionid);
        let index = index.filter(|index| right_ids && *index < self.apps[app].promoters.len()).ok_or(103_014)?;
        let promoter = &self.apps[app].promoters[index];
        if self.faults.holds(Fault::Parked, now, &format!("{}/{}", self.apps[app].id, promoter.id)) {
            let codes = [103_014, 103_007, 40003];
            return Err(codes[(promoter.seed.text("parked").bits() % 3) as usize]);
        }
        Ok(index)
    }

    fn material(
        &self,
        now: UnixMillis,
        Admitted { app, .. }: &Admitted,
        index: Option<usize>,
        body: &Map<String, Value>,
    ) -> Result<Reply, i64> {
        // The interface has no need_unionid: it takes either id. Without authorisation there is no data.
        let index = self.known(now, *app, index, self.ids == Ids::Unionid).map_err(|_| 103_006)?;
        let material = super::material::material(body, self.apps[*app].promoters[index].seed)?;
        Ok(Reply::success(material.to_string()))
    }

    fn registered(
        &self,
        now: UnixMillis,
        Admitted { app, .. }: &Admitted,
        body: &Map<String, Value>,
    ) -> Result<Reply, i64> {
        let seconds = u32::try_from(now.as_seconds().0).unwrap_or(u32::MAX);
        let merchant = |promoter: &SimPromoter| self.paging.merchant(promoter, seconds);
        let page = registry::page(&self.apps[*app].promoters, self.ids, body, merchant).ok_or(103_006)?;
        Ok(Reply::success(page.to_string()))
    }

    fn quota(&mut self, now: UnixMillis, request: &SimRequest, body: Map<String, Value>) -> (Reply, Seed) {
        let app = self.app_of_token(now, request);
        let call = self.call(app.as_ref().ok().copied(), None);
        let app = match app {
            Ok(app) => app,
            Err(code) => return (Reply::errcode(code, call, false), call),
        };
        let path = body.get("cgi_path").and_then(Value::as_str).unwrap_or_default();
        let spent = self.faults.holds(Fault::Quota, now, &format!("{}{path}", self.apps[app].id));
        let used =
            if spent { DAILY_LIMIT } else { self.limits.used_today(now.as_seconds(), app, path).min(DAILY_LIMIT) };
        let quota = json!({
            "errcode": 0,
            "errmsg": "ok",
            "quota": {"daily_limit": DAILY_LIMIT, "used": used, "remain": DAILY_LIMIT - used},
            "rate_limit": {"call_count": self.limits.per_minute(), "refresh_second": 60},
        });
        (Reply::success(quota.to_string()), call)
    }

    fn stable_token(&mut self, now: UnixMillis, request: &SimRequest, body: &Map<String, Value>) -> (Reply, Seed) {
        let text = |name: &str| body.get(name).and_then(Value::as_str).unwrap_or_default();
        let force = body.get("force_refresh").and_then(Value::as_bool).unwrap_or(false);
        let grant = move |tokens: &mut Tokens, now| tokens.stable(now, force);
        if request.method != Method::Post {
            let call = self.stranger();
            return (Reply::errcode(43002, call, false), call);
        }
        self.token(now, text("grant_type"), text("appid"), text("secret"), 40125, grant)
    }

    fn classic_token(&mut self, now: UnixMillis, request: &SimRequest) -> (Reply, Seed) {
        let text = |name: &str| request.parameter(name).unwrap_or_default();
        // A wrong secret is answered with 40001 here, unlike at the stable endpoint.
        self.token(now, text("grant_type"), text("appid"), text("secret"), 40001, |tokens, now| tokens.classic(now))
    }

    fn token(
        &mut self,
        now: UnixMillis,
        grant_type: &str,
        app_id: &str,
        secret: &str,
        wrong_secret: i64,
        grant: impl FnOnce(&mut Tokens, UnixTime) -> Option<Granted>,
    ) -> (Reply, Seed) {
        let app = self.apps.iter().position(|app| app.id.as_str() == app_id);
        let call = self.call(app, None);
        if self.faults.strikes(Fault::TokenError, now, call) {
            let faults = [Fault::Busy, Fault::Error500, Fault::Reset, Fault::EmptyBody, Fault::Hang];
            return match faults[(call.text("token").bits() % 5) as usize] {
                Fault::Busy => (Reply::errcode(-1, call, false), call),
                fault => (Reply::fault(fault, call), call),
            };
        }
        let refusal = match app {
            _ if grant_type != "client_credential" => Some(40002),
            _ if app_id.is_empty() => Some(41002),
            None => Some(40013),
            Some(_) if secret.is_empty() => Some(41004),
            Some(_) if secret != self.secret => Some(wrong_secret),
            Some(_) if self.faults.holds(Fault::Credentials, now, app_id) => Some(40125),
            Some(_) if self.faults.holds(Fault::AddressRefused, now, app_id) => Some(40164),
            Some(_) => None,
        };
        let granted = match (refusal, app) {
            (None, Some(app)) => grant(&mut self.apps[app].tokens, now.as_seconds()).ok_or(45009),
            (refusal, _) => Err(refusal.unwrap_or(40013)),
        };
        let reply = match granted {
            Ok(Granted { token, expires_in }) => {
                Reply::success(json!({"access_token": token, "expires_in": expires_in}).to_string())
            }
            Err(code) => Reply::errcode(code, call, false),
        };
        (reply, call)
    }

    fn app_of_token(&self, now: UnixMillis, request: &SimRequest) -> Result<usize, i64> {
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
    fn call(&mut self, app: Option<usize>, promoter: Option<usize>) -> Seed {
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

    fn stranger(&mut self) -> Seed {
        self.strangers += 1;
        self.seed.text("stranger").number(self.strangers)
    }
}
