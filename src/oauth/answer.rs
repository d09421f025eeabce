//! What a token endpoint answered: a token, or why there is none (RFC 6749, sections 5.1 and 5.2).

use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use secrecy::SecretString;
use serde_json::{Map, Value as Json};

use super::error::IssueFault;
use crate::model::time::UnixTime;
use crate::text::bounded;

/// How much of the endpoint's own words an error repeats, in characters.
const WORDS_CHARS_MAX: usize = 300;
/// No token is believed to last longer: what says more, says it in milliseconds or means for ever.
const LIFE_MAX: Duration = Duration::from_secs(30 * 24 * 60 * 60);

pub(super) struct TokenResponse {
    pub status: u16,
    pub body: Vec<u8>,
    /// When it was given, by the endpoint's own clock.
    pub date: UnixTime,
}

/// A token as it was issued.
pub(super) struct Issued {
    pub text: SecretString,
    /// Whom the token says it is for, where it says so readably.
    pub subject: Option<String>,
    pub life: Duration,
}

impl TokenResponse {
    /// The token, or why there is none. `secrets` must not be repeated in that.
    ///
    /// # Errors
    /// Why there is none.
    pub fn token(&self, secrets: &[&str]) -> Result<Issued, IssueFault> {
        let body = serde_json::from_slice::<Map<String, Json>>(&self.body).ok();
        match self.status {
            200..=299 => self.issued(&body.ok_or(IssueFault::NotJson)?),
            300..=399 => Err(IssueFault::Elsewhere { status: self.status }),
            status => Err(IssueFault::Refused { status, words: words(&body.unwrap_or_default(), secrets) }),
        }
    }

    /// # Errors
    /// [`IssueFault`] where there is no token in it, or one that can't be sent, or nothing says how long it lasts.
    fn issued(&self, body: &Map<String, Json>) -> Result<Issued, IssueFault> {
        let text = body.get("access_token").and_then(Json::as_str).filter(|text| !text.is_empty());
        let text = text.ok_or(IssueFault::NoToken)?;
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(IssueFault::Unusable);
        }
        let claims = claims(text).unwrap_or_default();
        let life = self.life(number(body.get("expires_in")), number(claims.get("exp")))?;
        let subject = claims.get("sub").and_then(Json::as_str).filter(|subject| !subject.is_empty());
        Ok(Issued { text: text.into(), subject: subject.map(str::to_owned), life })
    }

    /// How long a token lasts that says `exp`, with `expires_in` beside it. Of two words the shorter one counts. `exp` is
    /// measured by the clock that it was set by, so that a wrong one of this machine does no harm.
    ///
    /// # Errors
    /// [`IssueFault::NoLife`] where neither is there, and [`IssueFault::Expired`] where it is over already.
    fn life(&self, expires_in: Option<f64>, exp: Option<f64>) -> Result<Duration, IssueFault> {
        let until_exp = exp.map(|exp| exp - self.date.0 as f64);
        let seconds = [expires_in, until_exp].into_iter().flatten().reduce(f64::min).ok_or(IssueFault::NoLife)?;
        // What is negative is no duration, and over as zero is.
        let life = Duration::try_from_secs_f64(seconds.min(LIFE_MAX.as_secs_f64())).unwrap_or_default();
        if life.is_zero() { Err(IssueFault::Expired) } else { Ok(life) }
    }
}

/// The claims of a JWT that is signed; nothing of other tokens, which only the broker can read.
fn claims(token: &str) -> Option<Map<String, Json>> {
    let mut parts = token.split('.');
    let (_, claims, _, None) = (parts.next()?, parts.next()?, parts.next()?, parts.next()) else { return None };
    let claims = BASE64_URL_SAFE_NO_PAD.decode(claims.trim_end_matches('=')).ok()?;
    serde_json::from_slice(&claims).ok()
}

/// A finite number; some write it as text.
fn number(value: Option<&Json>) -> Option<f64> {
    match value? {
        Json::Number(number) => number.as_f64(),
        Json::String(text) => text.trim().parse().ok(),
        _ => None,
    }
    .filter(|number| number.is_finite())
}

