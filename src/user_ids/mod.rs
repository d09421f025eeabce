//! Users' ids as records show them: as they are, or as pseudonyms.
//!
//! A pseudonym is the HMAC-SHA-256 of the id under a key that only the operator has, in hex: the same for the same id in all topics, so
//! that touches join orders, and nothing from which the id follows without the key. Promoters' ids are no secret of their
//! users: they stay, as keys of records must.
//!
//! Pseudonyms are made where records are encoded, and nowhere before: what a fact is, and which facts are known, does not depend
//! on them. So they may be turned on, or their key changed, without anything being published again.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;

use crate::model::dead_letter::{DeadLetter, DeadLetterSource};
use crate::text;

mod raw_row;

#[cfg(test)]
pub(crate) use raw_row::is_shown;

/// A shorter key could be guessed.
pub(crate) const KEY_BYTES_MIN: usize = 16;
/// Of a pseudonym, in characters: two for each byte of the hash.
pub(crate) const PSEUDONYM_LENGTH: usize = 64;

/// How users' ids are shown.
#[derive(Clone, Debug, Default)]
pub enum UserIds {
    #[default]
    Plain,
    Pseudonyms(PseudonymKey),
}

/// Makes pseudonyms. It shows nothing of the key.
#[derive(Clone)]
pub struct PseudonymKey(Hmac<Sha256>);

/// An id as it is shown, without an allocation: every event carries one.
pub enum ShownId<'a> {
    Plain(&'a str),
    Pseudonym([u8; PSEUDONYM_LENGTH]),
}

/// Fewer than [`KEY_BYTES_MIN`] bytes.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("has less than {KEY_BYTES_MIN} bytes")]
pub struct KeyTooShort;

impl PseudonymKey {
    /// The key is what `text` is in UTF-8.
    ///
    /// # Errors
    /// [`KeyTooShort`].
    pub fn new(text: &SecretString) -> Result<PseudonymKey, KeyTooShort> {
        let key = text.expose_secret().as_bytes();
        if key.len() < KEY_BYTES_MIN {
            return Err(KeyTooShort);
        }
        Ok(PseudonymKey(Hmac::new_from_slice(key).expect("HMAC takes a key of any length")))
    }

    fn pseudonym(&self, id: &str) -> [u8; PSEUDONYM_LENGTH] {
        let hash = self.0.clone().chain_update(id).finalize().into_bytes();
        let mut digits = [0; PSEUDONYM_LENGTH];
        text::write_hex(&hash, &mut digits);
        digits
    }
}

impl fmt::Debug for PseudonymKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PseudonymKey")
    }
}

impl ShownId<'_> {
    pub fn as_str(&self) -> &str {
        match self {
            ShownId::Plain(id) => id,
            ShownId::Pseudonym(digits) => std::str::from_utf8(digits).expect("hex digits are ASCII"),
        }
    }
}

impl UserIds {
    pub fn shown<'a>(&self, id: &'a str) -> ShownId<'a> {
        match self {
            UserIds::Plain => ShownId::Plain(id),
            UserIds::Pseudonyms(key) => ShownId::Pseudonym(key.pseudonym(id)),
        }
    }

    /// A dead letter with users' ids in its raw bytes as they are shown. Of a row whose bytes can't be read, where an id may
    /// stand anywhere, none are left; what came from Kafka holds no user of the upstream's.
    pub(crate) fn shown_in(&self, letter: &DeadLetter) -> DeadLetter {
        match (self, letter.source) {
            (UserIds::Pseudonyms(key), DeadLetterSource::Feed(_)) => raw_row::shown(letter, key),
            (UserIds::Plain, _) | (_, DeadLetterSource::Requests | DeadLetterSource::Registry) => letter.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> PseudonymKey {
        PseudonymKey::new(&text.into()).unwrap()
    }

    #[test]
    fn a_pseudonym_is_what_anybody_finds_who_has_the_key() {
        // printf oUSER | openssl dgst -sha256 -hmac 0123456789abcdef
        let user_ids = UserIds::Pseudonyms(key("0123456789abcdef"));
        let shown = user_ids.shown("oUSER");
        assert_eq!(shown.as_str(), "9102d009c179b094d96a51f42cbb7806dfe43f37cf0eb30c0c5270fae96c4afe");
        assert_ne!(user_ids.shown("oUSEr").as_str(), shown.as_str());
        assert_ne!(UserIds::Pseudonyms(key("0123456789abcdeg")).shown("oUSER").as_str(), shown.as_str());
        assert_eq!(UserIds::Plain.shown("oUSER").as_str(), "oUSER");
    }

    #[test]
    fn a_key_has_sixteen_bytes_and_is_shown_by_nothing() {
        assert_eq!(PseudonymKey::new(&"0123456789abcde".into()).unwrap_err(), KeyTooShort);
        assert!(PseudonymKey::new(&"中中中中中中".into()).is_ok(), "bytes are counted");
        assert_eq!(format!("{:?}", UserIds::Pseudonyms(key("0123456789abcdef"))), "Pseudonyms(PseudonymKey)");
    }
}
