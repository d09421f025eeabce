//! The membership of this process on the partitions of one topic: joined once, taken up anew by every opening.

use std::sync::Arc;

use rdkafka::consumer::BaseConsumer;
use tokio::sync::OnceCell;

use super::callbacks::MemberContext;
use super::changes::MembershipChanges;
use super::member::GroupMember;
use super::observer::OwnershipObserver;
use super::snapshot::MembershipSnapshot;
use crate::commit::log::OpenError;
use crate::kafka::client::error::ClientError;
use crate::kafka::client::settings::Settings;
use crate::telemetry::health::PipelineHealth;

/// How this process belongs to a group, over all openings of a log. The group is joined by the first opening and not left by any.
pub struct GroupMembership {
    group: String,
    topic: String,
    observer: OwnershipObserver,
    health: Arc<PipelineHealth>,
    member: OnceCell<GroupMember>,
}

impl GroupMembership {
    /// In `group`, on the partitions of `topic`. Nobody joins before the first [`acquire`](Self::acquire).
    pub fn new(
        group: String,
        topic: String,
        observer: OwnershipObserver,
        health: Arc<PipelineHealth>,
    ) -> GroupMembership {
        GroupMembership { group, topic, observer, health, member: OnceCell::new() }
    }

    /// Joins, unless that is done, and waits until something is owned. Ends the subscription that there may be.
    ///
    /// # Errors
    /// Why the group can't be joined, or there will never be anything.
    pub async fn acquire(&self, settings: &Settings) -> Result<MembershipChanges, OpenError> {
        let join =
            async || GroupMember::join(settings, &self.group, &self.topic, self.observer.clone(), self.health.clone());
        let member = self.member.get_or_try_init(join).await;
        let unjoined = |error| OpenError::Stop(ClientError::new("the group can't be joined", error).into());
        member.map_err(unjoined)?.acquire().await
    }

    /// As [`GroupMember::consumer`]; nothing before the group was joined.
    pub fn consumer(&self) -> Option<Arc<BaseConsumer<MemberContext>>> {
        self.member.get()?.consumer()
    }

    /// The latest snapshot; none while this process is no member.
    pub fn current(&self) -> Option<Arc<MembershipSnapshot>> {
        self.member.get()?.current()
    }

    /// Has others take over what is owned, which is used meanwhile, and waits until they have, or it is known that nobody does. What
    /// is assigned after that is not looked at.
    pub async fn hand_over(&self) {
        if let Some(member) = self.member.get() {
            member.hand_over().await;
        }
    }

    /// Waits until the latest snapshot is not `than`, as the broker has refused its generation. A member hears of a
    /// newer generation with its next heartbeat.
    ///
    /// # Errors
    /// Why there will never be another.
    pub async fn changed(&self, than: &Arc<MembershipSnapshot>) -> Result<(), OpenError> {
        match self.member.get() {
            Some(member) => member.changed(than).await,
            None => Ok(()),
        }
    }
}
