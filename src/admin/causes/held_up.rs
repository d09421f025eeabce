//! The cause of a registry that can't be read on, for somebody has a transaction open there.

use super::{Severity, StatusCause};
use crate::model::time::UnixMillis;
use crate::telemetry::health::hold_ups::HeldUpPartition;
use crate::telemetry::pipeline;
use crate::text::{counted, first_few};

/// The code of partitions of the registry in which what is said does not act.
pub const REGISTRY_HELD_UP: &str = "registry_held_up";

/// How long it may last, in milliseconds, before it is more than to be known: other programs commit what they write each minute.
const NOTED_MAX: i64 = 60_000;
/// Of more partitions than this only the number is told.
const NAMED_MAX: usize = 5;

/// One for all of them, since the first.
pub(super) fn cause(held_up: &[HeldUpPartition], now: UnixMillis) -> Option<StatusCause> {
    let first = held_up.first()?;
    let since = held_up.iter().map(|partition| partition.since).fold(first.since, Ord::min);
    let severity = if now.0.saturating_sub(since.0) > NOTED_MAX { Severity::Late } else { Severity::Note };
    let places =
        first_few(held_up.iter().map(|held_up| format!("{}@{}", held_up.partition, held_up.offset)), NAMED_MAX);
    let affected = counted(held_up.len() as u64, "partition");
    Some(StatusCause {
        pipeline: Some(pipeline::POLLS),
        partitions: held_up.iter().map(|held_up| held_up.partition).collect(),
        text: format!("somebody has a transaction open in {}, at partition@offset {places}", first.topic),
        since: Some(since.as_seconds().to_string()),
        affects: format!("what is said of promoters of {affected} since; who was registered before is polled on"),
        ..StatusCause::new(
            REGISTRY_HELD_UP,
            severity,
            "end the transaction where it was begun, or abort it (kafka-transactions.sh)",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held_up(partition: i32, offset: i64, since: i64) -> HeldUpPartition {
        HeldUpPartition { topic: "promoter.registry".to_owned(), partition, offset, since: UnixMillis(since) }
    }

    #[test]
    fn a_registry_that_is_held_up_is_told_with_its_places_and_is_late_after_a_minute() {
        assert_eq!(cause(&[], UnixMillis(0)), None);
        let two = [held_up(1, 7, 9000), held_up(3, 0, 5000)];
        let told = cause(&two, UnixMillis(65_000)).unwrap();
        assert_eq!((told.code, told.severity, &told.partitions[..]), (REGISTRY_HELD_UP, Severity::Note, &[1, 3][..]));
        assert_eq!(told.text, "somebody has a transaction open in promoter.registry, at partition@offset 1@7, 3@0");
        assert_eq!(told.since.as_deref(), Some("1970-01-01T00:00:05Z"));
        assert_eq!(cause(&two, UnixMillis(65_001)).unwrap().severity, Severity::Late);
    }

    #[test]
    fn of_many_partitions_the_first_few_are_named() {
        let many: Vec<_> = (0..100).map(|partition| held_up(partition, 1, 0)).collect();
        let told = cause(&many, UnixMillis(0)).unwrap();
        assert!(told.text.ends_with(" 0@1, 1@1, 2@1, 3@1, 4@1 and 95 more"), "{told:?}");
        assert_eq!(told.partitions.len(), 100, "a program is told all");
    }
}
