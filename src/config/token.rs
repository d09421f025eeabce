//! `token` and `secret` of an app: where its access token comes from.

use secrecy::{ExposeSecret, SecretString};

use super::reader::document::{Node, TomlValue};
use super::reader::problem::Mistake;
use super::reader::secret::{self, path};
use super::reader::section::Section;
use super::reader::value::{whole_url, word};
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
    let url = token.optional("url", whole_url);
    let headers = headers(token.section("headers"));
    if let Some(kind) = kind {
        report_key(&token, "path", kind == SourceWord::File, "source = \"file\"");
        report_key(&token, "url", kind == SourceWord::Url, "source = \"url\"");
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

/// The headers to be sent to a token server: each value is taken for a secret.
fn headers(section: Section) -> Vec<(String, SecretString)> {
    let entries = section.entries();
    let read = |(name, node): &(String, Node)| {
        if matches!(node.value, TomlValue::Reported) {
            return None;
        }
        let value = header_name(name).and_then(|()| header_value(&node.value));
        value.map_err(|mistake| section.problem(name, mistake)).ok().map(|value| (name.clone(), value))
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
/// [`Mistake`] where it is no secret, or has anything but visible ASCII and spaces.
fn header_value(value: &TomlValue) -> Result<SecretString, Mistake> {
    let value = secret::from_value(value)?;
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

fn required_secret(app: &Section, secret: Option<SecretString>) -> Option<SecretString> {
    if !app.has("secret") && !app.has("secret_file") {
        let remedy =
            "write secret = \"${WX_SECRET}\" or secret_file = \"…\", or take the token from elsewhere by token";
        app.problem("secret", Mistake::new("is missing", remedy));
    }
    secret
}
