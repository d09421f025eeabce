//! This process as a member of one group, and the thread that serves it.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, KafkaResult};

use super::callbacks::MemberContext;
use super::changes::MembershipChanges;
use super::duplicate_instance;
use super::shared_membership::SharedMembership;
use super::snapshot::MembershipSnapshot;
use crate::commit::log::OpenError;
use crate::kafka::client::error::ClientError;
use crate::kafka::client::settings::Settings;
use crate::kafka::client::supplied::Supplied;

/// Also the longest that the thread takes to hear that it is to stop.
const POLL: Duration = Duration::from_millis(100);

/// This process as a member of one group, which a thread of its own serves for as long as this value lives.
pub struct GroupMember {
    shared: Arc<SharedMembership>,
    thread: Option<JoinHandle<()>>,
}

impl GroupMember {
    /// Joins `group` on `topic`, in a thread of its own.
    pub fn join(settings: &Settings, group: &str, topic: &str) -> KafkaResult<GroupMember> {
        let shared = Arc::new(SharedMembership::new(group, topic));
        let (settings, group) = (settings.clone(), group.to_owned());
        let serving = MemberThread { settings, group, shared: shared.clone() };
        let consumer = serving.subscribe()?;
        let thread = std::thread::Builder::new()
            .name("membership".into())
            .spawn(move || serving.run(consumer))
            .map_err(|error| KafkaError::ClientCreation(error.to_string()))?;
        Ok(GroupMember { shared, thread: Some(thread) })
    }

    /// Waits until something is owned, and ends the subscription that there may be. The error says why there will never be
    /// anything.
    pub async fn acquire(&self) -> Result<MembershipChanges, OpenError> {
        let mut changes = MembershipChanges::subscribe(&self.shared);
        changes.owning().await?;
        Ok(changes)
    }

    /// The latest snapshot; none while this process is no member.
    pub fn current(&self) -> Option<Arc<MembershipSnapshot>> {
        self.shared.current()
    }

    /// Waits until the latest snapshot is not `than`; the error says that there will never be another.
    pub async fn changed(&self, than: &Arc<MembershipSnapshot>) -> Result<(), OpenError> {
        self.shared.changed(than).await
    }
}

impl Drop for GroupMember {
    fn drop(&mut self) {
        self.shared.stop.cancel();
        if let Some(thread) = self.thread.take() {
            // A panic in the thread has been reported by the panic hook already.
            let _ = thread.join();
        }
    }
}

/// What the thread has that serves the membership.
struct MemberThread {
    settings: Settings,
    group: String,
    shared: Arc<SharedMembership>,
}

impl MemberThread {
    fn subscribe(&self) -> KafkaResult<Supplied<BaseConsumer<MemberContext>>> {
        let consumer: Supplied<BaseConsumer<MemberContext>> =
            self.settings.member_config(&self.group).create_with_context(MemberContext::of(&self.shared))?;
        consumer.subscribe(&[&self.shared.topic])?;
        Ok(consumer)
    }

    /// Serves the membership, with one consumer after the other, until told to stop or displaced by another process.
    fn run(self, mut consumer: Supplied<BaseConsumer<MemberContext>>) {
        let stop = &self.shared.stop;
        while !stop.is_cancelled() {
            // All partitions are paused, so no record comes: polling runs the callbacks, which is where partitions come and go,
            // and tells the group that this member lives.
            if let Some(Err(error)) = consumer.poll(POLL) {
                consumer.context().judge(&error, "");
            }
            if !consumer.context().is_lost() {
                continue;
            }
            // What was assigned is lost, whether or not a callback has said so: of a fenced consumer librdkafka takes it back
            // without one.
            self.shared.lost_all();
            tracing::warn!(instance = self.settings.instance_id, "fenced in the group, looking for who did it");
            if duplicate_instance::lives(&self.settings, &self.group, || stop.is_cancelled()) && self.decides() {
                let instance = &self.settings.instance_id;
                let reason = format!(
                    "another process runs as connector.instance_id \"{instance}\" and has taken over; give each its own"
                );
                return self.shared.fail(OpenError::Stop(reason.into()));
            }
            // A fenced consumer never joins again; another one does, under the same name.
            match self.subscribe() {
                Ok(joined) => consumer = joined,
                Err(error) => {
                    let error = ClientError::new("the group can't be joined again", error);
                    return self.shared.fail(OpenError::Stop(error.into()));
                }
            }
        }
    }

    /// Of two processes of one name each may displace the other in one of the two groups, and only one of them may end for
    /// it. So the group of those who poll decides: its loser leaves the other group as well, where the winner takes its
    /// place again.
    fn decides(&self) -> bool {
        self.group == self.settings.name
    }
}
