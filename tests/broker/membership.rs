//! What a member of a group owns while others come and go, and what the broker takes from it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use promoter_connector::kafka::client::settings::{Settings, TopicNames, TopicPolicy};
use promoter_connector::kafka::group::changes::{AssignmentChange, MembershipChanges};
use promoter_connector::kafka::group::member::GroupMember;
use promoter_connector::kafka::group::snapshot::MembershipSnapshot;
use promoter_connector::model::shard::OwnedShards;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{Offset, TopicPartitionList};

use super::producer::Transactional;
use super::world::BOUND;
use crate::harness::case::Case;
use crate::harness::client;
use crate::harness::context::Context;
use crate::harness::wait::wait_until;

const GROUP: &str = "members";
const PARTITIONS: i32 = 4;
/// How soon others own what an instance had that stops in order, on a machine that has other things to do: two heartbeats, and what that
/// machine takes. Without a handover it would be the session of 30 seconds.
const HANDOVER_MAX: Duration = Duration::from_secs(4);
/// Far above a handover.
const SESSION: (&str, &str) = ("session.timeout.ms", "30000");

pub const CASES: &[Case] = &[
    Case::shared("membership: what stays keeps its number while another comes and goes", what_stays_keeps_its_number),
    Case::shared("membership: the broker takes the latest metadata and refuses the one before", only_the_latest_counts),
    Case::shared("membership: one that stops hands over at once", a_stop_hands_over),
    Case::shared("membership: what is handed over is used until others have it", a_handover_leaves_no_gap),
    Case::shared("membership: one that stops alone keeps its place", alone_it_stays),
    Case::shared("membership: one that ended while it handed over is given its part again", ended_while_handing_over),
    Case::shared("membership: what a joining that never came leaves to nobody is given on", left_to_nobody),
    Case::own("membership: one that lost its session owns nothing until it is assigned anew", a_lost_session),
];

fn what_stays_keeps_its_number(context: &Context) -> Result<()> {
    let group = Group::new(context)?;
    let mut one = group.join("one")?;
    one.until(&mut [], |owned| owned.len() == 4)?;
    let first = one.owned.clone();

    let mut two = group.join("two")?;
    two.until(&mut [&mut one], |owned| owned.len() == 2)?;
    let kept = one.owned.clone();
    ensure!(kept.len() == 2 && kept.iter().all(|(part, number)| first[part] == *number), "{first:?}, then {kept:?}");
    ensure!(two.owned.keys().all(|partition| !kept.contains_key(partition)), "{kept:?} and {:?}", two.owned);

    drop(two);
    one.until(&mut [], |owned| owned.len() == 4)?;
    for (partition, number) in &one.owned {
        let is_kept = kept.contains_key(partition);
        ensure!(is_kept == (first[partition] == *number), "{first:?}, then {kept:?}, then {:?}", one.owned);
    }
    Ok(())
}

/// The generation that revokes something ends once both have joined again, which may be before it is looked at: so the one that
/// gives something back does not answer before.
fn only_the_latest_counts(context: &Context) -> Result<()> {
    let group = Group::new(context)?;
    let (asked, is_asked) = mpsc::channel::<()>();
    let is_asked = Mutex::new(is_asked);
    let mut one = group.join_observed("one", move |owned| {
        if owned.owned.len() == 2 {
            // Nothing is ever sent: it waits until the sender is gone.
            let _ = is_asked.lock().expect("nobody panics here").recv_timeout(BOUND);
        }
    })?;
    one.until(&mut [], |owned| owned.len() == 4)?;
    let alone = one.snapshot()?;
    group.takes(&alone)?;

    let mut two = group.join("two")?;
    let revoking = one.another_than(&alone)?;
    ensure!(revoking.member.generation > alone.member.generation, "the generation has moved");
    ensure!(revoking.partitions == alone.partitions, "all is its own until that ends: {:?}", revoking.partitions);
    group.takes(&revoking)?;
    group.refuses(&alone)?;
    drop(asked);

    two.until(&mut [&mut one], |owned| owned.len() == 2)?;
    let shared = one.another_than(&revoking)?;
    ensure!(shared.partitions.len() == 2, "it owns half: {:?}", shared.partitions);
    group.refuses(&revoking)?;
    group.takes(&shared)?;
    group.takes(&*two.snapshot()?)?;

    drop(two);
    one.until(&mut [], |owned| owned.len() == 4)?;
    group.refuses(&shared)?;
    group.takes(&*one.snapshot()?)
}

