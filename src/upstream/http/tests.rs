//! Over real HTTP, against a server on loopback.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Redirect;
use axum::routing::{get, post};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;

async fn serve(router: Router) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}")
}

fn http() -> HttpTransport {
    http_with(Duration::from_secs(20))
}

fn http_with(timeout: Duration) -> HttpTransport {
    http_sharing(&Buffer::new(1 << 20), 1000, timeout)
}

fn http_sharing(buffer: &Buffer, response_max: usize, timeout: Duration) -> HttpTransport {
    http_in(Buffers { polls: buffer.clone(), others: buffer.clone(), reading: buffer.clone() }, response_max, timeout)
}

fn http_in(buffers: Buffers, response_max: usize, timeout: Duration) -> HttpTransport {
    HttpTransport::new(HttpSettings { timeout, in_flight: 2, response_max, buffered_max: 0 }, buffers).unwrap()
}

fn request(base_url: &str, body: Option<&'static str>) -> HttpRequest {
    HttpRequest {
        method: if body.is_some() { Method::Post } else { Method::Get },
        base_url: base_url.to_owned(),
        path: "/asked",
        query: vec![("access_token", "TOKEN/+&=".to_owned())],
        headers: vec![],
        body: body.map(|body| Bytes::from_static(body.as_bytes())),
    }
}

async fn answer(router: Router) -> Result<HttpResponse, TransportError> {
    http().send(request(&serve(router).await, None)).await
}

#[tokio::test]
async fn a_body_goes_out_as_json_with_its_length() {
    let seen: Arc<Mutex<Option<(HeaderMap, String, String)>>> = Arc::default();
    let seen_by_server = seen.clone();
    let router = Router::new().route(
        "/prefix/asked",
        post(async move |uri: axum::http::Uri, headers: HeaderMap, body: String| {
            *seen_by_server.lock().unwrap() = Some((headers, body, uri.to_string()));
            "fine"
        }),
    );
    let base_url = serve(router).await + "/prefix";
    let response = http().send(request(&base_url, Some(r#"{"a":1}"#))).await.unwrap();
    assert_eq!((response.status, &*response.body), (200, &b"fine"[..]));
    let (headers, body, uri) = seen.lock().unwrap().take().unwrap();
    assert_eq!(body, r#"{"a":1}"#);
    assert_eq!(headers["content-length"], "7");
    assert_eq!(headers["content-type"], "application/json");
    assert_eq!(headers["user-agent"], concat!("promoter-connector/", env!("CARGO_PKG_VERSION")));
    assert!(headers.get("transfer-encoding").is_none());
    assert_eq!(uri, "/prefix/asked?access_token=TOKEN%2F%2B%26%3D");
}

#[tokio::test]
async fn date_and_retry_after_are_read() {
    let dated = |retry_after: &'static str| {
        let headers = [("date", "Thu, 17 Nov 2022 06:00:00 GMT"), ("retry-after", retry_after)];
        Router::new().route("/asked", get(async move || (StatusCode::TOO_MANY_REQUESTS, headers)))
    };
    for (retry_after, expected) in [
        ("120", Some(120)),
        ("Thu, 17 Nov 2022 06:00:30 GMT", Some(30)),
        ("Thu, 17 Nov 2022 05:00:00 GMT", Some(0)),
        ("soon", None),
    ] {
        let response = answer(dated(retry_after)).await.unwrap();
        assert_eq!(response.status, 429);
        assert_eq!(response.date.map(|date| date.0), Some(1_668_664_800));
        assert_eq!(response.retry_after, expected.map(Duration::from_secs), "{retry_after}");
    }
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_is_not_followed() {
    let router = Router::new()
        .route("/asked", get(async || Redirect::temporary("/elsewhere")))
        .route("/elsewhere", get(async || "followed"));
    let response = answer(router).await.unwrap();
    assert_eq!((response.status, response.body.len()), (307, 0));
}

#[tokio::test]
async fn an_answer_beyond_the_bound_is_refused_with_and_without_a_length() {
    let at_bound = Router::new().route("/asked", get(async || "x".repeat(1000)));
    assert_eq!(answer(at_bound).await.unwrap().body.len(), 1000);
    let announced = Router::new().route("/asked", get(async || "x".repeat(1001)));
    assert_eq!(answer(announced).await.err(), Some(TransportError::TooLarge { limit: 1000 }));
    let endless = raw(CHUNKED_HEAD, Some(ONE_CHUNK)).await;
    assert_eq!(http().send(request(&endless, None)).await.err(), Some(TransportError::TooLarge { limit: 1000 }));
}

const CHUNKED_HEAD: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
const ONE_CHUNK: &str = "5\r\nabcde\r\n";

/// A server that answers with `head`, then with `again` and again, or with silence.
async fn raw(head: &'static str, again: Option<&'static str>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut connection, _) = listener.accept().await.unwrap();
        let mut received = [0; 1024];
        let _ = connection.read(&mut received).await;
        let mut sent = connection.write_all(head.as_bytes()).await;
        while let (Some(again), Ok(())) = (again, &sent) {
            sent = connection.write_all(again.as_bytes()).await;
        }
        // Silence, until the other side has gone.
        let _ = connection.read(&mut received).await;
    });
    format!("http://{address}")
}

#[tokio::test]
async fn the_time_limit_holds_for_the_head_and_for_the_body() {
    let silent = raw("", None).await;
    let stalled = raw("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", None).await;
    for base_url in [silent, stalled] {
        let answer = http_with(Duration::from_millis(200)).send(request(&base_url, None)).await;
        assert_eq!(answer.err(), Some(TransportError::Timeout));
    }
}

#[tokio::test]
async fn a_body_that_is_cut_off_is_no_answer() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base_url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let (mut connection, _) = listener.accept().await.unwrap();
        let _ = connection.read(&mut [0; 1024]).await;
        connection.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{}").await
    });
    let error = http().send(request(&base_url, None)).await.err();
    assert!(matches!(error, Some(TransportError::Connection(_))), "{error:?}");
}

