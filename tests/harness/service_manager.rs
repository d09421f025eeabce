//! A service manager such as systemd, as far as a service talks to it: a socket of datagrams.

use std::io::ErrorKind;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use anyhow::{Context, Result};

use super::wait::wait_until;

/// The socket of one service.
pub struct ServiceManager {
    socket: UnixDatagram,
    path: PathBuf,
    heard: Mutex<Vec<String>>,
}

impl ServiceManager {
    pub fn listen(directory: &Path) -> Result<ServiceManager> {
        let path = directory.join("notify");
        let socket = UnixDatagram::bind(&path).context("the socket can't be bound")?;
        socket.set_nonblocking(true)?;
        Ok(ServiceManager { socket, path, heard: Mutex::default() })
    }

    /// The environment of its service, whose watchdog waits for so long.
    pub fn environment(&self, watchdog: Duration) -> [(&str, String); 2] {
        [("NOTIFY_SOCKET", self.path.display().to_string()), ("WATCHDOG_USEC", watchdog.as_micros().to_string())]
    }

    /// All assignments so far, in order.
    pub fn heard(&self) -> Result<Vec<String>> {
        let mut heard = self.heard.lock().expect("no holder panics");
        let mut buffer = [0; 4096];
        loop {
            match self.socket.recv(&mut buffer) {
                Ok(length) => heard.extend(String::from_utf8_lossy(&buffer[..length]).lines().map(str::to_owned)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(heard.clone()),
                Err(error) => return Err(error).context("the socket can't be read"),
            }
        }
    }

    /// Waits until an assignment holds `text`, at least `times` times.
    pub fn wait_told(&self, text: &str, times: usize, bound: Duration) -> Result<()> {
        wait_until(&format!("the service manager is told {text:?} {times} times"), bound, || {
            let count = self.heard()?.iter().filter(|line| line.contains(text)).count();
            Ok((count >= times).then_some(()))
        })
    }
}
