//! This process as a member of one group, and the thread that serves it.

use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, KafkaResult};

use super::callbacks::MemberContext;
use super::changes::MembershipChanges;
use super::duplicate_instance;
use super::foreign_members::ForeignWatch;
use super::group_members::GroupMembers;
use super::member_id;
use super::observer::OwnershipObserver;
use super::partition_count::partition_count;
use super::refusal;
use super::shared_membership::SharedMembership;
use super::snapshot::MembershipSnapshot;
use super::standby::Standby;
use super::table_watch::TableWatch;
use super::timeouts;
use super::unowned::UnownedWatch;
use crate::commit::log::OpenError;
use crate::kafka::client::error::ClientError;
use crate::kafka::client::event_queue::EventQueue;
use crate::kafka::client::settings::Settings;
use crate::kafka::client::stuck_client::StuckClient;
use crate::kafka::client::supplied::Supplied;
use crate::telemetry::health::PipelineHealth;
use crate::telemetry::pipeline;

/// How long the brokers may take to tell who is in the group, while a stop waits for it.
const FETCH_TIMEOUT: Duration = Duration::from_secs(1);
/// How long they may take while nobody waits, or only the start.
const PATIENT_FETCH_TIMEOUT: Duration = Duration::from_secs(3);
/// How often partitions are counted, once that has worked.
const COUNT_EVERY: Duration = Duration::from_secs(10);
/// How long leaving may take: as long as a member that is being told of a rebalance may take to answer it.
const LEAVE_MAX: Duration = Duration::from_secs(3);
const LEAVE_POLL: Duration = Duration::from_millis(10);

/// The consumer that is the member now; its thread holds it.
type ServingConsumer = Arc<Mutex<Weak<BaseConsumer<MemberContext>>>>;

/// This process as a member of one group, which a thread of its own serves for as long as this value lives.
pub struct GroupMember {
    shared: Arc<SharedMembership>,
    consumer: ServingConsumer,
    thread: Option<JoinHandle<()>>,
}

impl GroupMember {
    /// Joins `group` on `topic`, in a thread of its own. `observer` hears of all that comes and goes, and `health` of members that are
    /// no instances.
    ///
    /// # Errors
    /// Where librdkafka makes no consumer of the settings, or there is no thread. That the group lets nobody in is told
    /// later, by [`acquire`](Self::acquire).
    pub fn join(
        settings: &Settings,
        group: &str,
        topic: &str,
        observer: OwnershipObserver,
        health: Arc<PipelineHealth>,
    ) -> KafkaResult<GroupMember> {
        let may_miss_generations = timeouts::may_rebalance_without(settings, group);
        let shared = Arc::new(SharedMembership::new(group, topic, may_miss_generations, observer));
        let (settings, group) = (settings.clone(), group.to_owned());
        let consumer = ServingConsumer::default();
        let member = MemberThread { settings, group, shared: shared.clone(), health, serving: consumer.clone() };
        let connection = member.connect()?;
        let thread = std::thread::Builder::new()
            .name("membership".into())
            .spawn(move || member.run(connection))
            .map_err(|error| KafkaError::ClientCreation(error.to_string()))?;
        Ok(GroupMember { shared, consumer, thread: Some(thread) })
    }

    /// Waits until something is owned, and ends the subscription that there may be.
    ///
    /// # Errors
    /// Why there will never be anything.
    pub async fn acquire(&self) -> Result<MembershipChanges, OpenError> {
        let mut changes = MembershipChanges::subscribe(&self.shared);
        changes.owning().await?;
        Ok(changes)
    }

    /// The consumer that is the member, for what is asked of the brokers beside: it is connected, and tells things as they are,
    /// whatever transactions are open.
    pub fn consumer(&self) -> Option<Arc<BaseConsumer<MemberContext>>> {
        self.consumer.lock().upgrade()
    }

    /// The latest snapshot; none while this process is no member.
    pub fn current(&self) -> Option<Arc<MembershipSnapshot>> {
        self.shared.current()
    }

    /// Has others take over what is owned, and waits until they have, or it is known that nobody does.
    pub async fn hand_over(&self) {
        self.shared.handed_over().await;
    }

    /// Waits until the latest snapshot is not `than`.
    ///
    /// # Errors
    /// Why there will never be another.
    pub async fn changed(&self, than: &Arc<MembershipSnapshot>) -> Result<(), OpenError> {
        self.shared.changed(than).await
    }
}

impl Drop for GroupMember {
    fn drop(&mut self) {
        self.shared.stop.cancel();
        if let Some(thread) = self.thread.take() {
            // A panic in the thread has been reported by the panic hook already.
            let _ = thread.join();
        }
    }
}

