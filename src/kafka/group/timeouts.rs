//! How long the group waits for a member, by the settings.

use std::time::Duration;

use crate::kafka::client::settings::Settings;
use crate::kafka::client::supplied::ClientSetup;

/// librdkafka's `session.timeout.ms`, should it not be readable.
const SESSION_DEFAULT: Duration = Duration::from_secs(45);
/// librdkafka's `max.poll.interval.ms`, which is what a group is told to wait for its members at a rebalance.
const REBALANCE_DEFAULT: Duration = Duration::from_secs(300);

/// How long a member may be silent.
pub fn session(settings: &Settings, group: &str) -> Duration {
    milliseconds(&settings.member_config(group), "session.timeout.ms").unwrap_or(SESSION_DEFAULT)
}

/// Whether a group may rebalance without a member that stays in it.
///
/// While it waits for a member, that one either lets a session pass without a heartbeat, and is no member any more; or
/// it is told by a heartbeat to join, which librdkafka does within a second, for its callbacks wait for nothing. So a group
/// whose wait is longer than two sessions is always joined in time. A third one makes up for that second and for the network.
pub fn may_rebalance_without(settings: &Settings, group: &str) -> bool {
    let rebalance = milliseconds(&settings.member_config(group), "max.poll.interval.ms").unwrap_or(REBALANCE_DEFAULT);
    rebalance <= 3 * session(settings, group)
}

fn milliseconds(config: &ClientSetup, name: &str) -> Option<Duration> {
    config.get(name)?.parse().ok().map(Duration::from_millis)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::client::settings::tests::settings;

    #[test]
    fn by_default_a_member_is_waited_for_longer_than_it_can_take() {
        assert_eq!(session(&settings(&[]), "group"), Duration::from_secs(15));
        assert!(!may_rebalance_without(&settings(&[]), "group"));
    }

    #[test]
    fn a_group_that_waits_little_may_go_on_without_a_member() {
        let short = settings(&[("max.poll.interval.ms", "40000")]);
        assert!(may_rebalance_without(&short, "group"));
        let quick = settings(&[("max.poll.interval.ms", "40000"), ("session.timeout.ms", "6000")]);
        assert!(!may_rebalance_without(&quick, "group"));
    }
}
