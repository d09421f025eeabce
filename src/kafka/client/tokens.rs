//! Hands the process's one token to every client that logs in with tokens.
//!
//! librdkafka asks for a token by an event, which a client hears when it is polled; rdkafka calls
//! `ClientContext::generate_oauth_token` for it. That is not waited for here, since many of our clients are first asked
//! something and polled later, or never (an admin client): the call would wait for a connection, the connection for a
//! token, and the token for a poll after the call. Whoever was asked for a token inside of a poll would also hold up
//! that client until the endpoint answers. Instead each token is handed to all clients as soon as it is issued, and to
//! each new client at once: librdkafka takes one at any time and from any thread, keeps it, and lets the connections go
//! on that have waited for it. So a client that is made before there is a token comes up with the first one.
//!
//! # Why nobody waits for anybody
//!
//! Tokens are issued in a thread with a runtime of its own: neither workers of another runtime that are all held up,
//! nor their end, keep a token from the transactions that are still to be committed. What hands them over holds one
//! lock, for as long as librdkafka copies a text for each client: that calls nothing of ours, neither back nor through
//! an event, and takes no lock that librdkafka holds while it calls or joins us. The same lock is taken by whoever
//! makes or drops a client, for a moment, before librdkafka is told to end it. So no client ends while it is handed a
//! token, and none ends on the thread that hands it over.

use std::ffi::{CStr, CString, c_char};
use std::io;
use std::sync::{Arc, Weak};

use parking_lot::{Mutex, MutexGuard};
use rdkafka::bindings as native;
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::types::RDKafkaRespErr;
use secrecy::ExposeSecret;
use tokio_util::sync::CancellationToken;

use super::native::{NativeClient, NativeClients};
use crate::oauth::error::IssueError;
use crate::oauth::{self, BrokerToken, IssuerSetupError, Login, LoginIssuer};

/// The token of the process, and the clients that have to have it.
pub struct TokenDistributor {
    login: Login,
    supply: Arc<TokenRecipients>,
    /// Of the thread that keeps a token.
    end: CancellationToken,
}

/// Why no token can be had, whoever asks.
#[derive(Debug, thiserror::Error)]
enum NoTokensError {
    #[error(transparent)]
    Issuer(#[from] IssuerSetupError),
    /// Told with its cause, as rdkafka's errors are: it becomes one of them.
    #[error("no thread for tokens: {0}")]
    Thread(io::Error),
}

/// librdkafka takes a token from nobody that it can't use: its words on why.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
struct RefusedToken(String);

/// A client's place among those that are handed tokens.
pub struct TokenSubscription {
    tokens: Arc<TokenDistributor>,
    number: u64,
}

struct TokenRecipients {
    /// Names and values in turn, as they are told to brokers.
    extensions: Vec<CString>,
    state: Mutex<DistributorState>,
}

#[derive(Default)]
struct DistributorState {
    is_kept: bool,
    token: Option<BrokerToken>,
    /// Why there is no newer token.
    failure: Option<CString>,
    clients: NativeClients,
}

impl TokenDistributor {
    /// Nothing is asked of anybody until the first client comes.
    pub fn new(login: Login) -> TokenDistributor {
        let texts = login.extensions.iter().flat_map(|(name, value)| [name, value]);
        let extensions = texts.map(|text| c_string(text)).collect();
        let supply = Arc::new(TokenRecipients { extensions, state: Mutex::default() });
        TokenDistributor { login, supply, end: CancellationToken::new() }
    }

    /// Gives `client` each token from now on, and the one that there is, until the place is dropped: before the client is.
    ///
    /// # Errors
    /// Where the tokens' source can't be asked at all: there is no thread, or no HTTP client. That it gives none now is
    /// told to the client later.
    pub fn supply(self: &Arc<TokenDistributor>, client: Weak<dyn NativeClient>) -> KafkaResult<TokenSubscription> {
        // Held until the client is on the list: a token that is issued meanwhile reaches it, too.
        let mut state = self.supply.state();
        if !state.is_kept {
            self.keep().map_err(|error| KafkaError::ClientCreation(error.to_string()))?;
            state.is_kept = true;
        }
        match (state.token_left(), &state.failure) {
            (Some(token), _) => self.supply.hand(token, &client),
            (None, Some(failure)) => tell(failure, &client),
            (None, None) => {}
        }
        Ok(TokenSubscription { tokens: self.clone(), number: state.clients.add(client) })
    }

