//! Calls over plain HTTP, of what runs beside the tests.

use std::sync::LazyLock;
use std::time::Duration;

use anyhow::{Context, Result};
use reqwest::Client;

use super::wait::block_on;

/// Made once: it reads all certificates of this machine, which takes longer than many calls. It keeps no connection, since
/// each call has a runtime of its own.
static CLIENT: LazyLock<Client> = LazyLock::new(|| {
    Client::builder().pool_max_idle_per_host(0).build().expect("the certificates of this machine can be read")
});

/// The status and the body of the answer to GET `url`.
pub fn get(url: &str, bound: Duration) -> Result<(u16, String)> {
    block_on(async {
        let answer = CLIENT.get(url).timeout(bound).send().await?;
        Ok::<_, reqwest::Error>((answer.status().as_u16(), answer.text().await?))
    })
    .with_context(|| format!("{url} does not answer"))
}

/// The status and the body of the answer to POST `url` with JSON as its body, and a bearer's token where there is one.
pub fn post(url: &str, token: Option<&str>, json: String, bound: Duration) -> Result<(u16, String)> {
    block_on(async {
        let request = CLIENT.post(url).timeout(bound).header("content-type", "application/json").body(json);
        let request = token.into_iter().fold(request, |request, token| request.bearer_auth(token));
        let answer = request.send().await?;
        Ok::<_, reqwest::Error>((answer.status().as_u16(), answer.text().await?))
    })
    .with_context(|| format!("{url} does not answer"))
}
