//! What was aborted is ended by the brokers before anything is written again.
//!
//! Brokers that forget to end a transaction can't be had to order. Somebody else's transaction that stays open holds up the readers
//! at the same place, and is seen by the same look.

use std::sync::Arc;

use anyhow::{Context as _, Result, bail, ensure};
use promoter_connector::kafka::client::settings::{Settings, TopicNames, TopicPolicy};
use promoter_connector::kafka::group::member::GroupMember;
use promoter_connector::kafka::group::snapshot::MembershipSnapshot;
use promoter_connector::kafka::transaction::Transactions;
use promoter_connector::kafka::transaction::error::TransactionError;
use promoter_connector::kafka::transaction::offsets::{CommittedOffset, OwnedOffsets};
use promoter_connector::kafka::transaction::record::Record;
use promoter_connector::model::time::UnixMillis;

use super::producer::Transactional;
use super::world::BOUND;
use crate::harness::case::Case;
use crate::harness::consumer::read_texts;
use crate::harness::context::Context;

pub const CASES: &[Case] = &[Case::shared(
    "aborted: what the brokers have not ended is not written again, and what they have at once",
    nothing_is_written_over_what_is_open,
)];

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
        Ok(Transactions::open(config, &self.state, None)?)
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

fn nothing_is_written_over_what_is_open(context: &Context) -> Result<()> {
    let bench = Bench::new(context)?;
    let (former, left) = bench.joined()?;
    drop(former);
    let (_member, owner) = bench.joined()?;

    // Ended: the repetition is written at once.
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
    let Err(TransactionError::Reopen(reason)) = bench.commit(&transactions, &owner) else {
        bail!("nothing may be written before that is ended");
    };
    let reason = reason.with_causes();
    ensure!(reason.contains("the brokers have not ended what was aborted there"), "{reason}");

    stranger.abort()?;
    bench.commit(&bench.open()?, &owner)?;
    ensure!(read_texts(context.bootstrap(), &bench.state)? == ["a fact", "a fact"], "each once");
    Ok(())
}
