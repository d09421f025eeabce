//! Queries to a session about what is registered of a promoter. It answers between two changes, from the tables that it polls by.

use tokio::sync::oneshot;

use crate::model::promoter::Promoter;
use crate::poll::queries::Queries;
use crate::registry::known::KnownPromoter;

/// Where a promoter stands in a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegistrationView {
    /// The promoter's.
    pub partition: i32,
    pub standing: ShardStanding,
}

/// How a session stands to the shard of a promoter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ShardStanding {
    /// It is another instance's, or nobody's yet.
    Elsewhere,
    /// It is this instance's, and its state is being read.
    Restoring,
    /// It is polled here; who is known in it is told, nothing of whom nobody names.
    Here(Option<KnownPromoter>),
}

/// Asks where a promoter stands.
#[derive(Debug)]
pub struct RegistrationQuery {
    pub promoter: Promoter,
    pub reply: oneshot::Sender<RegistrationView>,
}

/// Where a session takes queries as long as it runs.
pub type RegistrationQueries = Queries<RegistrationQuery>;
