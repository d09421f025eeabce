//! This instance's share of its apps' budgets follows what it owns of a topic's partitions.
//!
//! What is owned is nobody else's, so all instances together have all of a budget at most.

use std::sync::Arc;

use parking_lot::Mutex;

use super::client::Client;
use crate::model::feed::{Interface, InterfaceCaller};
use crate::model::quota_share::Share;
use crate::model::shard::{OwnedShards, Shard};

/// The budgets of the interfaces that are shared in the same way, of all apps.
pub struct BudgetShares {
    clients: Vec<Arc<Client>>,
    interfaces: Vec<Interface>,
    owned: Mutex<OwnedShards>,
}

impl BudgetShares {
    /// Nothing of them is this instance's before it owns something.
    pub fn new(clients: impl IntoIterator<Item = Arc<Client>>, is_shared: fn(Interface) -> bool) -> BudgetShares {
        let clients = clients.into_iter().collect();
        let interfaces = Interface::ALL.into_iter().filter(|interface| is_shared(*interface)).collect();
        let shares = BudgetShares { clients, interfaces, owned: Mutex::default() };
        shares.set(|_| (Share::NONE, 0));
        shares
    }

    /// This is owned from now on. Does not block.
    pub fn own(&self, now: &OwnedShards) {
        // Held while the clients are told: of two changes the later one must not be overtaken.
        let mut owned = self.owned.lock();
        let before = std::mem::replace(&mut *owned, now.clone());
        self.set(|interface| (share(interface, now), taken_over(interface, now, &before)));
    }

    fn set(&self, of_interface: impl Fn(Interface) -> (Share, u32)) {
        for interface in &self.interfaces {
            let (share, taken_over) = of_interface(*interface);
            self.clients.iter().for_each(|client| client.set_share(*interface, share, taken_over));
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
        OwnedShards { owned: shards.into_iter().collect(), in_all: 12 }
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
