//! `[admin]`: the port for probes, metrics and the status page.

use std::net::SocketAddr;

use secrecy::SecretString;

use super::reader::document::Value;
use super::reader::problem::Mistake;
use super::reader::section::Section;
use super::reader::value::quoted;

#[derive(Clone, Debug)]
pub struct Admin {
    /// `None`: closed.
    pub listen: Option<SocketAddr>,
    /// Asked of whoever changes something; without it nobody can.
    pub token: Option<SecretString>,
}

impl Admin {
    pub fn read(mut section: Section) -> Admin {
        let loopback = SocketAddr::from(([127, 0, 0, 1], 9464));
        let admin = Admin {
            listen: section.or("listen", Some(loopback), listen),
            token: section.secret("token", "token_file"),
        };
        section.end();
        admin
    }
}

fn listen(value: &Value) -> Result<Option<SocketAddr>, Mistake> {
    let text = quoted(value)?;
    if text == "off" {
        return Ok(None);
    }
    let remedy = "write one such as \"127.0.0.1:9464\" or \"[::1]:9464\", or \"off\"";
    text.parse().map(Some).map_err(|_| Mistake::new("is not an address with a port", remedy))
}
