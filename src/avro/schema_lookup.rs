//! Schemas of others, which a registry is asked for: each id by one call at a time, however many records wait for it.
//!
//! A registry that is away for an hour is told in one line when that begins and in one when it is over; how many schemas
//! are asked for stands in the minute's. What it refuses to tell while it answers is given up after [`REFUSED_MAX`].

use std::collections::{BTreeSet, HashMap};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::OnceCell;
use tokio::time::Instant;

use super::kind_decoder::UnusableSchema;
use super::schema_registry::{SchemaRegistry, SchemaRegistryError};
use crate::retry::{Attempts, NextAttempt, RetrySettings};
use crate::text::with_causes;

/// How long a schema is asked for that is refused, by a lack of rights or by what is no registry: as long as an upstream is
/// that stays unable. Then the records in it are dead letters, in which somebody can find them.
pub(crate) const REFUSED_MAX: Duration = Duration::from_secs(600);

/// Tells the schemas of others.
pub trait SchemaSource: Send + Sync {
    /// The text of the schema with this id, if there is one.
    fn schema(&self, id: i32) -> SchemaFuture<'_>;
}

/// What a [`SchemaSource`] says.
pub type SchemaFuture<'a> = Pin<Box<dyn Future<Output = Result<Option<String>, SchemaRegistryError>> + Send + 'a>>;

impl SchemaSource for SchemaRegistry {
    fn schema(&self, id: i32) -> SchemaFuture<'_> {
        Box::pin(self.schema(id))
    }
}

/// Those for the records of one topic.
pub(crate) struct SchemaLookups {
    /// What waits for a schema, in a word for the log.
    records: &'static str,
    registry: Option<Arc<dyn SchemaSource>>,
    patience: RetrySettings,
    state: Mutex<LookupState>,
}

/// What came of asking for one id, for all that wait for it.
type SharedLookup = Arc<OnceCell<Result<(), SchemaLookupError>>>;

/// Why no record will be read with a schema. Those in it are dead letters; one that comes later asks again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SchemaLookupError {
    #[error("written with the schema id {0}, which no registry knows")]
    Unknown(i32),
    #[error(transparent)]
    Unusable(#[from] UnusableSchema),
    /// The registry does not tell it.
    #[error(transparent)]
    Unavailable(SchemaRegistryError),
}

#[derive(Default)]
struct LookupState {
    under_way: HashMap<i32, SharedLookup>,
    outage: Option<Outage>,
}

/// From the first call that could not be answered on.
struct Outage {
    since: Instant,
    /// The ids that have not been answered since.
    ids: BTreeSet<i32>,
}

impl SchemaLookups {
    /// Of the `records` that the log names so. `registry` is asked with the pauses of `patience`.
    pub fn new(
        records: &'static str,
        registry: Option<Arc<dyn SchemaSource>>,
        patience: RetrySettings,
    ) -> SchemaLookups {
        let patience = RetrySettings { attempts: u32::MAX, ..patience };
        SchemaLookups { records, registry, patience, state: Mutex::default() }
    }

    /// Has a decoder `learn` the text of the schema. What the registry knows must not become a dead letter because it
    /// was away, so this waits until it can answer, also where nobody has told it the new password yet.
    ///
    /// # Errors
    /// Where the schema will never be known.
    pub async fn learn(
        &self,
        id: i32,
        learn: impl Fn(&str) -> Result<(), UnusableSchema>,
    ) -> Result<(), SchemaLookupError> {
        let lookup = self.lookup(id);
        // Where whoever asks gives up, the next one that waits goes on.
        let learnt = lookup.get_or_init(|| self.fetch(id, learn)).await.clone();
        self.state.lock().under_way.retain(|_, other| !Arc::ptr_eq(other, &lookup));
        learnt
    }

    fn lookup(&self, id: i32) -> SharedLookup {
        let mut state = self.state.lock();
        // Of those that were given up at a stop.
        state.under_way.retain(|_, lookup| Arc::strong_count(lookup) > 1);
        state.under_way.entry(id).or_default().clone()
    }

    /// # Errors
    /// [`SchemaLookupError::Unknown`] where no registry knows the id, `Unusable` where its text is no schema that serves, and
    /// `Unavailable` where the registry has refused for [`REFUSED_MAX`]; one that is only away is waited for.
    async fn fetch(
        &self,
        id: i32,
        learn: impl Fn(&str) -> Result<(), UnusableSchema>,
    ) -> Result<(), SchemaLookupError> {
        let unknown = SchemaLookupError::Unknown(id);
        let Some(registry) = &self.registry else { return Err(unknown) };
        let mut attempts = Attempts::new(&self.patience);
        let mut refused_since = None;
        loop {
            match registry.schema(id).await {
                Ok(text) => {
                    self.answered(id);
                    return Ok(learn(&text.ok_or(unknown)?)?);
                }
                Err(error) => {
                    self.failed(id, &error);
                    // From the first refusal on, though it be away in between: what is only away is waited for without end.
                    if error.is_refusal() && refused_since.get_or_insert_with(Instant::now).elapsed() >= REFUSED_MAX {
                        self.given_up(id, &error);
                        return Err(SchemaLookupError::Unavailable(error));
                    }
                    let NextAttempt::RetryAfter(pause) = attempts.failed(None) else {
                        return Err(SchemaLookupError::Unavailable(error));
                    };
                    tokio::time::sleep(pause).await;
                }
            }
        }
    }

    fn failed(&self, id: i32, error: &SchemaRegistryError) {
        let mut state = self.state.lock();
        let outage = state.outage.get_or_insert_with(|| {
            let (error, records) = (with_causes(error), self.records);
            tracing::warn!(error, id, records, "the schema registry can't be asked: records wait for their schemas");
            Outage { since: Instant::now(), ids: BTreeSet::new() }
        });
        outage.ids.insert(id);
    }

    fn answered(&self, id: i32) {
        let mut state = self.state.lock();
        let Some(outage) = &mut state.outage else { return };
        outage.ids.remove(&id);
        if outage.ids.is_empty() {
            let seconds = outage.since.elapsed().as_secs();
            tracing::info!(seconds, "the schema registry answers again");
            state.outage = None;
        }
    }

    fn given_up(&self, id: i32, error: &SchemaRegistryError) {
        let (error, records) = (with_causes(error), self.records);
        tracing::warn!(error, id, records, "a schema is refused: records in it are dead letters");
        let mut state = self.state.lock();
        if let Some(outage) = &mut state.outage {
            outage.ids.remove(&id);
        }
        state.outage.take_if(|outage| outage.ids.is_empty());
    }
}
