//! How a session has the partitions of its group: as a whole, or each as it comes and goes.

use std::future::Future;
use std::sync::Arc;

use crate::commit::log::OpenError;
use crate::kafka::client::settings::Settings;
use crate::kafka::group::changes::MembershipChanges;
use crate::kafka::group::membership::GroupMembership;
use crate::kafka::group::observer::OwnershipObserver;
use crate::kafka::group::whole_assignment::{Assignment, WholeAssignments};
use crate::telemetry::health::PipelineHealth;

/// How a session has the partitions that its group gives to this process.
pub trait Holding: Send + Sync + 'static {
    /// What it is given when it starts.
    type Held: Send + 'static;

    /// In `group`, on the partitions of `topic`; `observer` hears of all that comes and goes, and `health` of who else is in the group.
    fn new(group: String, topic: String, observer: OwnershipObserver, health: Arc<PipelineHealth>) -> Self;

    /// Waits until something is owned.
    ///
    /// # Errors
    /// [`OpenError`] where nothing will ever be owned.
    fn acquire(&self, settings: &Settings) -> impl Future<Output = Result<Self::Held, OpenError>> + Send;

    /// Whether the group has taken this process in, whatever it has given to it.
    fn is_member(&self) -> bool;

    /// The broker has refused what was written in the name of what was acquired last.
    fn refused(&self);

    /// Nothing is written for what was acquired last any more.
    fn release(&self);
}

/// All that is owned as one, until that changes.
impl Holding for WholeAssignments {
    type Held = Arc<Assignment>;

    fn new(group: String, topic: String, observer: OwnershipObserver, health: Arc<PipelineHealth>) -> WholeAssignments {
        WholeAssignments::new(group, topic, observer, health)
    }

    /// # Errors
    /// [`OpenError`] where nothing will ever be owned.
    async fn acquire(&self, settings: &Settings) -> Result<Arc<Assignment>, OpenError> {
        WholeAssignments::acquire(self, settings).await
    }

    fn is_member(&self) -> bool {
        WholeAssignments::is_member(self)
    }

    fn refused(&self) {
        self.refuse();
    }

    fn release(&self) {
        WholeAssignments::release(self);
    }
}

/// What comes and goes while the session runs: with the membership that tells in whose name to write.
impl Holding for Arc<GroupMembership> {
    type Held = (Arc<GroupMembership>, MembershipChanges);

    fn new(
        group: String,
        topic: String,
        observer: OwnershipObserver,
        health: Arc<PipelineHealth>,
    ) -> Arc<GroupMembership> {
        Arc::new(GroupMembership::new(group, topic, observer, health))
    }

    async fn acquire(&self, settings: &Settings) -> Result<(Arc<GroupMembership>, MembershipChanges), OpenError> {
        Ok((self.clone(), GroupMembership::acquire(self, settings).await?))
    }

    fn is_member(&self) -> bool {
        self.current().is_some()
    }

    /// Whoever writes waits for the newer generation itself.
    fn refused(&self) {}

    /// With the changes.
    fn release(&self) {}
}
