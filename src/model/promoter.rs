//! Whom the connector polls for: the promoter, `(app, promoter id)`, the key of everything.

use std::fmt;
use std::sync::Arc;

use arcstr::ArcStr;
use serde::{Deserialize, Serialize};

/// The appid of a Mini Program, such as `wx0123456789abcdef`. Never empty, never holds a `/`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AppId(Arc<str>);

/// Why a text cannot be an app id or a promoter id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidId {
    #[error("is empty")]
    Empty,
    #[error("is longer than {ID_BYTES_MAX} bytes")]
    TooLong,
    #[error("holds a slash, white space or a control character")]
    Character,
}

/// Far above the 28 characters of an openid; keeps keys and memory bounded.
const ID_BYTES_MAX: usize = 128;

/// # Errors
/// [`InvalidId`]: it is empty, longer than [`ID_BYTES_MAX`], or can't stand in a key.
fn check_id(text: &str) -> Result<(), InvalidId> {
    if text.is_empty() {
        return Err(InvalidId::Empty);
    }
    if text.len() > ID_BYTES_MAX {
        return Err(InvalidId::TooLong);
    }
    if text.contains(|c: char| c == '/' || c.is_whitespace() || c.is_control()) {
        return Err(InvalidId::Character);
    }
    Ok(())
}

impl AppId {
    /// # Errors
    /// [`InvalidId`] where the text can't be an id.
    pub fn new(text: &str) -> Result<AppId, InvalidId> {
        check_id(text)?;
        Ok(AppId(text.into()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is the promoter's.
    pub(crate) fn is_of(&self, promoter: &Promoter) -> bool {
        self.as_str() == promoter.app_id()
    }
}

impl fmt::Display for AppId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Which of a person's ids the upstream speaks in. Fixed for a connector's life: switching changes all identities.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IdKind {
    OpenId,
    UnionId,
}

impl fmt::Display for IdKind {
    /// As in the configuration.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            IdKind::OpenId => "openid",
            IdKind::UnionId => "unionid",
        })
    }
}

/// One promoter of one app, held as the text `app_id/promoter_id` that is also its Kafka key. Whoever holds it holds a pointer,
/// and all of them share the text.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Promoter {
    key: ArcStr,
}

impl Promoter {
    /// # Errors
    /// [`InvalidId`] where `promoter_id` can't be one.
    pub fn new(app: &AppId, promoter_id: &str) -> Result<Promoter, InvalidId> {
        check_id(promoter_id)?;
        Ok(Promoter { key: format!("{app}/{promoter_id}").into() })
    }

    /// Reads a Kafka key back.
    ///
    /// # Errors
    /// [`InvalidId`] where it is not two ids with a slash between them.
    pub fn from_key(key: &str) -> Result<Promoter, InvalidId> {
        let (app, promoter_id) = key.split_once('/').ok_or(InvalidId::Empty)?;
        check_id(app)?;
        check_id(promoter_id)?;
        Ok(Promoter { key: key.into() })
    }

    /// The Kafka key: `app_id/promoter_id`.
    pub fn key(&self) -> &str {
        &self.key
    }

    pub fn app_id(&self) -> &str {
        self.parts().0
    }

    /// The promoter's openid, or unionid where the app is configured so.
    pub fn promoter_id(&self) -> &str {
        self.parts().1
    }

    fn parts(&self) -> (&str, &str) {
        self.key.split_once('/').expect("both constructors put a slash between two checked ids")
    }
}

impl fmt::Display for Promoter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_back_as_it_was_written() {
        let app = AppId::new("wx1").unwrap();
        let promoter = Promoter::new(&app, "oA-_b").unwrap();
        assert_eq!(promoter.key(), "wx1/oA-_b");
        assert_eq!((promoter.app_id(), promoter.promoter_id()), ("wx1", "oA-_b"));
        assert_eq!(Promoter::from_key("wx1/oA-_b"), Ok(promoter));
    }

    #[test]
    fn ids_that_would_blur_a_key_are_refused() {
        let app = AppId::new("wx1").unwrap();
        assert_eq!(Promoter::new(&app, ""), Err(InvalidId::Empty));
        assert_eq!(Promoter::new(&app, "a/b"), Err(InvalidId::Character));
        assert_eq!(AppId::new("a b"), Err(InvalidId::Character));
        assert_eq!(AppId::new(&"a".repeat(129)), Err(InvalidId::TooLong));
        assert_eq!(Promoter::from_key("no-slash"), Err(InvalidId::Empty));
    }
}
