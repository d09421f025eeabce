//! The commit log on Kafka: topics, ownership, producer and state topic brought together.
//!
//! # The order at opening
//!
//! 1. `init_transactions`, which fences what ran under this `transactional.id` and ends what it left open.
//!
//! Then, for each shard that the group has assigned, beside the running ones:
//!
//! 2. Read its partition of the state to its end, and look at the fences in it. Whatever says that it is another
//!    connector's, or was laid out for another number of partitions, or that an app spoke in the other kind of ids, stops
//!    the process here, before it has left a trace in it.
//! 3. One transaction, which writes a **fence** to it, with its offset in the group. It proves before
//!    anything is polled that this instance may write, and that its generation is the group's.
//! 4. Read on until the own fence is met, and look at the fences again. If it had a **confirmed** fence of this connector by
//!    (2), it is handed over: it is polled from here on, whatever others that were assigned with it are waiting for.
//! 5. Where it had none, look at the fences of all the other partitions.
//! 6. Confirm its fence, in another transaction, and hand it over.
//!
//! Shards that were assigned together are read together, by one consumer, and each goes its way when it has come to its end.
//! Those without a confirmed fence, which are the first start's, wait for each other: (3) begins when all of the shards that
//! were assigned with them have passed (2), and (5) when all of them have passed (4). So where one of them belongs to somebody
//! else, no trace is left in the others.
//!
//! What fails in a way that may pass is tried again, for the shards that were not handed over
//! ([`ShardOwnership::restore`](crate::commit::log::ShardOwnership::restore)): it begins with (2) and writes another fence,
//! behind which the argument is the same.
//!
//! The transactions of (3) and (6) are the committer's, who has the one producer: the fences come to it through its queue
//! ([`crate::commit::queue`]) and stand between, or among, the records of shards that run. A reading that is held up by what an
//! instance that is gone has left open ends that ([`takeover`]).
//!
//! If (4) or (5) finds that somebody else was there at the same time, the fences of (3) are taken back from the partitions
//! that had no confirmed one before, so that whoever was first can go on, and does not find them at its next opening. In one
//! that had, the own fence says nothing that the one before did not.
//!
//! # Why the state of a shard is whole then
//!
//! What any earlier owner of its partition got committed stands below the fence. Its records were acknowledged before its
//! offsets were checked ([`crate::kafka::transaction`]); that check passed under a generation in which the group had not given
//! the shard to this instance yet ([`crate::kafka::group`]), or for the member whose place in the group this one has taken, so
//! before this one had it assigned; and the fence was written after that. An earlier transaction that is still open holds the
//! `read_committed` reader below the fence until it ends. One that is checked later is refused. And the reader has passed
//! the fence only when it has read it: no leader that was replaced without knowing it can show that record. So what was
//! read up to there is everything that was ever committed, and nothing of an earlier owner can follow. That holds for this
//! process as an earlier owner, too: what it planned of the shard under an earlier assignment has another number, and is not
//! committed any more ([`opener::FactsSession::commit`]).
//!
//! # Why nobody works with another number of partitions
//!
//! A promoter is looked for in the partition that its key's hash gives in so many partitions. Were one instance to count
//! six partitions where others counted three, it would find nothing of half of its promoters and publish them anew.
//!
//! A running instance keeps the number that it opened with, whatever happens to the topics: what it writes lies where it
//! looks, whoever else runs. So only an opening can do harm, and each one compares the number that it has found with the
//! fences. In a partition that has one, by (2). In a partition that has none, which is new or the first start's, by (5):
//! partitions that were added later have older ones beside them that have a fence. Two first openings that have found
//! different numbers at the same time write their fences (3) before they look at each other's (5), so at least one of
//! them sees the other's. An opening that ends between (3) and (6), because it was killed or its partitions were revoked,
//! leaves fences that nobody has compared with the others: they are not confirmed, and so the next owner does it. A confirmed
//! one was compared, and as nothing is polled before (6), all that an owner ever wrote stands behind a confirmed one.
//!
//! Partitions that are added while instances run bring a rebalance, as soon as a member has looked at the topics again
//! (`topic.metadata.refresh.interval.ms`). Whoever is assigned one of them opens the log anew, counts as many as there are now,
//! and stops; and what it had goes to the others with the new ones, until all have stopped. Until then they go on as before,
//! which doubles nothing. Those of the state alone bring none: each member counts them beside the registry's, and stops
//! ([`table_watch`](crate::kafka::group)).
//!
//! # A state that is gone
//!
//! A partition without a fence is the first start's, unless the group has offsets for it: those are committed with
//! every transaction, and the first of them wrote the fence. Then the state was emptied or made anew, and the start
//! stops. (That the whole topic is missing beside a registry is told where the topics are made, in
//! [`crate::kafka::topics`].) Kafka forgets the offsets of a group that nobody has joined for
//! `offsets.retention.minutes`, and with the registry's topic: whoever deletes both topics wants to begin anew, and
//! may. Nor is it a sign that the last record under the fence's key is a tombstone: somebody has healed a damaged one,
//! as the connector asked for. Topics that an operator has made before the first start have neither fences nor offsets.
//!
//! That there are events of an earlier life counts for nothing: their topics may be shared with another connector, and may
//! outlive an operator's wish to begin anew.

