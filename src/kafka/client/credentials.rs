//! What clients are handed to log in with, as long as they live.

use std::sync::{Arc, Weak};

use rdkafka::ClientConfig;
use rdkafka::error::KafkaResult;

use super::native::NativeClient;
use super::passwords::{PasswordDistributor, PasswordSubscription};
use super::tokens::{TokenDistributor, TokenSubscription};
use crate::oauth::Login;
use crate::secret::Secret;

/// What changes of a login while the process lives: one source for all its clients.
#[derive(Clone)]
pub enum BrokerCredentials {
    Tokens(Arc<TokenDistributor>),
    Password(Arc<PasswordDistributor>),
}

/// A client's place among those that are handed credentials, to be dropped before the client.
pub enum CredentialSubscription {
    Tokens { _place: TokenSubscription },
    Password { _place: PasswordSubscription },
}

impl BrokerCredentials {
    /// Nothing where a login never changes. Who logs in by tokens has no password.
    pub fn new(login: Option<Login>, username: Option<&str>, password: Option<Secret>) -> Option<BrokerCredentials> {
        if let Some(login) = login {
            return Some(BrokerCredentials::Tokens(Arc::new(TokenDistributor::new(login))));
        }
        let password = PasswordDistributor::new(username?, password?);
        Some(BrokerCredentials::Password(Arc::new(password)))
    }

    /// Sets what a client has from its beginning.
    pub(super) fn prepare(&self, config: &mut ClientConfig) {
        match self {
            BrokerCredentials::Tokens(_) => {}
            BrokerCredentials::Password(passwords) => passwords.prepare(config),
        }
    }

    /// Hands `client` what there is, and what comes, until the place is dropped.
    ///
    /// # Errors
    /// Where nothing can be had at all, as the distributors tell.
    pub(super) fn supply(&self, client: Weak<dyn NativeClient>) -> KafkaResult<CredentialSubscription> {
        Ok(match self {
            BrokerCredentials::Tokens(tokens) => CredentialSubscription::Tokens { _place: tokens.supply(client)? },
            BrokerCredentials::Password(passwords) => {
                CredentialSubscription::Password { _place: passwords.supply(client)? }
            }
        })
    }
}
