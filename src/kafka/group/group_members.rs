//! Who is in a group, as the broker tells it.

use std::collections::HashSet;
use std::time::Duration;

use rdkafka::client::{Client, ClientContext};
use rdkafka::error::KafkaResult;
use rdkafka::groups::GroupMemberInfo;

use super::assignment::assigned;

/// Ends the member id that the group makes of an instance's name: a dash and a UUID.
const SUFFIX_BYTES: usize = 37;

/// What the members of a group are called, and what they own.
pub struct GroupMembers {
    members: Vec<ListedMember>,
    /// How they share out what they own; empty while they do so.
    protocol: String,
}

struct ListedMember {
    id: String,
    /// In the consumer protocol; empty where there is none, as before a group has shared out what it owns.
    assignment: Vec<u8>,
}

/// How instances share out partitions.
const PROTOCOL: &str = "cooperative-sticky";

impl GroupMembers {
    /// Asks each broker, for `bound` at most.
    ///
    /// # Errors
    /// Where a broker does not answer in time, or refuses to tell.
    pub fn fetch<C: ClientContext>(client: &Client<C>, group: &str, bound: Duration) -> KafkaResult<GroupMembers> {
        let groups = client.fetch_group_list(Some(group), bound)?;
        let members = groups.groups().iter().flat_map(|group| group.members());
        let member = |member: &GroupMemberInfo| ListedMember {
            id: member.id().to_owned(),
            assignment: member.assignment().unwrap_or_default().to_owned(),
        };
        let protocol = groups.groups().first().map_or("", |group| group.protocol()).to_owned();
        Ok(GroupMembers { members: members.map(member).collect(), protocol })
    }

    /// Whether they are something else than instances, which no instance can join.
    pub fn are_foreign(&self) -> bool {
        !self.members.is_empty() && !self.protocol.is_empty() && self.protocol != PROTOCOL
    }

    pub fn count(&self) -> usize {
        self.members.len()
    }

    /// Whether there is one of this instance's name.
    pub fn has(&self, instance_id: &str) -> bool {
        self.members.iter().any(|member| instance_of(&member.id) == Some(instance_id))
    }

    /// Who owns the partition of this topic: an instance's name, or the member id of something else.
    pub fn owner(&self, topic: &str, partition: i32) -> Option<&str> {
        let owns = |member: &&ListedMember| {
            assigned(&member.assignment, topic).is_some_and(|partitions| partitions.contains(&partition))
        };
        self.members.iter().find(owns).map(|member| instance_of(&member.id).unwrap_or(&member.id))
    }

    /// How many of the topic's `partitions` are nobody's: none while the group shares them out, or has no members.
    pub fn unowned(&self, topic: &str, partitions: usize) -> usize {
        if self.members.is_empty() || self.protocol != PROTOCOL {
            return 0;
        }
        let owned = self.members.iter().filter_map(|member| assigned(&member.assignment, topic));
        let owned: HashSet<i32> = owned.flatten().collect();
        partitions.saturating_sub(owned.len())
    }

    /// The name of the instance that has the fewest partitions of the topic; of several the first by their names. Nothing where no
    /// member is an instance.
    pub fn has_least(&self, topic: &str) -> Option<&str> {
        let owned =
            |member: &ListedMember| assigned(&member.assignment, topic).map_or(0, |partitions| partitions.len());
        let named = self.members.iter().filter_map(|member| Some((owned(member), instance_of(&member.id)?)));
        named.min().map(|(_, name)| name)
    }

    /// Whether there is one of another name.
    pub fn has_others_than(&self, instance_id: &str) -> bool {
        self.members.iter().any(|member| instance_of(&member.id) != Some(instance_id))
    }
}

fn instance_of(member_id: &str) -> Option<&str> {
    member_id.get(..member_id.len().checked_sub(SUFFIX_BYTES)?)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    impl GroupMembers {
        /// The same while it shares out what its members own.
        pub fn sharing_out(self) -> GroupMembers {
            GroupMembers { protocol: String::new(), ..self }
        }
    }

    /// A group at rest, whose instances own these partitions of "topic".
    pub fn owning(instances: &[(&str, &[i32])]) -> GroupMembers {
        let member = |(name, partitions): &(&str, &[i32])| ListedMember {
            id: format!("{name}-{UUID}"),
            assignment: assignment("topic", partitions),
        };
        GroupMembers { members: instances.iter().map(member).collect(), protocol: PROTOCOL.into() }
    }

    /// Of one topic, as the consumer protocol writes it.
    fn assignment(topic: &str, partitions: &[i32]) -> Vec<u8> {
        let mut bytes = b"\x00\x01\x00\x00\x00\x01".to_vec();
        bytes.extend(i16::try_from(topic.len()).unwrap().to_be_bytes());
        bytes.extend(topic.as_bytes());
        bytes.extend(i32::try_from(partitions.len()).unwrap().to_be_bytes());
        bytes.extend(partitions.iter().flat_map(|partition| partition.to_be_bytes()));
        bytes
    }

    #[test]
    fn what_nobody_owns_is_counted_and_who_has_least_is_named() {
        let members = owning(&[("three", &[0]), ("one", &[3, 1]), ("two", &[4])]);
        assert_eq!((members.unowned("topic", 5), members.unowned("topic", 4)), (1, 0));
        assert_eq!(members.unowned("other", 5), 5);
        assert_eq!(members.has_least("topic"), Some("three"));
        assert_eq!(owning(&[]).has_least("topic"), None);
        assert_eq!(owning(&[]).unowned("topic", 5), 0);
    }

    const UUID: &str = "0f8fad5b-d9cb-469f-a165-70867728950e";

    fn of(names: &[&str]) -> GroupMembers {
        let ids = names.iter().map(|name| format!("{name}-{UUID}"));
        GroupMembers { members: ids.map(owning_nothing).collect(), protocol: PROTOCOL.into() }
    }

    fn owning_nothing(id: String) -> ListedMember {
        ListedMember { id, assignment: Vec::new() }
    }

    #[test]
    fn an_instance_is_told_from_one_whose_name_begins_alike() {
        assert!(of(&["one"]).has("one"));
        assert!(!of(&["one-2"]).has("one"));
        assert!(of(&["one-2"]).has("one-2"));
        assert!(!GroupMembers { members: vec![owning_nothing("one".into())], ..of(&[]) }.has("one"));
    }

    #[test]
    fn others_are_those_of_another_name() {
        assert!(!of(&[]).has_others_than("one"));
        assert!(!of(&["one"]).has_others_than("one"));
        assert!(of(&["one", "two"]).has_others_than("one"));
        let other = owning_nothing("a consumer of another kind".into());
        assert!(GroupMembers { members: vec![other], ..of(&[]) }.has_others_than("one"));
    }

    #[test]
    fn who_shares_out_in_another_way_is_no_instance() {
        let sharing = |names: &[&str], protocol: &str| GroupMembers { protocol: protocol.into(), ..of(names) };
        assert!(sharing(&["one"], "range").are_foreign());
        assert!(!sharing(&["one"], PROTOCOL).are_foreign() && !sharing(&["one"], "").are_foreign());
        assert!(!sharing(&[], "range").are_foreign());
    }
}
