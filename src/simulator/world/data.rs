//! The `/promoter/` interfaces: what stands before the data of a call, and the data.

use serde_json::{Map, Value};

use super::paths::DataPath;
use super::registry;
use super::reply::Reply;
use super::state::World;
use crate::model::time::UnixMillis;
use crate::simulator::exchange::SimRequest;
use crate::simulator::facts::promoter::SimPromoter;
use crate::simulator::obstacles::faults::InjectedFault;
use crate::simulator::obstacles::limits::Excess;
use crate::simulator::options::Ids;
use crate::simulator::pages::data_request::DataRequest;
use crate::simulator::pages::page::{Page, PageFaults, Receipt};
use crate::simulator::seed::Seed;
use crate::upstream::transport::Method;

/// Faults of the transport, in the order in which they are tried.
const TRANSPORT: [InjectedFault; 8] = [
    InjectedFault::Hang,
    InjectedFault::Reset,
    InjectedFault::Error500,
    InjectedFault::Error502,
    InjectedFault::TooManyRequests,
    InjectedFault::EmptyBody,
    InjectedFault::HtmlBody,
    InjectedFault::ForeignJson,
];

/// A data call that has passed all that stands before its data.
struct Admitted {
    app: usize,
    call: Seed,
}

impl World {
    /// A call of one of the `/promoter/` interfaces.
    pub(super) fn data(
        &mut self,
        now: UnixMillis,
        request: &SimRequest,
        body: serde_json::Result<Map<String, Value>>,
        path: DataPath,
    ) -> (Reply, Seed) {
        let app = self.app_of_token(now, request);
        let id = body.as_ref().ok().and_then(|body| body.get("openid")).and_then(Value::as_str).unwrap_or_default();
        let promoter = registry::promoter_index(self.ids, id);
        let call = self.call(app.as_ref().ok().copied(), promoter);
        let admitted = match self.admit(now, request, app, call, path.text()) {
            Ok(app) => Admitted { app, call },
            Err(reply) => return (*reply, call),
        };
        let text = self.faults.strikes(InjectedFault::ErrcodeText, now, call);
        let answer = match body {
            Err(_) => Err(47001),
            Ok(body) => match path {
                DataPath::Rows(call) => self.page(now, &admitted, promoter, &DataRequest::read(call, &body)),
                DataPath::Material => self.material(now, &admitted, promoter, &body),
                DataPath::Promoter => self.registered(now, &admitted, &body),
            },
        };
        (answer.unwrap_or_else(|code| Reply::errcode(code, call, text)), call)
    }

    /// Everything that stands before the data: the transport, the token, the app's state, its limits.
    ///
    /// # Errors
    /// The reply that is given in place of the data.
    fn admit(
        &mut self,
        now: UnixMillis,
        request: &SimRequest,
        app: Result<usize, i64>,
        call: Seed,
        path: &'static str,
    ) -> Result<usize, Box<Reply>> {
        let strikes = |fault: &InjectedFault| self.faults.strikes(*fault, now, call);
        if let Some(fault) = TRANSPORT.into_iter().find(|fault| strikes(fault)) {
            return Err(Box::new(Reply::fault(fault, call)));
        }
        let text = strikes(&InjectedFault::ErrcodeText);
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
        if strikes(&InjectedFault::TokenRevoked) {
            self.apps[app].tokens.revoke(now.as_seconds());
            return refuse(40001);
        }
        if strikes(&InjectedFault::TokenRejected) {
            return refuse(pick(&[40001, 40014, 42001]));
        }
        let name = self.apps[app].id.as_str();
        if self.faults.holds(InjectedFault::Banned, now, name) {
            return refuse(if self.apps[app].seed.text("ban").chance(0.5) { 48001 } else { 50002 });
        }
        if self.faults.holds(InjectedFault::Quota, now, &format!("{name}{path}")) {
            return refuse(45009);
        }
        let too_fast = self.faults.holds(InjectedFault::TooFast, now, &format!("{name}{path}"));
        match self.limits.admit(now.as_seconds(), app, path) {
            Err(Excess::InDay) => return refuse(45009),
            Err(Excess::InMinute) => return refuse(45011),
            Ok(()) if too_fast => return refuse(45011),
            Ok(()) => {}
        }
        if strikes(&InjectedFault::Busy) {
            return refuse(-1);
        }
        if strikes(&InjectedFault::TryLater) {
            return refuse(pick(&[103_009, 103_011, 103_012, 103_013]));
        }
        if strikes(&InjectedFault::Unforeseen) {
            return refuse(pick(&[9_300_001, 61_007, -605]));
        }
        Ok(app)
    }

