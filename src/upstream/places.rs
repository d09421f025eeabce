//! How many calls of polls are in flight at once, over an app and over each of its interfaces.
//!
//! A place is held from just before a call is sent until its answer is there, and never while something waits for a
//! budget or a pause. The place of an answer with rows is held on until these are handed on, to the one queue of all
//! polls: so while that is full, the pages that wait for it are as few as calls may be in flight, and nobody asks for
//! more. What empties the queue asks for nothing and needs no place; so whoever waits there with a place gets on, and
//! one interface waits no longer for the queue than any other. Requests for material have places of their own, with
//! those who carry them out.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::model::feed::Interface;

pub struct Places {
    in_flight: usize,
    app: Arc<Semaphore>,
    /// Of those that polls call. An interface takes three quarters of the app's places at most: with two interfaces, one
    /// that hangs leaves a quarter of the places to the other, which alone still may use most of them.
    relation: Arc<Semaphore>,
    order: Arc<Semaphore>,
}

/// One place of the interface, one of the app.
#[derive(Debug)]
pub struct Place {
    _of_interface: OwnedSemaphorePermit,
    _of_app: OwnedSemaphorePermit,
}

impl Places {
    /// At least one.
    pub fn new(in_flight: usize) -> Places {
        let in_flight = in_flight.max(1);
        let share = || Arc::new(Semaphore::new(in_flight - in_flight / 4));
        Places { in_flight, app: Arc::new(Semaphore::new(in_flight)), relation: share(), order: share() }
    }

    pub fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Waits for a place; nothing for an interface that polls do not call.
    ///
    /// The interface's place comes first: so those of an interface that is full wait without a place of the app.
    pub async fn take(&self, interface: Interface) -> Option<Place> {
        let of_interface = match interface {
            Interface::GetRelation => &self.relation,
            Interface::GetOrder => &self.order,
            Interface::GetShareMaterial => return None,
        };
        let of_interface = of_interface.clone().acquire_owned().await.expect("nothing closes the semaphore");
        let of_app = self.app.clone().acquire_owned().await.expect("nothing closes the semaphore");
        Some(Place { _of_interface: of_interface, _of_app: of_app })
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn taken(places: &Places, interface: Interface) -> Vec<Place> {
        std::iter::from_fn(|| places.take(interface).now_or_never().flatten()).collect()
    }

    #[test]
    fn an_interface_that_hangs_leaves_places_to_the_other() {
        for (in_flight, hanging, other) in [(64, 48, 16), (8, 6, 2), (1, 1, 0)] {
            let places = Places::new(in_flight);
            let orders = taken(&places, Interface::GetOrder);
            let relations = taken(&places, Interface::GetRelation);
            assert_eq!((orders.len(), relations.len()), (hanging, other), "{in_flight}");
            drop(orders);
            assert_eq!(taken(&places, Interface::GetRelation).len() + relations.len(), hanging);
        }
    }

    #[test]
    fn material_takes_no_place_of_the_polls() {
        let places = Places::new(1);
        assert!(places.take(Interface::GetShareMaterial).now_or_never().is_some_and(|place| place.is_none()));
    }
}
