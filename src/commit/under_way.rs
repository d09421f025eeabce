//! Waiting for the end of what is under way, wherever that may be by then.

use std::convert::Infallible;

use tokio::sync::mpsc;

/// Held, and cloned, by whatever is still under way of something that is to end.
#[derive(Clone, Debug)]
pub struct UnderWay {
    _held: mpsc::Sender<Infallible>,
}

/// Waits until nobody holds an [`UnderWay`] of it.
#[derive(Debug)]
pub struct Settled {
    held: mpsc::Receiver<Infallible>,
}

/// The two ends of one waiting.
pub fn under_way() -> (UnderWay, Settled) {
    let (sender, held) = mpsc::channel(1);
    (UnderWay { _held: sender }, Settled { held })
}

impl Settled {
    /// Returns when all of it has ended. May be dropped and called again.
    pub async fn wait(&mut self) {
        // Nothing ever comes: it ends when the last sender is dropped.
        self.held.recv().await;
    }
}
