//! The `/cgi-bin/` interfaces: tokens for credentials, and what is left of the quota.

use serde_json::{Map, Value, json};

use super::reply::Reply;
use super::state::World;
use crate::model::time::{UnixMillis, UnixTime};
use crate::simulator::exchange::SimRequest;
use crate::simulator::obstacles::faults::InjectedFault;
use crate::simulator::obstacles::tokens::{Granted, Tokens};
use crate::simulator::seed::Seed;
use crate::upstream::transport::Method;

impl World {
    pub(super) fn quota(&mut self, now: UnixMillis, request: &SimRequest, body: Map<String, Value>) -> (Reply, Seed) {
        let app = self.app_of_token(now, request);
        let call = self.call(app.as_ref().ok().copied(), None);
        let app = match app {
            Ok(app) => app,
            Err(code) => return (Reply::errcode(code, call, false), call),
        };
        let path = body.get("cgi_path").and_then(Value::as_str).unwrap_or_default();
        let spent = self.faults.holds(InjectedFault::Quota, now, &format!("{}{path}", self.apps[app].id));
        let limit = self.limits.per_day();
        let used = if spent { limit } else { self.limits.used_today(now.as_seconds(), app, path) };
        let quota = json!({
            "errcode": 0,
            "errmsg": "ok",
            "quota": {"daily_limit": limit, "used": used, "remain": limit - used},
            "rate_limit": {"call_count": self.limits.per_minute(), "refresh_second": 60},
        });
        (Reply::success(quota.to_string()), call)
    }

    pub(super) fn stable_token(
        &mut self,
        now: UnixMillis,
        request: &SimRequest,
        body: &Map<String, Value>,
    ) -> (Reply, Seed) {
        let text = |name: &str| body.get(name).and_then(Value::as_str).unwrap_or_default();
        let force = body.get("force_refresh").and_then(Value::as_bool).unwrap_or(false);
        let grant = move |tokens: &mut Tokens, now| tokens.stable(now, force);
        if request.method != Method::Post {
            let call = self.call_without_app();
            return (Reply::errcode(43002, call, false), call);
        }
        self.token(now, text("grant_type"), text("appid"), text("secret"), 40125, grant)
    }

    pub(super) fn classic_token(&mut self, now: UnixMillis, request: &SimRequest) -> (Reply, Seed) {
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
        if self.faults.strikes(InjectedFault::TokenError, now, call) {
            let faults = [
                InjectedFault::Busy,
                InjectedFault::Error500,
                InjectedFault::Reset,
                InjectedFault::EmptyBody,
                InjectedFault::Hang,
            ];
            return match faults[(call.text("token").bits() % 5) as usize] {
                InjectedFault::Busy => (Reply::errcode(-1, call, false), call),
                fault => (Reply::fault(fault, call), call),
            };
        }
        let refusal = match app {
            _ if grant_type != "client_credential" => Some(40002),
            _ if app_id.is_empty() => Some(41002),
            None => Some(40013),
            Some(_) if secret.is_empty() => Some(41004),
            Some(_) if secret != self.secret => Some(wrong_secret),
            Some(_) if self.faults.holds(InjectedFault::Credentials, now, app_id) => Some(40125),
            Some(_) if self.faults.holds(InjectedFault::AddressRefused, now, app_id) => Some(40164),
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
}
