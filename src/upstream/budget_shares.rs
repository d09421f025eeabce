//! This instance's share of its apps' budgets follows what it owns of a topic's partitions.
//!
//! What is owned is nobody else's, so all instances together have all of a budget at most.

use std::sync::Arc;

use parking_lot::Mutex;

use super::client::Client;
use super::transport::Transport;
use crate::model::feed::Interface;
use crate::model::quota_share::Share;
use crate::model::shard::OwnedShards;

/// The budgets of the interfaces that are shared in the same way, of all apps.
pub struct BudgetShares<T> {
    clients: Vec<Arc<Client<T>>>,
    interfaces: Vec<Interface>,
    owned: Mutex<OwnedShards>,
}

impl<T: Transport> BudgetShares<T> {
    /// Nothing of them is this instance's before it owns something.
    pub fn new(clients: impl IntoIterator<Item = Arc<Client<T>>>, is_shared: fn(Interface) -> bool) -> BudgetShares<T> {
        let clients = clients.into_iter().collect();
        let interfaces = Interface::ALL.into_iter().filter(|interface| is_shared(*interface)).collect();
        let shares = BudgetShares { clients, interfaces, owned: Mutex::default() };
        shares.set(Share::NONE, 0);
        shares
    }

    /// This is owned from now on. Does not block.
    pub fn own(&self, now: &OwnedShards) {
        let mut owned = self.owned.lock();
        let taken_over = now.owned.difference(&owned.owned).count();
        *owned = now.clone();
        let share = Share::of_parts(now.owned.len(), now.in_all);
        self.set(share, u32::try_from(taken_over).unwrap_or(u32::MAX));
    }

    fn set(&self, share: Share, taken_over: u32) {
        for client in &self.clients {
            self.interfaces.iter().for_each(|interface| client.set_share(*interface, share, taken_over));
        }
    }
}
