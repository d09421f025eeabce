//! Schemas of others, which a registry is asked for: each id by one call at a time, however many requests wait for it.
//!
//! A registry that is away for an hour is told in one line when that begins and in one when it is over; how many requests
//! wait stands in the minute's.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::OnceCell;
use tokio::time::Instant;

use crate::avro::material::RequestDecoder;
use crate::avro::registry::{Registry, RegistryError};
use crate::retry::{Attempts, Next, RetrySettings};

/// Lives as long as the process.
pub(super) struct Lessons {
    registry: Option<Registry>,
    patience: RetrySettings,
    asked: Mutex<Asked>,
}

/// What came of asking for one id, for all that wait for it. The error says why it will never be known.
type Lesson = Arc<OnceCell<Result<(), String>>>;

#[derive(Default)]
struct Asked {
    under_way: HashMap<i32, Lesson>,
    outage: Option<Outage>,
}

/// From the first call that could not be answered on.
struct Outage {
    since: Instant,
    /// The ids that have not been answered since.
    ids: BTreeSet<i32>,
}

impl Lessons {
    /// `registry` is asked with `patience`, for as long as it takes.
    pub fn new(registry: Option<Registry>, patience: RetrySettings) -> Lessons {
        let patience = RetrySettings { attempts: u32::MAX, ..patience };
        Lessons { registry, patience, asked: Mutex::default() }
    }

    /// Has `decoder` learn the schema. What the registry knows must not become a dead letter because it was away, so this
    /// waits until it can answer.
    pub async fn learn(&self, id: i32, decoder: &RequestDecoder) -> Result<(), String> {
        let lesson = self.lesson(id);
        // Where whoever asks gives up, the next one that waits goes on.
        let learnt = lesson.get_or_init(|| self.ask(id, decoder)).await.clone();
        self.asked().under_way.retain(|_, other| !Arc::ptr_eq(other, &lesson));
        learnt
    }

    fn lesson(&self, id: i32) -> Lesson {
        let mut asked = self.asked();
        // Of those that were given up at a stop.
        asked.under_way.retain(|_, lesson| Arc::strong_count(lesson) > 1);
        asked.under_way.entry(id).or_default().clone()
    }

    async fn ask(&self, id: i32, decoder: &RequestDecoder) -> Result<(), String> {
        let unknown = || format!("written with the schema id {id}, which no registry knows");
        let registry = self.registry.as_ref().ok_or_else(unknown)?;
        let mut attempts = Attempts::new(&self.patience);
        loop {
            let answer = registry.schema(id).await;
            match answer {
                Ok(text) => {
                    self.answered(id);
                    return text.ok_or_else(unknown).and_then(|text| decoder.learn(id, &text));
                }
                // Wrong credentials, too, are mended by somebody, and the request stays good.
                Err(error) => {
                    self.failed(id, &error);
                    let Next::RetryAfter(pause) = attempts.failed(None) else { return Err(error.to_string()) };
                    tokio::time::sleep(pause).await;
                }
            }
        }
    }

    fn failed(&self, id: i32, error: &RegistryError) {
        let mut asked = self.asked();
        let outage = asked.outage.get_or_insert_with(|| {
            tracing::warn!(%error, id, "the schema registry can't be asked: requests wait for their schemas");
            Outage { since: Instant::now(), ids: BTreeSet::new() }
        });
        outage.ids.insert(id);
    }

    fn answered(&self, id: i32) {
        let mut asked = self.asked();
        let Some(outage) = &mut asked.outage else { return };
        outage.ids.remove(&id);
        if outage.ids.is_empty() {
            let seconds = outage.since.elapsed().as_secs();
            tracing::info!(seconds, "the schema registry answers again");
            asked.outage = None;
        }
    }

    fn asked(&self) -> MutexGuard<'_, Asked> {
        // It is whole at any time.
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
