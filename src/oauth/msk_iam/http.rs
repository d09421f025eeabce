//! How AWS's crates ask over HTTP: by reqwest, with the TLS of everything else.

use std::time::Duration;

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_runtime_api::http::{Headers, StatusCode};
use aws_smithy_types::body::SdkBody;
use reqwest::{Client, Method, redirect};

use crate::oauth::IssuerSetupError;
use crate::web::{self, BodyError};

/// Where AWS's crates name none; they ask again by themselves.
const EXCHANGE_TIMEOUT: Duration = Duration::from_secs(10);
/// Far above what a role's credentials take.
const BODY_BYTES_MAX: usize = 1024 * 1024;

/// Follows no redirects: they would carry a proof elsewhere.
#[derive(Clone, Debug)]
pub(super) struct ReqwestClient {
    /// For https, by a proxy where the environment names one.
    outside: Client,
    /// For http, which only the machine itself, its metadata or its container's agent is asked by: they are never behind a proxy,
    /// and credentials would pass it in the clear.
    nearby: Client,
}

/// The same with its limit of time.
#[derive(Debug)]
struct TimedClient {
    client: ReqwestClient,
    timeout: Duration,
}

impl ReqwestClient {
    /// # Errors
    /// Why TLS can't be set up.
    pub fn new() -> Result<ReqwestClient, IssuerSetupError> {
        // Asked once in minutes: no connection would live as long.
        let builder = || Client::builder().pool_max_idle_per_host(0).redirect(redirect::Policy::none());
        let outside = builder().build().map_err(IssuerSetupError::tls)?;
        let nearby = builder().no_proxy().build().map_err(IssuerSetupError::tls)?;
        Ok(ReqwestClient { outside, nearby })
    }

    async fn exchange(&self, request: HttpRequest, timeout: Duration) -> Result<HttpResponse, ConnectorError> {
        let client = if request.uri().starts_with("https:") { &self.outside } else { &self.nearby };
        let method = Method::from_bytes(request.method().as_bytes()).map_err(user)?;
        let mut asked = client.request(method, request.uri()).timeout(timeout);
        for (name, value) in request.headers() {
            asked = asked.header(name, value);
        }
        // Forms and nothing at all; none is a stream.
        let body = request.body().bytes().ok_or_else(|| user("a body that is not in memory"))?;
        let response = asked.body(body.to_vec()).send().await.map_err(broken)?;
        answer(response).await
    }
}

async fn answer(response: reqwest::Response) -> Result<HttpResponse, ConnectorError> {
    let status = StatusCode::try_from(response.status().as_u16()).map_err(user)?;
    let mut headers = Headers::new();
    for (name, value) in response.headers() {
        // What is not text is of no meaning here.
        if let Ok(value) = value.to_str() {
            headers.try_append(name.as_str().to_owned(), value.to_owned()).map_err(user)?;
        }
    }
    let body = web::body(response, BODY_BYTES_MAX).await.map_err(|error| match error {
        BodyError::TooLarge => user(format!("its answer is larger than {BODY_BYTES_MAX} bytes")),
        BodyError::Broken(error) => broken(error),
    })?;
    let mut response = HttpResponse::new(status, SdkBody::from(body));
    *response.headers_mut() = headers;
    Ok(response)
}

/// What is not worth another attempt.
fn user(what: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> ConnectorError {
    ConnectorError::user(what.into())
}

fn broken(error: reqwest::Error) -> ConnectorError {
    let is_late = error.is_timeout();
    let error = error.without_url().into();
    if is_late { ConnectorError::timeout(error) } else { ConnectorError::io(error) }
}

impl HttpClient for ReqwestClient {
    fn http_connector(&self, settings: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        let parts = [settings.connect_timeout(), settings.read_timeout()];
        let timeout = parts.into_iter().flatten().reduce(|one, other| one + other).unwrap_or(EXCHANGE_TIMEOUT);
        SharedHttpConnector::new(TimedClient { client: self.clone(), timeout: timeout.min(EXCHANGE_TIMEOUT) })
    }
}

impl HttpConnector for TimedClient {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let (client, timeout) = (self.client.clone(), self.timeout);
        HttpConnectorFuture::new(async move { client.exchange(request, timeout).await })
    }
}
