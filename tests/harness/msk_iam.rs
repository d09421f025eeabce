//! What stands for Amazon: a broker that looks at tokens as MSK does (`msk_iam/MskBroker.java`), and the agent of a container,
//! which gives it the credentials of its role.

use std::io::BufReader;
use std::net::TcpStream;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use anyhow::Result;
use serde_json::json;

use super::http_exchange;
use super::kafka::free_port;
use super::listener::Listener;
use super::way_in::{LISTENER, WayIn};

pub const REGION: &str = "eu-west-1";
const KEY_ID: &str = "ASIDTESTS";
pub const SECRET: &str = "s3cret/of+tests=";
pub const SESSION: &str = "s3ssion/of+tests=";

/// A broker whose sessions end after seconds, unless the client proves anew who it is.
pub fn way_in(directory: &Path) -> Result<WayIn> {
    let module = "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule";
    let name = format!("listener.name.{LISTENER}");
    Ok(WayIn {
        port: free_port()?,
        user: "msk",
        properties: format!(
            "{name}.sasl.enabled.mechanisms=OAUTHBEARER\n\
             {name}.oauthbearer.sasl.jaas.config={module} required unsecuredLoginStringClaim_sub=\"broker\" \
             keyId=\"{KEY_ID}\" secret=\"{SECRET}\" region=\"{REGION}\";\n\
             {name}.oauthbearer.sasl.server.callback.handler.class=MskBroker$Validator\n\
             {name}.oauthbearer.connections.max.reauth.ms=3000"
        ),
        java_options: String::new(),
        program: concat!(env!("CARGO_MANIFEST_DIR"), "/tests/harness/msk_iam/MskBroker.java").to_owned(),
        directory: directory.to_owned(),
        server: None,
    })
}

/// The agent; ends when it is dropped.
pub struct Agent {
    listener: Listener,
    shared: Arc<Shared>,
}

struct Shared {
    life: Duration,
    secret: Mutex<&'static str>,
    asked: AtomicUsize,
}

impl Agent {
    /// Its credentials end after `life`.
    pub fn start(life: Duration) -> Result<Agent> {
        let shared = Arc::new(Shared { life, secret: Mutex::new(SECRET), asked: AtomicUsize::new(0) });
        let serving = shared.clone();
        let listener = Listener::start(move |stream| serving.exchange(stream))?;
        Ok(Agent { listener, shared })
    }

    /// Gives another secret from now on.
    pub fn give(&self, secret: &'static str) {
        *self.shared.secret.lock().expect("no holder of this lock panics") = secret;
    }

    /// How often its credentials were asked for.
    pub fn asked(&self) -> usize {
        self.shared.asked.load(Ordering::SeqCst)
    }

    /// The environment of its container, in which nothing else holds credentials.
    pub fn environment(&self) -> [(&'static str, String); 5] {
        [
            ("AWS_CONTAINER_CREDENTIALS_FULL_URI", format!("http://127.0.0.1:{}/role", self.listener.port())),
            ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
            ("AWS_CONFIG_FILE", "/dev/null".to_owned()),
            ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null".to_owned()),
            ("AWS_REGION", REGION.to_owned()),
        ]
    }
}

impl Shared {
    fn exchange(&self, stream: TcpStream) -> Result<()> {
        let mut stream = BufReader::new(stream);
        http_exchange::read_request(&mut stream)?;
        self.asked.fetch_add(1, Ordering::SeqCst);
        let ends = jiff::Timestamp::try_from(SystemTime::now() + self.life)?;
        let secret = *self.secret.lock().expect("no holder of this lock panics");
        let role = json!({
            "RoleArn": "arn:aws:iam::1:role/tests", "AccessKeyId": KEY_ID, "SecretAccessKey": secret, "Token": SESSION,
            "Expiration": ends.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        });
        http_exchange::answer(stream.get_mut(), "200 OK", &role.to_string())
    }
}