pub mod limits;

pub(super) mod ledger_topic;

pub(super) mod topics;

pub mod writer;

pub(crate) mod adoption;

mod barriers;

mod state_ends;

mod state_reader;

mod takeover;

mod own_fence;

mod ownership;

pub(crate) mod peers;

mod opener;

pub(super) mod inspection;

use std::collections::HashMap;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use self::opener::{FactsLogOpener, FactsSession};
use self::own_fence::OwnFences;
use self::peers::InstanceProfile;
use crate::avro::encode::Encoders;
use crate::commit::log::{CommitError, CommitLog, OpenError, Opened};
use crate::kafka::client::settings::Settings;
use crate::kafka::group::membership::GroupMembership;
use crate::kafka::group::observer::LogObservers;
use crate::kafka::registry_topic::Registrations;
use crate::kafka::transaction::partition_session::PartitionSession;
use crate::kafka::transaction::record::RecordClock;
use crate::model::batch::Batch;
use crate::model::promoter::IdKind;

/// Opens logs, one after the other, for the whole life of the process.
#[derive(Clone)]
pub(crate) struct FactsLog {
    opener: Arc<FactsLogOpener>,
    partitions: PartitionSession<FactsSession, Arc<GroupMembership>>,
}

impl FactsLog {
    /// `observers` hear how it fares, and which shards are this instance's.
    pub fn new(
        settings: Settings,
        encoders: Arc<Encoders>,
        registrations: Registrations,
        id_kinds: HashMap<String, IdKind>,
        clock: RecordClock,
        profile: InstanceProfile,
        observers: LogObservers,
    ) -> FactsLog {
        let (group, topic) = (settings.name.clone(), settings.topics.registry.clone());
        let health = observers.health.clone();
        let partitions = PartitionSession::new(settings.clone(), group, topic, observers);
        let fences = Arc::new(OwnFences::new(&settings, id_kinds));
        let ledger = Arc::default();
        let opener = FactsLogOpener { settings, encoders, registrations, clock, profile, fences, health, ledger };
        FactsLog { opener: Arc::new(opener), partitions }
    }

    /// Cancelled once the topics have been found to be as they must be.
    pub(crate) fn topics_checked(&self) -> CancellationToken {
        self.partitions.topics_checked()
    }
}

impl CommitLog for FactsLog {
    type Opened = Opened;
    type Batch = Batch;

    async fn open(&mut self) -> Result<Opened, OpenError> {
        let (prepared, started) = (self.opener.clone(), self.opener.clone());
        let prepare = || {
            let opener = prepared.clone();
            async move { topics::prepare(&opener.settings).await }
        };
        self.partitions.open(prepare, move |limits, topics, held| started.start(limits, topics, held)).await
    }

    async fn commit(&mut self, batch: Arc<Batch>) -> Result<(), CommitError> {
        self.partitions.commit(move |session: &FactsSession| session.commit(&batch)).await
    }

    async fn release(&mut self) {
        self.partitions.release().await;
    }
}
