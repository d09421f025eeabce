//! A schema registry to which nobody can register: it knows every subject but one.

use std::io::BufReader;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;

use anyhow::{Context, Result};

use super::http_exchange;

/// Answers until the process ends.
pub struct ReadOnlyRegistry {
    address: SocketAddr,
}

impl ReadOnlyRegistry {
    /// It lacks the schema of `unknown`, a topic.
    pub fn start(unknown: &str) -> Result<ReadOnlyRegistry> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let unknown = format!("/{unknown}-value");
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // Whoever has gone meanwhile asks again.
                let _ = answer(stream, &unknown);
            }
        });
        Ok(ReadOnlyRegistry { address })
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

fn answer(stream: TcpStream, unknown: &str) -> Result<()> {
    let mut stream = BufReader::new(stream);
    let (head, _) = http_exchange::read_request(&mut stream)?;
    let path = head.split(' ').nth(1).context("a path")?;
    let (status, body) = if path.contains("/versions") || path.contains("/compatibility") {
        ("403 Forbidden", r#"{"error_code": 40301, "message": "nobody may register here"}"#.to_owned())
    } else if path.contains(unknown) {
        ("404 Not Found", r#"{"error_code": 40401, "message": "no such subject"}"#.to_owned())
    } else {
        // Each subject has an id of its own, and the same one whenever it is asked for.
        let id = 1 + path.bytes().fold(0_u32, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into())) % 1_000_000;
        ("200 OK", format!(r#"{{"id": {id}}}"#))
    };
    http_exchange::answer(stream.get_mut(), status, &body)
}
