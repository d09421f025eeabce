//! Where the credentials come from, and the region: the places where every program of AWS looks.

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::ProvideCredentials;
use aws_credential_types::provider::error::CredentialsError;

use super::AwsFault;
use super::http::ReqwestClient;
use crate::oauth::IssuerSetupError;
use crate::text::{bounded, with_causes};

/// Of the words of whoever was asked, in characters.
const WORDS_CHARS_MAX: usize = 300;

pub(super) struct CredentialSource {
    /// Absent: that of the environment.
    region: Option<String>,
    http: ReqwestClient,
}

impl CredentialSource {
    /// # Errors
    /// Why TLS can't be set up.
    pub fn new(region: Option<String>) -> Result<CredentialSource, IssuerSetupError> {
        Ok(CredentialSource { region, http: ReqwestClient::new()? })
    }

    /// Where they are to be had, looked for anew each time: a file or a role may have been changed since.
    pub async fn load(&self) -> SdkConfig {
        let mut loader = aws_config::defaults(BehaviorVersion::latest()).http_client(self.http.clone());
        if let Some(region) = &self.region {
            loader = loader.region(Region::new(region.clone()));
        }
        loader.load().await
    }
}

/// The region, and credentials that are had now.
///
/// # Errors
/// [`AwsFault`] where `config` has no region, or no credentials can be had.
pub(super) async fn found(config: &SdkConfig) -> Result<(String, Credentials), AwsFault> {
    let region = config.region().ok_or(AwsFault::NoRegion)?.to_string();
    let provider = config.credentials_provider().ok_or(AwsFault::NoCredentials)?;
    let credentials = provider.provide_credentials().await.map_err(|error| fault(&error))?;
    Ok((region, credentials))
}

fn fault(error: &CredentialsError) -> AwsFault {
    match error {
        CredentialsError::CredentialsNotLoaded(_) => AwsFault::NoCredentials,
        error => AwsFault::Unavailable(told(&with_causes(error))),
    }
}

/// Without what a program that gives credentials has printed: that may be one of them.
fn told(words: &str) -> String {
    let own = words.find("Stderr").map_or(words, |printed| &words[..printed]);
    bounded(own, WORDS_CHARS_MAX).replace(char::is_control, " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_program_of_credentials_prints_is_not_told() {
        assert_eq!(told("it failed: exit status 1. Stderr: aws_secret=hunter2"), "it failed: exit status 1. ");
        assert_eq!(told("it\nfailed"), "it failed");
    }
}