fn a_stop_hands_over(context: &Context) -> Result<()> {
    let group = Group::new(context)?;
    let mut one = group.join("one")?;
    one.until(&mut [], |owned| owned.len() == 4)?;
    let mut handovers = Vec::new();
    for _ in 0..5 {
        let begun = Instant::now();
        let mut two = group.join("two")?;
        two.until(&mut [&mut one], |owned| owned.len() == 2)?;
        let joined = begun.elapsed();
        let stopped = Instant::now();
        let stop = std::thread::spawn(move || drop(two));
        one.until(&mut [], |owned| owned.len() == 4)?;
        let handover = stopped.elapsed();
        stop.join().expect("a member ends in order");
        println!(
            "joined and owning after {joined:?}; handed over {handover:?} after a stop that took {:?}",
            stopped.elapsed()
        );
        handovers.push(handover);
    }
    ensure!(handovers.iter().all(|handover| *handover < HANDOVER_MAX), "handed over after {handovers:?}");
    Ok(())
}

fn a_handover_leaves_no_gap(context: &Context) -> Result<()> {
    let group = Group::new(context)?;
    let mut one = group.join("one")?;
    one.until(&mut [], |owned| owned.len() == 4)?;
    let mut used = Duration::ZERO;
    for _ in 0..5 {
        let mut two = group.join("two")?;
        two.until(&mut [&mut one], |owned| owned.len() == 2)?;
        let (before, begun) = (two.snapshot()?, Instant::now());
        let mut taken = begun;
        let unused = std::thread::scope(|scope| -> Result<Duration> {
            let handing_over = scope.spawn(|| runtime().map(|runtime| runtime.block_on(two.member.hand_over())));
            while one.owned.len() < 4 {
                ensure!(begun.elapsed() < BOUND, "nobody takes over");
                let owner = two.member.current().filter(|owner| owner.partitions.len() == 2);
                if owner.is_some_and(|owner| group.is_taken(&owner).unwrap_or_default()) {
                    taken = Instant::now();
                }
                one.take_note()?;
            }
            let unused = taken.elapsed();
            handing_over.join().expect("it does not panic")?;
            Ok(unused)
        })?;
        println!("used for {:?}, and by the other {unused:?} later", taken - begun);
        used += taken - begun;
        ensure!(unused < HANDOVER_MAX, "it stood still for {unused:?}");
        ensure!(two.snapshot()?.partitions.is_empty(), "it has nothing any more");
        group.refuses(&before)?;
        group.takes(&*one.snapshot()?)?;
    }
    // The others hear of it with their heartbeats, half a second apart.
    ensure!(used > Duration::from_millis(300), "it was used for {used:?} in all");
    Ok(())
}

/// And alone in its group: the broker gives a member of a fixed name what that name has, without asking for what.
fn ended_while_handing_over(context: &Context) -> Result<()> {
    let group = Group::new(context)?;
    let ended: BaseConsumer = client::config(context.bootstrap())
        .set("group.id", &group.name)
        .set("group.instance.id", "one")
        .set("partition.assignment.strategy", "cooperative-sticky")
        .set(SESSION.0, SESSION.1)
        .create()?;
    ended.subscribe(&[&group.elsewhere])?;
    wait_until("it is given what it has asked for", BOUND, || {
        ended.poll(Duration::from_millis(100));
        Ok((ended.assignment()?.count() > 0).then_some(()))
    })?;
    // One of a fixed name does not leave when it is closed.
    drop(ended);
    let begun = Instant::now();
    let mut again = group.join("one")?;
    again.until(&mut [], |owned| owned.len() == 4)?;
    ensure!(begun.elapsed() < Duration::from_secs(20), "only once its predecessor was missed: {:?}", begun.elapsed());
    Ok(())
}

/// Of members that know nothing of each other's past: what one was giving up when it ended is nobody's when it is back.
fn left_to_nobody(context: &Context) -> Result<()> {
    let group = Group::new(context)?;
    let named_one = || -> Result<BaseConsumer> {
        let consumer: BaseConsumer = client::config(context.bootstrap())
            .set("group.id", &group.name)
            .set("group.instance.id", "one")
            .set("partition.assignment.strategy", "cooperative-sticky")
            .set("heartbeat.interval.ms", "500")
            .set(SESSION.0, SESSION.1)
            .create()?;
        consumer.subscribe(&[&group.topic])?;
        Ok(consumer)
    };
    let owned = |consumer: &BaseConsumer| -> Result<usize> {
        consumer.poll(Duration::from_millis(20));
        Ok(consumer.assignment()?.count())
    };
    let ended = named_one()?;
    wait_until("one has all", BOUND, || Ok((owned(&ended)? == 4).then_some(())))?;
    let mut two = group.join("two")?;
    // Nobody polls the first one any more: it joins by itself, but hears of no partition that it is to give up.
    wait_until("the group is at rest, with half of the partitions nobody's", BOUND, || {
        let groups = ended.fetch_group_list(Some(&group.name), BOUND)?;
        let at_rest = groups.groups().iter().find(|listed| listed.state() == "Stable" && listed.members().len() == 2);
        Ok(at_rest.is_some().then_some(()))
    })?;
    drop(ended);
    let again = named_one()?;
    wait_until("it is back in the same generation", BOUND, || Ok((owned(&again)? == 2).then_some(())))?;
    wait_until("the other one has the rest", BOUND, || {
        two.take_note()?;
        Ok((owned(&again)? + two.owned.len() == 4 && two.owned.len() >= 2).then_some(()))
    })
}

