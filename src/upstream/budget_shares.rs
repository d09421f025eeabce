//! This instance's share of its apps' budgets follows what it owns of a topic's partitions.
//!
//! What is owned is nobody else's, so all instances together have all of a budget at most. Where budgets are divided, partitions
//! have different parts of it: [`crate::model::shares`] says which, and why that holds then, too. Else each has as much as any other.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::budget::BudgetSettings;
use super::client::Client;
use crate::model::feed::{Interface, InterfaceCaller};
use crate::model::quota_share::Share;
use crate::model::shard::{AssignedShard, OwnedShards, Shard};
use crate::model::shares::held::HeldShares;
use crate::model::shares::note::{Division, NotedShares, PartitionNote, ShareNote};
use crate::model::shares::wanted::{BudgetSize, ShareNeed};

/// The budgets of the interfaces that are shared in the same way, of all apps.
pub struct BudgetShares {
    clients: Vec<Arc<Client>>,
    interfaces: Vec<Interface>,
    state: Mutex<SharesState>,
    /// What is owned is another.
    moved: Notify,
}

#[derive(Default)]
struct SharesState {
    owned: OwnedShards,
    /// Absent where budgets are not divided.
    divided: Option<DividedShares>,
}

struct DividedShares {
    held: HeldShares,
    /// When this process heard of its generation, and after how long whoever has not is no member any more.
    heard: Instant,
    heard_within: Duration,
    /// What the divider has to tell, as long as its shard is this one.
    told: Option<(AssignedShard, Division)>,
    /// What shards need, where that is known.
    needs: BTreeMap<AssignedShard, BTreeMap<String, ShareNeed>>,
    are_notes_short: bool,
}

/// Sessions that a member without a word is waited for: one until it is no member, one for what its broker and itself need to tell that.
const SESSIONS_UNHEARD: u32 = 2;

impl BudgetShares {
    /// Nothing of them is this instance's before it owns something.
    pub fn new(clients: impl IntoIterator<Item = Arc<Client>>, is_shared: fn(Interface) -> bool) -> BudgetShares {
        let clients = clients.into_iter().collect();
        let interfaces = Interface::ALL.into_iter().filter(|interface| is_shared(*interface)).collect();
        let shares = BudgetShares { clients, interfaces, state: Mutex::default(), moved: Notify::new() };
        shares.set(|_, _| (Share::NONE, 0));
        shares
    }

    /// The same, of which those that are polled are divided by what each partition needs. A member may be silent for a `session`.
    pub fn divided(self, session: Duration) -> BudgetShares {
        self.state.lock().divided = Some(DividedShares {
            held: HeldShares::default(),
            heard: Instant::now(),
            heard_within: session * SESSIONS_UNHEARD,
            told: None,
            needs: BTreeMap::new(),
            are_notes_short: false,
        });
        self
    }

    /// This is owned from now on. Does not block.
    pub fn own(&self, now: &OwnedShards) {
        // Held while the clients are told: of two changes the later one must not be overtaken.
        let mut state = self.state.lock();
        let before = std::mem::replace(&mut state.owned, now.clone());
        if let Some(divided) = &mut state.divided {
            divided.own(now);
        }
        self.set(|client, interface| (state.share(client, interface), taken_over(interface, now, &before)));
        self.moved.notify_one();
    }

    fn set(&self, share: impl Fn(&Client, Interface) -> (Share, u32)) {
        for client in &self.clients {
            for interface in &self.interfaces {
                let (share, taken_over) = share(client, *interface);
                client.set_share(*interface, share, taken_over);
            }
        }
    }

    /// Until what is owned has changed since the last call.
    pub(crate) async fn moved(&self) {
        self.moved.notified().await;
    }

    /// Of what is polled and has a limit, the size of each app's budget, by name.
    pub(crate) fn budgets(&self) -> BTreeMap<String, BudgetSize> {
        let polled = self.interfaces.iter().filter(|interface| interface.is_polled());
        let of_client = |(client, interface): (&Arc<Client>, Interface)| {
            let BudgetSettings { per_minute, per_day } = client.budget_settings(interface);
            let is_limited = per_minute != 0 || per_day != 0;
            is_limited.then(|| (budget_name(client, interface), BudgetSize { per_minute, per_day }))
        };
        polled
            .flat_map(|interface| self.clients.iter().map(|client| (client, *interface)))
            .filter_map(of_client)
            .collect()
    }

    /// The notes of all partitions are about to be read. Gives the number of the reading.
    pub(crate) fn begin_reading(&self) -> u64 {
        self.state.lock().divided.as_mut().map_or(0, |divided| divided.held.begin_reading())
    }

    /// A reading has brought these. What gets less does so before anybody can be told that it goes by them. Does not block.
    pub(crate) fn take(&self, reading: u64, notes: &[PartitionNote]) {
        self.change(|DividedShares { held, heard, heard_within, .. }| {
            held.take(reading, notes, heard.elapsed() >= *heard_within);
        });
    }

    /// The divider of this shard tells this from now on: its ledger is durable.
    pub(crate) fn tell(&self, divider: AssignedShard, division: Division) {
        self.change(|divided| {
            divided.held.tell(&division);
            divided.told = Some((divider, division));
        });
    }

