//! What a subscriber sees of what the callbacks tell, without a broker.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};

use super::callbacks::MemberContext;
use super::changes::{AssignmentChange, MembershipChanges, NumberedPartitions};
use super::member_id::MemberId;
use super::shared_membership::{Membership, SharedMembership};
use crate::commit::log::OpenError;
use crate::kafka::client::context::LogContext;
use crate::kafka::client::mock_cluster::MockCluster;
use crate::kafka::client::settings::tests::settings;
use crate::kafka::client::supplied::{LoggedConsumer, Supplied};
use crate::kafka::client::waiting;

const BOUND: Duration = Duration::from_secs(60);

/// The member "a" in this generation.
fn a(generation: i32) -> Membership {
    let config = settings(&[("bootstrap.servers", "127.0.0.1:1")]).member_config("group");
    let consumer: LoggedConsumer = config.create_with_context(LogContext::default()).unwrap();
    let metadata = Arc::new(consumer.group_metadata().unwrap());
    Membership { metadata, member: MemberId { generation, member: "a".into() } }
}

/// The member "a" of generation 5 with the partitions 0, 1 and 2, numbered from 1, and one who has been told so.
fn of_three() -> (Arc<SharedMembership>, MembershipChanges) {
    let shared = Arc::new(SharedMembership::new("group", "topic", true, Arc::new(|_| {})));
    shared.assigned(&[0, 1, 2], Some(a(5)));
    let mut changes = MembershipChanges::subscribe(&shared);
    assert_eq!(assigned(&mut changes), [(0, 1), (1, 2), (2, 3)]);
    (shared, changes)
}

/// The callback that revokes `removed` in this generation.
fn revoke(shared: &SharedMembership, removed: &[i32], generation: i32) {
    shared.revoked(removed, a(generation));
}

fn next(changes: &mut MembershipChanges) -> Result<AssignmentChange, OpenError> {
    waiting::block_on(changes.next(), BOUND).expect("there is a change")
}

fn assigned(changes: &mut MembershipChanges) -> NumberedPartitions {
    match next(changes) {
        Ok(AssignmentChange::Assigned(partitions)) => partitions,
        Ok(AssignmentChange::Revoked(partitions)) => panic!("{partitions:?} revoked"),
        Err(error) => panic!("{error}"),
    }
}

fn revoked(changes: &mut MembershipChanges) -> NumberedPartitions {
    match next(changes) {
        Ok(AssignmentChange::Revoked(partitions)) => partitions,
        Ok(AssignmentChange::Assigned(partitions)) => panic!("{partitions:?} assigned"),
        Err(error) => panic!("{error}"),
    }
}

fn is_told_nothing(changes: &mut MembershipChanges) -> bool {
    waiting::block_on(changes.next(), Duration::ZERO).is_none()
}

/// The generation and the partitions of the latest snapshot.
fn snapshot(shared: &SharedMembership) -> Option<(i32, Vec<(i32, u64)>)> {
    let snapshot = shared.current()?;
    let partitions = snapshot.partitions.iter().map(|(partition, number)| (*partition, *number)).collect();
    Some((snapshot.member.generation, partitions))
}

#[test]
fn what_is_revoked_is_used_until_the_generation_ends_and_nobody_is_told_before() {
    let (shared, mut changes) = of_three();
    revoke(&shared, &[1], 6);
    let revoking = (6, vec![(0, 1), (1, 2), (2, 3)]);
    assert_eq!(snapshot(&shared), Some(revoking.clone()));
    // The callback that follows on it, in the same generation.
    shared.assigned(&[], Some(a(6)));
    assert_eq!(snapshot(&shared), Some(revoking));
    assert!(is_told_nothing(&mut changes));
    shared.assigned(&[], Some(a(7)));
    assert_eq!(snapshot(&shared), Some((7, vec![(0, 1), (2, 3)])));
    assert_eq!(revoked(&mut changes), [(1, 2)]);
    assert!(is_told_nothing(&mut changes), "what stays is no news");
}

#[test]
fn what_is_handed_over_is_used_until_others_have_it() {
    let (shared, _changes) = of_three();
    let is_over = || waiting::block_on(shared.handed_over(), Duration::ZERO).is_some();
    assert!(!is_over());
    revoke(&shared, &[0, 1, 2], 5);
    shared.assigned(&[], Some(a(5)));
    assert!(!is_over(), "the generation has not ended");
    assert_eq!(snapshot(&shared), Some((5, vec![(0, 1), (1, 2), (2, 3)])));
    shared.assigned(&[], Some(a(6)));
    assert!(is_over());
}

#[test]
fn one_to_whom_nobody_listens_hands_over_to_nobody_and_keeps_what_it_has() {
    let (shared, _changes) = of_three();
    shared.alone();
    assert!(waiting::block_on(shared.handed_over(), Duration::ZERO).is_some());
    assert_eq!(snapshot(&shared), Some((5, vec![(0, 1), (1, 2), (2, 3)])));
    let (shared, _changes) = of_three();
    shared.lost_all();
    assert!(waiting::block_on(shared.handed_over(), Duration::ZERO).is_some(), "it has nothing");
}

#[test]
fn what_is_revoked_and_comes_back_in_the_next_generation_is_another_assignment() {
    let (shared, mut changes) = of_three();
    revoke(&shared, &[1], 6);
    shared.assigned(&[1], Some(a(7)));
    assert_eq!(revoked(&mut changes), [(1, 2)]);
    assert_eq!(assigned(&mut changes), [(1, 4)]);
    assert_eq!(snapshot(&shared), Some((7, vec![(0, 1), (1, 4), (2, 3)])));
}

