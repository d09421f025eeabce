//! What the process answers the shell.

#[path = "command_line/check.rs"]
mod check;
#[path = "command_line/promoters.rs"]
mod promoters;
#[path = "command_line/schemas.rs"]
mod schemas;

use std::process::{Command, Output};
use std::time::{Duration, Instant};

fn promoter_connector(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_promoter-connector"))
        .args(arguments)
        .env_remove("PROMOTER_CONFIG")
        .env_remove("NOT_SET_ANYWHERE")
        .output()
        .expect("the binary under test starts")
}

#[test]
fn a_wrong_configuration_ends_with_2_and_every_problem_on_stderr() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("connector.toml");
    std::fs::write(&file, "[kafka]\n\"group.id\" = \"x\"\n[admin]\ntoken = \"${NOT_SET_ANYWHERE}\"\n").unwrap();
    let output = promoter_connector(&["run", "--config", file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(2));
    assert!(output.stdout.is_empty());
    let problems = String::from_utf8(output.stderr).unwrap();
    for key in ["apps", "kafka.bootstrap.servers", "kafka.group.id", "admin.token"] {
        assert!(problems.contains(&format!("\n  {key} ")), "{key} is not in:\n{problems}");
    }
}

#[test]
fn a_configuration_that_is_not_there_ends_with_2() {
    let output = promoter_connector(&["--config", "/nowhere/connector.toml", "run"]);
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn wrong_usage_ends_with_2() {
    for arguments in [&["walk"][..], &[], &["run", "--loudly"]] {
        assert_eq!(promoter_connector(arguments).status.code(), Some(2), "{arguments:?}");
    }
}

#[test]
fn help_and_version_end_with_0() {
    for arguments in [&["--help"][..], &["--version"], &["run", "--help"]] {
        assert_eq!(promoter_connector(arguments).status.code(), Some(0), "{arguments:?}");
    }
}

#[test]
fn the_version_tells_what_kafka_is_spoken_to_with() {
    let version = String::from_utf8(promoter_connector(&["--version"]).stdout).unwrap();
    let (own, library) = version.trim().split_once(" (librdkafka ").unwrap();
    assert_eq!(own, concat!("promoter-connector ", env!("CARGO_PKG_VERSION")));
    assert!(library.starts_with("2.") && library.ends_with(')'), "{version}");
}

#[test]
fn every_command_is_completed_and_has_a_manual_page() {
    for shell in ["bash", "zsh", "fish", "powershell"] {
        let script = String::from_utf8(promoter_connector(&["completions", shell]).stdout).unwrap();
        for word in ["check", "verify", "offline"] {
            assert!(script.contains(word), "{shell}: {word}");
        }
    }
    let page = String::from_utf8(promoter_connector(&["man"]).stdout).unwrap();
    assert!(page.contains(".TH") && page.contains("promoter\\-connector\\-check"), "{page}");
    let directory = tempfile::tempdir().unwrap();
    let written = promoter_connector(&["man", "--out", directory.path().to_str().unwrap()]);
    assert_eq!(written.status.code(), Some(0));
    assert!(directory.path().join("promoter-connector-topics-plan.1").exists());
}

#[test]
fn an_image_is_shown_on_a_terminal_only() {
    let request = ["material", "request", "--app", "wx1", "--promoter", "o1", "--path", "p", "--show"];
    let output = promoter_connector(&request);
    assert_eq!(output.status.code(), Some(2));
    assert!(output.stdout.is_empty());
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(message.contains("--show") && message.contains("terminal") && message.contains("--out FILE"), "{message}");
}

/// No secret of an app is needed to ask; and without a broker it ends with its time.
#[test]
fn asking_for_material_without_a_broker_ends_in_its_time() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("connector.toml");
    // The port of a service that nobody runs any more.
    let text = "[kafka]\n\"bootstrap.servers\" = \"127.0.0.1:1\"\n[[apps]]\nsecret = \"${NOT_SET_ANYWHERE}\"\n";
    std::fs::write(&file, text).unwrap();
    let began = Instant::now();
    let output = promoter_connector(&[
        "--config",
        file.to_str().unwrap(),
        "material",
        "request",
        "--app",
        "wx1",
        "--promoter",
        "o1",
        "--path",
        "p",
        "--timeout",
        "3s",
    ]);
    let took = began.elapsed();
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert!(message.contains("127.0.0.1:1"), "{message}");
    assert!((Duration::from_secs(2)..Duration::from_secs(6)).contains(&took), "{took:?}: {message}");
}

/// Debug builds, which the tests are made with, have the places at which they can be killed.
#[test]
fn what_is_shipped_can_not_be_killed_by_an_environment_variable() {
    let manifest: toml::Table = toml::from_str(include_str!("../Cargo.toml")).unwrap();
    assert!(manifest["profile"]["release"].get("debug-assertions").is_none(), "a release has no debug assertions");
    let images = include_str!("../Dockerfile").lines().filter(|line| line.contains("cargo build"));
    assert!(
        images.clone().count() > 0 && images.into_iter().all(|line| line.contains("--release")),
        "an image has a release"
    );
}

/// A command that nobody reads any more has nothing to complain about.
#[test]
fn a_reader_of_stdout_that_has_gone_away_is_no_failure() {
    for arguments in [&["--help"][..], &["--version"], &["demo", "--seed", "1", "--for", "60s"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = Command::new(env!("CARGO_BIN_EXE_promoter-connector")).args(arguments).stdout(writer).output();
        let output = output.expect("the binary under test starts");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!((output.status.code(), &*errors), (Some(0), ""), "{arguments:?}");
    }
}
