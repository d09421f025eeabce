//! HTTP for whoever looks after the process. Whatever a client does, it takes no more than these bounds allow.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

/// Connections at once; further ones wait in the system's queue.
const CONNECTIONS_MAX: usize = 64;
/// How long a request's head may take to arrive.
const HEAD_MAX: Duration = Duration::from_secs(5);
/// Of a request's head, in bytes.
const HEAD_BYTES_MAX: usize = 16 * 1024;
const HEADERS_MAX: usize = 64;
/// No connection is longer in use: a client that reads slowly, or not at all, gives its place up. Others just connect anew.
const CONNECTION_MAX: Duration = Duration::from_secs(60);
/// How long a request that is being answered may take when its connection ends.
const GRACE: Duration = Duration::from_secs(2);
/// Between two attempts to accept where the system has nothing left to accept with.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The port can't be listened on: a fault of the configuration, or of who else runs on this host.
#[derive(Debug, thiserror::Error)]
#[error("admin.listen {address} can't be listened on; name another address, or \"off\"")]
pub struct AdminPortError {
    address: SocketAddr,
    #[source]
    error: io::Error,
}

/// The port, on which nothing is answered yet.
pub struct AdminPort {
    listener: TcpListener,
    address: SocketAddr,
}

impl AdminPort {
    /// # Errors
    /// [`AdminPortError`] where somebody else has the port, or this host has no such address.
    pub async fn open(address: SocketAddr) -> Result<AdminPort, AdminPortError> {
        let failed = |error| AdminPortError { address, error };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        // Port 0 is any that is free.
        let address = listener.local_addr().map_err(failed)?;
        Ok(AdminPort { listener, address })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until `end` is cancelled.
    pub async fn serve(self, router: Router, end: CancellationToken) {
        let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        while let Some(Ok(place)) = end.run_until_cancelled(places.clone().acquire_owned()).await {
            match end.run_until_cancelled(self.listener.accept()).await {
                Some(Ok((stream, _))) => drop(tokio::spawn(connection(stream, router.clone(), place, end.clone()))),
                // Its client has hung up meanwhile, or there are no descriptors left: both pass.
                Some(Err(_)) => tokio::time::sleep(ACCEPT_PAUSE).await,
                None => return,
            }
        }
    }
}

/// Answers what comes on one connection, as long as that may last. Its errors are the client's.
async fn connection(stream: TcpStream, router: Router, _place: OwnedSemaphorePermit, end: CancellationToken) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD_MAX).max_buf_size(HEAD_BYTES_MAX).max_headers(HEADERS_MAX);
    let mut connection = pin!(http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router)));
    tokio::select! {
        _ = &mut connection => return,
        _ = tokio::time::timeout(CONNECTION_MAX, end.cancelled()) => {}
    }
    // This only tells hyper to end after the answer that is under way; it does so as it is polled further.
    connection.as_mut().graceful_shutdown();
    let _ = tokio::time::timeout(GRACE, connection).await;
}
