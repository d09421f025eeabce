//! Whether another process lives under this instance's name.
//!
//! A member of the group can be fenced by its own past: when the answer to its joining is lost with a broker, the
//! group keeps a member of its name that nobody is. That one sends no heartbeats and is gone after a session's time-out;
//! another process under the same name stays. The two look the same in the error, so the group is watched for a while.

use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer;

use super::group_members::GroupMembers;
use super::timeouts;
use crate::kafka::client::context::LogContext;
use crate::kafka::client::settings::Settings;
use crate::kafka::client::supplied::LoggedConsumer;

const LOOK_EVERY: Duration = Duration::from_millis(250);
const CALL_TIMEOUT: Duration = Duration::from_secs(5);
/// How much longer than two sessions a duplicate is watched: a group that moved to another broker begins them anew.
const MARGIN: Duration = Duration::from_secs(5);

/// Blocks until `group` has no member of this instance's name (false), or has had one for longer than any that sends
/// no heartbeats (true). A group that can't be looked at counts as having none: the next joining will tell.
pub fn is_running(settings: &Settings, group: &str, stop: impl Fn() -> bool) -> bool {
    let Ok(client) = settings.plain_config().create_with_context(LogContext::default()) else { return false };
    let client: LoggedConsumer = client;
    let deadline = Instant::now() + 2 * timeouts::session(settings, group) + MARGIN;
    let mut found = Ok(true);
    while !stop() && Instant::now() < deadline {
        found =
            GroupMembers::fetch(client.client(), group, CALL_TIMEOUT).map(|members| members.has(&settings.instance_id));
        if let Ok(false) = found {
            return false;
        }
        std::thread::sleep(LOOK_EVERY);
    }
    !stop() && found.unwrap_or(false)
}
