//! Who may change something over the port.
//!
//! A browser sends by itself, to whatever address a page of another site names, no `Authorization` of ours and no `application/json`:
//! for both it asks the port first, which does not agree. So no page can have a browser change something that its user did not ask
//! for; that its `Origin` is checked, too, only makes it a rule of its own.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderName, ORIGIN, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use parking_lot::Mutex;

use super::answer::{RefusalAnswer, json};

const JSON: &str = "application/json";
const SCHEME: &str = "Bearer ";
/// How often the log tells of refusals at most, however many there are.
const SAY_EVERY: Duration = Duration::from_secs(10);

/// What whoever changes something has to show. Only its hash is kept: whatever shows the memory or the settings of the process shows
/// nothing that opens the port.
#[derive(Clone, PartialEq, Eq)]
pub struct AdminToken(blake3::Hash);

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it can't be sent in a header")]
pub struct InvalidAdminToken;

impl AdminToken {
    /// # Errors
    /// [`InvalidAdminToken`] where it is empty, or has anything but visible ASCII.
    pub fn new(token: &str) -> Result<AdminToken, InvalidAdminToken> {
        let is_sendable = !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic());
        is_sendable.then(|| AdminToken(blake3::hash(token.as_bytes()))).ok_or(InvalidAdminToken)
    }

    /// Takes as long whatever is shown: two hashes are compared, by a comparison that takes as long wherever they differ.
    fn is(&self, shown: &[u8]) -> bool {
        self.0 == blake3::hash(shown)
    }
}

impl fmt::Debug for AdminToken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("AdminToken")
    }
}

/// Why a change is not even looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum Refusal {
    #[error("nothing can be changed over this port: neither admin.token_file nor admin.token names a token")]
    Closed,
    #[error("pages of other sites change nothing here")]
    OtherSite,
    #[error("send the token of admin.token_file or admin.token: Authorization: Bearer TOKEN")]
    NoToken,
    #[error("this is not the token of admin.token_file or admin.token")]
    WrongToken,
    #[error("send content-type: application/json")]
    NoJson,
}

impl Refusal {
    fn status(self) -> StatusCode {
        match self {
            Refusal::Closed | Refusal::OtherSite => StatusCode::FORBIDDEN,
            Refusal::NoToken | Refusal::WrongToken => StatusCode::UNAUTHORIZED,
            Refusal::NoJson => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        }
    }
}

/// Lets in whoever may change something, and tells the log of those that may not.
pub struct Doorkeeper {
    /// Absent where nobody is let in.
    token: Option<AdminToken>,
    refusals: Mutex<UntoldRefusals>,
}

#[derive(Default)]
struct UntoldRefusals {
    told: Option<Instant>,
    count: u64,
}

impl Doorkeeper {
    pub fn new(token: Option<AdminToken>) -> Doorkeeper {
        Doorkeeper { token, refusals: Mutex::default() }
    }

    /// What a client has sent is not told: it may be a token that is right elsewhere.
    fn tell(&self, refusal: Refusal) {
        if let Some(refusals) = self.refusals.lock().note(Instant::now()) {
            tracing::warn!(refusals, last = %refusal, "changes over the admin port are refused");
        }
    }
}

impl UntoldRefusals {
    /// How many are to be told of now, if any.
    fn note(&mut self, now: Instant) -> Option<u64> {
        self.count += 1;
        if self.told.is_some_and(|told| now.duration_since(told) < SAY_EVERY) {
            return None;
        }
        self.told = Some(now);
        Some(std::mem::take(&mut self.count))
    }
}

/// Before anything of the request's body is read.
pub async fn check(State(doorkeeper): State<Arc<Doorkeeper>>, request: Request, next: Next) -> Response {
    match permitted(request.headers(), doorkeeper.token.as_ref()) {
        Ok(()) => next.run(request).await,
        Err(refusal) => {
            doorkeeper.tell(refusal);
            refused(refusal)
        }
    }
}