fn alone_it_stays(context: &Context) -> Result<()> {
    let group = Group::new(context)?;
    let mut one = group.join("one")?;
    one.until(&mut [], |owned| owned.len() == 4)?;
    drop(one);
    let client: BaseConsumer = client::config(context.bootstrap()).create()?;
    let groups = client.fetch_group_list(Some(&group.name), BOUND)?;
    let members: Vec<_> = groups.groups().iter().flat_map(|group| group.members()).map(|member| member.id()).collect();
    ensure!(members.len() == 1 && members[0].starts_with("one-"), "{members:?}");
    let mut again = group.join("one")?;
    again.until(&mut [], |owned| owned.len() == 4)
}

/// With a session that ends while the broker stands still.
fn a_lost_session(context: &Context) -> Result<()> {
    let group = Group { session: ("session.timeout.ms", "2000"), ..Group::new(context)? };
    let mut one = group.join("one")?;
    one.until(&mut [], |owned| owned.len() == 4)?;
    let before = one.snapshot()?;
    let first = one.owned.clone();

    context.broker().pause()?;
    let lost = wait_until("it is no member", BOUND, || Ok(one.member.current().is_none().then_some(())));
    context.broker().resume()?;
    lost?;
    ensure!(before.lost.is_cancelled(), "whoever holds the snapshot is told");
    let gone = one.revoked()?;
    ensure!(gone.into_iter().collect::<BTreeMap<_, _>>() == first, "all of it is gone");
    one.until(&mut [], |owned| owned.len() == 4)?;
    ensure!(one.owned.iter().all(|(partition, number)| first[partition] < *number), "{first:?}, then {:?}", one.owned);
    group.refuses(&before)?;
    group.takes(&*one.snapshot()?)
}

/// A group of its own on a topic of its own.
struct Group<'a> {
    context: &'a Context,
    name: String,
    topic: String,
    /// A topic that has nothing to do with what is owned.
    elsewhere: String,
    session: (&'static str, &'static str),
    producer: Transactional,
}

