//! The client that asks for what topics are like, and makes them.

use rdkafka::admin::AdminClient;

use super::context::LogContext;
use super::ended_aside::EndedAside;
use super::settings::Settings;
use super::supplied::Supplied;
use super::topic_counts::again;
use crate::commit::log::OpenError;

/// A new one. It ends aside: the thread that rdkafka gives it looks only every 100 ms whether it is to end.
///
/// # Errors
/// [`OpenError::Again`] where librdkafka makes no client of the settings.
pub fn admin_client(settings: &Settings) -> Result<EndedAside<Supplied<AdminClient<LogContext>>>, OpenError> {
    settings.plain_config().create_with_context(LogContext::default()).map(EndedAside::new).map_err(again)
}
