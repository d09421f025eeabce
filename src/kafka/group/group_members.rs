//! Who is in a group, as the broker tells it.

use std::collections::HashSet;
use std::time::Duration;

use rdkafka::client::{Client, ClientContext};
use rdkafka::error::KafkaResult;
use rdkafka::groups::GroupMemberInfo;

use super::assignment::assigned;
use crate::kafka::client::settings::Settings;
use crate::telemetry::health::foreign_members::ForeignMember;
use crate::text::bounded;

/// Ends the member id that the group makes of an instance's name: a dash and a UUID.
const SUFFIX_BYTES: usize = 37;
/// Of a text that a member of others says of itself, so many characters are told.
const TOLD_MAX: usize = 150;

/// What the members of a group are called, and what they own.
pub struct GroupMembers {
    members: Vec<ListedMember>,
    /// How they share out what they own; empty while they do so.
    protocol: String,
}

/// Whose a partition is.
#[derive(Debug, PartialEq, Eq)]
pub enum PartitionOwner {
    /// The instance of this name.
    Instance(String),
    Foreign(ForeignMember),
}

struct ListedMember {
    id: String,
    client_id: String,
    host: String,
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
            client_id: member.client_id().to_owned(),
            // As Java writes an address that has no name.
            host: member.client_host().trim_start_matches('/').to_owned(),
            assignment: member.assignment().unwrap_or_default().to_owned(),
        };
        let protocol = groups.groups().first().map_or("", |group| group.protocol()).to_owned();
        Ok(GroupMembers { members: members.map(member).collect(), protocol })
    }

    /// Whether they share out in another way than instances do: then no instance can join, and none of them is one.
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

    /// Whether nobody has anything now, for the group is about to share it out.
    pub fn are_sharing_out(&self) -> bool {
        self.protocol.is_empty()
    }

    /// Who owns the partition of this topic.
    pub fn owner(&self, settings: &Settings, topic: &str, partition: i32) -> Option<PartitionOwner> {
        let owns = |member: &&ListedMember| {
            assigned(&member.assignment, topic).is_some_and(|partitions| partitions.contains(&partition))
        };
        let member = self.members.iter().find(owns)?;
        Some(match instance_of(&member.id) {
            Some(name) if !self.is_foreign(member, settings) => PartitionOwner::Instance(name.to_owned()),
            _ => PartitionOwner::Foreign(member.told(topic)),
        })
    }

    /// Those that are no instances, each with what it owns of the topic, which may be nothing; by their ids.
    pub fn foreign(&self, settings: &Settings, topic: &str) -> Vec<ForeignMember> {
        let foreign = self.members.iter().filter(|member| self.is_foreign(member, settings));
        let mut foreign: Vec<ForeignMember> = foreign.map(|member| member.told(topic)).collect();
        foreign.sort_unstable_by(|one, other| one.id.cmp(&other.id));
        foreign
    }

    fn is_foreign(&self, member: &ListedMember, settings: &Settings) -> bool {
        self.are_foreign() || member.is_foreign(settings)
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

impl ListedMember {
    /// Whether it is no instance.
    ///
    /// A group calls a member of a fixed name, as all instances are, by that name and a UUID, and any other by its `client.id` and a
    /// UUID. So one whose id begins with its client id has no fixed name, and one whose id is of another form is no member of a classic
    /// group. What has a fixed name of its own can't be told from an instance.
    ///
    /// An instance's client id is unlike its name unless an operator has set one. Where that is what this instance is called, the
    /// others may have theirs in the same way, and nothing is to be learnt of it; and who bears this instance's name is this instance,
    /// or one that takes its place. An operator who sets one `client.id` for all, and names another instance like that, has that one
    /// taken for foreign.
    fn is_foreign(&self, settings: &Settings) -> bool {
        let own = &settings.instance_id;
        match instance_of(&self.id) {
            None => true,
            Some(name) => name == self.client_id && name != own && settings.client_id() != *own,
        }
    }

    fn told(&self, topic: &str) -> ForeignMember {
        let mut partitions = assigned(&self.assignment, topic).unwrap_or_default();
        partitions.sort_unstable();
        ForeignMember {
            id: told_id(&self.id),
            client_id: bounded(&self.client_id, TOLD_MAX).to_owned(),
            host: bounded(&self.host, TOLD_MAX).to_owned(),
            topic: topic.to_owned(),
            partitions,
        }
    }
}

/// A long one without its middle: by its end it is told from others.
fn told_id(member_id: &str) -> String {
    let (name, suffix) = member_id.split_at(instance_of(member_id).map_or(member_id.len(), str::len));
    match bounded(name, TOLD_MAX) {
        whole if whole.len() == name.len() => member_id.to_owned(),
        beginning => format!("{beginning}…{suffix}"),
    }
}

/// The name that stands before the dash and the UUID.
fn instance_of(member_id: &str) -> Option<&str> {
    let (name, suffix) = member_id.split_at_checked(member_id.len().checked_sub(SUFFIX_BYTES)?)?;
    let is_digit = |(place, byte): (usize, u8)| match place {
        0 | 9 | 14 | 19 | 24 => byte == b'-',
        _ => byte.is_ascii_hexdigit(),
    };
    suffix.bytes().enumerate().all(is_digit).then_some(name)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::kafka::client::settings::tests::settings;

    impl GroupMembers {
        /// The same while it shares out what its members own.
        pub fn sharing_out(self) -> GroupMembers {
            GroupMembers { protocol: String::new(), ..self }
        }
    }

    /// A group at rest, whose instances own these partitions of "topic".
    pub fn owning(instances: &[(&str, &[i32])]) -> GroupMembers {
        let member = |(name, partitions): &(&str, &[i32])| ListedMember {
            assignment: assignment("topic", partitions),
            ..owning_nothing(format!("{name}-{UUID}"))
        };
        GroupMembers { members: instances.iter().map(member).collect(), protocol: PROTOCOL.into() }
    }

    /// The same with one more member, which owns these partitions of "topic".
    pub fn with_stranger(mut members: GroupMembers, id: &str, client_id: &str, partitions: &[i32]) -> GroupMembers {
        members.members.push(ListedMember {
            client_id: client_id.to_owned(),
            assignment: assignment("topic", partitions),
            ..owning_nothing(id.to_owned())
        });
        members
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

    pub const UUID: &str = "0f8fad5b-d9cb-469f-a165-70867728950e";

    fn of(names: &[&str]) -> GroupMembers {
        let ids = names.iter().map(|name| format!("{name}-{UUID}"));
        GroupMembers { members: ids.map(owning_nothing).collect(), protocol: PROTOCOL.into() }
    }

    fn owning_nothing(id: String) -> ListedMember {
        let client_id = format!("connector-{id}");
        ListedMember { id, client_id, host: "10.0.0.7".into(), assignment: Vec::new() }
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
        // Though they have fixed names, as instances have.
        let settings = settings(&[]);
        let members = GroupMembers { protocol: "range".into(), ..owning(&[("one", &[0]), ("two", &[])]) };
        let told = members.foreign(&settings, "topic");
        assert_eq!((told.len(), &told[0].partitions[..]), (2, &[0][..]));
        assert_eq!(members.owner(&settings, "topic", 0), Some(PartitionOwner::Foreign(told[0].clone())));
    }

    fn foreign(settings: &Settings, members: &GroupMembers) -> Vec<String> {
        members.foreign(settings, "topic").into_iter().map(|member| member.id).collect()
    }

    #[test]
    fn who_has_no_fixed_name_is_no_instance() {
        let (settings, id) = (settings(&[]), format!("sarama-{UUID}"));
        let members = with_stranger(owning(&[("one", &[0]), ("two", &[3])]), &id, "sarama", &[2, 1]);
        let told = members.foreign(&settings, "topic");
        assert_eq!(told.len(), 1);
        assert_eq!((&told[0].id, &told[0].partitions[..], told[0].host.as_str()), (&id, &[1, 2][..], "10.0.0.7"));
        assert_eq!(members.owner(&settings, "topic", 3), Some(PartitionOwner::Instance("two".into())));
        assert_eq!(members.owner(&settings, "topic", 2), Some(PartitionOwner::Foreign(told[0].clone())));
        assert_eq!(members.owner(&settings, "topic", 4), None);

        let of_another_form = format!("two-{}", UUID.replace('f', "g"));
        for id in ["", "two", UUID, of_another_form.as_str()] {
            let members = with_stranger(owning(&[("one", &[0])]), id, "connector-two", &[]);
            assert_eq!(foreign(&settings, &members), [id], "not called as a member of a fixed name is");
        }
        let id = format!("{}-{UUID}", "x".repeat(1000));
        let told = foreign(&settings, &with_stranger(owning(&[]), &id, &id[..1000], &[]));
        assert_eq!(told, [format!("{}…-{UUID}", &id[..TOLD_MAX])], "what it says of itself is bounded");
    }

    #[test]
    fn an_instance_is_never_foreign_whatever_client_id_an_operator_gives_it() {
        let members = |client_id| with_stranger(owning(&[("two", &[0])]), &format!("one-{UUID}"), client_id, &[1]);
        let alike = with_stranger(members("one"), &format!("three-{UUID}"), "three", &[2]);
        for client_id in ["connector-one", "shop", "one"] {
            assert_eq!(foreign(&settings(&[("client.id", client_id)]), &members(client_id)), [""; 0]);
        }
        // All are called by their names.
        assert_eq!(foreign(&settings(&[("client.id", "one")]), &alike), [""; 0]);
        assert_eq!(foreign(&settings(&[]), &alike), [format!("three-{UUID}")]);
    }
}
