//! Ends the transaction that another process has left open.

use std::time::Instant;

use super::producer::TransactionalProducer;
use crate::kafka::client::supplied::ClientSetup;
use crate::model::duration::milliseconds;
use crate::text::with_causes;

/// Takes the `transactional.id` of `config`, which was `instance`'s, in a thread of its own: whatever is open under it is ended
/// then, or else by the brokers, after its own time. `topic` is one that the producer may ask about.
pub fn end(instance: String, config: ClientSetup, topic: String) {
    let began = Instant::now();
    let taking = move || match TransactionalProducer::open(&config, &topic) {
        Ok(_) => {
            let milliseconds = milliseconds(began.elapsed());
            tracing::info!(instance, milliseconds, "what an instance that is gone had left open is ended");
        }
        Err(error) => {
            let error = with_causes(&error);
            tracing::warn!(
                instance,
                error,
                "what an instance that is gone has left open can't be ended, and is waited for"
            );
        }
    };
    if let Err(error) = std::thread::Builder::new().name("abandoned".into()).spawn(taking) {
        tracing::warn!(%error, "no thread to end what an instance has left open");
    }
}
