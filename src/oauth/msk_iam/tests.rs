//! Tokens beside those of Amazon's own library, which `tests/samples/msk_iam/main.go` has made; and credentials of a machine's role,
//! over HTTP, from a small server that answers as the service of a machine does.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_config::Region;
use aws_config::imds::credentials::ImdsCredentialsProvider;
use aws_config::provider_config::ProviderConfig;
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use axum::Router;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, put};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use parking_lot::Mutex;
use secrecy::ExposeSecret;
use serde::Deserialize;
use tokio::net::TcpListener;
use tracing_subscriber::filter::LevelFilter;
use url::Url;

use super::http::ReqwestClient;
use super::*;

#[derive(Deserialize)]
struct Sample {
    region: String,
    access_key_id: String,
    secret_access_key: String,
    session_token: Option<String>,
    token: String,
    expires_ms: i64,
}

impl Sample {
    fn credentials(&self, expiry: Option<SystemTime>) -> Credentials {
        let session = self.session_token.clone();
        Credentials::new(&self.access_key_id, &self.secret_access_key, session, expiry, "sample")
    }

    fn signed_at(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(self.expires_ms.unsigned_abs()) - Duration::from_secs(900)
    }
}

fn samples() -> Vec<Sample> {
    serde_json::from_str(include_str!("../../../tests/samples/msk_iam/tokens.json")).unwrap()
}

/// What a token is made of, without whoever made it.
fn parts(token: &str) -> (String, Vec<(String, String)>) {
    let url = String::from_utf8(BASE64_URL_SAFE_NO_PAD.decode(token).unwrap()).unwrap();
    let url = Url::parse(&url).unwrap();
    let mut query: Vec<_> = url.query_pairs().into_owned().filter(|(name, _)| name != "User-Agent").collect();
    query.sort();
    (format!("{}{}", url.origin().ascii_serialization(), url.path()), query)
}

#[test]
fn a_token_is_that_of_amazons_own_library() {
    let samples = samples();
    assert!(samples.len() > 1 && samples.iter().any(|sample| sample.session_token.is_some()));
    for sample in samples {
        // A fraction of a second is not signed, and the token ends as much sooner.
        let now = sample.signed_at() + Duration::from_millis(250);
        let token = presigned::token(&sample.region, &sample.credentials(None), now).unwrap();
        assert_eq!(parts(token.text.expose_secret()), parts(&sample.token), "{}", sample.region);
        assert_eq!(token.life, Duration::from_millis(900_000 - 250));
    }
}

#[test]
fn a_token_ends_with_its_credentials() {
    let (sample, now) = (&samples()[1], UNIX_EPOCH + Duration::from_secs(1_700_000_000));
    let life = |left: i64| {
        let expiry = now.checked_add(Duration::from_secs(1000)).unwrap() - Duration::from_secs((1000 - left) as u64);
        presigned::token(&sample.region, &sample.credentials(Some(expiry)), now).map(|token| token.life.as_secs())
    };
    assert_eq!([life(901), life(900), life(60), life(1)], [Ok(900), Ok(900), Ok(60), Ok(1)]);
    assert_eq!([life(0), life(-5)], [Err(AwsFault::Expired), Err(AwsFault::Expired)]);
}

fn config(region: Option<&'static str>, provider: Option<SharedCredentialsProvider>) -> SdkConfig {
    let mut builder = SdkConfig::builder().region(region.map(Region::new));
    builder.set_credentials_provider(provider);
    builder.build()
}

/// The service of a machine with a role, at which nobody is who does not show the session that it gave; and what asks it.
async fn machine(secret: &'static str, expiration: &'static str) -> SharedCredentialsProvider {
    const SESSION: &str = "s3ssion";
    const NAMES: &str = "/latest/meta-data/iam/security-credentials/";
    fn shown(headers: &HeaderMap, answer: String) -> (StatusCode, String) {
        match headers.get("x-aws-ec2-metadata-token") {
            Some(session) if session == SESSION => (StatusCode::OK, answer),
            _ => (StatusCode::UNAUTHORIZED, String::new()),
        }
    }
    let role = format!(
        r#"{{"Code": "Success", "Type": "AWS-HMAC", "LastUpdated": "2020-01-01T00:00:00Z", "AccessKeyId": "ASIDEXAMPLE",
            "SecretAccessKey": "{secret}", "Token": "{secret}", "Expiration": "{expiration}"}}"#
    );
    let router = Router::new()
        .route("/latest/api/token", put(|| async { ([("x-aws-ec2-metadata-token-ttl-seconds", "60")], SESSION) }))
        .route(NAMES, get(|headers: HeaderMap| async move { shown(&headers, "role".into()) }))
        .route(&format!("{NAMES}role"), get(|headers: HeaderMap| async move { shown(&headers, role) }));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(axum::serve(listener, router).into_future());
    asking(&endpoint)
}

fn asking(endpoint: &str) -> SharedCredentialsProvider {
    let disabled = "AWS_EC2_METADATA_DISABLED";
    assert!(std::env::var_os(disabled).is_none(), "with {disabled} in the environment no machine is asked");
    let setup = ProviderConfig::empty().with_http_client(ReqwestClient::new().unwrap());
    let client = aws_config::imds::Client::builder().configure(&setup).endpoint(endpoint).unwrap().max_attempts(1);
    let provider = ImdsCredentialsProvider::builder().configure(&setup).imds_client(client.build());
    SharedCredentialsProvider::new(provider.build())
}

/// What is logged on this thread, however unimportant.
#[derive(Clone, Default)]
struct Everything(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Everything {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn the_role_of_a_machine_signs_and_no_secret_is_logged() {
    let logged = Everything::default();
    let sink = logged.clone();
    let subscriber = tracing_subscriber::fmt().with_max_level(LevelFilter::TRACE).with_writer(move || sink.clone());
    let _guard = tracing::subscriber::set_default(subscriber.finish());
    tracing::trace!("heard");
    let provider = machine("Pl4nted", "2099-01-01T00:00:00Z").await;
    let token = issue(async { config(Some("eu-west-1"), Some(provider)) }).await.unwrap();
    assert!((890..=900).contains(&token.left().as_secs()), "{token:?}");
    let (place, query) = parts(token.text.expose_secret());
    assert_eq!(place, "https://kafka.eu-west-1.amazonaws.com/");
    assert!(query.contains(&("X-Amz-Security-Token".into(), "Pl4nted".into())), "{query:?}");
    let text = String::from_utf8(logged.0.lock().clone()).unwrap();
    assert!(text.contains("heard") && !text.contains("Pl4nted") && !text.contains("s3ssion"), "{text}");
    assert!(!format!("{token:?}").contains("Pl4nted") && !text.contains(token.text.expose_secret()));
}

#[tokio::test]
async fn what_is_missing_tells_what_to_do() {
    let told = async |config: SdkConfig| issue(async { config }).await.unwrap_err().to_string();
    let provider = machine("Pl4nted", "2099-01-01T00:00:00Z").await;
    assert_eq!(
        told(config(None, Some(provider))).await,
        "no token from the credentials of AWS: no region: write sasl.oauthbearer.aws.region, or set AWS_REGION"
    );
    let nothing = told(config(Some("eu-west-1"), None)).await;
    assert!(nothing.contains("set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or give"), "{nothing}");
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let away = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let away = told(config(Some("eu-west-1"), Some(asking(&away)))).await;
    assert!(away.starts_with("no token from the credentials of AWS: "), "{away}");
}
