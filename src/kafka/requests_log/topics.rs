//! The topics of the requests: what they must be like, and what they take.

use std::collections::HashMap;

use crate::commit::log::OpenError;
use crate::kafka::client::settings::{RequestTopics, Settings};
use crate::kafka::topics::preparation;
use crate::kafka::topics::settings::{AcceptedRecords, TopicKind};

/// Makes the topics what they have to be. Gives what each takes that exists, by name: a reply topic that is somebody
/// else's may be missing.
///
/// # Errors
/// [`OpenError::Stop`] with everything that an operator has to change, and [`OpenError::Again`] where the brokers can't
/// be asked.
pub async fn prepare(
    settings: &Settings,
    topics: &RequestTopics,
) -> Result<HashMap<String, AcceptedRecords>, OpenError> {
    let found = preparation::find(settings, &kinds(settings, topics)).await?;
    found.say_risks();
    found.require_sound()?;
    Ok(found.takes)
}

/// The topics of the requests, and those of the polls that they use.
pub fn kinds<'a>(settings: &'a Settings, topics: &'a RequestTopics) -> Vec<(&'a str, TopicKind)> {
    let mut wanted = vec![
        (topics.requests.as_str(), TopicKind::RequestsAndReplies),
        (topics.results.as_str(), TopicKind::RequestsAndReplies),
        (settings.topics.dead_letters.as_str(), TopicKind::DeadLetters),
        (settings.topics.state.as_str(), TopicKind::OthersTable),
    ];
    let others = topics.reply_topics.iter().map(String::as_str).filter(|topic| *topic != topics.results);
    wanted.extend(others.map(|topic| (topic, TopicKind::OtherReplies)));
    wanted
}
