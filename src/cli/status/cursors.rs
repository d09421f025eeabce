//! The cursors of all promoters, as they are committed.

use std::collections::HashMap;

use crate::changes::registry_view::RegistryView;
use crate::kafka::topics::whole::WholeTopic;
use crate::model::cursor::Cursor;
use crate::model::feed::PerFeed;
use crate::model::promoter::Promoter;
use crate::model::shard::Shard;
use crate::model::state_record::{StateKey, StateValue};
use crate::model::time::UnixTime;

/// What the keys of cursors begin with. All others are passed over unread: there are many more of them.
const PREFIX: &[u8] = b"cursor/";

/// Up to when the facts of each feed are published, where it is polled at all.
pub type CompleteBefore = HashMap<Promoter, PerFeed<Option<UnixTime>>>;

/// Blocks until the state is read to where it ends now, or the view's time is over. About 150 bytes of memory for each promoter.
///
/// # Errors
/// Where it can't be read to its end.
pub fn read(view: &RegistryView) -> anyhow::Result<CompleteBefore> {
    let settings = &view.settings.kafka;
    let state = WholeTopic::open(settings, &settings.topics.state, view.until)?;
    let mut cursors = CompleteBefore::new();
    while let Some(record) = state.next_record()? {
        let Some(key) = record.key.as_deref().filter(|key| key.starts_with(PREFIX)) else { continue };
        let Ok(StateKey::Cursor(promoter, feed)) = StateKey::decode(key) else { continue };
        // In another partition than its own it is nobody's.
        if Shard::of(&promoter, state.partitions()).0 != record.partition {
            continue;
        }
        // One that can't be read is none here; `check` tells of it.
        let value =
            record.value.and_then(|value| StateValue::decode(&StateKey::Cursor(promoter.clone(), feed), &value).ok());
        let complete_before = match value {
            Some(StateValue::Cursor(Cursor { complete_before, polled: true, .. })) => Some(complete_before),
            _ => None,
        };
        cursors.entry(promoter).or_default()[feed] = complete_before;
    }
    Ok(cursors)
}
