//! The records of the state topic that tell of promoters, to and from bytes.
//!
//! | key | value |
//! |---|---|
//! | `cursor/<app>/<promoter>/<feed>` | version, start, complete_before, polled (1 or 0), history_seen (1 or 0) |
//! | `seen/<app>/<promoter>/<feed>/<n>` | version, then 16 bytes of identity and 4 of time for each fact |
//! | `removed/<app>/<promoter>` | version, since when nobody names him any more |
//! | `rewound/<app>/<promoter>/<feed>` | version, 16 bytes of the last rewind's name, then from and until of what may be forgotten |
//! | `forgotten/<app>/<promoter>/<feed>` | version, up to when a rewind has forgotten what stands before this record |
//!
//! Beside them stand, each written where it is named:
//!
//! | key | value |
//! |---|---|
//! | `fence/<connector>` | whose the topic is: [`super::fence`] |
//! | `registry-read` | how far the shard's partition of the registry was read for dead letters: [`super::state`] |
//! | `shares` | how the budgets of calls are divided, in partition 0: [`super::shares::ledger`] |
//! | `days`, `day/…` | what was published of each day: [`super::day_record`] |
//! | `noted` | nothing; there because a transaction with a note has a record: the same |
//! | `answered/<request topic>/…` | how far requests are answered, in partition 0: [`super::request::answered_offsets`], of the other pipeline |
//!
//! Numbers are big-endian. The topic is internal: its form may change with the version byte, and an older connector
//! refuses to run on what a newer one wrote.

use super::cursor::Cursor;
use super::fact::FactId;
use super::feed::Feed;
use super::promoter::Promoter;
use super::rewind::{MaybeForgotten, MetRewind, RewindId};
use super::time::UnixTime;

const VERSION: u8 = 1;
const CURSOR_BYTES: usize = 19;
const REMEMBERED_BYTES: usize = 20;
const TIME_BYTES: usize = 9;
const MAYBE_FORGOTTEN_BYTES: usize = 16;
/// Far more chunks than a feed can fill: a key with a higher number is a stray, and no next chunk has to be numbered behind it.
const CHUNK_NUMBER_MAX: u64 = 1 << 53;

/// What a record of the topic tells of: as in the table above.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum StateKey {
    Cursor(Promoter, Feed),
    /// The facts that one page added, numbered within the feed.
    Seen(Promoter, Feed, u64),
    /// That nobody names the promoter any more.
    Removed(Promoter),
    /// The last rewind of the feed that was met.
    Rewound(Promoter, Feed),
    /// That a rewind has forgotten what the records before this one hold of the feed, up to a time.
    Forgotten(Promoter, Feed),
}

/// What a record says; of which kind, its key tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StateValue {
    Cursor(Cursor),
    Seen(Vec<Remembered>),
    /// Since when.
    Removed(UnixTime),
    Rewound(MetRewind),
    /// What is remembered under a time before it.
    Forgotten(UnixTime),
}

/// A fact's identity and the time by which it is forgotten, in seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Remembered {
    pub id: FactId,
    pub time: u32,
}

impl Remembered {
    /// Times outside the range of the field (1970 to 2106) are held at its ends.
    pub fn new(id: FactId, time: UnixTime) -> Remembered {
        Remembered { id, time: u32::try_from(time.0.max(0)).unwrap_or(u32::MAX) }
    }

    pub(crate) fn is_before(&self, horizon: UnixTime) -> bool {
        i64::from(self.time) < horizon.0
    }
}

/// One record: no value is a tombstone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateRecord {
    pub key: StateKey,
    pub value: Option<StateValue>,
}

/// Why a record of the topic can't be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnreadableState {
    #[error("the key is not one of a state record")]
    Key,
    #[error("the value is damaged")]
    Value,
    #[error("the value has version {0}, written by a newer promoter-connector; run that one")]
    Version(u8),
}

