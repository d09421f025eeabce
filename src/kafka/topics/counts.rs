//! How many partitions the topics have that exist.

use std::collections::HashMap;
use std::time::Duration;

use rdkafka::error::KafkaError;

use super::lookup::{LookupError, TopicCount, TopicLookup};
use super::settings::TopicKind;
use crate::commit::log::{LogError, OpenError};
use crate::kafka::client::CALL_TIMEOUT;
use crate::kafka::client::error::ClientError;
use crate::kafka::client::settings::Settings;

/// Between two looks at topics that are waited for.
pub const LOOK_PAUSE: Duration = Duration::from_millis(50);

/// By the topics' names.
pub type TopicCounts = HashMap<String, TopicCount>;

/// How many partitions each of the `wanted` topics has that exists.
///
/// # Errors
/// [`OpenError::Stop`] with every right that is missing, and [`OpenError::Again`] where the brokers can't be asked; but for
/// the topics of others.
pub async fn count_all(settings: &Settings, wanted: &[(&str, TopicKind)]) -> Result<TopicCounts, OpenError> {
    let wanted: Vec<(String, TopicKind)> = wanted.iter().map(|(topic, kind)| ((*topic).to_owned(), *kind)).collect();
    let settings = settings.clone();
    let counted = tokio::task::spawn_blocking(move || count_each(&settings, wanted));
    counted.await.unwrap_or_else(|error| Err(OpenError::Again(LogError::because("asking for topics", error))))
}

/// Blocks.
///
/// # Errors
/// As [`count_all`].
fn count_each(settings: &Settings, wanted: Vec<(String, TopicKind)>) -> Result<TopicCounts, OpenError> {
    let lookup = TopicLookup::open(settings).map_err(again)?;
    let (mut counts, mut denied) = (TopicCounts::new(), Vec::new());
    for (topic, kind) in wanted {
        match count(&lookup, &topic, kind, CALL_TIMEOUT) {
            Ok(count) => counts.extend(count.map(|count| (topic, count))),
            // The other topics may lack rights, too.
            Err(OpenError::Stop(reason)) => denied.push(reason.with_causes()),
            Err(error) => return Err(error),
        }
    }
    if denied.is_empty() { Ok(counts) } else { Err(OpenError::Stop(denied.join("\n").into())) }
}

/// What may not be looked at is as good as missing, where it is somebody else's or may be missing.
///
/// # Errors
/// [`OpenError::Stop`] where a right is missing, and [`OpenError::Again`] where the brokers can't be asked.
fn count(
    lookup: &TopicLookup<'_>,
    topic: &str,
    kind: TopicKind,
    bound: Duration,
) -> Result<Option<TopicCount>, OpenError> {
    match lookup.count(topic, "DESCRIBE", bound) {
        Ok(count) => Ok(count),
        Err(LookupError::Call(error)) => Err(OpenError::Again(error.into())),
        Err(_) if kind == TopicKind::OtherReplies => Ok(None),
        Err(LookupError::NoRight { .. }) if kind == TopicKind::Ledger => Ok(None),
        Err(error @ LookupError::NoRight { .. }) => Err(OpenError::Stop(LogError::new(error))),
        Err(error @ LookupError::Topic { .. }) => Err(OpenError::Again(LogError::new(error))),
    }
}

pub fn again(error: KafkaError) -> OpenError {
    OpenError::Again(ClientError::new("the topics can't be looked at", error).into())
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::kafka::client::settings::tests::settings;

    #[test]
    fn without_a_broker_the_error_says_where_none_was_found() {
        // The port of a service that nobody runs any more.
        let settings = settings(&[("bootstrap.servers", "127.0.0.1:1")]);
        let (lookup, began, bound) =
            (TopicLookup::open(&settings).unwrap(), Instant::now(), Duration::from_millis(500));
        let Err(OpenError::Again(reason)) = count(&lookup, "touches", TopicKind::Events, bound) else {
            panic!("it may be tried again")
        };
        let reason = reason.with_causes();
        assert!(reason.contains("bootstrap.servers \"127.0.0.1:1\""), "{reason}");
        assert!(began.elapsed() < CALL_TIMEOUT, "it does not wait for longer than it was told to");
    }
}
