//! The registry topic as discovery needs it: read to its end, and written.

use futures_util::future::BoxFuture;

use super::log::LogError;
use crate::model::promoter::AppId;
use crate::registry::discovery::DiscoveryWrite;
use crate::registry::table::PromoterTable;

/// Implemented on Kafka, and in memory for tests.
pub trait RegistryTopic: Send + Sync {
    /// What the topic says of the promoters of an app, up to where it ends now: tombstones that are not compacted away among it.
    ///
    /// # Errors
    /// Where it could not be read to there now.
    fn read(&self, app: AppId) -> BoxFuture<'_, Result<PromoterTable, LogError>>;

    /// Returns when all of it is acknowledged.
    ///
    /// # Errors
    /// Where not all of it is; nobody knows which of it is.
    fn write(&self, writes: Vec<DiscoveryWrite>) -> BoxFuture<'_, Result<(), LogError>>;
}
