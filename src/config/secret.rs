//! Secrets: written in the file, in the environment, or in a file of their own.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use secrecy::SecretString;

use super::document::Value;
use super::problem::Mistake;

/// Far above any password, token or key; bounds what a wrong path can bring in.
const SECRET_BYTES_MAX: u64 = 64 * 1024;

pub fn from_value(value: &Value) -> Result<SecretString, Mistake> {
    match value {
        Value::Text(text) if text.is_empty() => Err(Mistake::new("is empty", REMEDY)),
        Value::Text(text) => Ok(text.as_str().into()),
        _ => Err(Mistake::new("is not text", REMEDY)),
    }
}

const REMEDY: &str = "write \"${NAME}\", with NAME in the environment, or name a file that holds it";

/// Reads the file that `value` names and leaves out the line end after the secret.
pub fn from_file(value: &Value, directory: &Path) -> Result<SecretString, Mistake> {
    let text = read_file(&path(value, directory)?, SECRET_BYTES_MAX, directory)?;
    let secret = text.strip_suffix('\n').map_or(text.as_str(), |line| line.strip_suffix('\r').unwrap_or(line));
    if secret.is_empty() {
        return Err(Mistake::new("names a file that is empty", "put the secret there"));
    }
    Ok(secret.into())
}

/// A path of the file system, which begins in `directory` where it is relative.
pub fn path(value: &Value, directory: &Path) -> Result<PathBuf, Mistake> {
    match value {
        Value::Text(text) if !text.is_empty() => Ok(directory.join(text)),
        _ => Err(Mistake::new("is not a path", "write the path of a file")),
    }
}

/// The text of a file of at most `bytes_max`. The path may be a misplaced secret, so no mistake shows it.
pub fn read_file(path: &Path, bytes_max: u64, directory: &Path) -> Result<String, Mistake> {
    let remedy = || match directory.as_os_str().is_empty() {
        true => "write the path of a readable file; a relative one begins in the working directory".to_owned(),
        false => format!("write the path of a readable file; a relative one begins in {}", directory.display()),
    };
    let mut text = String::new();
    let outcome = File::open(path).and_then(|file| file.take(bytes_max + 1).read_to_string(&mut text));
    match outcome {
        Ok(length) if length as u64 > bytes_max => {
            Err(Mistake::new(format!("names a file of more than {bytes_max} bytes"), remedy()))
        }
        Ok(_) => Ok(text),
        Err(error) => Err(Mistake::new(format!("names a file that can't be read ({})", error.kind()), remedy())),
    }
}
