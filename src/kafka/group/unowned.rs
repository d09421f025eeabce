//! Partitions that the group at rest has given to nobody.
//!
//! What a member gives up in one generation is given on in the next, which begins with that member's joining (see the [module
//! above](super)). Where that joining never comes, nobody begins another: a member of a fixed name that ended in between, and is
//! back within its session, is given what its name has left, in the same generation. The partitions stand still then for as
//! long as the group stays as it is. [`MemberThread`](super::member) leaves such a generation itself when it starts and can see
//! that it might be in one; this is for where it could not, and for whoever else is in the group.
//!
//! So each member looks now and then, and where twice in a row something is nobody's, the one that has least joins anew. Whoever has
//! something and is [no instance](super::foreign_members) is met in the same looks.

use std::time::{Duration, Instant};

use super::group_members::GroupMembers;

/// Between two looks: each asks every broker.
const LOOK_EVERY: Duration = Duration::from_secs(20);
/// After so many looks in a row that have found something this member mends it, whoever else should have: what has least may be
/// no instance, or one of an earlier version.
const FOUND_MAX: u32 = 4;
/// Between a look that has found something and the next one. A member that was told to give something up joins again at once, however
/// many partitions it has.
const CONFIRM_AFTER: Duration = Duration::from_secs(10);

/// When this member looks, and what it found last.
pub(super) struct UnownedWatch {
    next_look: Instant,
    /// How many looks in a row have found something.
    found: u32,
}

impl UnownedWatch {
    /// It has just begun to join.
    pub fn new() -> UnownedWatch {
        UnownedWatch { next_look: Instant::now() + LOOK_EVERY, found: 0 }
    }

    pub fn is_due(&self) -> bool {
        self.next_look <= Instant::now()
    }

    /// What else was found is to be looked at again soon, too.
    pub fn look_soon(&mut self) {
        self.next_look = self.next_look.min(Instant::now() + CONFIRM_AFTER);
    }

    /// The group could not be looked at.
    pub fn failed(&mut self) {
        *self = UnownedWatch::new();
    }

    /// Takes how many of the topic's `partitions` are nobody's. Gives how many, where this member is to join anew for them.
    pub fn take(&mut self, members: &GroupMembers, name: &str, topic: &str, partitions: usize) -> Option<usize> {
        let unowned = members.unowned(topic, partitions);
        let found = if unowned > 0 { self.found + 1 } else { 0 };
        let to_mend = found >= FOUND_MAX || found > 1 && members.has_least(topic) == Some(name);
        self.found = if to_mend { 0 } else { found };
        self.next_look = Instant::now() + if self.found > 0 { CONFIRM_AFTER } else { LOOK_EVERY };
        to_mend.then_some(unowned)
    }
}

#[cfg(test)]
mod tests {
    use super::super::group_members::tests::owning;
    use super::*;

    #[test]
    fn who_has_least_mends_what_is_seen_twice() {
        let members = owning(&[("one", &[0, 1]), ("two", &[])]);
        let mut watch = UnownedWatch::new();
        assert_eq!(watch.take(&members, "two", "topic", 4), None, "it may be on its way");
        assert_eq!(watch.take(&members, "one", "topic", 4), None, "the other one has less");
        assert_eq!(watch.take(&members, "two", "topic", 4), Some(2));
        assert_eq!(watch.take(&members, "two", "topic", 4), None, "it has just done so");
        assert_eq!(watch.take(&members, "two", "topic", 2), None, "all is somebody's");
        assert_eq!(watch.take(&members, "two", "topic", 4), None, "and what was seen before counts no more");
    }

    #[test]
    fn where_nobody_else_mends_it_every_member_does() {
        let members = owning(&[("one", &[0, 1]), ("two", &[])]);
        let mut watch = UnownedWatch::new();
        let mended: Vec<_> = (0..5).map(|_| watch.take(&members, "one", "topic", 4)).collect();
        assert_eq!(mended, [None, None, None, Some(2), None]);
    }

    #[test]
    fn a_group_that_shares_out_has_nothing_that_is_nobodys() {
        let mut watch = UnownedWatch::new();
        for members in [owning(&[]), owning(&[("one", &[0])]).sharing_out()] {
            (0..3).for_each(|_| assert_eq!(watch.take(&members, "one", "topic", 4), None));
        }
    }
}
