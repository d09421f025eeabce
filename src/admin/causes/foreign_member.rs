//! The cause of partitions that a member of the consumer group has which is no instance.

use super::{Severity, StatusCause};
use crate::telemetry::health::foreign_members::{FOREIGN_MEMBER_REMEDY, SeenMember};
use crate::telemetry::pipeline;
use crate::text::{counted, first_few};

/// The code of partitions that are given to somebody who works on none.
pub(super) const FOREIGN_MEMBER: &str = "foreign_member";
/// Of more members than this only the number is told.
const NAMED_MAX: usize = 3;

/// One for all of them in the group of this pipeline, since the first.
pub(super) fn cause(pipeline: &'static str, seen: &[SeenMember]) -> Option<StatusCause> {
    let since = seen.iter().map(|seen| seen.since).min()?;
    let mut partitions: Vec<i32> = seen.iter().flat_map(|seen| &seen.member.partitions).copied().collect();
    partitions.sort_unstable();
    partitions.dedup();
    let members = first_few(seen.iter().map(|seen| seen.member.named()), NAMED_MAX);
    let affected = counted(partitions.len() as u64, "partition");
    let affects = match pipeline {
        pipeline::POLLS => format!("the promoters of {affected}, whom nobody polls"),
        _ => format!("requests for material in {affected}, which nobody answers"),
    };
    Some(StatusCause {
        pipeline: Some(pipeline),
        // Those of the requests are none of the registry's.
        partitions: if pipeline == pipeline::POLLS { partitions } else { Vec::new() },
        text: format!("in the consumer group of the instances there is what is none: {members}"),
        since: Some(since.as_seconds().to_string()),
        affects,
        ..StatusCause::new(FOREIGN_MEMBER, Severity::Stopped, FOREIGN_MEMBER_REMEDY)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::time::UnixMillis;
    use crate::telemetry::health::foreign_members::tests::foreign;

    fn seen(id: &str, partitions: &[i32], since: i64) -> SeenMember {
        SeenMember { member: foreign(id, partitions), since: UnixMillis(since) }
    }

    #[test]
    fn who_is_no_instance_is_named_with_what_it_owns_since_it_was_seen() {
        assert_eq!(cause(pipeline::POLLS, &[]), None);
        let two = [seen("a-1", &[4, 1], 9000), seen("b-2", &[0], 5000)];
        let told = cause(pipeline::POLLS, &two).unwrap();
        assert_eq!((told.severity, &told.partitions[..]), (Severity::Stopped, &[0, 1, 4][..]));
        assert_eq!(
            told.text,
            "in the consumer group of the instances there is what is none: a-1 at 10.0.0.7 (partitions 4, 1 of \
             promoter.registry), b-2 at 10.0.0.7 (partition 0 of promoter.registry)"
        );
        assert_eq!(told.since.as_deref(), Some("1970-01-01T00:00:05Z"));
        assert_eq!(told.affects, "the promoters of 3 partitions, whom nobody polls");
    }

    #[test]
    fn of_many_members_the_first_few_are_named_and_all_that_they_own() {
        let many: Vec<_> = (0..50).map(|number| seen(&format!("{number:02}"), &[number], 0)).collect();
        let told = cause(pipeline::POLLS, &many).unwrap();
        assert!(told.text.contains("02 at 10.0.0.7") && !told.text.contains("03 at"), "{told:?}");
        assert!(told.text.ends_with(" and 47 more"), "{told:?}");
        assert_eq!(told.partitions.len(), 50);
    }

    #[test]
    fn what_is_in_the_group_of_the_requests_stops_no_promoter() {
        let told = cause(pipeline::REQUESTS, &[seen("a", &[2], 0)]).unwrap();
        assert_eq!((told.pipeline, &told.partitions[..]), (Some(pipeline::REQUESTS), &[][..]));
        assert_eq!(told.affects, "requests for material in 1 partition, which nobody answers");
    }
}
