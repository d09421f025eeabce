//! Which interface a path calls, and what it answers.

use serde_json::{Map, Value};

use super::paths::{CLASSIC_TOKEN, DataPath, QUOTA, STABLE_TOKEN};
use super::reply::Reply;
use super::state::World;
use crate::model::time::UnixMillis;
use crate::simulator::exchange::{SimRequest, SimResponse};

impl World {
    /// Answers one request. Whoever plays the delivery hands the receipt to [`World::delivered`] when the whole
    /// body has gone out; what never arrived was never shown.
    pub fn answer(&mut self, now: UnixMillis, request: &SimRequest) -> SimResponse {
        let body = serde_json::from_slice::<Map<String, Value>>(&request.body);
        if let Some(path) = DataPath::of(&request.path) {
            let (reply, call) = self.data(now, request, body, path);
            return self.deliver(now, path.text(), reply, call);
        }
        let (path, (reply, call)) = match request.path.as_str() {
            QUOTA => (QUOTA, self.quota(now, request, body.unwrap_or_default())),
            STABLE_TOKEN => (STABLE_TOKEN, self.stable_token(now, request, &body.unwrap_or_default())),
            CLASSIC_TOKEN => (CLASSIC_TOKEN, self.classic_token(now, request)),
            _ => {
                let call = self.call_without_app();
                ("other", (Reply::errcode(40066, call, false), call))
            }
        };
        self.deliver(now, path, reply, call)
    }
}