    fn page(
        &mut self,
        now: UnixMillis,
        Admitted { app, call }: &Admitted,
        index: Option<usize>,
        request: &DataRequest,
    ) -> Result<Reply, i64> {
        if request.promoter_id.is_empty() {
            return Err(40003);
        }
        let index = self.known(now, *app, index, request.union_ids)?;
        let subject = format!("{}/{}", self.apps[*app].id, request.promoter_id);
        let strikes = |fault| self.faults.strikes(fault, now, *call);
        if strikes(InjectedFault::ListObject) {
            return Ok(Reply::fault(InjectedFault::ListObject, *call));
        }
        if request.start_id.is_none() && strikes(InjectedFault::RowsMissing) {
            return Ok(Reply::fault(InjectedFault::RowsMissing, *call));
        }
        let page_faults = PageFaults {
            repeats_start_id: strikes(InjectedFault::RepeatingStartId),
            hides_start_id: strikes(InjectedFault::MissingStartId),
            endless: self.faults.holds(InjectedFault::Endless, now, &subject),
            errcode_text: strikes(InjectedFault::ErrcodeText),
            restless: !self.faults.quiet(now) && call.text("order").chance(self.restless),
        };
        let seconds = self.facts_until(now);
        let promoter = &mut self.apps[*app].promoters[index];
        promoter.advance(seconds);
        let seconds = u32::try_from(seconds.0).unwrap_or(u32::MAX);
        match self.paging.page(promoter, request, seconds, *call, page_faults) {
            Page::NoData => Err(103_006),
            Page::BadStartId => Err(40097),
            Page::Rows { body, rows } => {
                let refunds_only = request.refunds_only();
                let receipt = Receipt { app: *app, promoter: index, refunds_only, answered_at: seconds, rows };
                Ok(Reply { receipt, ..Reply::success(body) })
            }
        }
    }

    /// The promoter's index, unless it is unknown, asked for by the wrong kind of id, or parked.
    ///
    /// # Errors
    /// The errcode of one who is none of these.
    fn known(&self, now: UnixMillis, app: usize, index: Option<usize>, union_ids: bool) -> Result<usize, i64> {
        let right_ids = union_ids == (self.ids == Ids::Unionid);
        let index = index.filter(|index| right_ids && *index < self.apps[app].promoters.len()).ok_or(103_014)?;
        let promoter = &self.apps[app].promoters[index];
        if self.faults.holds(InjectedFault::Parked, now, &format!("{}/{}", self.apps[app].id, promoter.id)) {
            let codes = [103_014, 103_007, 40003];
            return Err(codes[(promoter.seed.text("parked").bits() % 3) as usize]);
        }
        Ok(index)
    }

    fn material(
        &mut self,
        now: UnixMillis,
        Admitted { app, .. }: &Admitted,
        index: Option<usize>,
        body: &Map<String, Value>,
    ) -> Result<Reply, i64> {
        // The interface has no need_unionid: it takes either id. Without authorisation there is no data.
        let index = self.known(now, *app, index, self.ids == Ids::Unionid).map_err(|_| 103_006)?;
        let seconds = self.facts_until(now);
        let promoter = &mut self.apps[*app].promoters[index];
        let (answer, material) = super::material::material(body, promoter.seed)?;
        promoter.share(material, seconds);
        Ok(Reply::success(answer.to_string()))
    }

    fn registered(
        &self,
        now: UnixMillis,
        Admitted { app, call }: &Admitted,
        body: &Map<String, Value>,
    ) -> Result<Reply, i64> {
        let is_first = !body.contains_key("start_id");
        let faults = [(InjectedFault::ListObject, true), (InjectedFault::RowsMissing, is_first)];
        let struck = faults.into_iter().find(|(fault, may_be)| *may_be && self.faults.strikes(*fault, now, *call));
        if let Some((fault, _)) = struck {
            return Ok(Reply::fault(fault, *call));
        }
        let seconds = u32::try_from(now.as_seconds().0).unwrap_or(u32::MAX);
        let merchant = |promoter: &SimPromoter| self.paging.merchant(promoter, seconds);
        let page = registry::page(&self.apps[*app].promoters, self.ids, body, merchant).ok_or(103_006)?;
        Ok(Reply::success(page.to_string()))
    }
}
