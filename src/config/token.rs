//! `token` and `secret` of an app: where its access token comes from.

use secrecy::{ExposeSecret, SecretString};

use super::reader::document::{Node, TomlValue};
use super::reader::problem::Mistake;
use super::reader::secret::{self, path};
use super::reader::section::Section;
use super::reader::value::{whole_url, word};
use crate::secret::Secret;
use crate::upstream::token::{TokenSource, TokenUrl};

/// The words of `token.source`.
#[derive(Clone, Copy, PartialEq)]
enum SourceWord {
    Stable,
    Classic,
    File,
    Url,
}

/// Reads the keys `secret`, `secret_file` and `token` of an app. `None`: a problem was reported.
pub fn read(app: &mut Section) -> Option<TokenSource> {
    let secret = app.secret("secret", "secret_file");
    let mut token = app.section("token");
    let kinds = [
        ("stable", SourceWord::Stable),
        ("classic", SourceWord::Classic),
        ("file", SourceWord::File),
        ("url", SourceWord::Url),
    ];
    // A wrong word is not taken for the default, whose keys would then be reported as missing.
    let kind = match token.has("source") {
        true => token.optional("source", word(&kinds)),
        false => token.optional("source", word(&kinds)).or(Some(SourceWord::Stable)),
    };
    let directory = app.context().directory;
    let file = token.optional("path", |value| path(value, directory));
    let url = url(&mut token);
    let headers = headers(token.section("headers"));
    if let Some(kind) = kind {
        report_key(&token, "path", kind == SourceWord::File, "source = \"file\"");
        // In a file of its own it belongs to the same source, and is as good.
        let url_key = if token.has("url_file") { "url_file" } else { "url" };
        report_key(&token, url_key, kind == SourceWord::Url, "source = \"url\"");
        // Unlike the URL itself they may be left out.
        if kind != SourceWord::Url && token.has("headers") {
            report_key(&token, "headers", false, "source = \"url\"");
        }
    }
    token.end();
    match kind? {
        SourceWord::Stable => required_secret(app, secret).map(TokenSource::Stable),
        SourceWord::Classic => required_secret(app, secret).map(TokenSource::Classic),
        SourceWord::File => file.map(TokenSource::File),
        SourceWord::Url => url.map(|url| TokenSource::Url(TokenUrl { url, headers })),
    }
}

/// The address of a token server, which may hold a key: written, or in a file of its own.
fn url(token: &mut Section) -> Option<SecretString> {
    let directory = token.context().directory;
    if token.has("url") && token.has("url_file") {
        token.problem("url", Mistake::new("is given twice, here and as url_file", "remove one of them"));
    }
    let written = token.optional("url", whole_url);
    let filed = token.optional("url_file", |value| {
        let text = secret::from_file(value, directory)?.expose_secret().to_owned();
        whole_url(&TomlValue::Text(text)).map_err(|mistake| mistake.at("names a file whose text"))
    });
    written.or(filed)
}

/// What a header's key ends in where its value stands in a file of its own.
const FILE: &str = "_file";

/// The headers to be sent to a token server: each value is taken for a secret, and may stand in a file of its own.
fn headers(section: Section) -> Vec<(String, SecretString)> {
    let (entries, directory) = (section.entries(), section.context().directory);
    let read = |(key, node): &(String, Node)| {
        if matches!(node.value, TomlValue::Reported) {
            return None;
        }
        let name = key.strip_suffix(FILE).unwrap_or(key);
        if name != key && section.has(name) {
            section.problem(name, Mistake::new(format!("is given twice, here and as {key}"), "remove one of them"));
        }
        let value = header_name(name).and_then(|()| match name == key {
            true => sendable(secret::from_value(&node.value)?),
            false => sendable(secret::from_file(&node.value, directory)?),
        });
        value.map_err(|mistake| section.problem(key, mistake)).ok().map(|value| (name.to_owned(), value))
    };
    entries.iter().filter_map(read).collect()
}

/// What HTTP itself says; another word would break the call.
const HEADERS_OF_HTTP: [&str; 5] = ["connection", "content-length", "host", "te", "transfer-encoding"];

/// # Errors
/// [`Mistake`] where it can't be a name, or HTTP says that header itself.
fn header_name(name: &str) -> Result<(), Mistake> {
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if name.is_empty() || !name.bytes().all(is_letter) {
        return Err(Mistake::new("is not the name of a header", "write one such as Authorization"));
    }
    match HEADERS_OF_HTTP.iter().any(|of_http| name.eq_ignore_ascii_case(of_http)) {
        true => Err(Mistake::new("is a header of HTTP itself", "remove it")),
        false => Ok(()),
    }
}

/// # Errors
/// [`Mistake`] where it has anything but visible ASCII and spaces.
fn sendable(value: SecretString) -> Result<SecretString, Mistake> {
    match value.expose_secret().bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        true => Ok(value),
        false => {
            Err(Mistake::new("can't be sent in a header", "write letters, digits and signs of ASCII, on one line"))
        }
    }
}

/// A key that goes with one source is missing there, and has no meaning elsewhere.
fn report_key(token: &Section, key: &str, belongs: bool, source: &str) {
    match (belongs, token.has(key)) {
        (true, false) => token.problem(key, Mistake::new("is missing", format!("write {key} beside {source}"))),
        (false, true) => token.problem(key, Mistake::new(format!("belongs to {source} only"), "remove it")),
        _ => {}
    }
}

fn required_secret(app: &Section, secret: Option<Secret>) -> Option<Secret> {
    if !app.has("secret") && !app.has("secret_file") {
        let remedy =
            "write secret = \"${WX_SECRET}\" or secret_file = \"…\", or take the token from elsewhere by token";
        app.problem("secret", Mistake::new("is missing", remedy));
    }
    secret
}
