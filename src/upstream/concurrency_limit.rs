//! How many calls of polls are in flight at once, over an app and over each of its interfaces.
//!
//! A permit is held from just before a call is sent until its answer is there, and never while something waits for a
//! budget or a pause. The permit of an answer with rows is held on until these are handed on, to the one queue of all
//! polls: so while that is full, the pages that wait for it are as few as calls may be in flight, and nobody asks for
//! more. What empties the queue asks for nothing and needs no permit; so whoever waits there with a permit gets on, and
//! one interface waits no longer for the queue than any other. Requests for material have permits of their own, with
//! those who carry them out; the pages of a list of promoters are asked for one after the other.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::model::feed::{Interface, PerInterface};

/// The permits of one app's polls.
pub struct ConcurrencyLimit {
    in_flight: usize,
    app: Arc<Semaphore>,
    /// Of those that polls call. An interface takes three quarters of the app's permits at most: with two interfaces, one
    /// that hangs leaves a quarter of the permits to the other, which alone still may use most of them.
    interfaces: PerInterface<Option<Arc<Semaphore>>>,
}

/// One permit of the interface, one of the app.
#[derive(Debug)]
pub struct ConcurrencyPermit {
    _of_interface: OwnedSemaphorePermit,
    _of_app: OwnedSemaphorePermit,
}

impl ConcurrencyLimit {
    /// At least one.
    pub fn new(in_flight: usize) -> ConcurrencyLimit {
        let in_flight = in_flight.max(1);
        let share =
            |interface: Interface| interface.is_polled().then(|| Arc::new(Semaphore::new(in_flight - in_flight / 4)));
        let app = Arc::new(Semaphore::new(in_flight));
        ConcurrencyLimit { in_flight, app, interfaces: PerInterface::new(share) }
    }

    pub fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// How many permits are held.
    pub fn in_use(&self) -> usize {
        self.in_flight.saturating_sub(self.app.available_permits())
    }

    /// Waits for a permit; nothing for an interface that polls do not call.
    ///
    /// The interface's permit comes first: so those of an interface that is full wait without a permit of the app.
    pub async fn acquire(&self, interface: Interface) -> Option<ConcurrencyPermit> {
        let of_interface = self.interfaces[interface].clone()?;
        let of_interface = of_interface.acquire_owned().await.expect("nothing closes the semaphore");
        let of_app = self.app.clone().acquire_owned().await.expect("nothing closes the semaphore");
        Some(ConcurrencyPermit { _of_interface: of_interface, _of_app: of_app })
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn taken(permits: &ConcurrencyLimit, interface: Interface) -> Vec<ConcurrencyPermit> {
        std::iter::from_fn(|| permits.acquire(interface).now_or_never().flatten()).collect()
    }

    #[test]
    fn an_interface_that_hangs_leaves_places_to_the_other() {
        for (in_flight, hanging, other) in [(64, 48, 16), (8, 6, 2), (1, 1, 0)] {
            let permits = ConcurrencyLimit::new(in_flight);
            let orders = taken(&permits, Interface::GetOrder);
            let relations = taken(&permits, Interface::GetRelation);
            assert_eq!((orders.len(), relations.len()), (hanging, other), "{in_flight}");
            drop(orders);
            assert_eq!(taken(&permits, Interface::GetRelation).len() + relations.len(), hanging);
        }
    }

    #[test]
    fn material_takes_no_place_of_the_polls() {
        let permits = ConcurrencyLimit::new(1);
        assert!(permits.acquire(Interface::GetShareMaterial).now_or_never().is_some_and(|permit| permit.is_none()));
    }
}
