//! Consumers that are not ours: fastavro, confluent-kafka and Pillow in a virtual environment below `target/`.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::thread;

use serde_json::Value as Json;

/// Pinned: fingerprints in the unit tests were made with this fastavro.
const PACKAGES: [&str; 3] = ["fastavro==1.13.1", "confluent-kafka[avro]==2.16.1", "pillow==13.0.0"];

/// Runs `tests/python/read_events.py`.
pub struct Python {
    interpreter: PathBuf,
}

impl Python {
    /// Why there can be none on this machine.
    pub fn available() -> Result<(), String> {
        let found = Command::new("python3").args(["-c", "import venv, ensurepip"]).output();
        if found.is_ok_and(|output| output.status.success()) {
            Ok(())
        } else {
            Err("needs python3 with venv".to_owned())
        }
    }

    /// Installs the packages if they are not there yet.
    pub fn prepare() -> Result<Python, String> {
        static PREPARING: Mutex<()> = Mutex::new(());
        let _one_at_a_time = PREPARING.lock().map_err(|error| error.to_string())?;
        let environment = Path::new(env!("CARGO_TARGET_TMPDIR")).join("python");
        let interpreter = environment.join("bin/python");
        // Written last, so that it stands only in a whole environment.
        let marker = environment.join("installed");
        let installed = PACKAGES.join("\n");
        if fs::read_to_string(&marker).is_ok_and(|text| text == installed) {
            return Ok(Python { interpreter });
        }
        run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&environment), "")?;
        run(Command::new(&interpreter).args(["-m", "pip", "install", "--quiet"]).args(PACKAGES), "")?;
        fs::write(&marker, installed).map_err(|error| error.to_string())?;
        Ok(Python { interpreter })
    }

    /// The fingerprint of each of our schemas, as fastavro finds it: an object from record name to hex.
    pub fn fingerprints(&self) -> Result<Json, String> {
        let printed = self.read_events(&["fingerprints"], "")?;
        serde_json::from_str(&printed).map_err(|error| error.to_string())
    }

    /// Framed records, decoded. Those in Confluent's framing need the URL of their registry.
    pub fn decode(&self, records: &[Vec<u8>], registry: Option<&str>) -> Result<Vec<Json>, String> {
        let mut arguments = vec!["decode"];
        arguments.extend(registry.iter().flat_map(|url| ["--registry", url]));
        json_lines(&self.read_events(&arguments, &hex_lines(records))?)
    }

    /// All committed records of `topics` from the first until no partition has more; each an object of topic,
    /// partition, offset, key, timestamp (milliseconds) and value (null for a tombstone).
    pub fn consume(&self, bootstrap: &str, topics: &[&str], registry: Option<&str>) -> Result<Vec<Json>, String> {
        let topics = topics.join(",");
        let mut arguments = vec!["consume", "--bootstrap", bootstrap, "--topics", &topics];
        arguments.extend(registry.iter().flat_map(|url| ["--registry", url]));
        json_lines(&self.read_events(&arguments, "")?)
    }

    /// What Pillow says of images, each decoded to its last pixel: an object of format, width and height.
    pub fn images(&self, images: &[Vec<u8>]) -> Result<Vec<Json>, String> {
        json_lines(&self.read_events(&["images"], &hex_lines(images))?)
    }

    fn read_events(&self, arguments: &[&str], input: &str) -> Result<String, String> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut command = Command::new(&self.interpreter);
        command.arg(root.join("tests/python/read_events.py")).args(arguments);
        command.arg("--schemas").arg(root.join("schemas"));
        run(&mut command, input)
    }
}

fn hex_lines(lines: &[Vec<u8>]) -> String {
    let line = |bytes: &Vec<u8>| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>() + "\n";
    lines.iter().map(line).collect()
}

fn json_lines(printed: &str) -> Result<Vec<Json>, String> {
    printed.lines().map(|line| serde_json::from_str(line).map_err(|error| format!("{error}: {line}"))).collect()
}

/// What `command` prints, given `input`.
fn run(command: &mut Command, input: &str) -> Result<String, String> {
    let failed = |error: std::io::Error| error.to_string();
    let mut process =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().map_err(failed)?;
    let mut stdin = process.stdin.take().expect("its input is piped");
    // Aside, because it may print before it has read everything.
    let output = thread::scope(|scope| {
        scope.spawn(move || stdin.write_all(input.as_bytes()));
        process.wait_with_output()
    });
    let output = output.map_err(failed)?;
    if output.status.success() {
        return String::from_utf8(output.stdout).map_err(|error| error.to_string());
    }
    Err(format!("{command:?} ended with {}:\n{}", output.status, String::from_utf8_lossy(&output.stderr)))
}