impl StateKey {
    pub fn promoter(&self) -> &Promoter {
        match self {
            StateKey::Cursor(promoter, _)
            | StateKey::Seen(promoter, _, _)
            | StateKey::Removed(promoter)
            | StateKey::Rewound(promoter, _)
            | StateKey::Forgotten(promoter, _) => promoter,
        }
    }

    pub fn encode(&self) -> String {
        match self {
            StateKey::Cursor(promoter, feed) => format!("cursor/{promoter}/{feed}"),
            StateKey::Seen(promoter, feed, number) => format!("seen/{promoter}/{feed}/{number}"),
            StateKey::Removed(promoter) => format!("removed/{promoter}"),
            StateKey::Rewound(promoter, feed) => format!("rewound/{promoter}/{feed}"),
            StateKey::Forgotten(promoter, feed) => format!("forgotten/{promoter}/{feed}"),
        }
    }

    /// Reads a key of the topic.
    ///
    /// # Errors
    /// [`UnreadableState::Key`] for every other key, and for one of these in another spelling.
    pub fn decode(bytes: &[u8]) -> Result<StateKey, UnreadableState> {
        let text = std::str::from_utf8(bytes).map_err(|_| UnreadableState::Key)?;
        StateKey::read(text).ok_or(UnreadableState::Key)
    }

    /// Takes no memory but the promoter's, for a start reads millions of keys.
    fn read(text: &str) -> Option<StateKey> {
        let promoter = |key: &str| Promoter::from_key(key).ok();
        let (kind, rest) = text.split_once('/')?;
        match kind {
            "cursor" => {
                let (key, feed) = rest.rsplit_once('/')?;
                Some(StateKey::Cursor(promoter(key)?, Feed::from_name(feed)?))
            }
            "seen" => {
                let (rest, number) = rest.rsplit_once('/')?;
                let (key, feed) = rest.rsplit_once('/')?;
                Some(StateKey::Seen(promoter(key)?, Feed::from_name(feed)?, chunk_number(number)?))
            }
            "removed" => Some(StateKey::Removed(promoter(rest)?)),
            "rewound" => {
                let (key, feed) = rest.rsplit_once('/')?;
                Some(StateKey::Rewound(promoter(key)?, Feed::from_name(feed)?))
            }
            "forgotten" => {
                let (key, feed) = rest.rsplit_once('/')?;
                Some(StateKey::Forgotten(promoter(key)?, Feed::from_name(feed)?))
            }
            _ => None,
        }
    }
}

impl StateValue {
    pub fn encode(&self) -> Vec<u8> {
        match self {
            StateValue::Cursor(cursor) => {
                let mut bytes = Vec::with_capacity(CURSOR_BYTES);
                bytes.push(VERSION);
                bytes.extend(cursor.start.0.to_be_bytes());
                bytes.extend(cursor.complete_before.0.to_be_bytes());
                bytes.extend([cursor.polled, cursor.history_seen].map(u8::from));
                bytes
            }
            StateValue::Seen(facts) => {
                let mut bytes = Vec::with_capacity(1 + facts.len() * REMEMBERED_BYTES);
                bytes.push(VERSION);
                for fact in facts {
                    bytes.extend(fact.id.0);
                    bytes.extend(fact.time.to_be_bytes());
                }
                bytes
            }
            StateValue::Removed(time) | StateValue::Forgotten(time) => {
                let mut bytes = Vec::with_capacity(TIME_BYTES);
                bytes.push(VERSION);
                bytes.extend(time.0.to_be_bytes());
                bytes
            }
            StateValue::Rewound(MetRewind { id, maybe_forgotten }) => {
                let mut bytes = Vec::with_capacity(17 + maybe_forgotten.len() * MAYBE_FORGOTTEN_BYTES);
                bytes.push(VERSION);
                bytes.extend(id.0.to_be_bytes());
                for MaybeForgotten { from, until } in maybe_forgotten {
                    bytes.extend(from.0.to_be_bytes());
                    bytes.extend(until.0.to_be_bytes());
                }
                bytes
            }
        }
    }

