//! Whether this machine can run the tests that need a real broker.

use std::fmt;
use std::path::PathBuf;
use std::process::Command;

use super::distribution::{Distribution, KAFKA};

/// Kafka 4 runs on Java 17 and later.
const JAVA_MIN: u32 = 17;

/// Where brokers come from.
pub enum Brokers {
    /// The harness starts as many as it likes.
    Own(Distribution),
    /// `PROMOTER_TEST_BOOTSTRAP` names one, which is neither killed nor paused.
    Given { bootstrap: String },
}

impl Brokers {
    /// Looks for a broker that is given, else for Java and Maven, and fetches Kafka with them on the first time.
    pub fn find() -> Result<Brokers, Unavailable> {
        match std::env::var("PROMOTER_TEST_BOOTSTRAP") {
            Ok(bootstrap) if !bootstrap.is_empty() => Ok(Brokers::Given { bootstrap }),
            _ => Distribution::fetch(KAFKA).map(Brokers::Own),
        }
    }
}

/// Why there is no broker.
#[derive(Clone, Debug)]
pub struct Unavailable(pub String);

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unavailable {}

/// Under CI a test that can't run is a failure, so that a green run always means that everything ran.
pub fn must_run_everything() -> bool {
    std::env::var("CI").is_ok_and(|ci| ci == "true")
}

/// The `java` to use, `JAVA_HOME` first.
pub fn java() -> Result<PathBuf, Unavailable> {
    let java = match std::env::var_os("JAVA_HOME") {
        Some(home) => PathBuf::from(home).join("bin/java"),
        None => PathBuf::from("java"),
    };
    let answer = Command::new(&java).arg("-version").output();
    let answer = answer.map_err(|error| Unavailable(format!("Java {JAVA_MIN} or later is needed: {error}")))?;
    let text = String::from_utf8_lossy(&answer.stderr);
    match java_version(&text) {
        Some(version) if version >= JAVA_MIN => Ok(java),
        _ => Err(Unavailable(format!(
            "Java {JAVA_MIN} or later is needed, found: {}",
            text.lines().next().unwrap_or("none")
        ))),
    }
}

/// The `mvn` to use, once it is known to run.
pub fn maven() -> Result<PathBuf, Unavailable> {
    let maven = PathBuf::from("mvn");
    match Command::new(&maven).arg("-version").output() {
        Ok(answer) if answer.status.success() => Ok(maven),
        Ok(answer) => Err(Unavailable(format!("Maven does not run: {}", answer.status))),
        Err(error) => Err(Unavailable(format!("Maven is needed: {error}"))),
    }
}

/// The major version in what `java -version` prints: `openjdk version "17.0.15" 2025-04-15`.
/// Java 8 and earlier call themselves 1.8.
fn java_version(text: &str) -> Option<u32> {
    let (_, rest) = text.split_once("version \"")?;
    rest.split(['.', '"', '-', '+']).next()?.parse().ok()
}
