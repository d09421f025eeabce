//! What every client of the harness has in common.

use rdkafka::ClientConfig;

/// A client that is quick to connect again when its broker comes back, and says nothing on standard error.
pub fn config(bootstrap: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", bootstrap)
        .set("reconnect.backoff.ms", "50")
        .set("reconnect.backoff.max.ms", "500")
        .set("log_level", "0");
    config
}