    /// Reads the value that stands under `key`.
    ///
    /// # Errors
    /// [`UnreadableState::Version`] for what a newer version wrote, [`UnreadableState::Value`] for what is damaged.
    pub fn decode(key: &StateKey, bytes: &[u8]) -> Result<StateValue, UnreadableState> {
        let (&version, rest) = bytes.split_first().ok_or(UnreadableState::Value)?;
        if version != VERSION {
            return Err(UnreadableState::Version(version));
        }
        match key {
            StateKey::Cursor(..) => {
                let (start, rest) = rest.split_first_chunk::<8>().ok_or(UnreadableState::Value)?;
                let (complete_before, rest) = rest.split_first_chunk::<8>().ok_or(UnreadableState::Value)?;
                let &[polled @ (0 | 1), history_seen @ (0 | 1)] = rest else { return Err(UnreadableState::Value) };
                Ok(StateValue::Cursor(Cursor {
                    start: UnixTime(i64::from_be_bytes(*start)),
                    complete_before: UnixTime(i64::from_be_bytes(*complete_before)),
                    polled: polled == 1,
                    history_seen: history_seen == 1,
                }))
            }
            StateKey::Seen(..) => {
                let (facts, rest) = rest.as_chunks::<REMEMBERED_BYTES>();
                if !rest.is_empty() {
                    return Err(UnreadableState::Value);
                }
                Ok(StateValue::Seen(facts.iter().map(read_remembered).collect()))
            }
            StateKey::Removed(_) => read_time(rest).map(StateValue::Removed),
            StateKey::Forgotten(..) => read_time(rest).map(StateValue::Forgotten),
            StateKey::Rewound(..) => {
                let (id, rest) = rest.split_first_chunk::<16>().ok_or(UnreadableState::Value)?;
                let (ranges, []) = rest.as_chunks::<MAYBE_FORGOTTEN_BYTES>() else {
                    return Err(UnreadableState::Value);
                };
                let maybe_forgotten = ranges.iter().map(read_maybe_forgotten).collect();
                Ok(StateValue::Rewound(MetRewind { id: RewindId(u128::from_be_bytes(*id)), maybe_forgotten }))
            }
        }
    }
}

/// A number has other spellings, which are other keys to Kafka: their tombstones must take nothing away.
fn chunk_number(text: &str) -> Option<u64> {
    let is_as_written = text == "0" || text.starts_with(|first: char| ('1'..='9').contains(&first));
    text.parse().ok().filter(|number| is_as_written && *number <= CHUNK_NUMBER_MAX)
}

fn read_time(bytes: &[u8]) -> Result<UnixTime, UnreadableState> {
    let bytes = bytes.try_into().map_err(|_| UnreadableState::Value)?;
    Ok(UnixTime(i64::from_be_bytes(bytes)))
}

fn read_maybe_forgotten(bytes: &[u8; MAYBE_FORGOTTEN_BYTES]) -> MaybeForgotten {
    let both = u128::from_be_bytes(*bytes);
    MaybeForgotten { from: UnixTime((both >> 64) as i64), until: UnixTime(both as i64) }
}

