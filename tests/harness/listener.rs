//! A small server of the tests: a thread that serves one client after the other.

use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result};

/// For one client's request and its answer.
const EXCHANGE_BOUND: Duration = Duration::from_secs(5);

/// Ends when it is dropped.
pub struct Listener {
    port: u16,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Listener {
    /// On a port of 127.0.0.1; `exchange` reads a request and answers it.
    pub fn start(exchange: impl Fn(TcpStream) -> Result<()> + Send + 'static) -> Result<Listener> {
        let listener = TcpListener::bind("127.0.0.1:0").context("no port for a server of the tests")?;
        let (port, is_over) = (listener.local_addr()?.port(), Arc::<AtomicBool>::default());
        let ends = is_over.clone();
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if ends.load(Ordering::SeqCst) {
                    return;
                }
                // A client that goes away is none of the server's business.
                let bounded = stream.set_read_timeout(Some(EXCHANGE_BOUND));
                let _ = bounded.map_err(anyhow::Error::from).and_then(|()| exchange(stream));
            }
        });
        Ok(Listener { port, is_over, thread: Some(thread) })
    }

    pub fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::SeqCst);
        // It waits for a client; if none can come, it is over as well.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
