//! `[records]`: what records show.

use super::reader::problem::Mistake;
use super::reader::section::Section;
use super::reader::value::word;
use crate::user_ids::{KEY_BYTES_MIN, PseudonymKey, UserIds};

#[derive(Clone, Copy, PartialEq)]
enum UserIdsWord {
    Plain,
    HmacSha256,
}

/// `None`: a problem was reported.
pub fn read(mut section: Section) -> Option<UserIds> {
    let words = [("plain", UserIdsWord::Plain), ("hmac-sha256", UserIdsWord::HmacSha256)];
    let written = section.optional("user_ids", word(&words));
    // A wrong word is not taken for the default, to which no key belongs.
    let word = if section.has("user_ids") { written } else { Some(UserIdsWord::Plain) };
    let key = section.secret("user_ids_key", "user_ids_key_file");
    let given = if section.has("user_ids_key_file") { "user_ids_key_file" } else { "user_ids_key" };
    let user_ids = match (word?, section.has(given), key) {
        (UserIdsWord::Plain, false, _) => Some(UserIds::Plain),
        (UserIdsWord::Plain, true, _) => {
            let remedy = "remove it, or write user_ids = \"hmac-sha256\"";
            section.problem(given, Mistake::new("belongs to user_ids = \"hmac-sha256\" only", remedy));
            None
        }
        (UserIdsWord::HmacSha256, false, _) => {
            let remedy = "write user_ids_key = \"${NAME}\", or name a file that holds it by user_ids_key_file";
            section.problem("user_ids_key", Mistake::new("is missing beside user_ids = \"hmac-sha256\"", remedy));
            None
        }
        (UserIdsWord::HmacSha256, true, key) => PseudonymKey::new(&key?.latest())
            .map(UserIds::Pseudonyms)
            .map_err(|error| section.problem(given, Mistake::new(error.to_string(), too_short())))
            .ok(),
    };
    section.end();
    user_ids
}

fn too_short() -> String {
    format!("write {KEY_BYTES_MIN} random ones or more, such as openssl rand -hex 32 gives")
}
