//! The tokens of brokers that ask for OAUTHBEARER: one for the whole process, renewed before it ends.
//!
//! ```text
//!  properties ──> Login ──> Issuer: endpoint (OIDC, client credentials), msk_iam (signed by AWS credentials; a cargo feature)
//!                              │                or unsecured (a test's own)
//!                              │ issue
//!                              v
//!                           keeper ── tells each token, and each failure, to whoever hands it on
//! ```
//!
//! Nothing here knows Kafka's clients: `kafka::client::tokens` hands the token to them. reqwest is used here, too,
//! as in `upstream/` and `avro::schema_registry`: this is another host, with other credentials and other
//! errors. What is exchanged is one form and three fields of JSON (RFC 6749, section 4.4), in which a library would
//! show the answer, and with it the token, in its errors.

mod answer;
mod endpoint;
pub mod error;
mod keeper;
mod login;
#[cfg(feature = "msk-iam")]
mod msk_iam;
#[cfg(test)]
mod tests;
mod unsecured;

use std::fmt;
use std::future::Future;
use std::time::Duration;

use secrecy::SecretString;
use tokio::time::Instant;

pub use endpoint::IssuerSetupError;
pub use keeper::keep;
pub use login::{Login, LoginProblem, is_librdkafkas};

use endpoint::Endpoint;
use error::IssueError;
use login::LoginMethod;
#[cfg(feature = "msk-iam")]
use msk_iam::MskIam;
use unsecured::Unsecured;

/// A name and a value that a client tells the broker beside its token.
pub type Extension = (String, String);

/// A token, as long as it lasts. Its text is shown by nothing.
#[derive(Clone)]
pub struct BrokerToken {
    /// Visible characters of ASCII.
    pub text: SecretString,
    /// Whom it is for, as librdkafka's log calls them; the broker goes by the token itself.
    pub principal: String,
    ends: Instant,
    life: Duration,
}

impl BrokerToken {
    /// A token that lasts for `life` from `issued` on.
    pub fn new(text: SecretString, principal: String, issued: Instant, life: Duration) -> BrokerToken {
        BrokerToken { text, principal, ends: issued + life, life }
    }

    /// How much of its life is left; nothing once it has ended.
    pub fn left(&self) -> Duration {
        self.ends.saturating_duration_since(Instant::now())
    }
}

impl fmt::Debug for BrokerToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token").field("principal", &self.principal).field("life", &self.life).finish_non_exhaustive()
    }
}

/// Makes tokens.
pub trait Issuer {
    /// One new token. Takes a bounded time.
    ///
    /// # Errors
    /// [`IssueError`], fit for a log; whoever asks tries again.
    fn issue(&self) -> impl Future<Output = Result<BrokerToken, IssueError>> + Send;
}

/// What a login's tokens come from.
pub struct LoginIssuer(TokenMaker);

enum TokenMaker {
    Endpoint(Endpoint),
    #[cfg(feature = "msk-iam")]
    MskIam(MskIam),
    Unsecured(Unsecured),
}

impl LoginIssuer {
    /// # Errors
    /// Why TLS can't be set up.
    pub fn new(login: &Login) -> Result<LoginIssuer, IssuerSetupError> {
        Ok(LoginIssuer(match &login.method {
            LoginMethod::ClientCredentials(credentials) => TokenMaker::Endpoint(Endpoint::new(credentials)?),
            #[cfg(feature = "msk-iam")]
            LoginMethod::MskIam { region } => TokenMaker::MskIam(MskIam::new(region.clone())?),
            LoginMethod::Unsecured(unsecured) => TokenMaker::Unsecured(unsecured.clone()),
        }))
    }
}

impl Issuer for LoginIssuer {
    async fn issue(&self) -> Result<BrokerToken, IssueError> {
        match &self.0 {
            TokenMaker::Endpoint(endpoint) => endpoint.issue().await,
            #[cfg(feature = "msk-iam")]
            TokenMaker::MskIam(msk_iam) => msk_iam.issue().await,
            TokenMaker::Unsecured(unsecured) => Ok(unsecured.mint(crate::clock::now().0)),
        }
    }
}
