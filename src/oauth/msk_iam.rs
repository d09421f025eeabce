//! Tokens for Amazon MSK with IAM: a URL that the credentials of AWS have signed, for a call that nobody makes. The broker
//! looks at who has signed it, and when.
//!
//! ```text
//!  credentials (environment, profile, web identity, container, machine) ──> presigned ──> token, for 15 minutes at most
//!       └── http: what of them is asked for over HTTP, by the reqwest that is here anyway
//! ```
//!
//! As Amazon's own libraries do it (aws-msk-iam-sasl-signer), whose tokens the tests compare with these.

mod credentials;
mod http;
mod presigned;
#[cfg(test)]
mod tests;

use std::future::Future;
use std::time::Duration;

use aws_config::SdkConfig;
use tokio::time::{Instant, timeout};
use tracing::instrument::WithSubscriber;
use tracing::subscriber::NoSubscriber;

use self::credentials::CredentialSource;
use super::error::{AwsFault, IssueError, IssueFault};
use super::{BrokerToken, IssuerSetupError};
use crate::clock;

/// What stands for an endpoint's host in errors.
const ISSUER: &str = "the credentials of AWS";
/// As librdkafka's log calls whoever logs in: an access key's id says no more.
const PRINCIPAL: &str = "aws-msk-iam";
/// For the whole search: a machine without any credentials asks one address after the other.
const SEARCH_TIMEOUT: Duration = Duration::from_secs(20);

pub(super) struct MskIam {
    source: CredentialSource,
}

impl MskIam {
    /// Nothing is asked of anybody.
    ///
    /// # Errors
    /// Why TLS can't be set up.
    pub fn new(region: Option<String>) -> Result<MskIam, IssuerSetupError> {
        Ok(MskIam { source: CredentialSource::new(region)? })
    }

    /// # Errors
    /// [`IssueError`] where there are no credentials, or no region.
    pub async fn issue(&self) -> Result<BrokerToken, IssueError> {
        issue(self.source.load()).await
    }
}

/// # Errors
/// [`IssueError`] where what is `loading` has no credentials, or no region.
async fn issue(loading: impl Future<Output = SdkConfig>) -> Result<BrokerToken, IssueError> {
    // What AWS's crates log holds requests and answers, and with them secrets. What matters of it is in the error.
    let signing = async { signed(&loading.await).await }.with_subscriber(NoSubscriber::new());
    let issued = timeout(SEARCH_TIMEOUT, signing).await.unwrap_or(Err(IssueFault::Timeout));
    issued.map_err(|cause| IssueError { issuer: ISSUER.into(), cause, retry_after: None })
}

/// # Errors
/// [`AwsFault`], as a cause.
async fn signed(config: &SdkConfig) -> Result<BrokerToken, IssueFault> {
    let (region, credentials) = credentials::found(config).await?;
    // Its life is counted from when it is signed: credentials may have taken their time.
    let (issued_at, now) = (Instant::now(), clock::system_time());
    let presigned = presigned::token(&region, &credentials, now)?;
    Ok(BrokerToken::new(presigned.text, PRINCIPAL.into(), issued_at, presigned.life))
}
