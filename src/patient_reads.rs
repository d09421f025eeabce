//! Reads of a file that may stand on a mount that is dead: such a read blocks a thread, and nothing can end that.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

/// Of one file: a read is waited for only so long, and as long as it has not come back no other thread is sent after it.
pub struct PatientReads {
    idle: Arc<Semaphore>,
    patience: Duration,
}

impl PatientReads {
    pub fn new(patience: Duration) -> PatientReads {
        PatientReads { idle: Arc::new(Semaphore::new(1)), patience }
    }

    /// What `read` has returned on a thread of its own.
    ///
    /// # Errors
    /// `TimedOut` where this read or an earlier one does not come back within the time limit.
    pub async fn run<R: Send + 'static>(&self, read: impl FnOnce() -> R + Send + 'static) -> io::Result<R> {
        let Ok(reading) = self.idle.clone().try_acquire_owned() else {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "an earlier read of it has not come back"));
        };
        let read = spawn_blocking(move || {
            // The thread itself gives it back: whoever has stopped waiting leaves a thread that may never return.
            let _reading = reading;
            read()
        });
        match timeout(self.patience, read).await {
            Ok(read) => read.map_err(io::Error::other),
            Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "it does not come within the time limit")),
        }
    }
}
