//! What is read of an answer over HTTP in one way, whoever gave it.

use std::time::{Duration, SystemTime};

use reqwest::Response;
use reqwest::header::{DATE, HeaderMap, HeaderName, RETRY_AFTER};

use crate::clock;

/// Why a body was not read to its end.
pub enum BodyError {
    TooLarge,
    Broken(reqwest::Error),
}

/// The whole body, of at most `bytes_max`.
///
/// # Errors
/// Where it is larger, or breaks off.
pub async fn body(mut response: Response, bytes_max: usize) -> Result<Vec<u8>, BodyError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(BodyError::Broken)? {
        if body.len() + chunk.len() > bytes_max {
            return Err(BodyError::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// When the answer was made, as it says itself.
pub fn date(headers: &HeaderMap) -> Option<SystemTime> {
    httpdate::parse_http_date(header(headers, DATE)?).ok()
}

/// How long it wishes to be left alone: seconds, or an HTTP date, which counts from when the answer was made, and from the
/// local clock where that is not told.
pub fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = header(headers, RETRY_AFTER)?;
    if let Ok(seconds) = text.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    let until = httpdate::parse_http_date(text).ok()?;
    let made = date(headers).unwrap_or_else(clock::system_time);
    Some(until.duration_since(made).unwrap_or_default())
}

fn header(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}
