//! A token endpoint as an OIDC issuer has one: client credentials in, a signed JWT out, over TLS.

use std::io::BufReader;
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Result;
use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use openssl::hash::MessageDigest;
use openssl::pkey::{PKey, Private};
use openssl::sign::Signer;
use openssl::ssl::SslAcceptor;
use serde_json::{Value, json};

use super::http_exchange;
use super::listener::Listener;
use super::security::{AUDIENCE, Security};

pub const CLIENT_ID: &str = "connector";
pub const SCOPE: &str = "kafka:all";

/// Ends when it is dropped.
pub struct TokenEndpoint {
    listener: Listener,
    shared: Arc<Shared>,
}

struct Shared {
    tls: SslAcceptor,
    signing_key: PKey<Private>,
    /// The user of the broker that its tokens are for.
    subject: String,
    /// What the one client that it knows sends after "Basic ".
    proof: String,
    life: Duration,
    is_away: AtomicBool,
    seen: Mutex<Seen>,
}

#[derive(Clone, Default)]
pub struct Seen {
    /// The tokens, in the order of their ends.
    pub issued: Vec<String>,
    /// Requests of a client that it does not know.
    pub refused: usize,
    /// Requests while it was away.
    pub lost: usize,
}

impl TokenEndpoint {
    /// Tokens are for the broker's user `subject`, end within the second before `life` is over, and are had with `secret`.
    pub fn start(security: &Security, subject: &str, secret: &str, life: Duration) -> Result<TokenEndpoint> {
        let shared = Arc::new(Shared {
            tls: security.endpoint_tls()?,
            signing_key: security.signing_key().clone(),
            subject: subject.trim_start_matches("User:").to_owned(),
            proof: BASE64_STANDARD.encode(format!("{CLIENT_ID}:{secret}")),
            life,
            is_away: AtomicBool::new(false),
            seen: Mutex::default(),
        });
        let serving = shared.clone();
        let listener = Listener::start(move |stream| serving.exchange(stream))?;
        Ok(TokenEndpoint { listener, shared })
    }

    pub fn host(&self) -> String {
        format!("https://localhost:{}", self.listener.port())
    }

    /// Hangs up on everybody from now on, or no longer.
    pub fn be_away(&self, is_away: bool) {
        self.shared.is_away.store(is_away, Ordering::SeqCst);
    }

    pub fn seen(&self) -> Seen {
        self.shared.seen().clone()
    }
}

impl Shared {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().expect("no holder of this lock panics")
    }

    fn exchange(&self, stream: TcpStream) -> Result<()> {
        if self.is_away.load(Ordering::SeqCst) {
            self.seen().lost += 1;
            return Ok(());
        }
        let mut stream = BufReader::new(self.tls.accept(stream)?);
        let (head, body) = http_exchange::read_request(&mut stream)?;
        let (status, answer) = self.answer(&head, &body)?;
        http_exchange::answer(stream.get_mut(), status, &answer.to_string())?;
        Ok(stream.get_mut().shutdown().map(drop)?)
    }

    fn answer(&self, head: &str, body: &str) -> Result<(&'static str, Value)> {
        let is_known = head.lines().any(|line| {
            let (name, value) = line.split_once(": ").unwrap_or_default();
            name.eq_ignore_ascii_case("authorization") && value == format!("Basic {}", self.proof)
        });
        if !is_known {
            self.seen().refused += 1;
            let error = json!({ "error": "invalid_client", "error_description": "Invalid client or credentials" });
            return Ok(("401 Unauthorized", error));
        }
        if body != format!("grant_type=client_credentials&scope={}", SCOPE.replace(':', "%3A")) {
            return Ok(("400 Bad Request", json!({ "error": "invalid_request" })));
        }
        let (token, left) = self.token()?;
        Ok(("200 OK", json!({ "access_token": token, "token_type": "Bearer", "expires_in": left })))
    }

    /// A token, and how many seconds it lasts.
    fn token(&self) -> Result<(String, f64)> {
        let mut seen = self.seen();
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
        let ends = now.as_secs() + self.life.as_secs();
        let head = json!({ "alg": "RS256", "typ": "JWT", "kid": "one" });
        let claims = json!({
            "iss": "tests", "sub": self.subject, "aud": AUDIENCE, "scope": SCOPE,
            "iat": now.as_secs(), "exp": ends, "jti": seen.issued.len().to_string(),
        });
        let encoded = |json: &Value| BASE64_URL_SAFE_NO_PAD.encode(json.to_string());
        let signed = format!("{}.{}", encoded(&head), encoded(&claims));
        let mut signer = Signer::new(MessageDigest::sha256(), &self.signing_key)?;
        let signature = BASE64_URL_SAFE_NO_PAD.encode(signer.sign_oneshot_to_vec(signed.as_bytes())?);
        let token = format!("{signed}.{signature}");
        seen.issued.push(token.clone());
        Ok((token, ends as f64 - now.as_secs_f64()))
    }
}
