//! `[admin]`: the port for probes, metrics and the status page. This version opens none: its section is checked, and nothing
//! of it is kept.

use std::net::SocketAddr;

use super::reader::document::TomlValue;
use super::reader::problem::Mistake;
use super::reader::section::Section;
use super::reader::value::quoted;

pub fn check(mut section: Section) {
    section.optional("listen", listen);
    section.secret("token", "token_file");
    section.end();
}

fn listen(value: &TomlValue) -> Result<(), Mistake> {
    let text = quoted(value)?;
    if text == "off" || text.parse::<SocketAddr>().is_ok() {
        return Ok(());
    }
    let remedy = "write one such as \"127.0.0.1:9464\" or \"[::1]:9464\", or \"off\"";
    Err(Mistake::new("is not an address with a port", remedy))
}
