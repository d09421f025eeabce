//! What a service manager is told of the real binary, over a real socket.

use std::time::Duration;

use super::log::{CONFIG, command};
use crate::BOUND;
use crate::harness::process::Process;
use crate::harness::service_manager::ServiceManager;

#[test]
fn a_service_manager_hears_that_it_lives_and_why_it_is_not_ready_and_that_it_stops() {
    let (mut command, directory) = command(CONFIG);
    let manager = ServiceManager::listen(directory.path()).unwrap();
    command.envs(manager.environment(Duration::from_millis(300)));
    let process = Process::start("connector", &command, directory.path()).unwrap();
    manager.wait_told("STATUS=stopped: log_not_open polls, since ", 1, BOUND).unwrap();
    manager.wait_told("WATCHDOG=1", 5, BOUND).unwrap();
    assert_eq!(process.terminate(BOUND).unwrap().code(), Some(0));
    manager.wait_told("STOPPING=1", 1, BOUND).unwrap();
    manager.wait_told("STATUS=stopping", 1, BOUND).unwrap();
    let heard = manager.heard().unwrap();
    assert!(!heard.contains(&"READY=1".to_owned()), "no broker was there: {heard:?}");
    assert!(heard.iter().any(|line| line.contains("127.0.0.1:1")), "the reason is told: {heard:?}");
}