/// `error` and `error_description`, on one line and without the secrets, which a careless endpoint may repeat.
fn words(body: &Map<String, Json>, secrets: &[&str]) -> String {
    let given = ["error", "error_description"].map(|field| body.get(field).and_then(Json::as_str).unwrap_or_default());
    let mut words = given.iter().filter(|words| !words.is_empty()).copied().collect::<Vec<_>>().join(": ");
    // Before the words are cut: a part of a secret would not be found.
    for secret in secrets.iter().filter(|secret| !secret.is_empty()) {
        words = words.replace(secret, "…");
    }
    if words.is_empty() {
        return "no reason given".into();
    }
    bounded(&words, WORDS_CHARS_MAX).replace(char::is_control, " ")
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;
    use serde_json::json;

    use super::*;

    const NOW: i64 = 1_700_000_000;

    fn answer(status: u16, body: impl ToString) -> Result<Issued, IssueFault> {
        TokenResponse { status, body: body.to_string().into_bytes(), date: UnixTime(NOW) }.token(&["s3cret"])
    }

    fn jwt(claims: &Json) -> String {
        let encoded = |json: &Json| BASE64_URL_SAFE_NO_PAD.encode(json.to_string());
        format!("{}.{}.c2lnbmF0dXJl", encoded(&json!({ "alg": "RS256" })), encoded(claims))
    }

    fn life(body: &Json) -> Result<u64, IssueFault> {
        answer(200, body).map(|issued| issued.life.as_secs())
    }

    #[test]
    fn the_shorter_of_two_lives_counts_by_the_endpoints_clock() {
        let token = jwt(&json!({ "sub": "me", "exp": NOW + 60 }));
        assert_eq!(life(&json!({ "access_token": token })), Ok(60));
        assert_eq!(life(&json!({ "access_token": token, "expires_in": 300 })), Ok(60));
        assert_eq!(life(&json!({ "access_token": token, "expires_in": "30" })), Ok(30));
        assert_eq!(life(&json!({ "access_token": "opaque", "expires_in": 30 })), Ok(30));
        assert_eq!(life(&json!({ "access_token": "opaque", "expires_in": 1e300 })), Ok(LIFE_MAX.as_secs()));
    }

    #[test]
    fn a_token_that_does_not_last_is_none() {
        let expired = jwt(&json!({ "exp": NOW - 1 }));
        assert_eq!(life(&json!({ "access_token": expired, "expires_in": 300 })), Err(IssueFault::Expired));
        assert_eq!(life(&json!({ "access_token": "opaque", "expires_in": 0 })), Err(IssueFault::Expired));
        assert_eq!(life(&json!({ "access_token": "opaque", "expires_in": -1e300 })), Err(IssueFault::Expired));
        assert_eq!(life(&json!({ "access_token": "opaque" })), Err(IssueFault::NoLife));
        assert_eq!(life(&json!({ "access_token": jwt(&json!({})), "expires_in": "soon" })), Err(IssueFault::NoLife));
    }

    #[test]
    fn the_subject_is_read_where_the_token_is_readable() {
        let issued = |token: &str| answer(200, json!({ "access_token": token, "expires_in": 9 })).unwrap();
        assert_eq!(issued(&jwt(&json!({ "sub": "me" }))).subject.as_deref(), Some("me"));
        for token in ["opaque", "a.b", "a.b.c", "a.b.c.d.e", &jwt(&json!([])), &jwt(&json!({ "sub": 1 }))] {
            let issued = issued(token);
            assert_eq!((issued.subject, issued.text.expose_secret()), (None, token));
        }
    }

    #[test]
    fn what_is_no_answer_of_a_token_endpoint_is_told() {
        let cause = |status, body: &str| answer(status, body).err().unwrap();
        assert_eq!(cause(200, "<html>"), IssueFault::NotJson);
        assert_eq!(cause(200, "[]"), IssueFault::NotJson);
        for body in ["{}", r#"{"access_token": ""}"#, r#"{"access_token": 7}"#, r#"{"id_token": "a"}"#] {
            assert_eq!(cause(200, body), IssueFault::NoToken, "{body}");
        }
        assert_eq!(cause(200, r#"{"access_token": "a b", "expires_in": 9}"#), IssueFault::Unusable);
        assert_eq!(cause(200, "{\"access_token\": \"a\\u0000\", \"expires_in\": 9}"), IssueFault::Unusable);
        assert_eq!(cause(302, ""), IssueFault::Elsewhere { status: 302 });
    }

    #[test]
    fn a_refusal_is_repeated_in_bounds_and_without_the_secret() {
        let refused = |status, body: &Json| match answer(status, body) {
            Err(IssueFault::Refused { status, words }) => (status, words),
            _ => panic!("it is a refusal"),
        };
        let body = json!({ "error": "invalid_client", "error_description": "s3cret\nis wrong" });
        assert_eq!(refused(401, &body), (401, "invalid_client: … is wrong".into()));
        assert_eq!(refused(503, &json!("down")), (503, "no reason given".into()));
        let long = refused(400, &json!({ "error": "ä".repeat(1000) })).1;
        assert_eq!(long.chars().count(), WORDS_CHARS_MAX);
    }

    proptest::proptest! {
        #[test]
        fn no_answer_panics(status in 100u16..600, body in "\\PC{0,60}", expires in proptest::num::f64::ANY, exp in proptest::num::f64::ANY) {
            let _ = answer(status, &body);
            let _ = answer(200, json!({ "access_token": jwt(&json!({ "exp": exp })), "expires_in": expires }));
        }
    }
}
