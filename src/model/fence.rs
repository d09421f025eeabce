//! Whose the state topic is: the record that every owner leaves in the partitions that it takes over.
//!
//! | key | value |
//! |---|---|
//! | `fence/<connector>` | JSON: format, connector, partitions, id_kinds, generation, member, transactional_id, opening, confirmed |
//!
//! Each name has a key of its own, so that compaction never lets one connector's fence hide another's, and a tombstone
//! takes away exactly one of them. The value is JSON, for an operator who has to find out whose a topic is, and for a
//! newer version, of which only `format` has to be understood.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::promoter::IdKind;

/// Of the fences, and of all the other records of the state topic.
pub(crate) const FORMAT: u32 = 1;

const PREFIX: &str = "fence/";

/// The record by which an owner says, in each partition that it takes over, whose the state in it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fence {
    pub format: u32,
    /// `connector.name`.
    pub connector: String,
    /// Of the registry, and of the state: promoters are placed by it.
    pub partitions: i32,
    /// By app id: of each app that is configured, and of those that once were.
    pub id_kinds: BTreeMap<String, IdKind>,
    /// Under which the partitions were taken over.
    pub generation: i32,
    /// The id that the group knows the owner by: never given twice.
    pub member: String,
    pub transactional_id: String,
    /// Counts the openings of the owner's process.
    pub opening: u64,
    /// Whether an owner has looked, after its fence stood here, at the fences of all other partitions, and found none that
    /// speaks against it. Until then this one proves nothing: whoever wrote it may have come to nothing.
    pub confirmed: bool,
}

/// Why the topic can't be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Conflict {
    #[error(
        "it belongs to the connector \"{0}\": give this one topics of its own, or go back to connector.name = \"{0}\"; or, once none \
         of its instances runs any more, take over what it has left by run --adopt"
    )]
    Name(String),
    #[error(
        "it was written when it had another number of partitions: {was} then, {is} now. What is known of a promoter is \
         looked for in another partition than it stands in; go back to topics of {was} partitions"
    )]
    Partitions { was: i32, is: i32 },
    #[error(
        "app {app} was polled with id_kind = \"{was}\" and is configured with \"{is}\" now: every fact would have another \
         identity and be published again; go back to id_kind = \"{was}\""
    )]
    IdKind { app: String, was: IdKind, is: IdKind },
    #[error("it was written in format {0} by a newer promoter-connector; run that one")]
    Format(u32),
}

/// The value is no fence.
#[derive(Debug, PartialEq, Eq)]
pub struct Damaged;

#[derive(Deserialize)]
struct FormatOnly {
    format: u32,
}

/// What stands under a fence's key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FoundFence {
    Fence(Box<Fence>),
    /// Of a newer version, in this format.
    Newer(u32),
}

impl FoundFence {
    pub(crate) fn is_confirmed(&self) -> bool {
        matches!(self, FoundFence::Fence(fence) if fence.confirmed)
    }
}

impl Fence {
    pub fn key(&self) -> String {
        Fence::key_of(&self.connector)
    }

    pub(crate) fn key_of(connector: &str) -> String {
        format!("{PREFIX}{connector}")
    }

