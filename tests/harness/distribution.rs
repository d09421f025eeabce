//! Apache Kafka itself: its jars from Maven, fetched once for all test processes of this target directory.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use rustix::fs::{FlockOperation, flock};

use super::availability::{Unavailable, java, maven};
use super::directory;

/// What all cases run on that name no other version.
pub const KAFKA: &str = "4.3.0";

/// The broker with all it needs at run time, and a logger for it, which the broker's jar leaves to its user.
const POM: &str = r#"<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>promoter-connector.test</groupId>
  <artifactId>kafka</artifactId>
  <version>1</version>
  <dependencies>
    <dependency>
      <groupId>org.apache.kafka</groupId>
      <artifactId>kafka_2.13</artifactId>
      <version>KAFKA</version>
    </dependency>
    <dependency>
      <groupId>org.slf4j</groupId>
      <artifactId>slf4j-simple</artifactId>
      <version>1.7.36</version>
    </dependency>
  </dependencies>
</project>
"#;

/// The plugin is pinned as Kafka is: what a test runs on must not change by itself.
const COPY: &str = "org.apache.maven.plugins:maven-dependency-plugin:2.8:copy-dependencies";

#[derive(Clone)]
pub struct Distribution {
    pub java: PathBuf,
    jars: PathBuf,
}

impl Distribution {
    /// The jars of this version in `target/kafka/<version>`, fetched if they are not there yet.
    pub fn fetch(version: &str) -> Result<Distribution, Unavailable> {
        let java = java()?;
        let jars = fetch_jars(version);
        let jars = jars.map_err(|error| Unavailable(format!("Kafka {version} can't be had: {error:#}")))?;
        Ok(Distribution { java, jars })
    }

    /// A command that runs `class` of the distribution, in a directory of its own that it may leave something in.
    pub fn command(&self, class: &str) -> Command {
        let mut command = Command::new(&self.java);
        // A small heap and the quick compiler: these brokers live for seconds, several at a time.
        command.args(["-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Djava.awt.headless=true"]);
        // Native code that is unpacked stands there until somebody removes it: with the directory, and not in that of all programs.
        command.args(["-Dorg.slf4j.simpleLogger.showDateTime=true", "-Djava.io.tmpdir=."]);
        command.arg("-cp").arg(self.jars.join("*")).arg(class);
        command
    }
}

fn fetch_jars(version: &str) -> Result<PathBuf> {
    let home = directory::target()?.join("kafka");
    let jars = home.join(version);
    if jars.is_dir() {
        return Ok(jars);
    }
    directory::create(&home)?;
    // The lock ends with the file, so also with a process that is killed.
    let lock = File::create(home.join("lock")).context("the lock can't be made")?;
    flock(&lock, FlockOperation::LockExclusive).context("the lock can't be had")?;
    if !jars.is_dir() {
        let fresh = tempfile::tempdir_in(&home).context("no directory for the jars")?;
        copy_jars(version, fresh.path())?;
        // The directory appears under its name when it is whole, or not at all.
        fs::rename(fresh.path().join("jars"), &jars).context("the jars can't be put in place")?;
    }
    Ok(jars)
}

fn copy_jars(version: &str, directory: &Path) -> Result<()> {
    let pom = POM.replace("KAFKA", version);
    fs::write(directory.join("pom.xml"), pom).context("the pom can't be written")?;
    let answer = Command::new(maven()?)
        .args(["-q", "-B", COPY, "-DincludeScope=runtime", "-DoutputDirectory=jars"])
        .current_dir(directory)
        .output()
        .context("Maven does not start")?;
    if !answer.status.success() {
        let text = String::from_utf8_lossy(&answer.stdout);
        let reasons: Vec<&str> = text.lines().filter(|line| line.contains("ERROR")).take(3).collect();
        bail!("Maven failed with {}: {}", answer.status, reasons.join(" "));
    }
    Ok(())
}
