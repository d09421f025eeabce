//! What a registry answered, and how much of it is believed.

use reqwest::{Response, StatusCode};
use serde_json::Value as Json;
use url::Url;

use super::error::{BODY_BYTES_MAX, ExchangeError, SchemaRegistryError};
use crate::text;
use crate::web::{self, BodyError};

/// How much of the registry's own words an error repeats.
const WORDS_CHARS_MAX: usize = 500;

/// An answer, and from whom it came.
pub(super) struct Answer {
    url: String,
    status: StatusCode,
    /// Null where the body is no JSON.
    body: Json,
}

impl Answer {
    /// # Errors
    /// Where its body is too large, or breaks off.
    pub async fn read(url: &Url, response: Response) -> Result<Answer, ExchangeError> {
        let status = response.status();
        let body = web::body(response, BODY_BYTES_MAX).await.map_err(|error| match error {
            BodyError::TooLarge => ExchangeError::TooLarge,
            BodyError::Broken(error) => error.into(),
        })?;
        let body = serde_json::from_slice(&body).unwrap_or(Json::Null);
        Ok(Answer { url: url.to_string(), status, body })
    }

    /// The answer, if it is one to go on with: a success, or that something was not found.
    ///
    /// # Errors
    /// [`SchemaRegistryError`], by its status: whether it may pass, and who has to change what.
    pub fn classified(self, subject: &str) -> Result<Answer, SchemaRegistryError> {
        match self.status.as_u16() {
            200..=299 | 404 => Ok(self),
            401 => Err(SchemaRegistryError::Unauthenticated { url: self.url }),
            403 => Err(SchemaRegistryError::Denied { url: self.url, subject: subject.to_owned() }),
            409 => Err(SchemaRegistryError::Incompatible { subject: subject.to_owned(), words: self.words() }),
            408 | 429 | 500.. => {
                let cause = ExchangeError::Unable { status: self.status.as_u16(), words: self.words() };
                Err(SchemaRegistryError::Unavailable { url: self.url, cause })
            }
            300..=399 => Err(self.unexpected("it sends elsewhere: give the URL it sends to")),
            _ => Err(self.refused(subject)),
        }
    }

    /// Whether it does not take who asks for who he says he is.
    pub fn is_unauthenticated(&self) -> bool {
        self.status == StatusCode::UNAUTHORIZED
    }

    /// Whether the registry itself, and not something else that answers there, says that it has no such thing.
    ///
    /// # Errors
    /// Where something else answers there.
    pub fn is_not_found(&self) -> Result<bool, SchemaRegistryError> {
        match self.status {
            StatusCode::NOT_FOUND if self.body["error_code"].is_i64() => Ok(true),
            StatusCode::NOT_FOUND => Err(self.unexpected("HTTP 404 without an error_code")),
            _ => Ok(false),
        }
    }

    /// # Errors
    /// Where the answer has none.
    pub fn id(&self) -> Result<i32, SchemaRegistryError> {
        let id = self.body["id"].as_i64().and_then(|id| i32::try_from(id).ok());
        id.ok_or_else(|| self.unexpected("its answer lacks the schema's id"))
    }

    /// Nothing where the schemas are compatible; else the registry's words on why not.
    ///
    /// # Errors
    /// Where the answer does not tell.
    pub fn incompatibility(&self) -> Result<Option<String>, SchemaRegistryError> {
        match self.body["is_compatible"].as_bool() {
            Some(true) => Ok(None),
            Some(false) => {
                let reasons = self.body["messages"].as_array().into_iter().flatten().filter_map(Json::as_str);
                let reasons = reasons.collect::<Vec<_>>().join("; ");
                Ok(Some(if reasons.is_empty() { NO_REASON.to_owned() } else { bounded(&reasons) }))
            }
            None => Err(self.unexpected("its answer does not tell whether the schemas are compatible")),
        }
    }

    /// The text of the schema that was found.
    pub fn schema(&self) -> Option<&str> {
        self.body["schema"].as_str()
    }

    pub fn refused(&self, subject: &str) -> SchemaRegistryError {
        SchemaRegistryError::Refused {
            url: self.url.clone(),
            subject: subject.to_owned(),
            status: self.status.as_u16(),
            words: self.words(),
        }
    }

    /// The registry's own words.
    fn words(&self) -> String {
        self.body["message"].as_str().map_or_else(|| NO_REASON.to_owned(), bounded)
    }

    /// What no registry answers.
    pub fn unexpected(&self, reason: &'static str) -> SchemaRegistryError {
        SchemaRegistryError::UnexpectedResponse { url: self.url.clone(), reason }
    }
}

const NO_REASON: &str = "no reason given";

impl From<reqwest::Error> for ExchangeError {
    fn from(error: reqwest::Error) -> ExchangeError {
        match error.is_timeout() {
            true => ExchangeError::Timeout,
            false => ExchangeError::Connection(bounded(&text::innermost(&error))),
        }
    }
}

fn bounded(words: &str) -> String {
    let kept = text::bounded(words, WORDS_CHARS_MAX);
    if kept.len() < words.len() { format!("{kept}…") } else { words.to_owned() }
}
