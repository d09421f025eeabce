//! The topics of both logs together, for whoever looks at them or makes them before a start.

use super::client::settings::{RequestTopics, Settings, TopicNames};
use super::topics::preparation;
use super::topics::settings::TopicKind;
use super::{facts_log, requests_log};
use crate::commit::log::OpenError;
use crate::model::age::AgeLimits;
use crate::model::feed::PerEventTopic;

pub use super::topics::creation::PlannedTopic;
pub use super::topics::preparation::FoundTopics;

/// Looks at them, and makes none: what would be made is planned.
///
/// # Errors
/// [`OpenError`] where they can't be asked for.
pub async fn inspect(settings: &Settings, requests: Option<&RequestTopics>) -> Result<FoundTopics, OpenError> {
    Ok(compared(settings, preparation::inspect(settings, &wanted(settings, requests)).await?).await)
}

/// Makes those that are missing, where the settings say so, and looks at all.
///
/// # Errors
/// [`OpenError`] where they can't be asked for or made.
pub async fn make(settings: &Settings, requests: Option<&RequestTopics>) -> Result<FoundTopics, OpenError> {
    Ok(compared(settings, preparation::find(settings, &wanted(settings, requests)).await?).await)
}

/// With what is only seen of several topics together, and why there would be no ledger.
async fn compared(settings: &Settings, mut found: FoundTopics) -> FoundTopics {
    facts_log::topics::compare_tables(&mut found, &settings.topics);
    found.no_ledger = facts_log::ledger_topic::lacking(settings, &found).await.map(|reason| reason.to_string());
    found
}

/// How old facts may be, as far as the topics that are `found` tell.
pub fn age_limits(found: &FoundTopics, names: &TopicNames) -> AgeLimits {
    let of = |name: &String| found.ages.get(name).map_or_else(Vec::new, |ages| ages.limits(name));
    AgeLimits(PerEventTopic::new(|topic| of(&names.events[topic])))
}

/// Each once: of those that both use, what the polls want of it counts.
fn wanted<'a>(settings: &'a Settings, requests: Option<&'a RequestTopics>) -> Vec<(&'a str, TopicKind)> {
    let mut wanted = facts_log::topics::kinds(&settings.topics);
    if let Some(requests) = requests {
        let mut of_requests = requests_log::topics::kinds(settings, requests);
        of_requests.retain(|(topic, _)| wanted.iter().all(|(known, _)| known != topic));
        wanted.extend(of_requests);
    }
    wanted
}
