//! Members of a pipeline's group that are no instances, and have some of what is to be worked on.

use parking_lot::Mutex;

use crate::model::time::UnixMillis;
use crate::text::first_few;

/// What to do about one.
pub const FOREIGN_MEMBER_REMEDY: &str =
    "stop that program, or give it another group.id: the connector's name is the group of its instances";
/// Of more partitions than this only the number is named.
const NAMED_MAX: usize = 10;

/// Those that one instance has seen: written by whoever looks at the group, read by whoever asks.
#[derive(Debug, Default)]
pub struct ForeignMembers(Mutex<Vec<SeenMember>>);

/// A member of the group that does not do what an instance does with its partitions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForeignMember {
    /// As the group calls it, bounded; as is what follows.
    pub id: String,
    pub client_id: String,
    pub host: String,
    pub topic: String,
    /// Of the topic, by their numbers.
    pub partitions: Vec<i32>,
}

/// One that was seen more than once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenMember {
    pub member: ForeignMember,
    /// When it was first seen.
    pub since: UnixMillis,
}

impl ForeignMembers {
    /// These are all of them from now on.
    pub fn set(&self, seen: Vec<SeenMember>) {
        *self.0.lock() = seen;
    }

    /// By their ids.
    pub fn all(&self) -> Vec<SeenMember> {
        self.0.lock().clone()
    }
}

impl ForeignMember {
    /// Which partitions it has, such as `0, 1, 2 and 9 more`.
    pub fn partitions_named(&self) -> String {
        first_few(self.partitions.iter(), NAMED_MAX)
    }

    /// Such as `rdkafka-0f8f… at 10.0.0.7 (partitions 0, 1 of promoter.registry)`.
    pub fn named(&self) -> String {
        let ForeignMember { id, host, topic, partitions, .. } = self;
        match partitions.len() {
            0 => format!("{id} at {host} (nothing of {topic})"),
            1 => format!("{id} at {host} (partition {} of {topic})", self.partitions_named()),
            _ => format!("{id} at {host} (partitions {} of {topic})", self.partitions_named()),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn foreign(id: &str, partitions: &[i32]) -> ForeignMember {
        ForeignMember {
            id: id.to_owned(),
            client_id: "rdkafka".to_owned(),
            host: "10.0.0.7".to_owned(),
            topic: "promoter.registry".to_owned(),
            partitions: partitions.to_vec(),
        }
    }

    #[test]
    fn a_member_is_named_with_the_first_of_its_partitions() {
        assert_eq!(foreign("x", &[]).named(), "x at 10.0.0.7 (nothing of promoter.registry)");
        assert_eq!(foreign("x", &[4]).named(), "x at 10.0.0.7 (partition 4 of promoter.registry)");
        let many: Vec<i32> = (0..100).collect();
        assert_eq!(
            foreign("x", &many).named(),
            "x at 10.0.0.7 (partitions 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 90 more of promoter.registry)"
        );
    }
}
