//! `[log]`: how much is logged, and in which form; and where traces go.

use url::Url;

use super::reader::document::TomlValue;
use super::reader::problem::Mistake;
use super::reader::section::Section;
use super::reader::value::{quoted, text, word};
use crate::telemetry::log::{LogFilter, LogFormat, LogSettings};

pub fn read(mut section: Section) -> LogSettings {
    let formats = [("auto", LogFormat::Auto), ("text", LogFormat::Text), ("json", LogFormat::Json)];
    let log = LogSettings {
        level: section.or("level", LogFilter::default(), level),
        format: section.or("format", LogFormat::default(), word(&formats)),
        otlp: section.optional("otlp", collector),
    };
    section.end();
    log
}

fn level(value: &TomlValue) -> Result<LogFilter, Mistake> {
    let remedy = "write off, error, warn, info, debug or trace, or directives such as \"info,librdkafka=debug\"";
    text(value)?.parse().map_err(|_| Mistake::new("is no level", remedy))
}

/// Where gRPC is spoken without encryption, as by a collector on the same host or in the same pod.
///
/// # Errors
/// [`Mistake`] where it is no such address, or holds more than that: credentials would stand in logs, and a path is that of OTLP over
/// HTTP, which is not spoken.
fn collector(value: &TomlValue) -> Result<Url, Mistake> {
    let remedy = "write where a collector nearby takes OTLP over gRPC, unencrypted, such as \"http://localhost:4317\"";
    let url = Url::parse(quoted(value)?).ok().filter(Url::has_host);
    let url = url.ok_or_else(|| Mistake::new("is not a URL", remedy))?;
    if url.scheme() != "http" {
        return Err(Mistake::new("is a URL of another kind", remedy));
    }
    let is_bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
    if !is_bare || !url.username().is_empty() || url.password().is_some() {
        return Err(Mistake::new("holds more than a host and a port", remedy));
    }
    Ok(url)
}
