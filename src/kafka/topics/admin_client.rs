//! The client that asks for what topics are like, and makes them.

use rdkafka::admin::AdminClient;

use super::counts::again;
use crate::commit::log::OpenError;
use crate::kafka::client::context::LogContext;
use crate::kafka::client::ended_aside::EndedAside;
use crate::kafka::client::settings::Settings;
use crate::kafka::client::supplied::Supplied;

/// A new one. It ends aside: the thread that rdkafka gives it looks only every 100 ms whether it is to end.
///
/// # Errors
/// [`OpenError::Again`] where librdkafka makes no client of the settings.
pub fn admin_client(settings: &Settings) -> Result<EndedAside<Supplied<AdminClient<LogContext>>>, OpenError> {
    settings.plain_config().create_with_context(LogContext::default()).map(EndedAside::new).map_err(again)
}
