//! Which interface a path calls, and what it answers.

use serde_json::{Map, Value};

use super::paths::{CLASSIC_TOKEN, COUNTED, MATERIAL, ORDER, PROMOTER, QUOTA, RELATION, STABLE_TOKEN};
use super::reply::Reply;
use super::state::World;
use crate::model::time::UnixMillis;
use crate::simulator::exchange::{SimRequest, SimResponse};

impl World {
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
                let call = self.call_without_app();
                (Reply::errcode(40066, call, false), call)
            }
        };
        self.deliver(now, path.unwrap_or("other"), reply, call)
    }
}
