//! What a member of a group was given, as the consumer protocol writes it.

/// The partitions of `topic` in an assignment of the consumer protocol: a version, then for each topic its name and its partitions,
/// all in network order. Nothing where it is none.
pub(super) fn assigned(assignment: &[u8], topic: &str) -> Option<Vec<i32>> {
    let mut rest = assignment;
    take::<2>(&mut rest)?;
    for _ in 0..i32::from_be_bytes(take(&mut rest)?) {
        let length = usize::try_from(i16::from_be_bytes(take(&mut rest)?)).ok()?;
        let name = rest.split_off(..length)?;
        let count = usize::try_from(i32::from_be_bytes(take(&mut rest)?)).ok()?;
        let mut partitions = rest.split_off(..count.checked_mul(4)?)?;
        if name == topic.as_bytes() {
            return Some(std::iter::from_fn(|| take(&mut partitions).map(i32::from_be_bytes)).collect());
        }
    }
    Some(Vec::new())
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (first, others) = rest.split_first_chunk()?;
    *rest = others;
    Some(*first)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As brokers give it: version 1, topics "a" with partition 9 and "registry" with partitions 2 and 7, no data of users.
    const ASSIGNMENT: &[u8] = b"\x00\x01\x00\x00\x00\x02\
        \x00\x01a\x00\x00\x00\x01\x00\x00\x00\x09\
        \x00\x08registry\x00\x00\x00\x02\x00\x00\x00\x02\x00\x00\x00\x07\
        \x00\x00\x00\x00";

    #[test]
    fn the_partitions_of_the_topic_are_read_and_no_others() {
        assert_eq!(assigned(ASSIGNMENT, "registry"), Some(vec![2, 7]));
        assert_eq!(assigned(ASSIGNMENT, "a"), Some(vec![9]));
        assert_eq!(assigned(ASSIGNMENT, "other"), Some(vec![]));
    }

    #[test]
    fn what_is_cut_short_is_no_assignment() {
        let registry_ends = ASSIGNMENT.len() - 4;
        for length in 0..registry_ends {
            assert_eq!(assigned(&ASSIGNMENT[..length], "registry"), None, "{length}");
        }
        assert!(assigned(b"\x00\x01\x7f\xff\xff\xff\x00\x01a\x7f\xff\xff\xff", "registry").is_none());
    }
}
