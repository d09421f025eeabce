//! The port as its clients meet it.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::observed::{ObservedConnector, PermittedChanges};
use super::permission::AdminToken;
use super::routes::router;
use super::server::AdminPort;
use crate::changes::promoter_changes::PromoterChanges;

const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
/// As many as are served at once.
const CONNECTIONS: usize = 64;

/// A port of a connector that has not worked yet.
struct Port {
    address: SocketAddr,
    observed: Arc<ObservedConnector>,
    _end: DropGuard,
}

impl Port {
    async fn open() -> Port {
        Port::changing(None).await
    }

    async fn changing(changing: Option<PermittedChanges>) -> Port {
        let observed = ObservedConnector { changing, ..ObservedConnector::for_tests() };
        let (observed, end) = (Arc::new(observed), CancellationToken::new());
        let port = AdminPort::open(ANY).await.unwrap();
        let address = port.address();
        tokio::spawn(port.serve(router(observed.clone()), end.clone()));
        Port { address, observed, _end: end.drop_guard() }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    async fn get(&self, path: &str, host: &str) -> String {
        ask(self.connect().await, path, host).await
    }

    async fn post(&self, path: &str, headers: &str, body: &str) -> String {
        let mut stream = self.connect().await;
        let length = body.len();
        let head =
            format!("POST {path} HTTP/1.1\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n\r\n");
        // It may answer before all of it is sent.
        let _ = stream.write_all(format!("{head}{body}").as_bytes()).await;
        read_to_end(stream).await
    }
}

/// The whole answer.
async fn ask(mut stream: TcpStream, path: &str, host: &str) -> String {
    let request = format!("GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    read_to_end(stream).await
}

async fn read_to_end(mut stream: TcpStream) -> String {
    let mut answer = String::new();
    // Whoever is cut off in the middle may see a reset.
    let _ = stream.read_to_string(&mut answer).await;
    answer
}

#[tokio::test]
async fn probes_are_answered_by_any_name_and_all_else_by_addresses_and_localhost() {
    let port = Port::open().await;
    for path in ["/live", "/ready"] {
        let answer = port.get(path, "connector-0.connector.shop.svc").await;
        assert!(!answer.starts_with("HTTP/1.1 421"), "{path}: {answer}");
        assert!(answer.contains("content-type: application/json"), "{path}: {answer}");
    }
    assert!(port.get("/nothing", "evil.example").await.starts_with("HTTP/1.1 421 "));
    assert!(port.get("/nothing", "localhost:9464").await.starts_with("HTTP/1.1 404 "));
}

#[tokio::test]
async fn nothing_of_an_answer_is_kept_or_run_by_others() {
    let answer = Port::open().await.get("/live", "localhost").await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(
        answer.contains("cache-control: no-store") && answer.contains("x-content-type-options: nosniff"),
        "{answer}"
    );
    assert!(answer.contains("content-security-policy: default-src 'none'") && !answer.contains("unsafe"), "{answer}");
}

#[tokio::test]
async fn readiness_follows_what_the_pipeline_notes() {
    let port = Port::open().await;
    let health = &port.observed.polls.health;
    assert!(port.get("/ready", "localhost").await.contains("\"starting\""));
    health.answered();
    health.stands_by();
    assert!(port.get("/ready", "localhost").await.contains("{\"state\":\"standby\"}"));
    health.works();
    assert!(port.get("/ready", "localhost").await.starts_with("HTTP/1.1 200 "));
    port.observed.stop.cancel();
    let stopping = port.get("/ready", "localhost").await;
    assert!(stopping.starts_with("HTTP/1.1 503 ") && stopping.contains("\"stopping\""), "{stopping}");
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused() {
    let port = Port::open().await;
    let mut stream = port.connect().await;
    let head = format!("GET /live HTTP/1.1\r\nhost: localhost\r\nx: {}\r\n\r\n", "x".repeat(64 * 1024));
    // It may hang up before all of it is sent.
    let _ = stream.write_all(head.as_bytes()).await;
    let answer = read_to_end(stream).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431 "), "{answer}");
    assert!(port.get("/live", "localhost").await.starts_with("HTTP/1.1 200 "));
}

/// The clock runs on by itself whenever everybody waits, so all that is waited for here is over at once, if it has a bound.
#[tokio::test(start_paused = true)]
async fn who_does_not_go_on_is_hung_up_on() {
    let port = Port::open().await;
    let mut slow = port.connect().await;
    slow.write_all(b"GET /live HTTP/1.1\r\nhost: lo").await.unwrap();
    assert_eq!(read_to_end(slow).await, "");
    assert_eq!(read_to_end(port.connect().await).await, "", "one that says nothing at all");
}

#[tokio::test]
async fn one_connection_too_many_is_served_when_another_has_ended() {
    let port = Port::open().await;
    let mut held = Vec::new();
    for _ in 0..CONNECTIONS {
        let mut stream = port.connect().await;
        stream.write_all(b"GET /live HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
        let mut first = [0; 12];
        stream.read_exact(&mut first).await.unwrap();
        held.push(stream);
    }
    let mut further = tokio::spawn(ask(port.connect().await, "/live", "localhost"));
    tokio::select! {
        answer = &mut further => panic!("it was served: {answer:?}"),
        // A round over the loopback, which one that was served would not have outlasted.
        () = round_trips() => {}
    }
    held.pop();
    assert!(further.await.unwrap().starts_with("HTTP/1.1 200 "));
}

/// Some exchanges with another port, each as long as one that is answered takes.
async fn round_trips() {
    let other = Port::open().await;
    for _ in 0..20 {
        other.get("/live", "localhost").await;
    }
}

#[tokio::test]
async fn a_port_that_somebody_has_is_told_with_its_key() {
    let port = Port::open().await;
    let Err(error) = AdminPort::open(port.address).await else { panic!("nobody can have it twice") };
    let told = crate::text::with_causes(&error);
    let words = format!("admin.listen {} can't be listened on; name another address, or \"off\": ", port.address);
    assert!(told.starts_with(&words), "{told}");
}

#[tokio::test]
async fn the_page_needs_nothing_from_elsewhere_and_shows_how_it_is() {
    let port = Port::open().await;
    let page = port.get("/", "localhost").await;
    assert!(page.starts_with("HTTP/1.1 200 ") && page.contains("content-type: text/html"), "{page}");
    assert!(!page.contains("http://") && !page.contains("https://") && !page.contains("style="), "{page}");
    for path in ["/page.css", "/page.js"] {
        assert!(page.contains(path) && port.get(path, "localhost").await.starts_with("HTTP/1.1 200 "), "{path}");
    }
    assert!(port.get("/api/v1/status", "127.0.0.1").await.contains("\"state\":\"starting\""));
    port.observed.polls.health.troubled("no broker".into(), std::time::Duration::from_secs(5));
    let status = port.get("/api/v1/status", "127.0.0.1").await;
    assert!(status.contains("\"state\":\"stopped\"") && status.contains("\"log_not_open\""), "{status}");
    let page = port.get("/", "localhost").await;
    assert!(page.contains("✗ stopped") && page.contains("no broker"), "{page}");
}

#[tokio::test]
async fn pages_and_the_api_are_not_answered_by_the_name_of_another_site() {
    let port = Port::open().await;
    for path in ["/", "/page.js", "/promoter?key=a/b", "/api/v1/status", "/api/v1/promoters", "/api/v1/promoters/a/b"] {
        assert!(port.get(path, "evil.example").await.starts_with("HTTP/1.1 421 "), "{path}");
    }
}

const PAUSE: &str = "/api/v1/promoters/wx1/o1/pause";
const REWIND: &str = "/api/v1/promoters/wx1/o1/rewind";
const TOLD: &str = "host: localhost\r\nauthorization: Bearer s3cret\r\ncontent-type: application/json";

/// A port that lets changes in, and reaches nobody with them.
async fn changing_port() -> Port {
    let changes = PromoterChanges::new(|_| unreachable!("nothing is changed"), || unreachable!("nothing is written"));
    Port::changing(Some(PermittedChanges { token: AdminToken::new("s3cret").unwrap(), changes })).await
}

#[tokio::test]
async fn where_no_token_is_configured_nothing_can_be_changed() {
    let port = Port::open().await;
    let answer = port.post(PAUSE, TOLD, "{}").await;
    assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
    assert!(
        answer.contains(r#"{"error":"nothing can be changed over this port: neither admin.token_file nor admin.token names a token"}"#),
        "{answer}"
    );
}

#[tokio::test]
async fn without_the_token_nothing_can_be_changed_and_nothing_of_it_is_told() {
    let port = changing_port().await;
    let json = "host: localhost\r\ncontent-type: application/json";
    for (headers, status) in [
        (json.to_owned(), "401"),
        (format!("{json}\r\nauthorization: Bearer guess"), "401"),
        (TOLD.replace("localhost", "evil.example"), "421"),
        (format!("{TOLD}\r\norigin: http://evil.example"), "403"),
        (TOLD.replace("application/json", "text/plain"), "415"),
    ] {
        let answer = port.post(PAUSE, &headers, "{}").await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{headers}: {answer}");
        assert!(!answer.contains("s3cret") && !answer.contains("guess"), "{answer}");
        assert_eq!(answer.contains("www-authenticate: Bearer"), status == "401", "{answer}");
    }
    assert!(port.get(PAUSE, "localhost").await.starts_with("HTTP/1.1 401 "));
}

#[tokio::test]
async fn what_is_asked_for_wrongly_is_told_how_to_be() {
    let port = changing_port().await;
    for (path, body, status, word) in [
        (PAUSE, "1", "400", "invalid type"),
        (PAUSE, r#"{"paused":true}"#, "400", "unknown field"),
        (REWIND, "", "400", "dry_run"),
        (REWIND, r#"{"feed":"touchs","to":"2026-11-03"}"#, "400", "feed: write touches"),
        (REWIND, r#"{"feed":"touches","to":"yesterday"}"#, "400", "to: write a time"),
        (REWIND, &format!("{{\"feed\":\"{}\"}}", "x".repeat(5_000)), "413", "4096"),
        ("/api/v1/promoters/wx1/a%20b/pause", "{}", "404", "no such promoter"),
    ] {
        let answer = port.post(path, TOLD, body).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")) && answer.contains(word), "{path} {body}: {answer}");
        assert!(answer.contains("{\"error\":"), "{answer}");
    }
}
