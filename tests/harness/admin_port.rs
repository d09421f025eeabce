//! The admin port of a connector that runs.

use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;

use super::connector::Connector;
use super::http;
use super::wait::wait_until;

const CALL_BOUND: Duration = Duration::from_secs(10);
const OPEN_BOUND: Duration = Duration::from_secs(20);
/// What a configuration of the harness says in place of an address.
const OFF: &str = "admin = { listen = \"off\" }";
const ANY: &str = "admin = { listen = \"127.0.0.1:0\" }";

/// `config` with the port open, on any that is free.
pub fn opened(config: &str) -> String {
    config.replace(OFF, ANY)
}

pub struct AdminPort {
    url: String,
}

impl AdminPort {
    /// Where the connector says that it listens.
    pub fn of(connector: &Connector) -> Result<AdminPort> {
        let line = wait_until("the connector says where it listens", OPEN_BOUND, || {
            connector.must_run()?;
            let log = connector.log()?;
            Ok(log.lines().find(|line| line.contains("admin port is open")).map(str::to_owned))
        })?;
        let line: Value = serde_json::from_str(&line)?;
        let address = line["address"].as_str().context("no address")?;
        Ok(AdminPort { url: format!("http://{address}") })
    }

    /// As HOST:PORT.
    pub fn address(&self) -> &str {
        self.url.trim_start_matches("http://")
    }

    /// The status and the body of the answer to GET `path`.
    pub fn get(&self, path: &str) -> Result<(u16, String)> {
        http::get(&format!("{}{path}", self.url), CALL_BOUND)
    }

    pub fn json(&self, path: &str) -> Result<(u16, Value)> {
        let (status, body) = self.get(path)?;
        Ok((status, serde_json::from_str(&body).with_context(|| format!("{path} answers\n{body}"))?))
    }
}