fn read_remembered(bytes: &[u8; REMEMBERED_BYTES]) -> Remembered {
    let mut id = [0; 16];
    id.copy_from_slice(&bytes[..16]);
    Remembered { id: FactId(id), time: u32::from_be_bytes([bytes[16], bytes[17], bytes[18], bytes[19]]) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn promoter() -> Promoter {
        Promoter::from_key("wx1/oABC").unwrap()
    }

    #[test]
    fn keys_read_as_the_readme_says() {
        assert_eq!(StateKey::Cursor(promoter(), Feed::Orders).encode(), "cursor/wx1/oABC/orders");
        assert_eq!(StateKey::Seen(promoter(), Feed::Touches, 7).encode(), "seen/wx1/oABC/touches/7");
        assert_eq!(StateKey::Removed(promoter()).encode(), "removed/wx1/oABC");
        assert_eq!(StateKey::Rewound(promoter(), Feed::Refunds).encode(), "rewound/wx1/oABC/refunds");
        assert_eq!(StateKey::Forgotten(promoter(), Feed::Touches).encode(), "forgotten/wx1/oABC/touches");
    }

    #[test]
    fn a_newer_version_is_refused_by_name() {
        let key = StateKey::Cursor(promoter(), Feed::Orders);
        assert_eq!(StateValue::decode(&key, &[9, 0, 0]), Err(UnreadableState::Version(9)));
    }

    #[test]
    fn a_key_that_no_connector_writes_is_not_another_ones() {
        for key in
            ["seen/wx1/oABC/touches/007", "seen/wx1/oABC/touches/+7", "seen/wx1/oABC/touches/18446744073709551614"]
        {
            assert_eq!(StateKey::decode(key.as_bytes()), Err(UnreadableState::Key), "{key}");
        }
    }

    proptest! {
        #[test]
        fn records_are_read_back_as_they_were_written(
            number in 0..=CHUNK_NUMBER_MAX, start in any::<i64>(), before in any::<i64>(),
            polled in any::<bool>(), history_seen in any::<bool>(),
            facts in proptest::collection::vec((any::<[u8; 16]>(), any::<u32>()), 0..50),
            (rewind, forgotten) in (any::<u128>(), proptest::collection::vec((any::<i64>(), any::<i64>()), 0..4)),
        ) {
            for feed in Feed::ALL {
                let key = StateKey::Cursor(promoter(), feed);
                let (start, complete_before) = (UnixTime(start), UnixTime(before));
                let value = StateValue::Cursor(Cursor { start, complete_before, polled, history_seen });
                prop_assert_eq!(StateKey::decode(key.encode().as_bytes()), Ok(key.clone()));
                prop_assert_eq!(StateValue::decode(&key, &value.encode()), Ok(value));
                let key = StateKey::Seen(promoter(), feed, number);
                let facts = facts.iter().map(|&(id, time)| Remembered { id: FactId(id), time }).collect();
                let value = StateValue::Seen(facts);
                prop_assert_eq!(StateKey::decode(key.encode().as_bytes()), Ok(key.clone()));
                prop_assert_eq!(StateValue::decode(&key, &value.encode()), Ok(value));
                let key = StateKey::Rewound(promoter(), feed);
                let range = |&(from, until): &(i64, i64)| MaybeForgotten { from: UnixTime(from), until: UnixTime(until) };
                let maybe_forgotten = forgotten.iter().map(range).collect();
                let value = StateValue::Rewound(MetRewind { id: RewindId(rewind), maybe_forgotten });
                prop_assert_eq!(StateKey::decode(key.encode().as_bytes()), Ok(key.clone()));
                prop_assert_eq!(StateValue::decode(&key, &value.encode()), Ok(value));
            }
            let (key, value) = (StateKey::Removed(promoter()), StateValue::Removed(UnixTime(start)));
            prop_assert_eq!(StateKey::decode(key.encode().as_bytes()), Ok(key.clone()));
            prop_assert_eq!(StateValue::decode(&key, &value.encode()), Ok(value));
        }

        #[test]
        fn any_bytes_are_read_or_refused(key in any::<Vec<u8>>(), value in any::<Vec<u8>>()) {
            let _ = StateKey::decode(&key);
            let _ = StateValue::decode(&StateKey::Cursor(promoter(), Feed::Orders), &value);
            let _ = StateValue::decode(&StateKey::Seen(promoter(), Feed::Orders, 0), &value);
            let _ = StateValue::decode(&StateKey::Removed(promoter()), &value);
            let _ = StateValue::decode(&StateKey::Rewound(promoter(), Feed::Orders), &value);
        }
    }
}
