//! Asks the admin port of an instance that runs.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, ensure};
use axum::body::{Body, to_bytes};
use axum::http::header::HOST;
use axum::http::{Request, StatusCode};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

/// How long an instance may take to answer, its own looks (2 s) included.
const ANSWER_MAX: Duration = Duration::from_secs(5);
/// Of an answer. One explains a promoter in a few thousand bytes.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;

/// The status and the body of the answer to GET `path` at `port`, which is written as HOST:PORT.
///
/// # Errors
/// Where nobody answers there in time, or nothing of HTTP, or too much.
pub async fn get(port: &str, path: &str) -> anyhow::Result<(StatusCode, Vec<u8>)> {
    timeout(ANSWER_MAX, answer(port, path)).await.with_context(|| format!("{port} does not answer in time"))?
}

/// One request over a connection of its own, however long it takes.
///
/// # Errors
/// Where nobody listens at `port`, or who does breaks off, speaks no HTTP, or answers with more than [`ANSWER_BYTES_MAX`].
async fn answer(port: &str, path: &str) -> anyhow::Result<(StatusCode, Vec<u8>)> {
    let stream = TcpStream::connect(port).await.with_context(|| format!("{port} can't be reached"))?;
    // A port answers only who asks by its address.
    let host = stream.peer_addr()?.to_string();
    let (mut requests, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // Request and body go through this task: hyper moves neither unless the connection is polled.
    let _connection = AbortOnDropHandle::new(tokio::spawn(connection));
    let request = Request::get(path).header(HOST, host).body(Body::empty())?;
    let response = requests.send_request(request).await.with_context(|| format!("{port} does not answer as HTTP"))?;
    let status = response.status();
    let body = to_bytes(Body::new(response.into_body()), ANSWER_BYTES_MAX).await?;
    Ok((status, body.to_vec()))
}

/// How a port is reached from this host that listens at `listen`: one that listens everywhere does so at the loopback, too.
pub fn local_port(listen: SocketAddr) -> String {
    let address = match listen.ip() {
        IpAddr::V4(address) if address.is_unspecified() => IpAddr::from([127, 0, 0, 1]),
        IpAddr::V6(address) if address.is_unspecified() => IpAddr::V6(std::net::Ipv6Addr::LOCALHOST),
        address => address,
    };
    SocketAddr::new(address, listen.port()).to_string()
}

/// Whether `text` may be a port to ask: HOST:PORT.
///
/// # Errors
/// Where the port is missing or no number.
pub fn port_name(text: &str) -> anyhow::Result<String> {
    let port = text.rsplit_once(':').and_then(|(host, port)| (!host.is_empty()).then(|| port.parse::<u16>().ok())?);
    ensure!(port.is_some_and(|port| port > 0) && !text.contains('/'), "write HOST:PORT, such as 127.0.0.1:9464");
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_listens_everywhere_is_asked_at_the_loopback() {
        for (listen, asked) in
            [("0.0.0.0:9464", "127.0.0.1:9464"), ("[::]:9464", "[::1]:9464"), ("10.1.2.3:80", "10.1.2.3:80")]
        {
            assert_eq!(local_port(listen.parse().unwrap()), asked);
        }
    }

    #[test]
    fn a_port_is_named_by_host_and_number() {
        for text in ["pc-0.pc:9464", "127.0.0.1:9464", "[::1]:9464"] {
            assert_eq!(port_name(text).unwrap(), text);
        }
        for text in ["", "pc-0", ":9464", "pc-0:", "pc-0:0", "pc-0:99999", "http://pc-0:9464"] {
            assert!(port_name(text).is_err(), "{text}");
        }
    }

    #[tokio::test]
    async fn nobody_there_is_told_with_the_port() {
        let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = free.local_addr().unwrap().to_string();
        drop(free);
        let error = get(&port, "/live").await.unwrap_err().to_string();
        assert_eq!(error, format!("{port} can't be reached"));
    }
}
