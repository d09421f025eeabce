//! What is read of an answer over HTTP in one way, whoever gave it.

use std::time::{Duration, SystemTime};

use reqwest::Response;
use reqwest::header::{DATE, HeaderMap, HeaderName, RETRY_AFTER};

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

/// How long it wishes to be left alone: seconds, or an HTTP date, which counts from the answer's own `date`.
pub fn retry_after(headers: &HeaderMap, date: SystemTime) -> Option<Duration> {
    let text = header(headers, RETRY_AFTER)?;
    match text.trim().parse() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => Some(httpdate::parse_http_date(text).ok()?.duration_since(date).unwrap_or_default()),
    }
}

fn header(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}
