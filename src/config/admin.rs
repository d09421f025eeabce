//! `[admin]`: the port for probes, metrics and the status page.

use std::net::{Ipv4Addr, SocketAddr};

use secrecy::ExposeSecret;

use super::reader::document::TomlValue;
use super::reader::problem::Mistake;
use super::reader::section::Section;
use super::reader::value::quoted;
use crate::admin::AdminSettings;
use crate::admin::permission::{AdminToken, InvalidAdminToken};

const PORT: u16 = 9464;

/// The token is for whoever changes something.
pub fn read(mut section: Section) -> AdminSettings {
    let default = Some(SocketAddr::from((Ipv4Addr::LOCALHOST, PORT)));
    let listen = section.or("listen", default, listen);
    let key = if section.has("token") { "token" } else { "token_file" };
    let token = section.secret("token", "token_file").and_then(|token| {
        let token = AdminToken::new(token.latest().expose_secret());
        token.map_err(|InvalidAdminToken| section.problem(key, unsendable())).ok()
    });
    section.end();
    AdminSettings { listen, token }
}

fn unsendable() -> Mistake {
    Mistake::new(
        "can't be sent in a header",
        "write letters, digits and signs of ASCII without spaces, such as openssl rand -hex 32 gives",
    )
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
