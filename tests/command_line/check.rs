//! `check` without brokers: the configuration, and the upstream. What it finds at brokers is in `tests/broker/commands`.

#![allow(clippy::unwrap_used, reason = "a test that can't go on fails")]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use super::promoter_connector;

/// A simulated upstream, killed when it is dropped.
struct Upstream {
    process: Child,
    url: String,
}

impl Upstream {
    fn start(arguments: &[&str]) -> Upstream {
        let mut process = Command::new(env!("CARGO_BIN_EXE_promoter-connector"))
            .args(["simulate", "--listen", "127.0.0.1:0", "--faults", "none", "--history", "1m"])
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the binary under test starts");
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let place = lines.map_while(Result::ok).find_map(|line| Some(line.split_once("http://")?.1.to_owned()));
        let place = place.expect("it says where it listens");
        let port = place.split(|letter: char| !letter.is_ascii_digit() && !".:".contains(letter)).next();
        Upstream { process, url: format!("http://{}", port.unwrap()) }
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// No broker answers there: the port of a service that nobody runs any more.
const KAFKA: &str = "kafka.\"bootstrap.servers\" = \"127.0.0.1:1\"\nadmin.listen = \"off\"\n";

fn app(id: &str, url: &str) -> String {
    format!(
        "[[apps]]\napp_id = \"{id}\"\nsecret = \"simulated-secret\"\nbase_url = \"{url}\"\npromoters = [\"oSimulated000001\"]\n"
    )
}

/// What `check --json` finds, and its exit code.
fn checked(directory: &Path, config: &str, arguments: &[&str]) -> (Value, i32) {
    let file = directory.join("connector.toml");
    std::fs::write(&file, config).unwrap();
    let output = promoter_connector(&[&["check", "--json", "--config", file.to_str().unwrap()], arguments].concat());
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    (serde_json::from_slice(&output.stdout).unwrap(), output.status.code().unwrap())
}

/// Verdict and text of what was found of a subject.
fn found<'a>(report: &'a Value, subject: &str) -> Vec<(&'a str, &'a str)> {
    let findings = report["findings"].as_array().unwrap().iter();
    let of_it = findings.filter(|finding| finding["subject"] == subject);
    of_it.map(|finding| (finding["verdict"].as_str().unwrap(), finding["text"].as_str().unwrap())).collect()
}

#[test]
fn offline_nobody_is_asked() {
    let directory = tempfile::tempdir().unwrap();
    // Nobody answers at either address.
    let (report, code) =
        checked(directory.path(), &(KAFKA.to_owned() + &app("wx1", "http://127.0.0.1:1")), &["--offline"]);
    assert_eq!((found(&report, "configuration"), code), (vec![("sound", "1 app, 1 promoter")], 0));
    assert_eq!(report["findings"].as_array().unwrap().len(), 1);
    let wrong = format!("{KAFKA}{}[http]\ntimeout = \"never\"\nin_flight = 0\n", app("wx1", "ftp://x"));
    let (report, code) = checked(directory.path(), &wrong, &["--offline"]);
    assert_eq!((found(&report, "configuration").len(), code), (3, 2), "{report}");
}

#[test]
fn each_app_is_told_with_what_to_do_though_no_broker_answers() {
    let directory = tempfile::tempdir().unwrap();
    let sound = Upstream::start(&["--app", "wx1"]);
    let refused = Upstream::start(&["--app", "wx2", "--fault", "address-refused=1"]);
    let banned = Upstream::start(&["--app", "wx3", "--fault", "banned=1"]);
    let busy = Upstream::start(&["--app", "wx4", "--fault", "error-500=1"]);
    let apps = [("wx1", &sound), ("wx2", &refused), ("wx3", &banned), ("wx4", &busy)];
    let apps: String = apps.iter().map(|(id, upstream)| app(id, &upstream.url)).collect();
    let nobody = app("wx5", "http://127.0.0.1:1");
    let strange = app("wx6", &sound.url);
    let (report, code) = checked(directory.path(), &(KAFKA.to_owned() + &apps + &nobody + &strange), &[]);
    assert_eq!(code, 2, "{report}");
    let verdict = |app| found(&report, app)[0];
    assert_eq!(verdict("wx1").0, "sound", "{report}");
    let quota = found(&report, "quota");
    assert!(quota.iter().any(|(verdict, text)| *verdict == "sound" && text.starts_with("wx1 getorder: ")), "{quota:?}");
    assert!(verdict("wx2").0 == "wrong" && verdict("wx2").1.contains("40164"), "{report}");
    assert_eq!(verdict("wx3").0, "wrong", "{report}");
    assert_eq!((verdict("wx4").0, verdict("wx5").0), ("unanswered", "unanswered"), "{report}");
    assert_eq!(verdict("wx6").0, "wrong", "an app that the upstream does not know: {report}");
    assert!(found(&report, "kafka")[0].1.contains("127.0.0.1:1"), "{report}");
    let fixes: Vec<&str> =
        report["findings"].as_array().unwrap().iter().filter_map(|one| one["fix"].as_str()).collect();
    assert!(fixes.iter().any(|fix| fix.starts_with("add ") && fix.ends_with("IP allow-list")), "{fixes:?}");
    assert_eq!(report["calls"]["wx1"], serde_json::json!({ "beside": 3, "data": 1 }));
    assert_eq!(report["calls"]["wx2"], serde_json::json!({ "beside": 1, "data": 0 }));
    assert!(!report.to_string().contains("simulated-secret"), "no secret is shown");
}

#[test]
fn what_nobody_answers_is_told_by_1() {
    let directory = tempfile::tempdir().unwrap();
    let sound = Upstream::start(&["--app", "wx1"]);
    let (report, code) = checked(directory.path(), &(KAFKA.to_owned() + &app("wx1", &sound.url)), &[]);
    assert_eq!((code, found(&report, "kafka")[0].0), (1, "unanswered"), "{report}");
}
