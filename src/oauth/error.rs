//! Why there is no token. What is repeated of the endpoint's own words is bounded, and holds no secret.

use std::time::Duration;

/// A token that could not be had, and from where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no token from {issuer}: {cause}")]
pub struct IssueError {
    /// Scheme, host and port of an endpoint, for the rest of a URL may hold a key; or what signs the tokens.
    pub issuer: String,
    pub cause: IssueFault,
    /// The endpoint's own wish.
    pub retry_after: Option<Duration>,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IssueFault {
    #[error("no answer within the time limit")]
    Timeout,
    #[error("connection failed: {0}")]
    Connection(String),
    #[error("its answer is larger than {limit} bytes")]
    TooLarge { limit: usize },
    #[error("it sends elsewhere (HTTP {status}); give the URL that it sends to")]
    Elsewhere { status: u16 },
    /// `words` are `error` and `error_description`, as far as it gave them.
    #[error("it refuses (HTTP {status}): {words}")]
    Refused { status: u16, words: String },
    #[error("its answer is not a JSON object; is it a token endpoint?")]
    NotJson,
    #[error("its answer holds no access_token")]
    NoToken,
    #[error("its access_token holds characters that no token has")]
    Unusable,
    #[error("it tells neither expires_in nor, in a JWT, exp: nobody knows how long the token lasts")]
    NoLife,
    #[error("its token has expired on arrival; are the clocks right?")]
    Expired,
    #[cfg(feature = "msk-iam")]
    #[error(transparent)]
    Aws(#[from] AwsFault),
}

/// Why nothing can be signed by the credentials of AWS, and what to do about it.
#[cfg(feature = "msk-iam")]
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AwsFault {
    #[error("no region: write sasl.oauthbearer.aws.region, or set AWS_REGION")]
    NoRegion,
    #[error(
        "there are none: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or give the machine, the container \
         or the pod a role"
    )]
    NoCredentials,
    /// In the words of whoever was asked, bounded.
    #[error("they can't be had: {0}")]
    Unavailable(String),
    #[error("they have expired")]
    Expired,
    #[error("they can't sign: {0}")]
    Unsigned(String),
}
