//! What the connector says as it ends, and that it ends, whatever becomes of those who read its log.

use std::io::{BufRead, BufReader, PipeReader, Read, Write, pipe};
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::thread;

use rustix::io::ioctl_fionread;
use rustix::pipe::fcntl_setpipe_size;
use serde_json::Value;
use tempfile::TempDir;

use crate::BOUND;
use crate::harness::process::Process;
use crate::harness::{directory, wait::wait_until};

const BINARY: &str = env!("CARGO_BIN_EXE_promoter-connector");
/// Neither a broker nor an upstream answers there.
pub const CONFIG: &str = "[kafka]\n\"bootstrap.servers\" = \"127.0.0.1:1\"\n\
                      [[apps]]\napp_id = \"wx1\"\nsecret = \"s\"\nbase_url = \"http://127.0.0.1:1\"\n\
                      promoters = [\"oA\"]\n[admin]\nlisten = \"127.0.0.1:0\"\n";
/// Some hundred lines a second.
const LOUD: &str = "[kafka]\ndebug = \"all\"\n\"bootstrap.servers\" = \"127.0.0.1:1\"\n\
                    [[apps]]\napp_id = \"wx1\"\nsecret = \"s\"\nbase_url = \"http://127.0.0.1:1\"\n\
                    promoters = [\"oA\"]\n[admin]\nlisten = \"off\"\n[log]\nlevel = \"trace\"\nformat = \"json\"\n";

/// `run`, and the directory of its files.
pub fn command(config: &str) -> (Command, TempDir) {
    let directory = directory::temporary("log").unwrap();
    let file = directory.path().join("connector.toml");
    std::fs::write(&file, config).unwrap();
    let mut command = Command::new(BINARY);
    command.arg("run").arg("--config").arg(&file);
    (command, directory)
}

/// With a pipe as its standard error, as small as can be.
pub fn start_piped(command: &Command, directory: &Path) -> (Process, PipeReader) {
    let (reader, writer) = pipe().unwrap();
    fcntl_setpipe_size(&writer, 4096).unwrap();
    (Process::start_with_errors("piped", command, directory, writer.into()).unwrap(), reader)
}

fn piped(config: &str) -> (Process, PipeReader, TempDir) {
    let (command, directory) = command(config);
    let (process, reader) = start_piped(&command, directory.path());
    (process, reader, directory)
}

pub fn started(config: &str) -> (Process, TempDir) {
    let (command, directory) = command(config);
    (Process::start("connector", &command, directory.path()).unwrap(), directory)
}

pub fn wait_logged(process: &Process, text: &str) {
    wait_until(&format!("the log says {text:?}"), BOUND, || {
        process.must_run()?;
        Ok(process.errors()?.contains(text).then_some(()))
    })
    .unwrap();
}

/// The last line of a log in JSON.
pub fn last_line(log: &str) -> Value {
    serde_json::from_str(log.lines().last().unwrap()).unwrap_or_else(|error| panic!("{error} in the end of:\n{log}"))
}

#[test]
fn a_log_that_nobody_reads_does_not_keep_the_process_from_ending() {
    let (process, reader, _directory) = piped(LOUD);
    wait_until("the pipe is full", BOUND, || {
        process.must_run()?;
        Ok((ioctl_fionread(&reader)? > 3000).then_some(()))
    })
    .unwrap();
    assert_eq!(process.terminate(BOUND).unwrap().code(), Some(0));
}

#[test]
fn a_log_whose_reader_has_gone_away_is_no_reason_to_end_and_none_to_stay() {
    let (process, reader, _directory) = piped(LOUD);
    let mut first = String::new();
    BufReader::new(reader).read_line(&mut first).unwrap();
    assert!(first.starts_with('{'), "{first}");
    process.must_run().unwrap();
    assert_eq!(process.terminate(BOUND).unwrap().code(), Some(0));
}

#[test]
fn a_hangup_ends_nothing_and_has_the_configuration_read_again() {
    let (process, _directory) = started(CONFIG);
    wait_logged(&process, "starting");
    process.hang_up().unwrap();
    wait_logged(&process, "the configuration was read again");
    assert_eq!(process.terminate(BOUND).unwrap().code(), Some(0));
}

#[test]
fn a_hangup_does_not_end_the_simulated_upstream() {
    let directory = directory::temporary("simulator").unwrap();
    let mut command = Command::new(BINARY);
    command.args(["simulate", "--listen", "127.0.0.1:0"]);
    let process = Process::start("simulator", &command, directory.path()).unwrap();
    let listens = || Ok(process.output()?.contains("listening on").then_some(()));
    wait_until("it listens", BOUND, listens).unwrap();
    process.hang_up().unwrap();
    assert_eq!(process.terminate(BOUND).unwrap().code(), Some(0));
}

#[test]
fn a_signal_that_comes_twice_at_once_is_one() {
    let (process, _directory) = started(CONFIG);
    wait_logged(&process, "starting");
    process.ask_to_end().unwrap();
    // It may have ended already.
    let _ = process.ask_to_end();
    assert_eq!(process.wait_exit(BOUND).unwrap().code(), Some(0));
}

/// Denies everything, as a registry does whose rights are missing.
fn denying_registry() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 65_536]);
            let _ = stream.write_all(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        }
    });
    url
}

#[test]
fn the_last_words_are_a_line_of_the_log() {
    let registry = format!("[schema_registry]\nurl = \"{}\"\n[log]\nformat = \"json\"\n", denying_registry());
    let (process, _directory) = started(&format!("{CONFIG}{registry}"));
    assert_eq!(process.wait_exit(BOUND).unwrap().code(), Some(1));
    let line = last_line(&process.errors().unwrap());
    assert_eq!(
        (&line["level"], &line["message"], &line["exit_code"]),
        (&"ERROR".into(), &"giving up".into(), &1.into())
    );
    let reason = line["reason"].as_str().unwrap();
    assert!(reason.contains("promoter.touches-value") && reason.contains("403"), "{reason}");
}
