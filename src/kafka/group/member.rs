//! Who owns what: membership in a consumer group on one topic.
//!
//! Partition *p* of `promoter.registry` is owned by the group's member that it is assigned to; its owner polls the
//! promoters of *p* and writes partition *p* of `promoter.state`. In the same way, in a group of their own, the members
//! share the partitions of the request topic, whose owner answers what stands in them. What an owner writes carries the group metadata of
//! the generation in which it became the owner, so the broker refuses a zombie of an older one.
//!
//! The metadata is taken when the assignment is handed over, in the rebalance callback, and never asked for later:
//! a member that was thrown out rejoins in librdkafka's background, and would then get the metadata of a generation
//! in which it no longer owns what it writes. The broker checks the generation, not the partitions. And it checks nothing
//! at all where the metadata has no generation, as that of a consumer outside of any group: a member that has lost its
//! generation before the callback could take it is handed no assignment.
//!
//! On a revocation the callback cancels the lease and waits, for a bounded time, until whoever uses it has let go;
//! only then does the member answer the group. If the wait is cut short, the generation still protects the topic.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, KafkaResult};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::assignment::{Assignment, MembershipState};
use super::callbacks::MemberContext;
use super::duplicate_instance;
use super::shared_membership::SharedMembership;
use crate::commit::log::OpenError;
use crate::kafka::client::error::ClientError;
use crate::kafka::client::settings::Settings;
use crate::kafka::client::supplied::Supplied;

/// Also the longest that the thread takes to stop.
const POLL: Duration = Duration::from_millis(100);

/// This process as a member of one group, which a thread of its own serves for as long as this value lives. The partitions
/// that the group assigns come as [`Assignment`]s; one that is in use holds up the next rebalance, for a bounded time at
/// most, until it is [released](Self::release).
pub struct GroupMember {
    shared: Arc<SharedMembership>,
    observer: watch::Receiver<MembershipState>,
    stop: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

impl GroupMember {
    /// Joins `group` on `topic`, in a thread of its own.
    pub fn join(settings: &Settings, group: &str, topic: &str) -> KafkaResult<GroupMember> {
        let (shared, observer) = SharedMembership::new(group, topic);
        let (shared, stop) = (Arc::new(shared), CancellationToken::new());
        let (settings, group) = (settings.clone(), group.to_owned());
        let serving = MemberThread { settings, group, shared: shared.clone(), stop: stop.clone() };
        let consumer = serving.subscribe()?;
        let thread = std::thread::Builder::new()
            .name("membership".into())
            .spawn(move || serving.run(consumer))
            .map_err(|error| KafkaError::ClientCreation(error.to_string()))?;
        Ok(GroupMember { shared, observer, stop, thread: Some(thread) })
    }

    /// Waits for an assignment with partitions whose number is above `after`, and marks it as in use. The error
    /// says why there will never be one.
    pub async fn acquire(&self, after: u64) -> Result<Arc<Assignment>, OpenError> {
        let mut observer = self.observer.clone();
        loop {
            match observer.borrow_and_update().clone() {
                MembershipState::Assigned(assignment)
                    if assignment.number > after && !assignment.partitions.is_empty() =>
                {
                    let is_owned = self.shared.begin_use(&assignment);
                    // One that was revoked meanwhile is followed by another, or by none.
                    if is_owned {
                        return Ok(assignment);
                    }
                }
                MembershipState::Failed(reason) => return Err(reason),
                MembershipState::Assigned(_) | MembershipState::Waiting => {}
            }
            if observer.changed().await.is_err() {
                return Err(OpenError::Stop("the membership thread has ended".into()));
            }
        }
    }

    /// Says that nothing is written under the assignment any more.
    pub fn release(&self) {
        self.shared.release();
    }
}

impl Drop for GroupMember {
    fn drop(&mut self) {
        self.release();
        self.stop.cancel();
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
    stop: CancellationToken,
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
        while !self.stop.is_cancelled() {
            // All partitions are paused, so no record comes: polling runs the callbacks, which is where partitions come and go,
            // and tells the group that this member lives.
            if let Some(Err(error)) = consumer.poll(POLL) {
                consumer.context().judge(&error, "");
            }
            if !consumer.context().is_lost() {
                continue;
            }
            // What was assigned is lost, whether or not a callback has said so. Whoever writes under it has to let go before
            // this process may join again and be given the same partitions.
            self.shared.revoked();
            tracing::warn!(instance = self.settings.instance_id, "fenced in the group, looking for who did it");
            if duplicate_instance::lives(&self.settings, &self.group, || self.stop.is_cancelled()) && self.decides() {
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
