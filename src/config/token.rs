//! `token` and `secret` of an app: where its access token comes from.

use std::path::PathBuf;

use secrecy::SecretString;

use super::problem::Mistake;
use super::secret::path;
use super::section::Section;
use super::value::{base_url, word};

#[derive(Clone, Debug)]
pub enum TokenSource {
    /// `stable_token`, which several programs can ask for without harm.
    Stable { secret: SecretString },
    /// `token`, whose every fetch ends the last token's life.
    Classic { secret: SecretString },
    /// A file that another program keeps fresh; read again whenever a token is needed.
    File { path: PathBuf },
    /// An address that answers with the token, for companies with one token server.
    Url { url: String },
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Stable,
    Classic,
    File,
    Url,
}

impl TokenSource {
    /// Reads the keys `secret`, `secret_file` and `token` of an app. `None`: a problem was reported.
    pub fn read(app: &mut Section) -> Option<TokenSource> {
        let secret = app.secret("secret", "secret_file");
        let mut token = app.section("token");
        let kinds = [("stable", Kind::Stable), ("classic", Kind::Classic), ("file", Kind::File), ("url", Kind::Url)];
        let kind = match token.has("source") {
            true => token.optional("source", word(&kinds)),
            false => token.optional("source", word(&kinds)).or(Some(Kind::Stable)),
        };
        let directory = app.context().directory;
        let file = token.optional("path", |value| path(value, directory));
        let url = token.optional("url", base_url);
        if let Some(kind) = kind {
            report_key(&token, "path", kind == Kind::File, "source = \"file\"");
            report_key(&token, "url", kind == Kind::Url, "source = \"url\"");
        }
        token.end();
        match kind? {
            Kind::Stable => required_secret(app, secret).map(|secret| TokenSource::Stable { secret }),
            Kind::Classic => required_secret(app, secret).map(|secret| TokenSource::Classic { secret }),
            Kind::File => file.map(|path| TokenSource::File { path }),
            Kind::Url => url.map(|url| TokenSource::Url { url }),
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
