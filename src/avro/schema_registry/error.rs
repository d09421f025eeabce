//! What a registry can refuse, and why it can't be asked.

/// Far above an answer that repeats one of our schemas.
pub(super) const BODY_BYTES_MAX: usize = 1024 * 1024;

/// There is no client for a registry.
#[derive(Debug, thiserror::Error)]
#[error("TLS can't be set up")]
pub struct SetupError(#[source] pub(super) reqwest::Error);

/// What went wrong, cut by what the caller does: see [`SchemaRegistryError::is_retriable`]. What the texts repeat of
/// the registry's own words is bounded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SchemaRegistryError {
    /// None of the URLs gave an answer to go by; this is what the last one did.
    #[error("the schema registry at {url} is not available")]
    Unavailable {
        url: String,
        #[source]
        cause: ExchangeError,
    },
    /// Without the registry's own words, which may repeat the credentials.
    #[error("the schema registry at {url} refuses the credentials (HTTP 401)")]
    Unauthenticated { url: String },
    /// Likewise.
    #[error("the schema registry at {url} denies this user access to {subject} (HTTP 403)")]
    Denied { url: String, subject: String },
    #[error("the schema registry refuses the schema of {subject} as incompatible with an earlier one: {words}")]
    Incompatible { subject: String, words: String },
    #[error("the schema registry at {url} refuses the schema of {subject} (HTTP {status}): {words}")]
    Refused { url: String, subject: String, status: u16, words: String },
    /// Most often the URL lacks a path such as `/apis/ccompat/v7`.
    #[error("what answers at {url} does not seem to be a schema registry: {reason}")]
    UnexpectedResponse { url: String, reason: &'static str },
}

/// Why one exchange brought no answer to go by.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExchangeError {
    #[error("no answer within the time limit")]
    Timeout,
    /// In the words of the innermost cause, bounded: the outer ones may name the URL.
    #[error("{0}")]
    Connection(String),
    #[error("its answer is larger than {BODY_BYTES_MAX} bytes")]
    TooLarge,
    #[error("HTTP {status}: {words}")]
    Unable { status: u16, words: String },
    #[error("it has no URL")]
    NoUrl,
}

impl SchemaRegistryError {
    /// Whether the same call may succeed later without anybody changing anything.
    pub fn is_retriable(&self) -> bool {
        matches!(self, SchemaRegistryError::Unavailable { .. })
    }

    /// Whether it tells of this subject alone: of another one the registry may say something else.
    pub fn is_of_subject(&self) -> bool {
        use SchemaRegistryError::{Denied, Incompatible, Refused};
        matches!(self, Denied { .. } | Incompatible { .. } | Refused { .. })
    }

    /// Whether it is this call that is refused: the registry, or what stands in its place, can answer, and does not ask who
    /// calls.
    pub fn is_refusal(&self) -> bool {
        !matches!(self, SchemaRegistryError::Unavailable { .. } | SchemaRegistryError::Unauthenticated { .. })
    }
}
