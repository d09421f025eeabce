//! How far one feed of one promoter is, and what is known of it, as it is committed.

use crate::cli::promoters::registry_view::RegistryView;
use crate::kafka::client::topic_reader::ReadFrom;
use crate::kafka::client::whole_topic::WholeTopic;
use crate::model::cursor::Cursor;
use crate::model::feed::Feed;
use crate::model::promoter::Promoter;
use crate::model::rewind::{MaybeForgotten, MetRewind};
use crate::model::state_record::{StateKey, StateValue};
use crate::model::time::UnixTime;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedProgress {
    /// Of the last record: one that moves in silence may be an hour ahead.
    pub cursor: Cursor,
    /// What an earlier rewind meets and the memory may have forgotten.
    pub maybe_forgotten: Vec<MaybeForgotten>,
}

impl FeedProgress {
    /// Blocks until the promoter's partition of the state is read to where it ends now, or the view's time is over. Nothing where the
    /// feed has not begun to be polled.
    ///
    /// # Errors
    /// Where the state can't be read to its end, or one of these records can't.
    pub fn read(view: &RegistryView, promoter: &Promoter, feed: Feed) -> anyhow::Result<Option<FeedProgress>> {
        let settings = &view.config.kafka;
        let state =
            WholeTopic::of_promoter(settings, &settings.topics.state, promoter, ReadFrom::Beginning, view.until)?;
        let keys = [StateKey::Cursor(promoter.clone(), feed), StateKey::Rewound(promoter.clone(), feed)];
        let encoded = keys.each_ref().map(StateKey::encode);
        let (mut cursor, mut maybe_forgotten) = (None, Vec::new());
        while let Some(record) = state.next_record()? {
            let is_its = |encoded: &String| record.key.as_deref() == Some(encoded.as_bytes());
            let Some(place) = encoded.iter().position(is_its) else { continue };
            let value = record.value.as_deref().map(|value| StateValue::decode(&keys[place], value)).transpose()?;
            match (&keys[place], value) {
                (StateKey::Cursor(..), Some(StateValue::Cursor(read))) => cursor = Some(read),
                (StateKey::Cursor(..), _) => cursor = None,
                (_, Some(StateValue::Rewound(MetRewind { maybe_forgotten: read, .. }))) => maybe_forgotten = read,
                (_, _) => maybe_forgotten = Vec::new(),
            }
        }
        let begun = cursor.filter(|cursor| cursor.polled);
        Ok(begun.map(|cursor| FeedProgress { cursor, maybe_forgotten }))
    }

    /// What is published is remembered where it is remembered under this time or a later one.
    pub fn whole_from(&self) -> UnixTime {
        let forgotten = self.maybe_forgotten.iter().map(|forgotten| forgotten.until);
        forgotten.chain([self.cursor.complete_before]).max().unwrap_or(self.cursor.complete_before)
    }
}
