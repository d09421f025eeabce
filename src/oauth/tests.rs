//! Logins as they are written, and an endpoint over a small HTTP server that answers as told. What a real broker says to
//! the tokens is tested in `tests/broker/tokens.rs`.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use secrecy::ExposeSecret;
use tokio::net::TcpListener;

use super::error::IssueFault;
use super::*;

const SECRET: &str = "s3cret:+/=";

fn owned(properties: &[(&str, &str)]) -> Vec<(String, String)> {
    properties.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// A login at `url`, with `more` beside what it needs.
fn properties(url: &str, more: &[(&str, &str)]) -> Vec<(String, String)> {
    let needed = [
        ("sasl.mechanisms", "OAUTHBEARER"),
        ("sasl.oauthbearer.method", "OIDC"),
        ("sasl.oauthbearer.token.endpoint.url", url),
        ("sasl.oauthbearer.client.id", "connector"),
        ("sasl.oauthbearer.client.secret", SECRET),
    ];
    owned(&[&needed[..], more].concat())
}

/// The properties at fault.
fn faults(properties: &[(String, String)]) -> Vec<String> {
    Login::read(properties).unwrap_err().into_iter().map(|fault| fault.property).collect()
}

#[test]
fn a_login_is_read_in_librdkafkas_words() {
    let more = [("sasl.oauthbearer.extensions", "logicalCluster=lkc-1, traceId=x y"), ("linger.ms", "5")];
    let login = Login::read(&properties("https://host/token?a=b", &more)).unwrap().unwrap();
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(login.extensions, [pair("logicalCluster", "lkc-1"), pair("traceId", "x y")]);
    assert!(!format!("{login:?}").contains(SECRET));
    assert!(is_librdkafkas("linger.ms", Some(&login)) && !is_librdkafkas("sasl.oauthbearer.client.id", Some(&login)));
    let renamed: Vec<_> = properties("https://host/token", &[])
        .into_iter()
        .map(|(name, value)| (name.replace(".client.", ".client.credentials.client."), value))
        .collect();
    assert!(Login::read(&renamed).unwrap().is_some());
}

#[test]
fn without_the_mechanism_there_is_no_login() {
    let others = [("sasl.mechanisms", "PLAIN"), ("sasl.oauthbearer.config", "principal=a")];
    assert!(Login::read(&owned(&others)).unwrap().is_none());
    assert!(is_librdkafkas("sasl.oauthbearer.config", None));
    let unused = [&others[..], &[("sasl.oauthbearer.client.id", "a"), ("https.ca.location", "a")]].concat();
    assert_eq!(faults(&owned(&unused)), ["sasl.oauthbearer.client.id", "https.ca.location"]);
}

#[test]
fn what_is_missing_or_wrong_is_told_all_at_once() {
    let oidc = [("sasl.mechanism", "oauthbearer"), ("sasl.oauthbearer.method", "oidc")];
    assert_eq!(
        faults(&owned(&oidc)),
        ["sasl.oauthbearer.token.endpoint.url", "sasl.oauthbearer.client.id", "sasl.oauthbearer.client.secret"]
    );
    for (name, value) in [
        ("sasl.oauthbearer.method", "magic"),
        ("enable.sasl.oauthbearer.unsecure.jwt", "true"),
        ("enable.sasl.oauthbearer.unsecure.jwt", "maybe"),
        ("sasl.oauthbearer.client.id", " "),
        ("sasl.oauthbearer.client.id", "a:b"),
        ("sasl.oauthbearer.client.credentials.client.id", "b"),
        ("sasl.oauthbearer.token.endpoint.url", "host/token"),
        ("sasl.oauthbearer.token.endpoint.url", "ftp://host/token"),
        ("sasl.oauthbearer.token.endpoint.url", "https://user:password@host/token"),
        ("sasl.oauthbearer.grant.type", "urn:ietf:params:oauth:grant-type:jwt-bearer"),
        ("sasl.oauthbearer.assertion.file", "/nowhere"),
        ("sasl.oauthbearer.metadata.authentication.type", "azure_imds"),
        ("sasl.oauthbearer.config", "principal=a"),
        ("sasl.oauthbearer.extensions", "a"),
        ("sasl.oauthbearer.extensions", "auth=1"),
        ("sasl.oauthbearer.extensions", "a=1,a=2"),
        ("sasl.oauthbearer.extensions", "a1=1"),
        ("https.ca.location", "no certificate"),
        ("https.ca.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
    ] {
        let mut all = properties("https://host/token", &[]);
        all.retain(|(known, _)| known != name);
        all.push((name.to_owned(), value.to_owned()));
        assert_eq!(faults(&all), [name], "{value}");
    }
}

#[test]
fn tokens_that_nobody_signs_are_made_where_that_is_allowed() {
    let unsecured = [("sasl.mechanisms", "OAUTHBEARER"), ("sasl.oauthbearer.config", "principal=a extension_b=c")];
    assert_eq!(faults(&owned(&unsecured)), ["sasl.oauthbearer.method"]);
    let allowed = [&unsecured[..], &[("enable.sasl.oauthbearer.unsecure.jwt", "true")]].concat();
    let login = Login::read(&owned(&allowed)).unwrap().unwrap();
    assert_eq!(login.extensions, [("b".to_owned(), "c".to_owned())]);
    let beside = [&allowed[..], &[("sasl.oauthbearer.client.id", "a"), ("https.ca.pem", "a")]].concat();
    assert_eq!(faults(&owned(&beside)), ["sasl.oauthbearer.client.id", "https.ca.pem"]);
    let wrong = [&allowed[..1], &allowed[2..], &[("sasl.oauthbearer.config", "principal=a extension_auth=c")]].concat();
    assert_eq!(faults(&owned(&wrong)), ["sasl.oauthbearer.config"]);
}

#[test]
fn a_region_is_for_tokens_of_msk_alone() {
    let region = ("sasl.oauthbearer.aws.region", "eu-west-1");
    assert_eq!(faults(&properties("https://host/token", &[region])), [region.0]);
    let unsecured = [
        ("sasl.mechanisms", "OAUTHBEARER"),
        ("enable.sasl.oauthbearer.unsecure.jwt", "true"),
        ("sasl.oauthbearer.config", "principal=a"),
        region,
    ];
    assert_eq!(faults(&owned(&unsecured)), [region.0]);
    assert_eq!(faults(&owned(&[region])), [region.0]);
}

#[cfg(feature = "msk-iam")]
#[test]
fn a_login_for_msk_needs_no_more_than_its_method() {
    let needed = [("sasl.mechanisms", "OAUTHBEARER"), ("sasl.oauthbearer.method", "AWS_MSK_IAM")];
    let region = |region| [&needed[..], &[("sasl.oauthbearer.aws.region", region)]].concat();
    for properties in [needed.to_vec(), region("cn-north-1")] {
        let login = Login::read(&owned(&properties)).unwrap().unwrap();
        assert!(LoginIssuer::new(&login).is_ok() && !is_librdkafkas("sasl.oauthbearer.aws.region", Some(&login)));
    }
    for wrong in ["", "EU-WEST-1", "eu-west-1.evil.example/", "eu west"] {
        assert_eq!(faults(&owned(&region(wrong))), ["sasl.oauthbearer.aws.region"], "{wrong}");
    }
    for (name, value) in [
        ("sasl.oauthbearer.client.id", "a"),
        ("sasl.oauthbearer.scope", "a"),
        ("sasl.oauthbearer.token.endpoint.url", "https://host/token"),
        ("sasl.oauthbearer.config", "principal=a"),
        ("https.ca.location", "a"),
        ("enable.sasl.oauthbearer.unsecure.jwt", "true"),
        ("sasl.oauthbearer.grant.type", "urn:ietf:params:oauth:grant-type:jwt-bearer"),
    ] {
        assert_eq!(faults(&owned(&[&needed[..], &[(name, value)]].concat())), [name], "{value}");
    }
}

/// A token endpoint that gives one answer, and what it was asked.
struct FakeEndpoint {
    url: String,
    asked: Arc<Mutex<Vec<(HeaderMap, Bytes)>>>,
}

impl FakeEndpoint {
    async fn answering(status: u16, headers: &'static [(&'static str, &'static str)], body: String) -> FakeEndpoint {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/token?key=k3y", listener.local_addr().unwrap());
        let fake = FakeEndpoint { url, asked: Arc::default() };
        let asked = fake.asked.clone();
        let answer = move |given: HeaderMap, form: Bytes| {
            asked.lock().unwrap().push((given, form));
            let mut response = (StatusCode::from_u16(status).unwrap(), body.clone()).into_response();
            let headers = headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
            response
                .headers_mut()
                .extend::<Vec<(Option<_>, _)>>(headers.map(|(name, value)| (Some(name), value)).collect());
            async move { response }
        };
        tokio::spawn(axum::serve(listener, Router::new().fallback(answer)).into_future());
        fake
    }

    async fn issue(&self, more: &[(&str, &str)]) -> Result<BrokerToken, IssueError> {
        issue(&properties(&self.url, more)).await
    }
}

async fn issue(properties: &[(String, String)]) -> Result<BrokerToken, IssueError> {
    let login = Login::read(properties).unwrap().unwrap();
    LoginIssuer::new(&login).unwrap().issue().await
}

#[tokio::test]
async fn an_endpoint_is_asked_by_the_clients_credentials() {
    let body = r#"{"access_token": "opaque", "token_type": "Bearer", "expires_in": 300}"#;
    let endpoint = FakeEndpoint::answering(200, &[], body.into()).await;
    let token = endpoint.issue(&[("sasl.oauthbearer.scope", "kafka:read kafka:write")]).await.unwrap();
    assert_eq!((token.text.expose_secret(), token.principal.as_str()), ("opaque", "connector"));
    assert!((290..=300).contains(&token.left().as_secs()), "{token:?}");
    let (headers, form) = endpoint.asked.lock().unwrap().remove(0);
    // As RFC 7617 has it: connector:s3cret:+/=
    assert_eq!(headers["authorization"], "Basic Y29ubmVjdG9yOnMzY3JldDorLz0=");
    assert_eq!(headers["content-type"], "application/x-www-form-urlencoded");
    assert_eq!(form, "grant_type=client_credentials&scope=kafka%3Aread+kafka%3Awrite");
}

#[tokio::test]
async fn a_refusal_names_the_endpoints_host_and_its_words_and_no_secret() {
    let body = format!(r#"{{"error": "invalid_client", "error_description": "{SECRET} is wrong"}}"#);
    let headers = &[("retry-after", "7")];
    let endpoint = FakeEndpoint::answering(401, headers, body).await;
    let error = endpoint.issue(&[]).await.unwrap_err();
    let host = endpoint.url.split("/token").next().unwrap();
    assert_eq!(error.to_string(), format!("no token from {host}: it refuses (HTTP 401): invalid_client: … is wrong"));
    assert_eq!(error.retry_after, Some(Duration::from_secs(7)));
}

#[tokio::test]
async fn a_redirect_is_not_followed_with_the_secret() {
    let endpoint = FakeEndpoint::answering(307, &[("location", "/elsewhere")], String::new()).await;
    assert_eq!(endpoint.issue(&[]).await.unwrap_err().cause, IssueFault::Elsewhere { status: 307 });
    assert_eq!(endpoint.asked.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn an_answer_is_read_in_bounds() {
    let endpoint = FakeEndpoint::answering(200, &[], "x".repeat(endpoint::BODY_BYTES_MAX + 1)).await;
    assert_eq!(endpoint.issue(&[]).await.unwrap_err().cause, IssueFault::TooLarge { limit: endpoint::BODY_BYTES_MAX });
}

#[tokio::test]
async fn an_endpoint_that_is_not_there_is_named() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let error = issue(&properties(&format!("{host}/token"), &[])).await.unwrap_err().to_string();
    assert!(error.starts_with(&format!("no token from {host}: connection failed: ")), "{error}");
}
