//! Secrets: written in the file, in the environment, or in a file of their own.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use secrecy::SecretString;

use super::document::TomlValue;
use super::problem::Mistake;
use super::value::quoted;
use crate::secret::Secret;
use crate::text;

pub use crate::secret::BYTES_MAX;

/// # Errors
/// [`Mistake`] where it is no text, or an empty one.
pub fn from_value(value: &TomlValue) -> Result<SecretString, Mistake> {
    match value {
        TomlValue::Text(text) if text.is_empty() => Err(Mistake::new("is empty", REMEDY)),
        TomlValue::Text(text) => Ok(text.as_str().into()),
        _ => Err(Mistake::new("is not text", REMEDY)),
    }
}

const REMEDY: &str = "write \"${NAME}\", with NAME in the environment, or name a file that holds it";

/// The secret of one line in the file that `value` names, without what editors put around it: a byte order mark before it,
/// line ends after it.
///
/// # Errors
/// [`Mistake`] where there is no such file, or it holds no secret or more than one line.
pub fn from_file(value: &TomlValue, directory: &Path) -> Result<SecretString, Mistake> {
    read_file(&path(value, directory)?, BYTES_MAX, directory).and_then(one_line)
}

/// As [`from_file`], to be read again from there.
///
/// # Errors
/// As [`from_file`].
pub fn kept_in_file(value: &TomlValue, directory: &Path) -> Result<Secret, Mistake> {
    let read_again = |bytes| utf8(bytes).and_then(one_line).map_err(Into::into);
    Ok(Secret::of_file(from_file(value, directory)?, path(value, directory)?, read_again))
}

/// # Errors
/// Where there is none, or more than one line.
fn one_line(text: String) -> Result<SecretString, Mistake> {
    let secret = not_empty(&text)?;
    match secret.contains(['\n', '\r']) {
        true => Err(Mistake::new("names a file of several lines", "leave nothing in it but the secret, on one line")),
        false => Ok(secret.into()),
    }
}

/// As [`from_file`], where the secret itself has lines, as a key in PEM has.
///
/// # Errors
/// [`Mistake`] where there is no such file, or it is empty.
pub fn from_file_of_lines(value: &TomlValue, directory: &Path) -> Result<SecretString, Mistake> {
    let text = read_file(&path(value, directory)?, BYTES_MAX, directory)?;
    not_empty(&text).map(SecretString::from)
}

/// Without the line ends behind it.
///
/// # Errors
/// Where nothing else is there.
fn not_empty(text: &str) -> Result<&str, Mistake> {
    match text.trim_end_matches(['\n', '\r']) {
        "" => Err(Mistake::new("names a file that is empty", "put the secret there")),
        lines => Ok(lines),
    }
}

/// A path of the file system, which begins in `directory` where it is relative.
///
/// # Errors
/// [`Mistake`] where it is no text, or an empty one.
pub fn path(value: &TomlValue, directory: &Path) -> Result<PathBuf, Mistake> {
    match quoted(value)? {
        "" => Err(Mistake::new("is not a path", "write the path of a file")),
        text => Ok(directory.join(text)),
    }
}

/// The text of a file of at most `bytes_max`, without a byte order mark. The path may be a misplaced secret, so no mistake
/// shows it.
///
/// # Errors
/// [`Mistake`] where it can't be read, is larger, or is not UTF-8.
pub fn read_file(path: &Path, bytes_max: u64, directory: &Path) -> Result<String, Mistake> {
    let mut bytes = Vec::new();
    match File::open(path).and_then(|file| file.take(bytes_max + 1).read_to_end(&mut bytes)) {
        Ok(length) if length as u64 > bytes_max => {
            Err(Mistake::new(format!("names a file of more than {bytes_max} bytes"), readable(directory)))
        }
        Ok(_) => utf8(bytes).map_err(|mistake| mistake.at("names a file that")),
        Err(error) => Err(unreadable(&error, directory)),
    }
}

/// The path of a file or a directory that somebody else reads, where it can be opened.
///
/// # Errors
/// [`Mistake`] where it is no path, or can't be opened.
pub fn openable(value: &TomlValue, directory: &Path) -> Result<PathBuf, Mistake> {
    let path = path(value, directory)?;
    match File::open(&path) {
        Ok(_) => Ok(path),
        Err(error) => Err(unreadable(&error, directory)),
    }
}

fn unreadable(error: &std::io::Error, directory: &Path) -> Mistake {
    Mistake::new(format!("names a file that can't be read ({})", error.kind()), readable(directory))
}

fn readable(directory: &Path) -> String {
    match directory.as_os_str().is_empty() {
        true => "write the path of a readable file; a relative one begins in the working directory".to_owned(),
        false => format!("write the path of a readable file; a relative one begins in {}", directory.display()),
    }
}

/// The bytes of a file as text, without a byte order mark; what is wrong with them reads on from the file.
///
/// # Errors
/// [`Mistake`] where they are not UTF-8, with the line from which on.
pub fn utf8(bytes: Vec<u8>) -> Result<String, Mistake> {
    match String::from_utf8(text::owned_without_byte_order_mark(bytes)) {
        Ok(text) => Ok(text),
        Err(error) => {
            let readable = &error.as_bytes()[..error.utf8_error().valid_up_to()];
            let line = 1 + readable.iter().filter(|byte| **byte == b'\n').count();
            Err(Mistake::new(format!("is not UTF-8, from its line {line} on"), "save it in that encoding"))
        }
    }
}
