//! How a producer is opened, and who is told what when it can't be.

use std::sync::Arc;

use promoter_connector::commit::log::OpenError;
use promoter_connector::kafka::group::member::GroupMember;
use rdkafka::types::RDKafkaApiKey::{
    AddOffsetsToTxn, AddPartitionsToTxn, EndTxn, InitProducerId, JoinGroup, TxnOffsetCommit,
};
use rdkafka::types::RDKafkaRespErr::*;

use crate::bench::{Bench, JOIN_BOUND};

#[test]
fn init_is_called_again_while_the_coordinator_loads() {
    let bench = Bench::new();
    bench.errors(InitProducerId, &[RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS; 3]);
    assert_eq!(bench.commit(&bench.open()), Ok(()));
}

#[test]
fn init_that_is_refused_says_for_which_id() {
    let bench = Bench::new();
    bench.errors(InitProducerId, &[RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED]);
    let Err(OpenError::Stop(refused)) = bench.try_open() else { panic!("only an operator can give the right") };
    let refused = refused.with_causes();
    assert!(refused.contains("connector:one") && refused.contains("WRITE"), "{refused}");
}

#[test]
fn init_that_no_broker_will_ever_answer_well_says_what_to_change() {
    for (error, is_a_setting, words) in [
        (RD_KAFKA_RESP_ERR_INVALID_TRANSACTION_TIMEOUT, true, "transaction.timeout.ms"),
        (RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED, false, "IDEMPOTENT_WRITE"),
    ] {
        let bench = Bench::new();
        bench.errors(InitProducerId, &[error]);
        let refused = bench.try_open().err().unwrap();
        assert_eq!(matches!(refused, OpenError::Unfit(_)), is_a_setting, "{refused:?}");
        assert!(!matches!(refused, OpenError::Again(_)), "{refused:?} does not pass by itself");
        assert!(refused.to_string().contains(words), "{refused}");
    }
}

#[test]
fn brokers_without_transactions_are_told_to_be_none_to_work_with() {
    let bench = Bench::new();
    for key in [InitProducerId, AddPartitionsToTxn, AddOffsetsToTxn, EndTxn, TxnOffsetCommit] {
        bench.cluster.apiversion(key, None, None).unwrap();
    }
    let Err(OpenError::Stop(refused)) = bench.try_open() else { panic!("no broker learns it by itself") };
    let refused = refused.with_causes();
    assert!(refused.contains("the brokers know no transactions"), "{refused}");
}

#[test]
fn a_member_has_a_generation_and_an_id() {
    let bench = Bench::new();
    let member = &bench.offsets.owner.member;
    assert!(member.generation >= 0 && !member.member.is_empty(), "{member:?}");
}

#[test]
fn a_group_that_may_not_be_joined_is_named() {
    let bench = Bench::new();
    bench.errors(JoinGroup, &[RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED; 3]);
    let refused = refused_at_joining(&bench);
    assert!(refused.contains("group another may not be joined"), "{refused}");
}

/// It is no use to rename the connector: the state is known by its name.
#[test]
fn a_group_that_others_share_out_in_another_way_is_named_and_they_are_told_to_go() {
    let bench = Bench::new();
    bench.errors(JoinGroup, &[RD_KAFKA_RESP_ERR_INCONSISTENT_GROUP_PROTOCOL; 3]);
    let refused = refused_at_joining(&bench);
    assert!(refused.contains("group another can't be joined, for members that are no instances"), "{refused}");
    assert!(refused.contains("stop that program, or give it another group.id"), "{refused}");
}

/// Why a member of the group "another" is never given anything.
fn refused_at_joining(bench: &Bench) -> String {
    let member = GroupMember::join(
        &bench.settings,
        "another",
        &bench.settings.topics.registry,
        Arc::new(|_| {}),
        Arc::default(),
    )
    .unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let joined = runtime.block_on(async { tokio::time::timeout(JOIN_BOUND, member.acquire()).await });
    joined.unwrap().err().unwrap().to_string()
}
