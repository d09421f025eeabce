//! The admin port of the real binary.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;

use serde_json::Value;

use super::log::{CONFIG, command, started, wait_logged};
use crate::BOUND;
use crate::harness::process::Process;
use crate::harness::wait::wait_until;

/// The answer to a GET: its status and what it says.
fn get(address: &str, path: &str) -> anyhow::Result<(u16, Value)> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(BOUND))?;
    write!(stream, "GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let status = answer.split(' ').nth(1).unwrap_or_default().parse()?;
    Ok((status, serde_json::from_str(answer.split("\r\n\r\n").nth(1).unwrap_or_default())?))
}

/// Where the process says that it listens.
fn address(process: &Process) -> String {
    wait_logged(process, "admin port is open");
    let log = process.errors().unwrap();
    let line = log.lines().find(|line| line.contains("admin port is open")).unwrap();
    serde_json::from_str::<Value>(line).unwrap()["address"].as_str().unwrap().to_owned()
}

#[test]
fn while_kafka_is_away_from_the_start_the_process_lives_and_is_not_ready_and_says_why() {
    let (process, _directory) = started(CONFIG);
    let address = address(&process);
    assert_eq!(get(&address, "/live").unwrap(), (200, serde_json::json!({ "state": "live" })));
    wait_until("it says why it is not ready", BOUND, || {
        process.must_run()?;
        let (status, answer) = get(&address, "/ready")?;
        assert_eq!((status, &answer["state"]), (503, &"starting".into()));
        let reasons: Vec<&str> =
            answer["reasons"].as_array().into_iter().flatten().filter_map(|reason| reason["text"].as_str()).collect();
        Ok((reasons.len() == 2 && reasons.iter().all(|text| text.contains("127.0.0.1:1"))).then_some(()))
    })
    .unwrap();
    assert_eq!(process.terminate(BOUND).unwrap().code(), Some(0));
}

#[test]
fn the_binary_itself_asks_what_a_probe_would() {
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = other.local_addr().unwrap().to_string();
    drop(other);
    let (command, directory) = command(&CONFIG.replace("127.0.0.1:0", &port));
    let file = directory.path().join("connector.toml");
    let probe = |probe: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_promoter-connector"));
        let output = command.args(["status", "--probe", probe, "--config"]).arg(&file).output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    assert_eq!(probe("live"), (Some(1), String::new()), "nobody is there");
    let process = Process::start("connector", &command, directory.path()).unwrap();
    wait_logged(&process, "admin port is open");
    assert_eq!(probe("live"), (Some(0), "{\"state\":\"live\"}\n".to_owned()));
    let (code, told) = probe("ready");
    assert!(code == Some(1) && told.contains("\"state\":\"starting\""), "{code:?} {told}");
    std::fs::write(&file, CONFIG.replace("127.0.0.1:0", "off")).unwrap();
    assert_eq!(probe("live").0, Some(2), "the port is closed");
    assert_eq!(process.terminate(BOUND).unwrap().code(), Some(0));
}

#[test]
fn a_port_that_somebody_has_is_a_fault_of_the_configuration() {
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = other.local_addr().unwrap().to_string();
    let (process, _directory) = started(&CONFIG.replace("127.0.0.1:0", &address));
    assert_eq!(process.wait_exit(BOUND).unwrap().code(), Some(2));
    let log = process.errors().unwrap();
    assert!(log.contains(&format!("admin.listen {address} can't be listened on")), "{log}");
}