/// A consumer that joins the group once it has subscribed, behind its queue of events, which goes before it.
struct Connection {
    events: EventQueue,
    consumer: Supplied<BaseConsumer<MemberContext>>,
}

/// What the thread has that serves the membership.
struct MemberThread {
    settings: Settings,
    group: String,
    shared: Arc<SharedMembership>,
    health: Arc<PipelineHealth>,
    serving: ServingConsumer,
}

/// All partitions are paused, so no record comes: polling runs the callbacks, which is where partitions come and go, and tells the group
/// that this member lives.
fn run_callbacks(consumer: &BaseConsumer<MemberContext>) {
    if let Some(Err(error)) = consumer.poll(Duration::ZERO) {
        consumer.context().classify(&error, "");
    }
}

impl MemberThread {
    /// # Errors
    /// Where librdkafka makes no consumer of the settings. That the brokers let nobody in is told later, while it is polled.
    fn connect(&self) -> KafkaResult<Connection> {
        let consumer: Supplied<BaseConsumer<MemberContext>> =
            self.settings.member_config(&self.group).create_with_context(MemberContext::of(&self.shared))?;
        let events = EventQueue::of_consumer(&*consumer)?;
        *self.serving.lock() = consumer.downgrade();
        Ok(Connection { events, consumer })
    }

    /// Serves the membership, with one consumer after the other, until told to stop or displaced by another process.
    fn run(self, mut connection: Connection) {
        let stop = &self.shared.stop;
        let mut count_again = Instant::now();
        if let Err(error) = self.join_first(&connection.consumer) {
            return self.shared.fail(error);
        }
        let mut standby = Standby::default();
        let mut unowned = UnownedWatch::new();
        let mut foreign = ForeignWatch::new(&self.shared.topic, self.health.clone());
        let mut stuck = StuckClient::default();
        let mut tables = TableWatch::default();
        // Whether it is subscribed to another topic by now; nothing before it was asked to hand over.
        let mut elsewhere = None;
        while !stop.is_cancelled() {
            let Connection { events, consumer } = &connection;
            if count_again <= Instant::now() {
                let counted = self.count(consumer);
                let (has_answer, is_member) = (counted.is_some(), self.shared.current().is_some());
                count_again = Instant::now() + if counted > Some(0) { COUNT_EVERY } else { FETCH_TIMEOUT };
                if let Some(unequal) = self.unequal_tables(&mut tables, consumer, counted) {
                    return self.shared.fail(OpenError::Stop(unequal.into()));
                }
                // One that is still a member is left alone: its heartbeats are answered, and what it owns would stand still.
                if elsewhere.is_none() && stuck.asked(has_answer || is_member, Instant::now()) {
                    tracing::warn!(
                        topic = self.shared.topic,
                        "the member's client reaches no broker: another one takes its place"
                    );
                    self.shared.lost_all();
                    // Or it might reach them again beside the next one, and join under its name, which would be fenced. It is not
                    // waited for long: one of a fixed name does not leave, so it has nothing to tell the brokers.
                    drop(connection);
                    match self.connect_subscribed() {
                        Ok(joined) => connection = joined,
                        Err(error) => return self.shared.fail(error),
                    }
                    continue;
                }
            }
            // Once told to hand over it goes on as a member, and only a stop ends its waits.
            events.wait(if elsewhere.is_some() { stop } else { &self.shared.hand_over });
            // A stop cancels that as well: then this member leaves, and hands nothing over before.
            if self.shared.hand_over.is_cancelled() && elsewhere.is_none() && !stop.is_cancelled() {
                elsewhere = Some(self.hand_over(consumer));
            }
            run_callbacks(consumer);
            if consumer.context().is_kept_out() {
                return self.shared.fail(self.kept_out(consumer));
            }
            // One that hands over has asked for partitions of the other topic itself.
            if elsewhere.is_none() && consumer.context().was_given_others() {
                self.rejoin(consumer);
            }
            if !consumer.context().is_lost() {
                standby.look(&self.shared, &self.group, consumer);
                if elsewhere.is_none() && unowned.is_due() {
                    self.look_at_group(&mut unowned, &mut foreign, consumer);
                }
                continue;
            }
            // What was assigned is lost, whether or not a callback has said so: of a fenced consumer librdkafka takes it back
            // without one.
            self.shared.lost_all();
            match self.join_anew() {
                // The last one ends here, before any callback of the next one is run.
                Ok(joined) => connection = joined,
                Err(error) => return self.shared.fail(error),
            }
        }
        self.leave(&connection.consumer, elsewhere == Some(true));
    }

