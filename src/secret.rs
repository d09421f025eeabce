//! A secret that is read again from its file once whoever is told it refuses it: it was changed there, and nobody has to restart
//! anything.

use std::error::Error;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use secrecy::{ExposeSecret, SecretString};

use crate::patient_reads::PatientReads;

/// Far above any password, token or key; bounds what a wrong path can bring in.
pub const BYTES_MAX: u64 = 64 * 1024;

/// How long a file is waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// What makes the secret of a file's bytes, or says what is wrong with them without showing any.
pub type ReadSecret = fn(Vec<u8>) -> Result<SecretString, Box<dyn Error + Send + Sync>>;

/// Why a secret can't be read again, without the path of its file.
#[derive(Debug, thiserror::Error)]
pub enum UnreadableSecret {
    #[error("its file can't be read ({0})")]
    File(io::ErrorKind),
    #[error("its file can't be read ({0})")]
    NoAnswer(io::Error),
    /// The file holds none.
    #[error(transparent)]
    Content(Box<dyn Error + Send + Sync>),
}

/// One secret, whoever holds it: what one of them has read again the others have, too. Shown by nothing.
#[derive(Clone)]
pub struct Secret(Arc<HeldSecret>);

struct HeldSecret {
    latest: Mutex<SecretString>,
    /// Absent where it stands in the configuration itself.
    file: Option<SecretFile>,
}

struct SecretFile {
    path: PathBuf,
    read: ReadSecret,
    reads: PatientReads,
}

impl From<SecretString> for Secret {
    fn from(text: SecretString) -> Secret {
        Secret(Arc::new(HeldSecret { latest: Mutex::new(text), file: None }))
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Secret {
        SecretString::from(text).into()
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Secret {
        SecretString::from(text).into()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(***)")
    }
}

impl Secret {
    /// `text`, which `read` has made of what stands at `path`.
    pub fn of_file(text: SecretString, path: PathBuf, read: ReadSecret) -> Secret {
        let file = Some(SecretFile { path, read, reads: PatientReads::new(PATIENCE) });
        Secret(Arc::new(HeldSecret { latest: Mutex::new(text), file }))
    }

    pub fn latest(&self) -> SecretString {
        self.0.latest.lock().clone()
    }

    pub fn is_of_file(&self) -> bool {
        self.0.file.is_some()
    }

    /// Reads it again, where it stands in a file: whether it is another one now. Blocks.
    ///
    /// # Errors
    /// Where the file can't be read, or holds no secret. The last one stays.
    pub fn read_again(&self) -> Result<bool, UnreadableSecret> {
        let Some(SecretFile { path, read, .. }) = &self.0.file else { return Ok(false) };
        let bytes = bytes_of(path).map_err(|error| UnreadableSecret::File(error.kind()))?;
        let text = read(bytes).map_err(UnreadableSecret::Content)?;
        let before = std::mem::replace(&mut *self.0.latest.lock(), text.clone());
        Ok(before.expose_secret() != text.expose_secret())
    }

    /// Another one than `refused`, once its file was read again; nothing where there is none.
    ///
    /// # Errors
    /// As [`read_again`](Self::read_again); also where the file system does not answer.
    pub async fn other_than(&self, refused: &SecretString) -> Result<Option<SecretString>, UnreadableSecret> {
        let Some(SecretFile { reads, .. }) = &self.0.file else { return Ok(None) };
        let secret = self.clone();
        reads.run(move || secret.read_again()).await.map_err(UnreadableSecret::NoAnswer)??;
        let latest = self.latest();
        Ok((latest.expose_secret() != refused.expose_secret()).then_some(latest))
    }
}

/// # Errors
/// The file system's; `InvalidData` of a file above [`BYTES_MAX`].
fn bytes_of(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let length = File::open(path)?.take(BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if length as u64 > BYTES_MAX {
        return Err(io::ErrorKind::InvalidData.into());
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: Vec<u8>) -> Result<SecretString, Box<dyn Error + Send + Sync>> {
        let text = String::from_utf8(bytes)?;
        if text.is_empty() { Err("is empty".into()) } else { Ok(text.into()) }
    }

    fn text(secret: &SecretString) -> &str {
        secret.expose_secret()
    }

    /// Why there is none other than "one".
    async fn refused(secret: &Secret) -> String {
        secret.other_than(&"one".into()).await.unwrap_err().to_string()
    }

    #[tokio::test]
    async fn one_that_was_changed_in_its_file_is_had_by_all_who_hold_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("secret");
        std::fs::write(&path, "one").unwrap();
        let secret = Secret::of_file("one".into(), path.clone(), read);
        let other = secret.clone();
        assert!(secret.other_than(&"one".into()).await.unwrap().is_none());
        std::fs::write(&path, "two").unwrap();
        assert_eq!(text(&secret.other_than(&"one".into()).await.unwrap().unwrap()), "two");
        assert_eq!(text(&other.latest()), "two");
        // Somebody else has read it before: what counts is what was refused.
        assert_eq!(text(&other.other_than(&"one".into()).await.unwrap().unwrap()), "two");
        assert!(!format!("{secret:?}").contains("two"));
    }

    #[tokio::test]
    async fn a_file_that_has_none_leaves_the_last_one_and_is_told_without_its_path() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("secret");
        let secret = Secret::of_file("one".into(), path.clone(), read);
        assert_eq!(refused(&secret).await, "its file can't be read (entity not found)");
        std::fs::write(&path, "").unwrap();
        assert_eq!(refused(&secret).await, "is empty");
        std::fs::write(&path, vec![b'x'; 64 * 1024 + 1]).unwrap();
        assert_eq!(refused(&secret).await, "its file can't be read (invalid data)");
        assert_eq!(text(&secret.latest()), "one");
    }

    #[tokio::test]
    async fn one_that_stands_in_no_file_is_the_only_one() {
        let secret = Secret::from("one");
        assert!(secret.other_than(&"one".into()).await.unwrap().is_none());
        assert!(!secret.is_of_file() && !secret.read_again().unwrap());
    }
}
