//! A token endpoint over real HTTP.

use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::{Certificate, Client, Response, redirect};
use secrecy::{ExposeSecret, SecretString};
use tokio::time::Instant;
use url::form_urlencoded;

use super::BrokerToken;
use super::answer::TokenResponse;
use super::error::{IssueError, IssueFault};
use super::login::ClientCredentials;
use crate::clock;
use crate::web::{self, BodyError};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// For a whole exchange, from the connection to the last byte of the body.
const EXCHANGE_TIMEOUT: Duration = Duration::from_secs(10);
/// Far above a token with hundreds of roles in it; a broker takes less.
pub(super) const BODY_BYTES_MAX: usize = 1024 * 1024;
/// Of a reason for a connection that failed, in characters.
const CAUSE_CHARS_MAX: usize = 200;

/// Follows no redirects: they would carry the secret elsewhere.
pub(super) struct Endpoint {
    client: Client,
    credentials: ClientCredentials,
    /// What follows "Basic " where the client proves who it is.
    proof: SecretString,
}

impl Endpoint {
    /// Nothing is connected to.
    ///
    /// # Errors
    /// What is wrong with the authorities, or with TLS as such.
    pub fn new(credentials: &ClientCredentials) -> Result<Endpoint, IssuerSetupError> {
        let mut builder = Client::builder()
            .user_agent(concat!("promoter-connector/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(EXCHANGE_TIMEOUT)
            // Asked once in minutes: no connection would live as long.
            .pool_max_idle_per_host(0)
            .redirect(redirect::Policy::none());
        if let Some(pem) = &credentials.authorities {
            builder = builder.tls_certs_only(certificates(pem)?);
        }
        let client = builder.build().map_err(IssuerSetupError::tls)?;
        // As librdkafka does it, without percent-encoding either of them first.
        let pair = format!("{}:{}", credentials.client_id, credentials.secret.expose_secret());
        let proof = BASE64_STANDARD.encode(pair).into();
        Ok(Endpoint { client, credentials: credentials.clone(), proof })
    }

    /// # Errors
    /// [`IssueError`] where the endpoint can't be reached, or gives no token.
    pub async fn issue(&self) -> Result<BrokerToken, IssueError> {
        // The token's life is counted from before the call, so that it never seems to last longer than it does.
        let requested_at = Instant::now();
        let (answer, retry_after) = self.exchange().await.map_err(|cause| self.error(cause, None))?;
        let secrets = [self.credentials.secret.expose_secret(), self.proof.expose_secret()];
        let issued = answer.token(&secrets).map_err(|cause| self.error(cause, retry_after))?;
        let principal = issued.subject.unwrap_or_else(|| self.credentials.client_id.clone());
        Ok(BrokerToken::new(issued.text, principal, requested_at, issued.life))
    }

    fn error(&self, cause: IssueFault, retry_after: Option<Duration>) -> IssueError {
        IssueError { issuer: self.credentials.endpoint.origin().ascii_serialization(), cause, retry_after }
    }

    /// One request for a token, and how long the endpoint asks to be left alone. What its status means is not looked at here.
    ///
    /// # Errors
    /// [`IssueFault`] where the request can't be sent, or the response is broken off or too large.
    async fn exchange(&self) -> Result<(TokenResponse, Option<Duration>), IssueFault> {
        let mut proof = HeaderValue::from_str(&format!("Basic {}", self.proof.expose_secret()))
            .map_err(|_| IssueFault::Connection("the credentials can't be sent".into()))?;
        proof.set_sensitive(true);
        let request = self.client.post(self.credentials.endpoint.clone()).header(AUTHORIZATION, proof);
        let request = request.header(ACCEPT, "application/json").header(CONTENT_TYPE, FORM).body(self.form());
        let response = request.send().await.map_err(described)?;
        let date = web::date(response.headers()).map_or_else(clock::now, clock::unix_millis);
        let retry_after = web::retry_after(response.headers());
        let answer =
            TokenResponse { status: response.status().as_u16(), body: body(response).await?, date: date.as_seconds() };
        Ok((answer, retry_after))
    }

    fn form(&self) -> String {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("grant_type", "client_credentials");
        form.extend_pairs(self.credentials.scope.iter().map(|scope| ("scope", scope)));
        form.finish()
    }
}

const FORM: &str = "application/x-www-form-urlencoded";

/// # Errors
/// [`IssuerSetupError::NoCertificate`], also where one of them can't be read: then none of them counts.
fn certificates(pem: &str) -> Result<Vec<Certificate>, IssuerSetupError> {
    let certificates = Certificate::from_pem_bundle(pem.as_bytes()).unwrap_or_default();
    if certificates.is_empty() { Err(IssuerSetupError::NoCertificate) } else { Ok(certificates) }
}

/// # Errors
/// [`IssueFault::TooLarge`] beyond [`BODY_BYTES_MAX`]; else that of the connection.
async fn body(response: Response) -> Result<Vec<u8>, IssueFault> {
    web::body(response, BODY_BYTES_MAX).await.map_err(|error| match error {
        BodyError::TooLarge => IssueFault::TooLarge { limit: BODY_BYTES_MAX },
        BodyError::Broken(error) => described(error),
    })
}

fn described(error: reqwest::Error) -> IssueFault {
    if error.is_timeout() {
        return IssueFault::Timeout;
    }
    IssueFault::Connection(innermost(&error.without_url()))
}

/// Why the authorities of an endpoint can't be used; reads on from their property.
#[derive(Debug, thiserror::Error)]
pub enum IssuerSetupError {
    #[error("holds no certificate in PEM")]
    NoCertificate,
    #[error("can't be used for TLS: {reason}")]
    Tls { reason: String, source: reqwest::Error },
}

impl IssuerSetupError {
    pub(super) fn tls(source: reqwest::Error) -> IssuerSetupError {
        IssuerSetupError::Tls { reason: innermost(&source), source }
    }
}

/// What happened, bounded.
fn innermost(error: &reqwest::Error) -> String {
    crate::text::bounded(&crate::text::innermost(error), CAUSE_CHARS_MAX).to_owned()
}
