//! The client against a small HTTP server that answers as told. What a real registry does is tested in
//! `tests/elsewhere/registry.rs`.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode, Uri};
use tokio::net::TcpListener;

use super::*;
use crate::text::with_causes;

const SUBJECT: &str = "promoter.touches-value";
const SCHEMA: &str = r#"{"type": "string"}"#;

/// What a fake registry was asked.
#[derive(Clone, Debug)]
struct RecordedRequest {
    path: String,
    headers: HeaderMap,
    body: Json,
}

#[derive(Clone)]
pub(crate) struct FakeRegistry {
    pub url: String,
    requests: Arc<Mutex<Vec<RecordedRequest>>>,
}

impl FakeRegistry {
    /// Answers the calls in turn, the last answer for ever.
    pub async fn answering(answers: Vec<(u16, String)>) -> FakeRegistry {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let fake = FakeRegistry { url, requests: Arc::default() };
        let requests = Arc::clone(&fake.requests);
        let answer = move |uri: Uri, headers: HeaderMap, body: Bytes| {
            let mut requests = requests.lock().unwrap();
            let (status, text) = answers[requests.len().min(answers.len() - 1)].clone();
            let body = serde_json::from_slice(&body).unwrap();
            requests.push(RecordedRequest { path: uri.to_string(), headers, body });
            async move { (StatusCode::from_u16(status).unwrap(), text) }
        };
        tokio::spawn(axum::serve(listener, Router::new().fallback(answer)).into_future());
        fake
    }

    fn client(&self) -> SchemaRegistry {
        registry_at(&[&self.url])
    }

    fn requests(&self) -> Vec<RecordedRequest> {
        self.requests.lock().unwrap().clone()
    }

    pub fn paths(&self) -> Vec<String> {
        self.requests().into_iter().map(|request| request.path).collect()
    }
}

fn registry_at(urls: &[&str]) -> SchemaRegistry {
    let urls = urls.iter().map(|url| url.parse().unwrap()).collect();
    SchemaRegistry::new(SchemaRegistrySettings { urls, credentials: None }).unwrap()
}