    /// After a fencing, unless a duplicate instance is who did it. A fenced consumer never joins again; another one does, under
    /// the same name.
    ///
    /// # Errors
    /// [`OpenError::Stop`] where another process runs under this name and this one is to end for it, or where no consumer joins.
    fn join_anew(&self) -> Result<Connection, OpenError> {
        let instance = &self.settings.instance_id;
        tracing::warn!(instance, "fenced in the group, looking for who did it");
        let is_stopping = || self.shared.stop.is_cancelled();
        let is_duplicate = duplicate_instance::is_running(&self.settings, &self.group, is_stopping);
        let pipeline = if self.decides() { pipeline::POLLS } else { pipeline::REQUESTS };
        let by = match is_duplicate {
            true => "another process under its connector.instance_id",
            false => {
                "nobody who is there any more: another process under its connector.instance_id that has left, or an earlier joining of \
                 its own"
            }
        };
        tracing::warn!(pipeline, instance, by, "fenced");
        if is_duplicate && self.decides() {
            let reason = format!(
                "another process runs as connector.instance_id \"{instance}\" and has taken over; give each its own"
            );
            return Err(OpenError::Stop(reason.into()));
        }
        // The other group ends one of the two, from this one's fencing or from a later one. Joined before, this member would displace
        // the process that stays. Where it stays here only, and ends in none, it has to make room after as long again.
        if is_duplicate {
            duplicate_instance::is_running(&self.settings, &self.group, is_stopping);
        }
        self.connect_subscribed()
    }

    /// # Errors
    /// [`OpenError::Stop`] where no consumer joins.
    fn connect_subscribed(&self) -> Result<Connection, OpenError> {
        let connection = self.connect().and_then(|connection| {
            connection.consumer.subscribe(&[&self.shared.topic])?;
            Ok(connection)
        });
        connection.map_err(|error| OpenError::Stop(ClientError::new("the group can't be joined again", error).into()))
    }

    /// Has the others take over what this member owns, which it uses until they have. False where there are none.
    ///
    /// Whoever leaves a group is shut out at once, while the others hear of it with their next heartbeats only: for so long its
    /// partitions would stand still. So it stays, and joins again as one that wants none of them: it subscribes to another topic
    /// instead. That the partitions are taken away is told as in any rebalance, and so they are used until the generation ends; the
    /// next one gives them to others, and the snapshot of it has none. What is assigned of the other topic is looked at by nobody.
    ///
    /// librdkafka takes partitions for lost where it has to ask for the new topic first, so that is asked for here.
    fn hand_over(&self, consumer: &BaseConsumer<MemberContext>) -> bool {
        let elsewhere = &self.settings.topics.dead_letters;
        let is_known = || partition_count(consumer, elsewhere).is_ok_and(|partitions| partitions > 0);
        let subscribed = self.has_others(consumer) && is_known() && self.subscribe_to(consumer, elsewhere);
        // Or whoever waits until others have taken over would wait for nobody.
        if !subscribed {
            self.shared.alone();
        }
        subscribed
    }

    fn subscribe_to(&self, consumer: &BaseConsumer<MemberContext>, topic: &str) -> bool {
        let result = consumer.subscribe(&[topic]);
        result.inspect_err(|error| self.shared.log.error(error, "subscribing")).is_ok()
    }

    /// Why the group lets no instance in, with the members that are in its way, where the brokers tell them.
    fn kept_out(&self, consumer: &BaseConsumer<MemberContext>) -> OpenError {
        let members = GroupMembers::fetch(consumer.client(), &self.group, PATIENT_FETCH_TIMEOUT);
        let members =
            members.map_or_else(|_| Vec::new(), |members| members.foreign(&self.settings, &self.shared.topic));
        OpenError::Stop(refusal::kept_out(&self.group, &members).into())
    }

    /// Whether the group has other members. The error of whoever is asked counts as none.
    fn has_others(&self, consumer: &BaseConsumer<MemberContext>) -> bool {
        let members = GroupMembers::fetch(consumer.client(), &self.group, FETCH_TIMEOUT);
        members.is_ok_and(|members| members.has_others_than(&self.settings.instance_id))
    }

    /// Learns how many partitions there are, and tells it; nothing where no broker answers.
    fn count(&self, consumer: &BaseConsumer<MemberContext>) -> Option<usize> {
        partition_count(consumer, &self.shared.topic)
            .inspect(|partitions| self.shared.counted(*partitions))
            .inspect_err(|error| self.shared.log.error(error, "counting the partitions"))
            .ok()
    }

    /// What is wrong with the registry, which has so many partitions, beside the state.
    fn unequal_tables(
        &self,
        tables: &mut TableWatch,
        consumer: &BaseConsumer<MemberContext>,
        registry: Option<usize>,
    ) -> Option<String> {
        if !self.decides() {
            return None;
        }
        let state = partition_count(consumer, &self.settings.topics.state).ok();
        tables.take(&self.settings.topics, registry, state)
    }

