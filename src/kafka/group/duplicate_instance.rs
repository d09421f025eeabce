//! Whether another process lives under this instance's name.
//!
//! A member of the group can be fenced by its own past: when the answer to its joining is lost with a broker, the
//! group keeps a member of its name that nobody is. That one sends no heartbeats and is gone after a session's time-out;
//! another process under the same name stays. The two look the same in the error, so the group is watched for a while.

use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaResult;

use crate::kafka::client::context::LogContext;
use crate::kafka::client::settings::Settings;
use crate::kafka::client::supplied::LoggedConsumer;

const LOOK_EVERY: Duration = Duration::from_millis(250);
const CALL_TIMEOUT: Duration = Duration::from_secs(5);
/// librdkafka's `session.timeout.ms`, should it not be readable.
const SESSION_DEFAULT: Duration = Duration::from_secs(45);
/// How much longer than two sessions a duplicate is watched: a group that moved to another broker begins them anew.
const MARGIN: Duration = Duration::from_secs(5);
/// Ends the member id that the group makes of an instance's name: a dash and a UUID.
const SUFFIX_BYTES: usize = 37;

/// Blocks until `group` has no member of this instance's name (false), or has had one for longer than any that sends
/// no heartbeats (true). A group that can't be looked at counts as having none: the next joining will tell.
pub fn lives(settings: &Settings, group: &str, stop: impl Fn() -> bool) -> bool {
    let Ok(client) = settings.plain_config().create_with_context(LogContext::default()) else { return false };
    let client: LoggedConsumer = client;
    let deadline = Instant::now() + 2 * session_timeout(settings, group) + MARGIN;
    let mut found = Ok(true);
    while !stop() && Instant::now() < deadline {
        found = is_member(&client, settings, group);
        if let Ok(false) = found {
            return false;
        }
        std::thread::sleep(LOOK_EVERY);
    }
    !stop() && found.unwrap_or(false)
}

fn is_member(client: &BaseConsumer<LogContext>, settings: &Settings, group: &str) -> KafkaResult<bool> {
    let groups = client.client().fetch_group_list(Some(group), CALL_TIMEOUT)?;
    let mut members = groups.groups().iter().flat_map(|group| group.members());
    Ok(members.any(|member| instance_of(member.id()) == Some(&settings.instance_id)))
}

fn instance_of(member_id: &str) -> Option<&str> {
    member_id.get(..member_id.len().checked_sub(SUFFIX_BYTES)?)
}

fn session_timeout(settings: &Settings, group: &str) -> Duration {
    let config = settings.member_config(group);
    let milliseconds = config.get("session.timeout.ms").and_then(|text| text.parse().ok());
    milliseconds.map_or(SESSION_DEFAULT, Duration::from_millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instance_is_told_from_one_whose_name_begins_alike() {
        let uuid = "0f8fad5b-d9cb-469f-a165-70867728950e";
        assert_eq!(instance_of(&format!("one-{uuid}")), Some("one"));
        assert_eq!(instance_of(&format!("one-2-{uuid}")), Some("one-2"));
        assert_eq!(instance_of("one"), None);
    }
}
