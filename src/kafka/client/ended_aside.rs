//! Clients whose end nobody waits for.

use std::ops::Deref;

/// A client that ends in a thread of its own: its end takes a while, and whoever has used it has more to do. It must be
/// nobody's concern when it ends: not for one that leaves a group, or has something on its way.
pub struct EndedAside<C: Send + 'static>(Option<C>);

impl<C: Send + 'static> EndedAside<C> {
    pub fn new(client: C) -> EndedAside<C> {
        EndedAside(Some(client))
    }
}

impl<C: Send + 'static> Deref for EndedAside<C> {
    type Target = C;

    fn deref(&self) -> &C {
        self.0.as_ref().expect("it is taken out only when this is dropped")
    }
}

impl<C: Send + 'static> Drop for EndedAside<C> {
    fn drop(&mut self) {
        let client = self.0.take();
        // Where there is no thread to be had it ends here, with the closure.
        let _ = std::thread::Builder::new().name("ending".into()).spawn(move || drop(client));
    }
}
