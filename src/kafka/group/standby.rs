//! Whether this process owns nothing because there are more members than partitions.

use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};

use super::callbacks::MemberContext;
use super::group_members::GroupMembers;
use super::partition_count::partition_count;
use super::shared_membership::SharedMembership;

/// How long a member may own nothing before that is looked into: one that joins is given its part when others have let go of it.
const LOOK_AFTER: Duration = Duration::from_secs(5);
/// How long the brokers may take to answer; callbacks wait meanwhile.
const FETCH_TIMEOUT: Duration = Duration::from_secs(1);

/// Says it once each time that it comes to that.
#[derive(Default)]
pub struct Standby {
    /// Since when nothing is owned, or was looked into last.
    since: Option<Instant>,
    is_reported: bool,
}

impl Standby {
    pub fn look(&mut self, shared: &SharedMembership, group: &str, consumer: &BaseConsumer<MemberContext>) {
        if !shared.current().is_some_and(|snapshot| snapshot.partitions.is_empty()) {
            *self = Standby::default();
            return;
        }
        let since = *self.since.get_or_insert_with(Instant::now);
        if self.is_reported || since.elapsed() < LOOK_AFTER {
            return;
        }
        self.since = Some(Instant::now());
        let Ok(partitions) = partition_count(consumer, &shared.topic) else { return };
        let Ok(members) = GroupMembers::fetch(consumer.client(), group, FETCH_TIMEOUT) else { return };
        if members.count() > partitions {
            let (topic, instances) = (&shared.topic, members.count());
            tracing::info!(
                topic,
                partitions,
                instances,
                "standby: there are more instances than partitions, and the others have all"
            );
            self.is_reported = true;
        }
    }
}
