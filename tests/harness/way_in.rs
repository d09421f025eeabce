//! A way into a broker beside the one that is open to all, for the logins that a build has by a cargo feature alone.

use std::path::{Path, PathBuf};

use super::process::Process;

/// What a broker has to be told of it.
pub struct WayIn {
    /// Of its listener, on localhost, which is called [`LISTENER`].
    pub port: u16,
    /// Whom it lets in, as the broker's rules name it: that user may do anything.
    pub user: &'static str,
    /// The listener's own properties.
    pub properties: String,
    /// What the broker's Java has to be told beside its properties.
    pub java_options: String,
    /// What Java runs: Kafka, or a source that runs it.
    pub program: String,
    /// The broker's.
    pub directory: PathBuf,
    /// What the listener asks, if it asks anybody; ends with its handle.
    pub server: Option<Process>,
}

/// As it is written in the names of properties.
pub const LISTENER: &str = "special";
pub const KAFKA: &str = "kafka.Kafka";

/// Makes it in a broker's directory.
pub type Prepare = fn(&Path) -> anyhow::Result<WayIn>;

impl WayIn {
    /// The broker's properties beside those of an open one on `port`.
    pub fn server_properties(&self, port: u16, controller_port: u16) -> String {
        let open = format!("PLAINTEXT://127.0.0.1:{port}");
        let special = format!("{}://localhost:{}", LISTENER.to_uppercase(), self.port);
        format!(
            "\
listeners={open},{special},CONTROLLER://127.0.0.1:{controller_port}
advertised.listeners={open},{special}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SPECIAL:SASL_PLAINTEXT
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS;User:{}
{}
",
            self.user, self.properties
        )
    }

    /// The path of a file in the broker's directory.
    pub fn file(&self, name: &str) -> String {
        self.directory.join(name).display().to_string()
    }
}