#[test]
fn a_generation_that_moves_is_another_snapshot_and_no_change() {
    let (shared, mut changes) = of_three();
    let before = shared.current().unwrap();
    shared.assigned(&[], Some(a(5)));
    assert!(waiting::block_on(shared.changed(&before), Duration::ZERO).is_none(), "nothing is new");
    shared.assigned(&[], Some(a(6)));
    assert!(matches!(waiting::block_on(shared.changed(&before), Duration::ZERO), Some(Ok(()))));
    assert!(is_told_nothing(&mut changes));
    assert!(!before.lost.is_cancelled());
}

#[test]
fn a_lost_membership_has_no_snapshot_and_what_comes_back_is_another_assignment() {
    let (shared, mut changes) = of_three();
    let before = shared.current().unwrap();
    shared.lost(&[0, 1, 2]);
    assert!(shared.current().is_none() && before.lost.is_cancelled());
    assert_eq!(revoked(&mut changes), [(0, 1), (1, 2), (2, 3)]);
    shared.assigned(&[0, 1, 2], Some(a(9)));
    assert_eq!(assigned(&mut changes), [(0, 4), (1, 5), (2, 6)]);
    assert!(!shared.current().unwrap().lost.is_cancelled());
}

#[test]
fn one_who_is_slow_is_told_the_loss_before_the_new_assignment() {
    let (shared, mut changes) = of_three();
    shared.lost_all();
    shared.assigned(&[2], Some(a(9)));
    assert_eq!(revoked(&mut changes), [(0, 1), (1, 2), (2, 3)]);
    assert_eq!(assigned(&mut changes), [(2, 4)]);
}

#[test]
fn a_revocation_after_a_generation_that_may_have_been_missed_is_a_loss() {
    let (shared, mut changes) = of_three();
    // Others may have had the partitions already.
    shared.revoked(&[1], a(7));
    assert!(shared.current().is_none());
    assert_eq!(revoked(&mut changes), [(0, 1), (1, 2), (2, 3)]);
    shared.assigned(&[], Some(a(7)));
    assert_eq!(assigned(&mut changes), [(0, 4), (2, 5)]);
}

#[test]
fn an_assignment_that_the_group_has_moved_on_from_is_none() {
    let (shared, mut changes) = of_three();
    shared.assigned(&[3], None);
    assert!(shared.current().is_none());
    assert_eq!(revoked(&mut changes), [(0, 1), (1, 2), (2, 3)]);
}

#[test]
fn a_subscription_ends_the_one_before_and_begins_with_all_that_is_owned() {
    let (shared, mut first) = of_three();
    let mut second = MembershipChanges::subscribe(&shared);
    assert!(matches!(next(&mut first), Err(OpenError::Again(_))));
    drop(first);
    assert_eq!(assigned(&mut second), [(0, 1), (1, 2), (2, 3)]);
    revoke(&shared, &[0], 6);
    shared.assigned(&[], Some(a(7)));
    assert_eq!(revoked(&mut second), [(0, 1)]);
}

#[test]
fn a_membership_that_failed_says_why_and_has_no_snapshot_any_more() {
    let (shared, mut changes) = of_three();
    let before = shared.current().unwrap();
    shared.fail(OpenError::Stop("first".into()));
    shared.fail(OpenError::Stop("second".into()));
    let reason = |result: Result<(), OpenError>| result.unwrap_err().to_string();
    assert_eq!(reason(next(&mut changes).map(drop)), "first");
    assert_eq!(reason(waiting::block_on(shared.changed(&before), BOUND).unwrap()), "first");
    assert!(shared.current().is_none() && before.lost.is_cancelled());
}

/// A member that is given up is ended before the next one is made, which waits for that.
#[test]
fn a_member_that_lost_its_place_with_its_brokers_is_ended_soon() {
    let gone: [fn(MockCluster) -> Option<MockCluster>; 2] = [
        |_| None,
        |cluster| {
            cluster.fall_silent();
            Some(cluster)
        },
    ];
    let member_without = |lose: fn(MockCluster) -> Option<MockCluster>| {
        let cluster = MockCluster::start().unwrap();
        cluster.create_topic("topic", 3).unwrap();
        let servers = cluster.bootstrap_servers();
        let quick = [("session.timeout.ms", "2000"), ("heartbeat.interval.ms", "200"), ("socket.timeout.ms", "1000")];
        let settings = settings(&[&[("bootstrap.servers", servers.as_str())], &quick[..]].concat());
        let shared = Arc::new(SharedMembership::new("group", "topic", true, Arc::new(|_| {})));
        let member: Supplied<BaseConsumer<MemberContext>> =
            settings.member_config("group").create_with_context(MemberContext::of(&shared)).unwrap();
        member.subscribe(&["topic"]).unwrap();
        let began = Instant::now();
        let poll_until = |is_it: &dyn Fn() -> bool| {
            while !is_it() {
                assert!(began.elapsed() < BOUND);
                let _ = member.poll(Duration::from_millis(50));
            }
        };
        poll_until(&|| shared.current().is_some());
        let kept = lose(cluster);
        poll_until(&|| shared.current().is_none());
        let began = Instant::now();
        drop(member);
        let took = began.elapsed();
        assert!(took < Duration::from_secs(3), "it took {took:?}");
        drop(kept);
    };
    std::thread::scope(|scope| {
        for lose in gone {
            scope.spawn(move || member_without(lose));
        }
    });
}