    /// Tells of what belongs to members that are no instances. Joins the group anew where something of the topic is nobody's for good,
    /// and it is for this member to do so.
    fn look_at_group(
        &self,
        unowned: &mut UnownedWatch,
        foreign: &mut ForeignWatch,
        consumer: &BaseConsumer<MemberContext>,
    ) {
        let (topic, partitions) = (&self.shared.topic, self.shared.partitions());
        let members = GroupMembers::fetch(consumer.client(), &self.group, PATIENT_FETCH_TIMEOUT);
        let Ok(members) = members else { return unowned.failed() };
        let is_to_be_confirmed = foreign.look(&members, &self.settings);
        if let Some(unowned) = unowned.take(&members, &self.settings.instance_id, topic, partitions) {
            tracing::warn!(topic, partitions, unowned, "partitions are nobody's in a group at rest: joining it anew");
            self.rejoin(consumer);
        }
        if is_to_be_confirmed {
            unowned.look_soon();
        }
    }

    /// A member of a fixed name that is back within its session is given what its name has in the current generation, without a new
    /// one. What its predecessor was giving back when it ended is nobody's then: the next generation, which was to give it on, would
    /// have begun with that one's joining. So where the group knows this name already, and others, this member leaves and joins again.
    /// The group is asked before, or it would know the name from this member itself.
    ///
    /// So it does where its predecessor ended while it was subscribed to another topic, to hand over: then it is given partitions of
    /// that one ([`MemberContext::was_given_others`]). Where the group can't be asked in time, [`UnownedWatch`] finds it out.
    ///
    /// # Errors
    /// [`OpenError::Stop`] where librdkafka takes no subscription. That the brokers let nobody in is told later, while it is polled.
    fn join_first(&self, consumer: &BaseConsumer<MemberContext>) -> Result<(), OpenError> {
        let members = GroupMembers::fetch(consumer.client(), &self.group, PATIENT_FETCH_TIMEOUT);
        let name = &self.settings.instance_id;
        let failed = |error| OpenError::Stop(ClientError::new("the group can't be joined", error).into());
        consumer.subscribe(&[&self.shared.topic]).map_err(failed)?;
        if members.is_ok_and(|members| members.has(name) && members.has_others_than(name)) {
            self.rejoin(consumer);
        }
        Ok(())
    }

    fn rejoin(&self, consumer: &BaseConsumer<MemberContext>) {
        let is_member = || member_id::of(consumer).is_some();
        let poll_while = |wanted: &dyn Fn() -> bool| {
            let deadline = Instant::now() + LEAVE_MAX;
            while wanted() && Instant::now() < deadline && !self.shared.stop.is_cancelled() {
                if let Some(Err(error)) = consumer.poll(LEAVE_POLL) {
                    consumer.context().classify(&error, "");
                }
            }
        };
        // Only a member can leave, so it joins first.
        poll_while(&|| !is_member());
        consumer.unsubscribe();
        poll_while(&is_member);
        self.subscribe_to(consumer, &self.shared.topic);
    }

    /// Leaves the group, so that others take over at once and not after a session's time-out.
    ///
    /// A member of a fixed name does not leave when its consumer is closed, but when it unsubscribes before. Where nobody else is
    /// there to take over, or nobody tells, it stays: it is given its partitions back at once when it starts again, while an
    /// empty group lets its first member wait (`group.initial.rebalance.delay.ms`). One that has `handed_over` what it had would be
    /// given that of another topic back, so it leaves in any case.
    fn leave(&self, consumer: &BaseConsumer<MemberContext>, handed_over: bool) {
        let is_member = || member_id::of(consumer).is_some();
        if consumer.context().is_lost() || !is_member() || !(handed_over || self.has_others(consumer)) {
            return;
        }
        consumer.unsubscribe();
        let deadline = Instant::now() + LEAVE_MAX;
        // The callback that gives everything back runs in a poll. When it has been answered librdkafka sends that this member
        // leaves, and forgets its id; the end of the consumer waits until it is sent.
        while is_member() && Instant::now() < deadline {
            if let Some(Err(error)) = consumer.poll(LEAVE_POLL) {
                consumer.context().classify(&error, "");
            }
        }
    }

    /// Of two processes of one name each may displace the other in one of the two groups, and only one of them may end for
    /// it. So the group of those who poll decides: its loser leaves the other group as well, where the winner takes its
    /// place again.
    fn decides(&self) -> bool {
        self.group == self.settings.name
    }
}
