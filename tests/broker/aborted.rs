//! What was aborted is ended by the brokers before anything is written again, and somebody else's transaction is no reason to wait.
//!
//! Brokers that forget to end a transaction can't be had to order. To whoever looks, it is as one that is open, with nothing behind it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use promoter_connector::kafka::client::settings::{Settings, TopicNames, TopicPolicy};
use promoter_connector::kafka::group::member::GroupMember;
use promoter_connector::kafka::group::snapshot::MembershipSnapshot;
use promoter_connector::kafka::transaction::Transactions;
use promoter_connector::kafka::transaction::aborted::AcknowledgedRecords;
use promoter_connector::kafka::transaction::error::TransactionError;
use promoter_connector::kafka::transaction::offsets::{CommittedOffset, OwnedOffsets};
use promoter_connector::kafka::transaction::record::Record;
use promoter_connector::model::time::UnixMillis;
use rdkafka::producer::{BaseProducer, Producer};

use super::producer::Transactional;
use super::world::BOUND;
use crate::harness::case::Case;
use crate::harness::client;
use crate::harness::consumer::read_texts;
use crate::harness::context::Context;

/// Far below what an end is waited for.
const AT_ONCE: Duration = Duration::from_secs(6);

pub const CASES: &[Case] = &[
    Case::shared(
        "aborted: what the brokers have ended is written again at once, whatever somebody else has open there",
        what_is_ended_is_written_again,
    ),
    Case::shared("aborted: what stands open is told not to be ended, until it is", what_is_open_is_told),
];

struct Bench {
    settings: Settings,
    state: String,
    registry: String,
}

impl Bench {
    fn new(context: &Context) -> Result<Bench> {
        let (state, registry) =
            (context.topics().create("state", 1, &[])?, context.topics().create("registry", 1, &[])?);
        let settings = Settings {
            properties: vec![("bootstrap.servers".to_owned(), context.bootstrap().to_owned())],
            credentials: None,
            name: context.topics().prefix().to_owned(),
            instance_id: "one".into(),
            topics: TopicNames { state: state.clone(), registry: registry.clone(), ..TopicNames::default() },
            topic_policy: TopicPolicy::Check,
        };
        Ok(Bench { settings, state, registry })
    }

    /// A member of the group that owns the partition, and what it knows of that.
    fn joined(&self) -> Result<(GroupMember, Arc<MembershipSnapshot>)> {
        let name = &self.settings.name;
        let member = GroupMember::join(&self.settings, name, &self.registry, Arc::new(|_| {}), Arc::default())?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
        runtime.block_on(async { tokio::time::timeout(BOUND, member.acquire()).await })??;
        let owner = member.current().context("it owns the partition")?;
        Ok((member, owner))
    }

    fn open(&self) -> Result<Transactions> {
        let config = self.settings.producer_config(self.settings.transactional_id(), 1_000_000);
        Ok(Transactions::open(&self.settings, config, &self.state, None)?)
    }

    fn commit(&self, transactions: &Transactions, owner: &Arc<MembershipSnapshot>) -> Result<(), TransactionError> {
        let committed = vec![CommittedOffset { partition: 0, offset: 0, metadata: String::new() }];
        let offsets = OwnedOffsets { owner: owner.clone(), topic: self.registry.clone(), committed };
        let record = || Record {
            topic: &self.state,
            partition: Some(0),
            key: Some(b"key"),
            headers: &[],
            value: Some(b"a fact"),
            timestamp: UnixMillis(1_700_000_000_000),
        };
        transactions.commit(|send| send(record()), &offsets).map(drop)
    }
}

fn what_is_ended_is_written_again(context: &Context) -> Result<()> {
    let bench = Bench::new(context)?;
    let (former, left) = bench.joined()?;
    drop(former);
    let (_member, owner) = bench.joined()?;

    let transactions = bench.open()?;
    let refused = bench.commit(&transactions, &left);
    ensure!(matches!(refused, Err(TransactionError::Revoked(_))), "whoever has left writes nothing: {refused:?}");
    bench.commit(&transactions, &owner)?;
    ensure!(read_texts(context.bootstrap(), &bench.state)? == ["a fact"]);

    let stranger = Transactional::open(context.bootstrap(), &format!("{}.stranger", bench.state))?;
    stranger.begin()?;
    stranger.write(&bench.state, "key", "of somebody else")?;
    let refused = bench.commit(&transactions, &left);
    ensure!(matches!(refused, Err(TransactionError::Revoked(_))), "{refused:?}");
    let began = Instant::now();
    bench.commit(&transactions, &owner)?;
    let took = began.elapsed();
    ensure!(took < AT_ONCE, "it took {took:?}");

    stranger.abort()?;
    ensure!(read_texts(context.bootstrap(), &bench.state)? == ["a fact", "a fact"], "each once");
    Ok(())
}

fn what_is_open_is_told(context: &Context) -> Result<()> {
    let bench = Bench::new(context)?;
    let looking: BaseProducer = client::config(context.bootstrap()).create()?;
    let mut written = AcknowledgedRecords::default();
    let producer = Transactional::open(context.bootstrap(), &bench.state)?;
    producer.begin()?;
    for offset in 0..2 {
        producer.write(&bench.state, "key", "a fact")?;
        written.add(&bench.state, 0, offset);
    }
    let told = written.wait_until_ended(looking.client(), &bench.settings);
    let error = told.err().context("it is open")?.to_string();
    ensure!(error.contains("the brokers have not ended what was written there, at offset 1"), "{error}");
    producer.abort()?;
    written.wait_until_ended(looking.client(), &bench.settings)?;
    Ok(())
}
