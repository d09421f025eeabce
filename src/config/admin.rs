//! `[admin]`: the port for probes, metrics and the status page.

use std::net::{Ipv4Addr, SocketAddr};

use super::reader::document::TomlValue;
use super::reader::problem::Mistake;
use super::reader::section::Section;
use super::reader::value::quoted;
use crate::admin::AdminSettings;

const PORT: u16 = 9464;

/// The token is for whoever changes something, which the port does not offer yet: it is checked, and nothing of it is kept.
pub fn read(mut section: Section) -> AdminSettings {
    let default = Some(SocketAddr::from((Ipv4Addr::LOCALHOST, PORT)));
    let listen = section.or("listen", default, listen);
    section.secret("token", "token_file");
    section.end();
    AdminSettings { listen }
}

/// # Errors
/// [`Mistake`] where it is no text, or neither an address with a port nor `off`.
fn listen(value: &TomlValue) -> Result<Option<SocketAddr>, Mistake> {
    let text = quoted(value)?;
    if text == "off" {
        return Ok(None);
    }
    let remedy = "write one such as \"127.0.0.1:9464\" or \"[::1]:9464\", or \"off\"";
    text.parse().map(Some).map_err(|_| Mistake::new("is not an address with a port", remedy))
}
