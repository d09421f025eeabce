//! What an instance that is gone has left open: a transaction of its own, which holds the reading of the state until the brokers
//! end it (`transaction.timeout.ms`).
//!
//! Whoever takes a producer under the same `transactional.id` ends it at once. The fences in the partitions that are read name the
//! ids of their last owners.
//!
//! # Why nobody else is harmed
//!
//! *Exactly once* does not depend on it: a producer whose id was taken is fenced, as by another start of its own, and its
//! instance opens its log again and reads what has become of its last transaction. So all that has to be seen to is that no
//! instance is thrown out of its work.
//!
//! - An instance that is **in the group** is left alone, whatever it owns and however slow it is. Its id serves all of its
//!   shards, and what it was given in the current generation it may write for. Its transactions end with its own time-outs.
//!   That counts for one that has started again under the same name: it joins before it has a producer, and ends what its
//!   predecessor left open by itself.
//! - One that is **not in the group** owns nothing in this generation, in which the shards of its fence were given to this
//!   instance. What it still writes, should it only have stood still, is refused with its offsets; a transaction whose
//!   offsets were taken before is either committed by now, or is aborted, and asked for anew by this instance.
//! - One that **joins between the look and the taking** has to be given something before it makes its producer, in a
//!   generation that this instance takes part in. Should it ever be faster than one request of this one, it opens its log
//!   once more.
//!
//! The group's list counts only where it has this instance, too: one that is empty for another reason says nothing of the others.
//! Nothing is looked for before a reading is held up: after an instance that stops in order nothing is open.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer;

use crate::kafka::client::profiles::BATCH_BYTES;
use crate::kafka::client::settings::Settings;
use crate::kafka::facts_log::state_reader::StateReader;
use crate::kafka::group::group_members::GroupMembers;
use crate::kafka::transaction::abandoned;
use crate::model::fence::FoundFence;

const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How long the brokers may take to tell who is in a group.
const FETCH_TIMEOUT: Duration = Duration::from_secs(1);

/// Looks after them while one takeover is held up.
pub(super) struct AbandonedTransactions<'a> {
    settings: &'a Settings,
    looked: Option<Instant>,
    /// The ids that were taken, each once.
    taken: HashSet<String>,
}

impl<'a> AbandonedTransactions<'a> {
    pub fn new(settings: &'a Settings) -> AbandonedTransactions<'a> {
        AbandonedTransactions { settings, looked: None, taken: HashSet::new() }
    }

    /// Ends what the last owners of the partitions that `reader` reads have left open, where they are gone. Does not wait for
    /// it; the reader goes on by itself then.
    pub fn end(&mut self, reader: &StateReader<'_>) {
        if self.looked.is_some_and(|looked| looked.elapsed() < LOOK_EVERY) {
            return;
        }
        self.looked = Some(Instant::now());
        let Settings { name, instance_id, .. } = self.settings;
        let owners = reader.content().fences_of(name).filter_map(|(_, found)| match found {
            FoundFence::Fence(fence) => self.settings.instance_of(&fence.transactional_id),
            FoundFence::Newer(_) => None,
        });
        let owners: HashSet<String> = owners.filter(|owner| owner != instance_id).map(str::to_owned).collect();
        if owners.is_empty() {
            return;
        }
        // Both write into what is read: the one or the other may hold it up.
        let polls = (name.clone(), Settings::transactional_id as fn(&Settings) -> String);
        let requests = (self.settings.requests_group(), Settings::requests_transactional_id as fn(&Settings) -> String);
        for (group, transactional_id) in [polls, requests] {
            // A broker that does not tell is asked again at the next look.
            let Ok(members) = GroupMembers::fetch(reader.consumer().client(), &group, FETCH_TIMEOUT) else { continue };
            if !members.has(instance_id) {
                continue;
            }
            for owner in owners.iter().filter(|owner| !members.has(owner)) {
                let of_owner = Settings { instance_id: owner.clone(), ..self.settings.clone() };
                self.take(owner, transactional_id(&of_owner));
            }
        }
    }

    fn take(&mut self, owner: &str, transactional_id: String) {
        if self.taken.insert(transactional_id.clone()) {
            let config = self.settings.producer_config(transactional_id, BATCH_BYTES);
            abandoned::end(owner.to_owned(), config, self.settings.topics.state.clone());
        }
    }
}