impl<'a> Group<'a> {
    fn new(context: &'a Context) -> Result<Group<'a>> {
        let topic = context.topics().create("owned", PARTITIONS, &[])?;
        let elsewhere = context.topics().create("elsewhere", PARTITIONS, &[])?;
        let name = format!("{}-{GROUP}", context.topics().prefix());
        let producer = Transactional::open(context.bootstrap(), &name)?;
        Ok(Group { context, name, topic, elsewhere, session: SESSION, producer })
    }

    /// A member under this name, which may own nothing yet.
    fn join(&self, instance_id: &str) -> Result<Member> {
        self.join_observed(instance_id, |_| {})
    }

    fn join_observed(
        &self,
        instance_id: &str,
        observer: impl Fn(&OwnedShards) + Send + Sync + 'static,
    ) -> Result<Member> {
        let properties = [("bootstrap.servers", self.context.bootstrap()), self.session];
        let settings = Settings {
            properties: properties.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
            credentials: None,
            name: self.name.clone(),
            instance_id: instance_id.into(),
            topics: TopicNames {
                registry: self.topic.clone(),
                dead_letters: self.elsewhere.clone(),
                ..TopicNames::default()
            },
            topic_policy: TopicPolicy::Check,
        };
        let member = GroupMember::join(&settings, &self.name, &self.topic, Arc::new(observer), Arc::default())?;
        Ok(Member { member, changes: None, owned: BTreeMap::new(), runtime: runtime()? })
    }

    fn takes(&self, owner: &MembershipSnapshot) -> Result<()> {
        self.producer.begin()?;
        self.producer.write(&self.topic, "key", "value")?;
        self.producer.send_offsets(&self.offsets(owner)?, &owner.metadata).context("it is the latest")?;
        Ok(self.producer.commit()?)
    }

    fn is_taken(&self, owner: &MembershipSnapshot) -> Result<bool> {
        self.producer.begin()?;
        self.producer.write(&self.topic, "key", "value")?;
        let is_taken = self.producer.send_offsets(&self.offsets(owner)?, &owner.metadata).is_ok();
        if is_taken {
            self.producer.commit()?;
        } else {
            self.producer.abort()?;
        }
        Ok(is_taken)
    }

    fn refuses(&self, owner: &MembershipSnapshot) -> Result<()> {
        self.producer.begin()?;
        self.producer.write(&self.topic, "key", "value")?;
        let sent = self.producer.send_offsets(&self.offsets(owner)?, &owner.metadata);
        self.producer.abort()?;
        let code = sent.as_ref().err().and_then(KafkaError::rdkafka_error_code);
        let refusals = [
            RDKafkaErrorCode::IllegalGeneration,
            RDKafkaErrorCode::UnknownMemberId,
            RDKafkaErrorCode::FencedInstanceId,
        ];
        ensure!(code.is_some_and(|code| refusals.contains(&code)), "refused, and not {sent:?}");
        Ok(())
    }

    fn offsets(&self, owner: &MembershipSnapshot) -> Result<TopicPartitionList> {
        let mut offsets = TopicPartitionList::new();
        for partition in owner.partitions.keys() {
            offsets.add_partition_offset(&self.topic, *partition, Offset::Offset(0))?;
        }
        Ok(offsets)
    }
}

/// A member and what it was told that it owns.
struct Member {
    member: GroupMember,
    changes: Option<MembershipChanges>,
    owned: BTreeMap<i32, u64>,
    runtime: tokio::runtime::Runtime,
}

impl Member {
    /// Lets this member and `others` take note of what comes and goes until this one owns what it should.
    fn until(&mut self, others: &mut [&mut Member], owns: impl Fn(&BTreeMap<i32, u64>) -> bool) -> Result<()> {
        wait_until("it owns what it should", BOUND, || {
            self.take_note()?;
            others.iter_mut().try_for_each(|other| other.take_note())?;
            Ok(owns(&self.owned).then_some(()))
        })
    }

    /// Waits for what is gone.
    fn revoked(&mut self) -> Result<Vec<(i32, u64)>> {
        let changes = self.changes.as_mut().context("it has been told of what it owns")?;
        let next = async { tokio::time::timeout(BOUND, changes.next()).await };
        match self.runtime.block_on(next).context("nothing is revoked")?? {
            AssignmentChange::Revoked(gone) => {
                for (partition, _) in &gone {
                    self.owned.remove(partition);
                }
                Ok(gone)
            }
            AssignmentChange::Assigned(come) => anyhow::bail!("{come:?} is assigned"),
        }
    }

    /// The snapshot that follows on this one.
    fn another_than(&self, snapshot: &Arc<MembershipSnapshot>) -> Result<Arc<MembershipSnapshot>> {
        let is_another = |now: &Arc<MembershipSnapshot>| !Arc::ptr_eq(now, snapshot);
        // Looking now and then would miss one that lasts for less than the pause between two looks.
        let heard = async { tokio::time::timeout(BOUND, self.member.changed(snapshot)).await };
        self.runtime.block_on(heard).context("it hears of no generation")??;
        wait_until("it has heard of the generation", BOUND, || Ok(self.member.current().filter(is_another)))
    }

    fn snapshot(&self) -> Result<Arc<MembershipSnapshot>> {
        self.member.current().context("it is a member")
    }

    /// Takes note of all that has come and gone by now.
    fn take_note(&mut self) -> Result<()> {
        const NOW: Duration = Duration::from_millis(1);
        let Member { member, changes, owned, runtime } = self;
        runtime.block_on(async {
            if changes.is_none() {
                let Ok(acquired) = tokio::time::timeout(NOW, member.acquire()).await else { return Ok(()) };
                *changes = Some(acquired?);
            }
            let Some(changes) = changes else { return Ok(()) };
            while let Ok(change) = tokio::time::timeout(NOW, changes.next()).await {
                match change? {
                    AssignmentChange::Assigned(come) => {
                        for (partition, number) in come {
                            ensure!(owned.insert(partition, number).is_none(), "{partition} is told twice");
                        }
                    }
                    AssignmentChange::Revoked(gone) => {
                        for (partition, number) in gone {
                            ensure!(owned.remove(&partition) == Some(number), "{partition} was not owned so");
                        }
                    }
                }
            }
            Ok(())
        })
    }
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_time().build()?)
}
