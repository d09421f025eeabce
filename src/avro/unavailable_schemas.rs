//! Schemas that are not to be had, so that each record in one of them does not ask for it again.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

/// How long it is believed: somebody may register the schema.
const BELIEVED_FOR: Duration = Duration::from_secs(60);
/// How many are kept: any bytes may look as if they were written in one.
const KEPT_MAX: usize = 1024;

/// Why no record can be read with a schema, by its id.
pub(crate) struct UnavailableSchemas<E>(HashMap<i32, (E, Instant)>);

impl<E> Default for UnavailableSchemas<E> {
    fn default() -> UnavailableSchemas<E> {
        UnavailableSchemas(HashMap::new())
    }
}

impl<E> UnavailableSchemas<E> {
    /// Nothing of a schema that may be had, as far as is known, or of which it was found out too long ago.
    pub fn why(&self, id: i32) -> Option<&E> {
        let (why, since) = self.0.get(&id)?;
        (since.elapsed() < BELIEVED_FOR).then_some(why)
    }

    pub fn found_out(&mut self, id: i32, why: E) {
        if self.0.len() >= KEPT_MAX {
            // Rather forgotten than grown: a schema that is asked for again costs one look-up.
            self.0.clear();
        }
        self.0.insert(id, (why, Instant::now()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_is_believed_for_a_minute_and_never_of_too_many() {
        let mut unavailable = UnavailableSchemas::default();
        unavailable.found_out(7, "none");
        assert_eq!(unavailable.why(7), Some(&"none"));
        assert_eq!(unavailable.why(8), None);
        tokio::time::advance(BELIEVED_FOR).await;
        assert_eq!(unavailable.why(7), None);
        unavailable.found_out(7, "still none");
        assert_eq!(unavailable.why(7), Some(&"still none"));
        (100..2 * KEPT_MAX as i32).for_each(|id| unavailable.found_out(id, "any bytes"));
        assert!(unavailable.0.len() <= KEPT_MAX);
    }
}
