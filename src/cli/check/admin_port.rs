//! Whether the admin port can be had, or is this instance's already.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::finding::{Finding, Verdict};
use crate::admin::server::AdminPort;
use crate::text::with_causes;

/// How long whoever has the port may take to tell who it is.
const ANSWER_MAX: Duration = Duration::from_secs(2);
/// Where a connector answers its probes, whatever else it does.
const LIVE: &[u8] = b"GET /live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
/// A line of HTTP that tells a success begins so, but for the minor version between.
const SUCCESS: (&[u8], &[u8]) = (b"HTTP/1.", b" 200");

/// Nothing where the port is closed.
pub async fn finding(listen: Option<SocketAddr>) -> Option<Finding> {
    const SUBJECT: &str = "admin port";
    let listen = listen?;
    Some(match AdminPort::open(listen).await {
        Ok(_) => Finding::new(SUBJECT, Verdict::Sound, format!("{listen} is free")),
        Err(_) if is_connector(listen).await => {
            Finding::new(SUBJECT, Verdict::Sound, format!("a connector answers at {listen} already"))
        }
        Err(error) => {
            Finding::new(SUBJECT, Verdict::Wrong, with_causes(&error)).fixed_by("set admin.listen to another one")
        }
    })
}

/// Whether somebody answers there as a connector that works does.
async fn is_connector(address: SocketAddr) -> bool {
    let line = tokio::time::timeout(ANSWER_MAX, first_bytes(address)).await;
    let Ok(Ok(line)) = line else { return false };
    let (version, status) = SUCCESS;
    line.starts_with(version) && line[version.len() + 1..].starts_with(status)
}

/// # Errors
/// Where nobody listens there, or the connection ends before that many have come.
async fn first_bytes(address: SocketAddr) -> io::Result<[u8; 12]> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(LIVE).await?;
    let mut line = [0; 12];
    stream.read_exact(&mut line).await?;
    Ok(line)
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    /// Answers the first call so.
    async fn answering(answer: &'static [u8]) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(answer).await.unwrap();
            std::future::pending::<()>().await;
        });
        address
    }

    #[tokio::test]
    async fn a_port_is_free_or_this_connectors_or_somebody_elses() {
        assert_eq!(finding(None).await, None);
        let verdict = async |address| finding(Some(address)).await.map(|finding| finding.verdict);
        assert_eq!(verdict("127.0.0.1:0".parse().unwrap()).await, Some(Verdict::Sound));
        for (answer, expected) in [
            (&b"HTTP/1.1 200 OK\r\n"[..], Verdict::Sound),
            (b"HTTP/1.1 404 Not Found\r\n", Verdict::Wrong),
            (b"SSH-2.0-OpenSSH_9.2\r\n", Verdict::Wrong),
        ] {
            assert_eq!(verdict(answering(answer).await).await, Some(expected));
        }
    }
}