    /// The connector whose fence stands under `key`, if it is the key of one.
    pub fn connector_of(key: &[u8]) -> Option<&str> {
        std::str::from_utf8(key.strip_prefix(PREFIX.as_bytes())?).ok()
    }

    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a map with text keys, numbers and texts are always JSON")
    }

    /// Reads the value that stands under a fence's key.
    ///
    /// # Errors
    /// [`Damaged`] where it is no fence of any version.
    pub fn decode(value: &[u8]) -> Result<FoundFence, Damaged> {
        let FormatOnly { format } = serde_json::from_slice(value).map_err(|_| Damaged)?;
        if format > FORMAT {
            return Ok(FoundFence::Newer(format));
        }
        serde_json::from_slice(value).map(|fence| FoundFence::Fence(Box::new(fence))).map_err(|_| Damaged)
    }

    /// Whether this fence may follow on `earlier`, which stands in a partition of the same topic.
    ///
    /// # Errors
    /// The [`Conflict`] for which it may not.
    pub fn check(&self, earlier: &FoundFence) -> Result<(), Conflict> {
        if let FoundFence::Fence(earlier) = earlier
            && earlier.connector != self.connector
        {
            return Err(Conflict::Name(earlier.connector.clone()));
        }
        self.check_layout(earlier)
    }

    /// Whether what `earlier` stands for is laid out as this fence says, whosever it is.
    ///
    /// # Errors
    /// The [`Conflict`] for which it is not: any but that of the names.
    pub fn check_layout(&self, earlier: &FoundFence) -> Result<(), Conflict> {
        let earlier = match earlier {
            FoundFence::Newer(format) => return Err(Conflict::Format(*format)),
            FoundFence::Fence(earlier) => earlier,
        };
        if earlier.partitions != self.partitions {
            return Err(Conflict::Partitions { was: earlier.partitions, is: self.partitions });
        }
        let mut both = self.id_kinds.iter().filter_map(|(app, is)| Some((app, earlier.id_kinds.get(app)?, is)));
        match both.find(|(_, was, is)| was != is) {
            Some((app, was, is)) => Err(Conflict::IdKind { app: app.clone(), was: *was, is: *is }),
            None => Ok(()),
        }
    }

    /// Keeps what `earlier` knows of apps that are not configured here: they may come back.
    pub(crate) fn inherit(&mut self, earlier: &FoundFence) {
        let FoundFence::Fence(earlier) = earlier else { return };
        for (app, kind) in &earlier.id_kinds {
            self.id_kinds.entry(app.clone()).or_insert(*kind);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fence() -> Fence {
        Fence {
            format: FORMAT,
            connector: "shop".into(),
            partitions: 3,
            id_kinds: BTreeMap::from([("wx1".into(), IdKind::OpenId)]),
            generation: 7,
            member: "one-uuid".into(),
            transactional_id: "shop-one".into(),
            opening: 2,
            confirmed: true,
        }
    }

    fn found(fence: Fence) -> FoundFence {
        FoundFence::Fence(Box::new(fence))
    }

    #[test]
    fn a_fence_is_read_back_as_it_was_written_and_by_people() {
        let (key, value) = (fence().key(), fence().encode());
        assert_eq!(Fence::connector_of(key.as_bytes()), Some("shop"));
        assert_eq!(Fence::decode(&value), Ok(found(fence())));
        let text = String::from_utf8(value).unwrap();
        assert!(text.contains(r#""connector":"shop""#) && text.contains(r#""wx1":"openid""#), "{text}");
    }

    #[test]
    fn keys_of_other_records_are_no_fences_and_other_bytes_are_damaged() {
        assert_eq!(Fence::connector_of(b"cursor/wx1/o1/orders"), None);
        assert_eq!(Fence::connector_of(b"\xff"), None);
        for bytes in [b"".as_slice(), b"{}", b"null", br#"{"format":1,"connector":"shop"}"#] {
            assert_eq!(Fence::decode(bytes), Err(Damaged));
        }
    }

    #[test]
    fn a_later_owner_of_the_same_connector_may_follow() {
        let later = Fence { generation: 8, member: "two".into(), opening: 1, ..fence() };
        assert_eq!(later.check(&found(fence())), Ok(()));
    }

    #[test]
    fn another_name_count_id_kind_or_a_newer_format_may_not() {
        let check = |earlier| fence().check(&found(earlier));
        assert_eq!(check(Fence { connector: "b".into(), ..fence() }), Err(Conflict::Name("b".into())));
        let Err(partitions) = check(Fence { partitions: 6, ..fence() }) else { panic!("it may not") };
        assert_eq!(partitions, Conflict::Partitions { was: 6, is: 3 });
        let id_kinds = BTreeMap::from([("wx1".into(), IdKind::UnionId)]);
        let Err(kind) = check(Fence { id_kinds, ..fence() }) else { panic!("it may not") };
        assert!(kind.to_string().contains(r#"id_kind = "unionid""#), "{kind}");
        let newer = br#"{"format":2,"what":"nobody knows yet"}"#;
        assert_eq!(fence().check(&Fence::decode(newer).unwrap()), Err(Conflict::Format(2)));
    }

    #[test]
    fn whoever_adopts_passes_over_the_name_alone() {
        let check = |earlier| fence().check_layout(&found(earlier));
        let other = Fence { connector: "b".into(), ..fence() };
        assert_eq!(check(other.clone()), Ok(()));
        let told = fence().check(&found(other.clone())).unwrap_err().to_string();
        assert!(told.contains("run --adopt"), "{told}");
        assert_eq!(check(Fence { partitions: 6, ..other.clone() }), Err(Conflict::Partitions { was: 6, is: 3 }));
        let id_kinds = BTreeMap::from([("wx1".into(), IdKind::UnionId)]);
        assert!(matches!(check(Fence { id_kinds, ..other }), Err(Conflict::IdKind { .. })));
        assert_eq!(fence().check_layout(&FoundFence::Newer(2)), Err(Conflict::Format(2)));
    }

    #[test]
    fn an_app_that_was_left_out_for_a_while_is_still_known() {
        let mut without = Fence { id_kinds: BTreeMap::from([("wx2".into(), IdKind::UnionId)]), ..fence() };
        assert_eq!(without.check(&found(fence())), Ok(()));
        without.inherit(&found(fence()));
        let back = Fence { id_kinds: BTreeMap::from([("wx1".into(), IdKind::UnionId)]), ..fence() };
        assert!(matches!(back.check(&found(without)), Err(Conflict::IdKind { .. })));
    }
}
