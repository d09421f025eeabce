//! Who is in a group, as the broker tells it.

use std::time::Duration;

use rdkafka::client::{Client, ClientContext};
use rdkafka::error::KafkaResult;

/// Ends the member id that the group makes of an instance's name: a dash and a UUID.
const SUFFIX_BYTES: usize = 37;

/// What the members of a group are called.
pub struct GroupMembers {
    ids: Vec<String>,
    /// How they share out what they own; empty while they do so.
    protocol: String,
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
        let ids = members.map(|member| member.id().to_owned()).collect();
        let protocol = groups.groups().first().map_or("", |group| group.protocol()).to_owned();
        Ok(GroupMembers { ids, protocol })
    }

    /// Whether they are something else than instances, which no instance can join.
    pub fn are_foreign(&self) -> bool {
        !self.ids.is_empty() && !self.protocol.is_empty() && self.protocol != PROTOCOL
    }

    pub fn count(&self) -> usize {
        self.ids.len()
    }

    /// Whether there is one of this instance's name.
    pub fn has(&self, instance_id: &str) -> bool {
        self.ids.iter().any(|id| instance_of(id) == Some(instance_id))
    }

    /// Whether there is one of another name.
    pub fn has_others_than(&self, instance_id: &str) -> bool {
        self.ids.iter().any(|id| instance_of(id) != Some(instance_id))
    }
}

pub(super) fn instance_of(member_id: &str) -> Option<&str> {
    member_id.get(..member_id.len().checked_sub(SUFFIX_BYTES)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const UUID: &str = "0f8fad5b-d9cb-469f-a165-70867728950e";

    fn of(names: &[&str]) -> GroupMembers {
        let ids = names.iter().map(|name| format!("{name}-{UUID}")).collect();
        GroupMembers { ids, protocol: PROTOCOL.into() }
    }

    #[test]
    fn an_instance_is_told_from_one_whose_name_begins_alike() {
        assert!(of(&["one"]).has("one"));
        assert!(!of(&["one-2"]).has("one"));
        assert!(of(&["one-2"]).has("one-2"));
        assert!(!GroupMembers { ids: vec!["one".into()], ..of(&[]) }.has("one"));
    }

    #[test]
    fn others_are_those_of_another_name() {
        assert!(!of(&[]).has_others_than("one"));
        assert!(!of(&["one"]).has_others_than("one"));
        assert!(of(&["one", "two"]).has_others_than("one"));
        assert!(GroupMembers { ids: vec!["a consumer of another kind".into()], ..of(&[]) }.has_others_than("one"));
    }

    #[test]
    fn who_shares_out_in_another_way_is_no_instance() {
        let sharing = |names: &[&str], protocol: &str| GroupMembers { protocol: protocol.into(), ..of(names) };
        assert!(sharing(&["one"], "range").are_foreign());
        assert!(!sharing(&["one"], PROTOCOL).are_foreign() && !sharing(&["one"], "").are_foreign());
        assert!(!sharing(&[], "range").are_foreign());
    }
}
