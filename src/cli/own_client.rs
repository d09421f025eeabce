//! The client of a command that asks about one app, with connections and buffers of its own.

use anyhow::Context;

use crate::upstream::buffer::Buffers;
use crate::upstream::client::{Client, ClientSettings};
use crate::upstream::http::{HttpSettings, HttpTransport};

/// # Errors
/// Where there is no HTTP client.
pub fn own_client(settings: ClientSettings, http: HttpSettings) -> anyhow::Result<Client> {
    let buffers = Buffers::new(http.buffered_max);
    let transport = HttpTransport::new(http, buffers.clone()).context("the HTTP client can't be made")?;
    Ok(Client::new(settings, transport).reading_in(buffers.reading))
}