    fn change(&self, change: impl FnOnce(&mut DividedShares)) {
        let mut state = self.state.lock();
        let Some(divided) = &mut state.divided else { return };
        let least = divided.held.least();
        let before = self.polled_shares(&divided.held);
        change(divided);
        // Whoever had what is known now may have made a call that it had not earned, within the last minute.
        let known = u32::try_from(least.saturating_sub(divided.held.least())).unwrap_or(u32::MAX);
        for ((client, interface, before), (_, _, after)) in before.into_iter().zip(self.polled_shares(&divided.held)) {
            if before != after {
                client.set_share(interface, after, known);
            }
        }
    }

    fn polled_shares(&self, held: &HeldShares) -> Vec<(&Client, Interface, Share)> {
        let polled = || self.interfaces.iter().copied().filter(|interface| interface.is_polled());
        let share = |client, interface| (client, interface, held.share(&budget_name(client, interface)));
        let clients = self.clients.iter().map(|client| &**client);
        clients.flat_map(|client| polled().map(move |interface| share(client, interface))).collect()
    }

    /// Whether it has some partitions, and others the rest.
    pub(crate) fn is_one_of_several(&self) -> bool {
        let OwnedShards { owned, in_all, .. } = &self.state.lock().owned;
        !owned.is_empty() && owned.len() < *in_all
    }

    /// As [`HeldShares::may_begin`].
    pub(crate) fn may_begin(&self, notes: &[PartitionNote]) -> bool {
        self.state.lock().divided.as_ref().is_some_and(|divided| divided.held.may_begin(notes))
    }

    /// These are the needs of shards that are known.
    pub(crate) fn know_needs(&self, needs: BTreeMap<AssignedShard, BTreeMap<String, ShareNeed>>) {
        if let Some(divided) = &mut self.state.lock().divided {
            divided.needs = needs;
        }
    }
}

impl NotedShares for BudgetShares {
    fn note(&self, assigned: AssignedShard) -> ShareNote {
        self.state.lock().divided.as_ref().map(|divided| divided.note(assigned)).unwrap_or_default()
    }

    fn shorten(&self) -> bool {
        let mut state = self.state.lock();
        state.divided.as_mut().is_some_and(|divided| !std::mem::replace(&mut divided.are_notes_short, true))
    }
}

impl DividedShares {
    fn own(&mut self, now: &OwnedShards) {
        if now.generation != self.held.generation() {
            self.heard = Instant::now();
        }
        self.held.own(now);
    }

    fn note(&self, assigned: AssignedShard) -> ShareNote {
        let told = self.told.as_ref().filter(|(divider, _)| *divider == assigned);
        let note = ShareNote {
            generation: self.held.generation(),
            goes_by: self.held.goes_by(assigned.shard.0),
            is_lifted: self.held.is_lifted(),
            needs: self.needs.get(&assigned).cloned(),
            division: told.map(|(_, division)| division.clone()),
        };
        if self.are_notes_short { note.shortened() } else { note }
    }
}

/// Of what an app may call of an interface.
pub(crate) fn budget_name(client: &Client, interface: Interface) -> String {
    format!("{}/{interface}", client.app_id())
}

impl SharesState {
    fn share(&self, client: &Client, interface: Interface) -> Share {
        match &self.divided {
            Some(divided) if interface.is_polled() => divided.held.share(&budget_name(client, interface)),
            _ => share(interface, &self.owned),
        }
    }
}

/// Promoters are discovered by one instance for all.
fn share(interface: Interface, now: &OwnedShards) -> Share {
    match interface.called_by() {
        InterfaceCaller::Discovery => Share::of_parts(discovering(now), 1),
        InterfaceCaller::Polls | InterfaceCaller::Requests => Share::of_parts(now.owned.len(), now.in_all),
    }
}

/// How many shards that the interface is called for were somebody else's.
fn taken_over(interface: Interface, now: &OwnedShards, before: &OwnedShards) -> u32 {
    let taken_over = match interface.called_by() {
        InterfaceCaller::Discovery => discovering(now).saturating_sub(discovering(before)),
        InterfaceCaller::Polls | InterfaceCaller::Requests => now.owned.difference(&before.owned).count(),
    };
    u32::try_from(taken_over).unwrap_or(u32::MAX)
}

/// 1 where the shard is owned whose owner discovers.
fn discovering(owned: &OwnedShards) -> usize {
    usize::from(owned.owned.contains(&Shard::DISCOVERING.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owned(shards: impl IntoIterator<Item = i32>) -> OwnedShards {
        OwnedShards { owned: shards.into_iter().collect(), in_all: 12, generation: 1 }
    }

    #[test]
    fn feeds_are_polled_with_the_part_that_is_owned() {
        let (before, now) = (owned(0..5), owned(2..8));
        assert_eq!(share(Interface::GetOrder, &now), Share::of_parts(1, 2));
        assert_eq!(taken_over(Interface::GetOrder, &now, &before), 3);
    }

    #[test]
    fn all_that_promoters_are_discovered_with_is_one_instances() {
        let (discovers, another) = (owned(0..2), owned(2..12));
        let shares = [&discovers, &another, &owned([])].map(|owned| share(Interface::GetPromoter, owned));
        assert_eq!(shares, [Share::ALL, Share::NONE, Share::NONE]);
        assert_eq!(taken_over(Interface::GetPromoter, &discovers, &another), 1);
        assert_eq!(taken_over(Interface::GetPromoter, &discovers, &discovers), 0);
        assert_eq!(taken_over(Interface::GetPromoter, &another, &discovers), 0);
    }
}
