//! A token endpoint as an OIDC issuer has one: client credentials in, a signed JWT out, over TLS.

use std::io::BufReader;
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use openssl::hash::MessageDigest;
use openssl::pkey::{PKey, Private};
use openssl::sign::Signer;
use openssl::ssl::SslAcceptor;
use serde_json::{Value, json};

use super::http_exchange;
use super::security::{AUDIENCE, Security};

pub const CLIENT_ID: &str = "connector";
pub const SCOPE: &str = "kafka:all";
/// For one client's request and its answer.
const EXCHANGE_BOUND: Duration = Duration::from_secs(5);

/// Ends when it is dropped.
pub struct TokenEndpoint {
    port: u16,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
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
    is_over: AtomicBool,
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
        let listener = TcpListener::bind("127.0.0.1:0").context("no port for the token endpoint")?;
        let shared = Arc::new(Shared {
            tls: security.endpoint_tls()?,
            signing_key: security.signing_key().clone(),
            subject: subject.trim_start_matches("User:").to_owned(),
            proof: BASE64_STANDARD.encode(format!("{CLIENT_ID}:{secret}")),
            life,
            is_away: AtomicBool::new(false),
            is_over: AtomicBool::new(false),
            seen: Mutex::default(),
        });
        let port = listener.local_addr()?.port();
        let serving = shared.clone();
        let thread = std::thread::spawn(move || serving.serve(&listener));
        Ok(TokenEndpoint { port, shared, thread: Some(thread) })
    }

    pub fn host(&self) -> String {
        format!("https://localhost:{}", self.port)
    }

    /// Hangs up on everybody from now on, or no longer.
    pub fn be_away(&self, is_away: bool) {
        self.shared.is_away.store(is_away, Ordering::SeqCst);
    }

    pub fn seen(&self) -> Seen {
        self.shared.seen().clone()
    }
}

impl Drop for TokenEndpoint {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::SeqCst);
        // It waits for a client; if none can come, it is over as well.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().expect("no holder of this lock panics")
    }

    fn serve(&self, listener: &TcpListener) {
        for stream in listener.incoming().map_while(Result::ok) {
            if self.is_over.load(Ordering::SeqCst) {
                return;
            }
            if self.is_away.load(Ordering::SeqCst) {
                self.seen().lost += 1;
                continue;
            }
            // A client that goes away is none of the endpoint's business.
            let _ = self.exchange(stream);
        }
    }

    fn exchange(&self, stream: TcpStream) -> Result<()> {
        stream.set_read_timeout(Some(EXCHANGE_BOUND))?;
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
