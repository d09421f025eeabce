//! A real schema registry: Apicurio, fetched once with Maven, started with Java.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

const VERSION: &str = "3.0.9";
/// It takes 5 s on two idle cores.
const START_MAX: Duration = Duration::from_secs(120);
/// What Quarkus prints before the address, once requests are answered.
const READY: &str = "Listening on: ";
/// How much of its log an error repeats.
const LOG_LINES_MAX: usize = 20;

/// Killed when dropped; its data goes with it.
pub struct Apicurio {
    process: Child,
    address: String,
    _directory: TempDir,
}

impl Apicurio {
    /// Why there can be none on this machine.
    pub fn available() -> Result<(), String> {
        for tool in ["java", "mvn", "tar"] {
            let found = Command::new(tool).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
            if !found.is_ok_and(|status| status.success()) {
                return Err(format!("needs Java 17 or later, Maven and tar: `{tool}` is missing"));
            }
        }
        Ok(())
    }

    /// Returns when it answers.
    pub fn start() -> Result<Apicurio, String> {
        let distribution = distribution()?;
        let directory = TempDir::new().map_err(|error| error.to_string())?;
        let mut process = Command::new("java")
            .args(["-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"])
            .args(["-Dquarkus.http.host=127.0.0.1", "-Dquarkus.http.port=0"])
            // The line that tells the port is printed at this level.
            .arg("-Dquarkus.log.category.\"io.quarkus\".level=INFO")
            .arg("-Dapicurio.ccompat.use-canonical-hash=true")
            .arg("-jar")
            .arg(distribution.join(format!("apicurio-registry-app-{VERSION}-runner.jar")))
            .current_dir(directory.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("java: {error}"))?;
        let lines = lines(&mut process);
        let mut apicurio = Apicurio { process, address: String::new(), _directory: directory };
        apicurio.address = wait_for_address(&lines)?;
        Ok(apicurio)
    }

    /// The root of its Confluent API, which stands below a path.
    pub fn url(&self) -> String {
        format!("{}/apis/ccompat/v7", self.address)
    }
}

impl Drop for Apicurio {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Its log, line by line. Read to the end, or a full pipe would hold it up.
fn lines(process: &mut Child) -> Receiver<String> {
    let log = process.stdout.take().expect("its output is piped");
    let (sender, receiver) = channel();
    thread::spawn(move || {
        for line in BufReader::new(log).lines().map_while(Result::ok) {
            // Nobody listens any more once it is ready.
            let _ = sender.send(line);
        }
    });
    receiver
}

fn wait_for_address(lines: &Receiver<String>) -> Result<String, String> {
    let deadline = Instant::now() + START_MAX;
    let mut log = Vec::new();
    loop {
        match lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(line) => match line.split_once(READY) {
                Some((_, address)) => return Ok(address.trim().to_owned()),
                None => log.push(line),
            },
            Err(end) => {
                let why = match end {
                    RecvTimeoutError::Timeout => "did not answer in time",
                    RecvTimeoutError::Disconnected => "stopped",
                };
                let last = log[log.len().saturating_sub(LOG_LINES_MAX)..].join("\n");
                return Err(format!("Apicurio {why}; its log ends with\n{last}"));
            }
        }
    }
}

/// The unpacked distribution below `target/`, fetched if it is not there.
fn distribution() -> Result<PathBuf, String> {
    let root = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let distribution = root.join(format!("apicurio-{VERSION}"));
    if distribution.exists() {
        return Ok(distribution);
    }
    let unfinished = TempDir::new_in(root).map_err(|error| error.to_string())?;
    let archive = unfinished.path().join("archive.tar.gz");
    let unpacked = unfinished.path().join("unpacked");
    fs::create_dir(&unpacked).map_err(|error| error.to_string())?;
    // Later versions of the plugin fail on the parent of Apicurio's POM.
    let fetch = "org.apache.maven.plugins:maven-dependency-plugin:2.8:get";
    run(Command::new("mvn")
        .args(["-q", "-B", fetch, "-Dtransitive=false"])
        .arg(format!("-Dartifact=io.apicurio:apicurio-registry-app:{VERSION}:tar.gz:all"))
        .arg(format!("-Ddest={}", archive.display())))?;
    run(Command::new("tar").arg("xzf").arg(&archive).arg("-C").arg(&unpacked))?;
    // Another test process may have been faster: then its copy serves.
    if let Err(error) = fs::rename(&unpacked, &distribution)
        && !distribution.exists()
    {
        return Err(error.to_string());
    }
    Ok(distribution)
}

fn run(command: &mut Command) -> Result<(), String> {
    let output = command.stdin(Stdio::null()).output().map_err(|error| format!("{command:?}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let [printed, complained] = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes));
    Err(format!("{command:?} ended with {}:\n{printed}{complained}", output.status))
}