#[tokio::test]
async fn an_error_names_neither_url_nor_token() {
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base_url = format!("http://{}", nobody.local_addr().unwrap());
    drop(nobody);
    for base_url in [base_url.as_str(), "http://TOKEN.invalid:99999", "no url TOKEN"] {
        let error = http().send(request(base_url, None)).await.err().unwrap();
        assert!(matches!(error, TransportError::Connection(_)));
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains("TOKEN") && !shown.contains("asked"), "{shown}");
    }
}

#[tokio::test]
async fn headers_of_the_request_are_sent() {
    let echo = async |headers: HeaderMap| headers["authorization"].to_str().unwrap().to_owned();
    let base_url = serve(Router::new().route("/asked", get(echo))).await;
    let headers = vec![("Authorization".to_owned(), "Bearer KEY".into())];
    let response = http().send(HttpRequest { headers, ..request(&base_url, None) }).await.unwrap();
    assert_eq!(&*response.body, b"Bearer KEY");
    let headers = vec![("Authorization".to_owned(), "KEY\n".into())];
    let error = http().send(HttpRequest { headers, ..request(&base_url, None) }).await.err().unwrap();
    assert!(!format!("{error} {error:?}").contains("KEY"), "{error}");
}

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut encoder, content).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test]
async fn a_packed_body_is_read_whether_its_header_says_so_or_not() {
    for encoding in ["gzip", "identity"] {
        let headers = [("content-encoding", encoding)];
        let router = Router::new().route("/asked", get(async move || (headers, gzip(b"{\"a\":1}"))));
        assert_eq!(&*answer(router).await.unwrap().body, b"{\"a\":1}");
    }
    let router = Router::new().route("/asked", get(async || gzip(&[b' '; 1001])));
    assert_eq!(answer(router).await.err(), Some(TransportError::TooLarge { limit: 1000 }));
}

/// A server whose answers are as long as the path says.
async fn long_answers() -> String {
    let answer = async |axum::extract::Path(length): axum::extract::Path<usize>| "x".repeat(length);
    serve(Router::new().route("/{length}/asked", get(answer))).await
}

