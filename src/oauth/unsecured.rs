//! Tokens that nobody signs (RFC 7515, appendix A.5): for brokers of tests, which believe whatever is said.
//!
//! librdkafka has such a maker too, which serves its own callback only; where events are polled, as rdkafka does, it makes
//! one token and never a second one. So its configuration is read here as it reads it.

use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Map, Value as Json, json};
use tokio::time::Instant;

use super::BrokerToken;
use super::Extension;

/// librdkafka's default.
const LIFE_SECONDS: u32 = 3600;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unsecured {
    principal_claim: String,
    principal: String,
    scope_claim: String,
    scope: Option<String>,
    life: Duration,
}

/// What is wrong with `sasl.oauthbearer.config`, by the number of its part and without values; reads on from its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum UnsecuredConfigError {
    #[error("has no name=value as part {0}")]
    NoPair(usize),
    #[error("has an empty value as part {0}")]
    EmptyValue(usize),
    #[error("has a name that is not known as part {0}")]
    UnknownName(usize),
    #[error("has no number of seconds as lifeSeconds")]
    NoSeconds,
    #[error("holds no principal")]
    NoPrincipal,
}

impl Unsecured {
    /// Reads `sasl.oauthbearer.config`: pairs with a space between them.
    ///
    /// # Errors
    /// [`UnsecuredConfigError`] with the part at fault, and no value.
    pub fn parse(config: &str) -> Result<(Unsecured, Vec<Extension>), UnsecuredConfigError> {
        let mut read = Unsecured {
            principal_claim: "sub".into(),
            principal: String::new(),
            scope_claim: "scope".into(),
            scope: None,
            life: Duration::from_secs(LIFE_SECONDS.into()),
        };
        let mut extensions = Vec::new();
        for (number, pair) in config.split(' ').filter(|pair| !pair.is_empty()).enumerate() {
            let (name, value) = pair.split_once('=').ok_or(UnsecuredConfigError::NoPair(number + 1))?;
            let is_empty = value.is_empty() && !name.starts_with(EXTENSION);
            match name {
                _ if is_empty => return Err(UnsecuredConfigError::EmptyValue(number + 1)),
                "principalClaimName" => read.principal_claim = value.into(),
                "principal" => read.principal = value.into(),
                "scopeClaimName" => read.scope_claim = value.into(),
                "scope" => read.scope = Some(value.into()),
                "lifeSeconds" => read.life = life(value)?,
                _ => match name.strip_prefix(EXTENSION) {
                    Some(key) => extensions.push((key.to_owned(), value.to_owned())),
                    None => return Err(UnsecuredConfigError::UnknownName(number + 1)),
                },
            }
        }
        if read.principal.is_empty() {
            return Err(UnsecuredConfigError::NoPrincipal);
        }
        Ok((read, extensions))
    }

    /// A token from `now` on, in milliseconds since the epoch.
    pub fn mint(&self, now: i64) -> BrokerToken {
        // With its fraction: a token must last as long as it is believed to.
        let seconds = now as f64 / 1000.0;
        let mut claims = Map::new();
        claims.insert(self.principal_claim.clone(), self.principal.as_str().into());
        claims.insert("iat".into(), seconds.into());
        claims.insert("exp".into(), (seconds + self.life.as_secs_f64()).into());
        if let Some(scope) = &self.scope {
            let scopes: Vec<&str> = scope.split(',').filter(|scope| !scope.is_empty()).collect();
            claims.insert(self.scope_claim.clone(), scopes.into());
        }
        let encoded = |json: Json| BASE64_URL_SAFE_NO_PAD.encode(json.to_string());
        let text = format!("{}.{}.", encoded(json!({ "alg": "none" })), encoded(Json::Object(claims)));
        BrokerToken::new(text.into(), self.principal.clone(), Instant::now(), self.life)
    }
}

const EXTENSION: &str = "extension_";

/// # Errors
/// [`UnsecuredConfigError::NoSeconds`] where it is no whole number from 1 to [`i32::MAX`].
fn life(seconds: &str) -> Result<Duration, UnsecuredConfigError> {
    let seconds = seconds.parse().ok().filter(|seconds| (1..=i32::MAX.unsigned_abs()).contains(seconds));
    seconds.map(|seconds| Duration::from_secs(seconds.into())).ok_or(UnsecuredConfigError::NoSeconds)
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    #[test]
    fn a_token_says_what_librdkafkas_own_says() {
        // From librdkafka's own tests.
        let config = "principal=fubar scope=role1,role2 lifeSeconds=60";
        let (unsecured, extensions) = Unsecured::parse(config).unwrap();
        let token = unsecured.mint(1_500);
        let parts: Vec<&str> = token.text.expose_secret().split('.').collect();
        assert_eq!((parts[0], parts[2], extensions.len()), ("eyJhbGciOiJub25lIn0", "", 0));
        let claims: Json = serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(parts[1]).unwrap()).unwrap();
        assert_eq!(claims, json!({ "sub": "fubar", "iat": 1.5, "exp": 61.5, "scope": ["role1", "role2"] }));
        assert_eq!((token.principal.as_str(), token.life), ("fubar", Duration::from_secs(60)));
    }

    #[test]
    fn names_of_claims_and_extensions_are_read() {
        let (unsecured, extensions) =
            Unsecured::parse("principalClaimName=azp principal=a  scopeClaimName=roles scope=r extension_trace=1=2 ")
                .unwrap();
        assert_eq!(extensions, [("trace".to_owned(), "1=2".to_owned())]);
        let text = unsecured.mint(0).text;
        let claims = text.expose_secret().split('.').nth(1).unwrap().to_owned();
        let claims: Json = serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap();
        assert_eq!(claims, json!({ "azp": "a", "iat": 0.0, "exp": 3600.0, "roles": ["r"] }));
    }

    #[test]
    fn what_is_wrong_is_told_without_values() {
        for config in ["", "hidden", "principal=", "principal=a hidden=b", "principal=a lifeSeconds=hidden", "scope=a"]
        {
            let error = Unsecured::parse(config).unwrap_err().to_string();
            assert!(!error.contains("hidden"), "{error}");
        }
        for life in ["0", "-1", "1.5", "2147483648"] {
            assert!(Unsecured::parse(&format!("principal=a lifeSeconds={life}")).is_err(), "{life}");
        }
    }
}
