//! How far the feeds of one promoter are, and what is known of them, as it is committed.

use std::time::Instant;

use crate::kafka::client::settings::Settings;
use crate::kafka::topics::reader::ReadFrom;
use crate::kafka::topics::whole::WholeTopic;
use crate::model::cursor::Cursor;
use crate::model::feed::{Feed, PerFeed};
use crate::model::promoter::Promoter;
use crate::model::rewind::MetRewind;
use crate::model::state_record::{StateKey, StateValue};
use crate::model::time::UnixTime;

/// Of a feed that has begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedProgress {
    /// Of the last record: one that moves in silence may be an hour ahead.
    pub cursor: Cursor,
    /// The last rewind that was met, and what it meets and the memory may have forgotten.
    pub rewound: Option<MetRewind>,
    /// Up to when an earlier rewind has forgotten what was published before it.
    pub forgotten_before: Option<UnixTime>,
}

/// Blocks until the promoter's partition of the state is read to where it ends now, or it is `until`. Nothing of feeds that have not
/// begun to be polled.
///
/// # Errors
/// Where the state can't be read to its end, or one of these records can't.
pub fn of_promoter(
    settings: &Settings,
    promoter: &Promoter,
    until: Instant,
) -> anyhow::Result<PerFeed<Option<FeedProgress>>> {
    let state = WholeTopic::of_promoter(settings, &settings.topics.state, promoter, ReadFrom::Beginning, until)?;
    let (mut cursors, mut rewinds) = (PerFeed::<Option<Cursor>>::default(), PerFeed::<Option<MetRewind>>::default());
    let mut forgotten_before = PerFeed::default();
    let keys = Feed::ALL.map(|feed| {
        let kinds = [StateKey::Cursor, StateKey::Rewound, StateKey::Forgotten];
        kinds.map(|kind| kind(promoter.clone(), feed)).map(|key| (key.encode().into_bytes(), key))
    });
    while let Some(record) = state.next_record()? {
        let is_its = |(encoded, _): &&(Vec<u8>, StateKey)| record.key.as_ref() == Some(encoded);
        let Some((_, key)) = keys.iter().flatten().find(is_its) else { continue };
        let value = record.value.as_deref().map(|value| StateValue::decode(key, value)).transpose()?;
        match (key, value) {
            (StateKey::Cursor(_, feed), Some(StateValue::Cursor(read))) => cursors[*feed] = Some(read),
            // A tombstone: the feed begins anew.
            (StateKey::Cursor(_, feed), _) => cursors[*feed] = None,
            (StateKey::Rewound(_, feed), Some(StateValue::Rewound(read))) => rewinds[*feed] = Some(read),
            (StateKey::Rewound(_, feed), _) => rewinds[*feed] = None,
            (StateKey::Forgotten(_, feed), Some(StateValue::Forgotten(read))) => forgotten_before[*feed] = Some(read),
            (StateKey::Forgotten(_, feed), _) => forgotten_before[*feed] = None,
            _ => {}
        }
    }
    Ok(PerFeed::new(|feed| {
        let cursor = cursors[feed].filter(|cursor| cursor.polled)?;
        Some(FeedProgress { cursor, rewound: rewinds[feed].take(), forgotten_before: forgotten_before[feed] })
    }))
}

impl FeedProgress {
    /// What is published is remembered where it is remembered under this time or a later one.
    pub fn whole_from(&self) -> UnixTime {
        let maybe_forgotten = self.rewound.iter().flat_map(|met| &met.maybe_forgotten);
        let forgotten = maybe_forgotten.map(|forgotten| forgotten.until);
        forgotten.chain(self.forgotten_before).fold(self.cursor.complete_before, Ord::max)
    }
}