fn refused(refusal: Refusal) -> Response {
    let mut answer = json(refusal.status(), &RefusalAnswer { error: refusal.to_string() });
    if refusal.status() == StatusCode::UNAUTHORIZED {
        answer.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    answer.into_response()
}

/// # Errors
/// The first [`Refusal`] that holds.
fn permitted(headers: &HeaderMap, token: Option<&AdminToken>) -> Result<(), Refusal> {
    let token = token.ok_or(Refusal::Closed)?;
    if headers.contains_key(ORIGIN) && !is_own_origin(headers) {
        return Err(Refusal::OtherSite);
    }
    let authorization = only(headers, AUTHORIZATION).ok_or(Refusal::NoToken)?.as_bytes();
    // The scheme is a word in any case.
    let (scheme, shown) = authorization.split_at_checked(SCHEME.len()).ok_or(Refusal::NoToken)?;
    if !scheme.eq_ignore_ascii_case(SCHEME.as_bytes()) {
        return Err(Refusal::NoToken);
    }
    if !token.is(shown) {
        return Err(Refusal::WrongToken);
    }
    let media_type = only(headers, CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = media_type.split(';').next().unwrap_or_default().trim();
    if media_type.eq_ignore_ascii_case(JSON) { Ok(()) } else { Err(Refusal::NoJson) }
}

/// Whether the page that asks is this port's: it was asked for by the name that is asked now, which is checked before.
fn is_own_origin(headers: &HeaderMap) -> bool {
    let origin = only(headers, ORIGIN).and_then(|origin| origin.to_str().ok());
    let authority =
        origin.and_then(|origin| origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://")));
    let host = only(headers, HOST).and_then(|host| host.to_str().ok());
    authority.is_some_and(|authority| host.is_some_and(|host| authority.eq_ignore_ascii_case(host)))
}

/// The value of a header that is sent once.
fn only(headers: &HeaderMap, name: HeaderName) -> Option<&HeaderValue> {
    let mut values = headers.get_all(name).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return None };
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: [(&str, &str); 3] =
        [("host", "127.0.0.1:9464"), ("authorization", "Bearer s3cret"), ("content-type", "application/json")];

    fn asked(headers: &[(&'static str, &'static str)]) -> Result<(), Refusal> {
        let token = AdminToken::new("s3cret").unwrap();
        let pair = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        // `extend` would replace what is there.
        let mut map = HeaderMap::new();
        for (name, value) in headers.iter().map(pair) {
            map.append(name, value);
        }
        permitted(&map, Some(&token))
    }

    /// What is sent rightly, but for one header; without it where there is no value.
    fn with(name: &'static str, value: Option<&'static str>) -> Result<(), Refusal> {
        let others = GOOD.into_iter().filter(|(other, _)| *other != name);
        asked(&others.chain(value.map(|value| (name, value))).collect::<Vec<_>>())
    }

    #[test]
    fn who_shows_the_token_and_sends_json_may_change_something() {
        assert_eq!(asked(&GOOD), Ok(()));
        assert_eq!(with("authorization", Some("bearer s3cret")), Ok(()));
        assert_eq!(with("content-type", Some("Application/JSON; charset=utf-8")), Ok(()));
        assert_eq!(with("origin", Some("http://127.0.0.1:9464")), Ok(()));
    }

    #[test]
    fn without_the_token_or_with_another_nothing_is_permitted() {
        assert_eq!(permitted(&HeaderMap::new(), None), Err(Refusal::Closed));
        for value in [None, Some(""), Some("s3cret"), Some("Basic s3cret"), Some("Bearer")] {
            assert_eq!(with("authorization", value), Err(Refusal::NoToken), "{value:?}");
        }
        for value in ["Bearer ", "Bearer S3cret", "Bearer s3cret ", "Bearer s3cre", "Bearer s3crett"] {
            assert_eq!(with("authorization", Some(value)), Err(Refusal::WrongToken), "{value}");
        }
        let twice = [GOOD.as_slice(), &[("authorization", "Bearer other")]].concat();
        assert_eq!(asked(&twice), Err(Refusal::NoToken));
    }

    #[test]
    fn pages_of_other_sites_and_their_forms_change_nothing() {
        for origin in ["http://evil.example", "null", "http://127.0.0.1:80", "http://127.0.0.1:9464.evil.example"] {
            assert_eq!(with("origin", Some(origin)), Err(Refusal::OtherSite), "{origin}");
        }
        for kind in [None, Some("text/plain"), Some("application/x-www-form-urlencoded"), Some("application/jsonp")] {
            assert_eq!(with("content-type", kind), Err(Refusal::NoJson), "{kind:?}");
        }
    }

    #[test]
    fn a_token_that_no_header_takes_is_none_and_one_is_never_shown() {
        for token in ["", "two words", "schlüssel", "line\n"] {
            assert_eq!(AdminToken::new(token), Err(InvalidAdminToken), "{token:?}");
        }
        assert_eq!(format!("{:?}", AdminToken::new("s3cret").unwrap()), "AdminToken");
    }

    #[test]
    fn many_refusals_are_told_together() {
        let (mut untold, now) = (UntoldRefusals::default(), Instant::now());
        assert_eq!(untold.note(now), Some(1));
        for _ in 0..1000 {
            assert_eq!(untold.note(now + SAY_EVERY / 2), None);
        }
        assert_eq!(untold.note(now + SAY_EVERY), Some(1001));
    }
}
