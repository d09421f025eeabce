//! The admin port of a connector that runs.

use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;

use super::connector::Connector;
use super::http;
use super::wait::wait_until;

const CALL_BOUND: Duration = Duration::from_secs(10);
/// Of one that changes something: it reads and writes a topic meanwhile.
const CHANGE_BOUND: Duration = Duration::from_secs(60);
const OPEN_BOUND: Duration = Duration::from_secs(20);
/// What a configuration of the harness says in place of an address.
const OFF: &str = "admin = { listen = \"off\" }";
const ANY: &str = "admin = { listen = \"127.0.0.1:0\" }";

/// `config` with the port open, on any that is free.
pub fn opened(config: &str) -> String {
    config.replace(OFF, ANY)
}

/// As [`opened`], for whoever shows the token in `token_file`.
pub fn opened_for(config: &str, token_file: &str) -> String {
    config.replace(OFF, &format!("admin = {{ listen = \"127.0.0.1:0\", token_file = \"{token_file}\" }}"))
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

    /// The status and the body of the answer to POST `path`, which shows `token` where there is one.
    pub fn post(&self, path: &str, token: Option<&str>, body: &Value) -> Result<(u16, Value)> {
        let (status, body) = http::post(&format!("{}{path}", self.url), token, body.to_string(), CHANGE_BOUND)?;
        Ok((status, serde_json::from_str(&body).with_context(|| format!("{path} answers\n{body}"))?))
    }

    pub fn json(&self, path: &str) -> Result<(u16, Value)> {
        let (status, body) = self.get(path)?;
        Ok((status, serde_json::from_str(&body).with_context(|| format!("{path} answers\n{body}"))?))
    }
}