#[tokio::test]
async fn an_answer_that_is_held_leaves_others_no_room() {
    const MIB: usize = 1 << 20;
    let base_url = long_answers().await;
    let buffer = Buffer::new(4 * MIB);
    // Two clients, as two apps have them.
    let [one, other] = [0; 2].map(|_| http_sharing(&buffer, 4 * MIB, Duration::from_secs(20)));
    let large = one.send(request(&format!("{base_url}/{}", 4 * MIB), None)).await.unwrap();
    let small = other.send(request(&format!("{base_url}/10"), None));
    tokio::pin!(small);
    let waited = tokio::time::timeout(Duration::from_millis(300), &mut small).await;
    assert!(waited.is_err(), "an answer was read where there was no room");
    drop(large);
    let small = tokio::time::timeout(Duration::from_secs(10), small).await.unwrap().unwrap();
    assert_eq!(small.body.len(), 10);
    // It takes up no more than it has.
    let next = one.send(request(&format!("{base_url}/{}", 3 * MIB), None)).await.unwrap();
    assert_eq!(next.body.len(), 3 * MIB);
}

#[tokio::test]
async fn what_was_polled_and_is_not_handed_on_holds_up_no_material_and_no_token() {
    const MIB: usize = 1 << 20;
    let base_url = serve(Router::new().fallback(async || "x".repeat(MIB))).await;
    let buffers = Buffers::new(2 * MIB);
    let [polling, calling] = [0; 2].map(|_| http_in(buffers.clone(), MIB, Duration::from_secs(20)));
    let to = |path| HttpRequest { path, ..request(&base_url, None) };
    let page = polling.send(to(Interface::GetOrder.path())).await.unwrap();
    let next = polling.send(to(Interface::GetRelation.path()));
    assert!(tokio::time::timeout(Duration::from_millis(300), next).await.is_err(), "there is no room for another page");
    for path in [Interface::GetShareMaterial.path(), "/cgi-bin/stable_token"] {
        let answered = tokio::time::timeout(Duration::from_secs(10), calling.send(to(path))).await;
        assert_eq!(answered.expect("nothing holds it up").unwrap().body.len(), MIB);
    }
    drop(page);
}

#[tokio::test]
async fn a_host_that_does_not_answer_takes_no_room_from_others() {
    let buffer = Buffer::new(ROOM_AT_ONCE);
    let silence = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent = format!("http://{}", silence.local_addr().unwrap());
    let [hanging, served] = [0; 2].map(|_| Arc::new(http_sharing(&buffer, ROOM_AT_ONCE, Duration::from_secs(20))));
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let (hanging, silent) = (hanging.clone(), silent.clone());
        calls.spawn(async move { hanging.send(request(&silent, None)).await.map(drop) });
    }
    let mut connections = Vec::new();
    while connections.len() < 4 {
        let connection = tokio::time::timeout(Duration::from_secs(10), silence.accept()).await;
        connections.push(connection.expect("all are asked at once").unwrap());
    }
    let answered = served.send(request(&format!("{}/10", long_answers().await), None));
    let answered = tokio::time::timeout(Duration::from_secs(10), answered).await.expect("nobody is held up");
    assert_eq!(answered.unwrap().body.len(), 10);
    assert_eq!(calls.len(), 4);
}

#[tokio::test]
async fn answers_that_outgrow_their_room_all_come_one_after_the_other() {
    const MIB: usize = 1 << 20;
    let base_url = long_answers().await;
    let buffer = Buffer::new(2 * MIB);
    let http = Arc::new(http_sharing(&buffer, 2 * MIB, Duration::from_secs(20)));
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..16 {
        let (http, base_url) = (http.clone(), format!("{base_url}/{MIB}"));
        calls.spawn(async move { http.send(request(&base_url, None)).await.unwrap().body.len() });
    }
    let all = tokio::time::timeout(Duration::from_secs(15), calls.join_all()).await.expect("nobody waits for ever");
    assert_eq!(all, [MIB; 16]);
}