fn not_found() -> (u16, String) {
    (404, r#"{"error_code": 40401, "message": "Subject not found."}"#.into())
}

fn id(id: i64) -> (u16, String) {
    (200, format!(r#"{{"id": {id}}}"#))
}

fn found(id: i32, schema: &str) -> (u16, String) {
    (200, json!({ "subject": SUBJECT, "version": 1, "id": id, "schema": schema }).to_string())
}

/// Nobody listens there. A port that was let go of would not do: whichever test runs beside may be given it.
const UNUSED_URL: &str = "http://127.0.0.1:1";

#[tokio::test]
async fn an_unknown_schema_is_looked_up_and_then_registered() {
    let fake = FakeRegistry::answering(vec![not_found(), id(7)]).await;
    assert_eq!(fake.client().resolve(SUBJECT, SCHEMA).await, Ok(7));
    assert_eq!(fake.paths(), ["/subjects/promoter.touches-value", "/subjects/promoter.touches-value/versions"]);
    for request in fake.requests() {
        assert_eq!(request.body, json!({ "schema": SCHEMA }));
        assert_eq!(request.headers["content-type"], "application/vnd.schemaregistry.v1+json");
        assert!(!request.headers.contains_key("authorization"));
    }
}

#[tokio::test]
async fn a_known_schema_is_not_registered_again_whatever_its_white_space() {
    let fake = FakeRegistry::answering(vec![found(7, r#"{"type":"string"}"#)]).await;
    assert_eq!(fake.client().resolve(SUBJECT, SCHEMA).await, Ok(7));
    assert_eq!(fake.paths().len(), 1);
}

#[tokio::test]
async fn a_schema_that_only_resembles_ours_is_not_taken_for_it() {
    let fake = FakeRegistry::answering(vec![found(7, r#"{"type": "string", "doc": "old"}"#), id(8)]).await;
    assert_eq!(fake.client().resolve(SUBJECT, SCHEMA).await, Ok(8));
}

#[tokio::test]
async fn credentials_are_sent_and_their_refusal_is_final_and_silent_about_them() {
    let fake = FakeRegistry::answering(vec![id(7), (401, r#"{"message": "no user:hidden"}"#.into())]).await;
    let credentials = SchemaRegistryCredentials { username: "user".into(), password: "hidden".into() };
    let settings = SchemaRegistrySettings { urls: vec![fake.url.parse().unwrap()], credentials: Some(credentials) };
    let registry = SchemaRegistry::new(settings).unwrap();
    registry.register(SUBJECT, SCHEMA).await.unwrap();
    // What `printf user:hidden | base64` prints.
    assert_eq!(fake.requests()[0].headers["authorization"], "Basic dXNlcjpoaWRkZW4=");
    let error = registry.register(SUBJECT, SCHEMA).await.unwrap_err();
    assert!(matches!(error, SchemaRegistryError::Unauthenticated { .. }), "{error}");
    assert!(!error.is_retriable());
    assert!(!format!("{error} {error:?}").contains("hidden"));
}

#[tokio::test]
async fn a_password_that_is_refused_is_read_again_from_its_file_and_another_one_is_tried_at_once() {
    let unauthenticated = || (401, "{}".into());
    let fake = FakeRegistry::answering(vec![unauthenticated(), id(7), unauthenticated()]).await;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("password");
    std::fs::write(&path, "hidden").unwrap();
    let read = |bytes| Ok(String::from_utf8(bytes).unwrap().into());
    let password = Secret::of_file("old".into(), path, read);
    let credentials = SchemaRegistryCredentials { username: "user".into(), password };
    let settings = SchemaRegistrySettings { urls: vec![fake.url.parse().unwrap()], credentials: Some(credentials) };
    let registry = SchemaRegistry::new(settings).unwrap();
    assert_eq!(registry.register(SUBJECT, SCHEMA).await, Ok(7));
    assert_eq!(fake.requests()[1].headers["authorization"], "Basic dXNlcjpoaWRkZW4=");
    let error = registry.register(SUBJECT, SCHEMA).await.unwrap_err();
    assert!(matches!(error, SchemaRegistryError::Unauthenticated { .. }), "{error}");
    assert_eq!(fake.requests().len(), 3, "it is the same one");
}

#[tokio::test]
async fn a_missing_right_names_its_subject() {
    let fake = FakeRegistry::answering(vec![not_found(), (403, r#"{"message": "no user:hidden"}"#.into())]).await;
    let error = fake.client().resolve(SUBJECT, SCHEMA).await.unwrap_err();
    assert!(!error.is_retriable());
    assert!(error.to_string().contains(&format!("denies this user access to {SUBJECT} (HTTP 403)")), "{error}");
    assert!(!format!("{error} {error:?}").contains("hidden"));
}

#[tokio::test]
async fn the_next_url_is_asked_when_one_is_down_or_ailing() {
    let ailing = FakeRegistry::answering(vec![(503, "busy".into())]).await;
    let well = FakeRegistry::answering(vec![id(7)]).await;
    let registry = registry_at(&[UNUSED_URL, &ailing.url, &well.url]);
    assert_eq!(registry.register(SUBJECT, SCHEMA).await, Ok(7));
    assert_eq!(ailing.paths().len(), 1);
}

#[tokio::test]
async fn a_registry_that_is_down_everywhere_may_be_asked_again() {
    let error = registry_at(&[UNUSED_URL]).register(SUBJECT, SCHEMA).await.unwrap_err();
    assert!(error.is_retriable(), "{error}");
    let words = with_causes(&error);
    assert!(words.contains("refused"), "{words}");
}

#[tokio::test]
async fn a_refusal_is_final_and_no_other_url_is_asked() {
    let long = "x".repeat(10_000);
    let refusing = FakeRegistry::answering(vec![
        (409, json!({ "error_code": 409, "message": long }).to_string()),
        (422, json!({ "error_code": 42201, "message": "Invalid schema" }).to_string()),
    ])
    .await;
    let other = FakeRegistry::answering(vec![id(7)]).await;
    let registry = registry_at(&[&refusing.url, &other.url]);

    let error = registry.register(SUBJECT, SCHEMA).await.unwrap_err();
    assert!(matches!(&error, SchemaRegistryError::Incompatible { subject, .. } if subject == SUBJECT), "{error}");
    assert!(error.to_string().len() < 700, "{error}");
    assert!(!error.is_retriable());

    let error = registry.register(SUBJECT, SCHEMA).await.unwrap_err();
    assert!(matches!(&error, SchemaRegistryError::Refused { status: 422, .. }), "{error}");
    assert!(error.to_string().ends_with("Invalid schema"), "{error}");
    assert!(other.paths().is_empty());
}

#[tokio::test]
async fn what_is_no_registry_is_told_apart() {
    let too_big_an_id = i64::from(i32::MAX) + 1;
    let cases = [(404, "<html>".into()), (200, "<html>".into()), (302, String::new()), id(too_big_an_id)];
    for answer in cases {
        let fake = FakeRegistry::answering(vec![answer.clone()]).await;
        for error in [
            fake.client().look_up(SUBJECT, SCHEMA).await.unwrap_err(),
            fake.client().register(SUBJECT, SCHEMA).await.unwrap_err(),
        ] {
            assert!(matches!(error, SchemaRegistryError::UnexpectedResponse { .. }), "{answer:?}: {error}");
        }
    }
}

#[tokio::test]
async fn an_answer_without_end_is_given_up() {
    let fake = FakeRegistry::answering(vec![(200, " ".repeat(error::BODY_BYTES_MAX + 1))]).await;
    let error = fake.client().register(SUBJECT, SCHEMA).await.unwrap_err();
    let words = with_causes(&error);
    assert!(words.contains("larger than 1048576 bytes"), "{words}");
}

#[tokio::test]
async fn whether_a_schema_would_be_taken_is_told_and_none_is_registered() {
    let comparison = |body: &str| (200, body.to_owned());
    for (answers, tried) in [
        (vec![found(7, SCHEMA)], TriedSchema::Registered(7)),
        (vec![not_found()], TriedSchema::New),
        (vec![not_found(), comparison(r#"{"is_compatible": true}"#)], TriedSchema::Compatible),
        (
            vec![not_found(), comparison(r#"{"is_compatible": false, "messages": ["a", "b"]}"#)],
            TriedSchema::Incompatible("a; b".into()),
        ),
        (
            vec![not_found(), comparison(r#"{"is_compatible": false}"#)],
            TriedSchema::Incompatible("no reason given".into()),
        ),
    ] {
        let fake = FakeRegistry::answering(answers).await;
        assert_eq!(fake.client().try_register(SUBJECT, SCHEMA).await, Ok(tried));
        let compare = format!("/compatibility/subjects/{SUBJECT}/versions/latest?verbose=true");
        let paths = fake.paths();
        assert_eq!(paths[0], format!("/subjects/{SUBJECT}"));
        assert!(paths[1..].iter().all(|path| *path == compare), "{paths:?}");
    }
    let fake = FakeRegistry::answering(vec![not_found(), comparison("{}")]).await;
    let error = fake.client().try_register(SUBJECT, SCHEMA).await.unwrap_err();
    assert!(matches!(error, SchemaRegistryError::UnexpectedResponse { .. }), "{error}");
}