    /// Starts the thread that keeps a token.
    ///
    /// # Errors
    /// Where TLS can't be set up for the endpoint, or there is no thread.
    fn keep(&self) -> Result<(), NoTokensError> {
        let issuer = LoginIssuer::new(&self.login)?;
        let (supply, end) = (self.supply.clone(), self.end.clone());
        // The runtime is made and dropped there: another one's worker must not drop any.
        let keeping = move || match tokio::runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => {
                let keeping = oauth::keep(&issuer, |outcome| supply.take(outcome));
                runtime.block_on(end.run_until_cancelled(keeping));
            }
            Err(error) => tracing::error!(%error, "no kafka tokens: their runtime can't be made"),
        };
        let thread = std::thread::Builder::new().name("kafka-token".into()).spawn(keeping);
        thread.map(drop).map_err(NoTokensError::Thread)
    }
}

impl Drop for TokenDistributor {
    fn drop(&mut self) {
        self.end.cancel();
    }
}

impl DistributorState {
    fn token_left(&self) -> Option<&BrokerToken> {
        self.token.as_ref().filter(|token| !token.left().is_zero())
    }
}

impl Drop for TokenSubscription {
    fn drop(&mut self) {
        self.tokens.supply.state().clients.remove(self.number);
    }
}

impl TokenRecipients {
    fn state(&self) -> MutexGuard<'_, DistributorState> {
        self.state.lock()
    }

    /// A failure takes no token away from anybody, and is told to the clients only when there is none any more.
    fn take(&self, outcome: Result<BrokerToken, &IssueError>) {
        let mut state = self.state();
        match outcome {
            Ok(token) => {
                state.clients.iter().for_each(|client| self.hand(&token, client));
                (state.token, state.failure) = (Some(token), None);
            }
            Err(error) => {
                let failure = c_string(&error.to_string());
                if state.token_left().is_none() {
                    state.clients.iter().for_each(|client| tell(&failure, client));
                }
                state.failure = Some(failure);
            }
        }
    }

    fn hand(&self, token: &BrokerToken, client: &Weak<dyn NativeClient>) {
        let Some(client) = client.upgrade() else { return };
        if let Err(error) = self.set(token, &*client) {
            tracing::warn!(%error, "a kafka client refuses its token");
        }
    }

    #[allow(
        unsafe_code,
        reason = "extensions, and a token without an event, are what rdkafka does not offer; argued below"
    )]
    /// # Errors
    /// librdkafka's words, where it does not take the token.
    fn set(&self, token: &BrokerToken, client: &dyn NativeClient) -> Result<(), RefusedToken> {
        let (text, principal) = (c_string(token.text.expose_secret()), c_string(&token.principal));
        let ends = crate::clock::now().plus(token.left()).0;
        let mut extensions: Vec<*const c_char> = self.extensions.iter().map(|text| text.as_ptr()).collect();
        let mut words = [0_u8; WORDS_BYTES];
        // SAFETY: the client's pointer is valid as long as the client, which is borrowed for the call, and librdkafka's clients
        // may be used from any thread. All texts end with a zero, outlive the call, and are copied by it. The array of the
        // extensions has as many pointers as is said, which are not written to, and the error's text keeps within its bytes.
        let refused = unsafe {
            native::rd_kafka_oauthbearer_set_token(
                client.native(),
                text.as_ptr(),
                ends,
                principal.as_ptr(),
                extensions.as_mut_ptr(),
                extensions.len(),
                words.as_mut_ptr().cast(),
                words.len(),
            )
        };
        match refused {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR => Ok(()),
            _ => {
                Err(RefusedToken(CStr::from_bytes_until_nul(&words).unwrap_or_default().to_string_lossy().into_owned()))
            }
        }
    }
}

const WORDS_BYTES: usize = 512;

/// librdkafka keeps the words for connections that fail for want of a token, and reports them as an error.
#[allow(unsafe_code, reason = "one call into librdkafka that rdkafka does not offer, argued below")]
fn tell(failure: &CStr, client: &Weak<dyn NativeClient>) {
    let Some(client) = client.upgrade() else { return };
    // SAFETY: as for a token. All that can be refused is a client that logs in by other means, and an empty text.
    unsafe { native::rd_kafka_oauthbearer_set_token_failure(client.native(), failure.as_ptr()) };
}

/// A text without the zeros that C can't have.
fn c_string(text: &str) -> CString {
    CString::new(text.replace('\0', "")).unwrap_or_default()
}

#[cfg(test)]
mod tests;
