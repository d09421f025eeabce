//! What the topics do not take.

use std::fmt;
use std::sync::Arc;

use super::batch::Event;
use super::dead_letter::DeadLetter;

/// Tells of an event that it can't be published, and what stands for it among the dead letters: it is too large for its
/// topic, or too old. The log knows, and the state asks before it plans, so that what is refused is remembered in the
/// transaction that says so. By default everything is taken.
#[derive(Clone, Default)]
pub struct EventRefusal(Option<Arc<Refuses>>);

type Refuses = dyn Fn(&Event) -> Option<DeadLetter> + Send + Sync;

impl EventRefusal {
    pub fn new(refuses: impl Fn(&Event) -> Option<DeadLetter> + Send + Sync + 'static) -> EventRefusal {
        EventRefusal(Some(Arc::new(refuses)))
    }

    pub(super) fn of(&self, event: &Event) -> Option<DeadLetter> {
        self.0.as_ref().and_then(|refuses| refuses(event))
    }
}

impl fmt::Debug for EventRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Refusal({})", if self.0.is_some() { "some" } else { "none" })
    }
}
