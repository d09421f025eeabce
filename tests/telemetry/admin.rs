//! The admin port of the real binary.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use serde_json::Value;

use super::log::{CONFIG, started, wait_logged};
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
fn a_port_that_somebody_has_is_a_fault_of_the_configuration() {
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = other.local_addr().unwrap().to_string();
    let (process, _directory) = started(&CONFIG.replace("127.0.0.1:0", &address));
    assert_eq!(process.wait_exit(BOUND).unwrap().code(), Some(2));
    let log = process.errors().unwrap();
    assert!(log.contains(&format!("admin.listen {address} can't be listened on")), "{log}");
}
