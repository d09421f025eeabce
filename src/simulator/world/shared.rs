//! One world for many: the server, and a test or a demo beside it.

use std::sync::Arc;

use parking_lot::Mutex;

use super::state::World;

/// Clones share the world.
#[derive(Clone)]
pub struct SharedWorld(Arc<Mutex<World>>);

impl SharedWorld {
    pub fn new(world: World) -> SharedWorld {
        SharedWorld(Arc::new(Mutex::new(world)))
    }

    /// Runs something with the world; it must not take long.
    pub fn with<T>(&self, act: impl FnOnce(&mut World) -> T) -> T {
        act(&mut self.0.lock())
    }
}
