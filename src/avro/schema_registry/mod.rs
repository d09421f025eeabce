//! The calls to a schema registry that speaks Confluent's REST protocol: look up, register, compare, and a schema by its id.
//!
//! The first two are made when the connector starts, a comparison where somebody asks beforehand, the last once for each schema
//! of another's; none per record. It uses reqwest by itself, as `upstream`, `oauth` and `web` do: this is another host, with other
//! credentials and other errors.

mod answer;
mod endpoint;
mod error;
#[cfg(test)]
pub(crate) mod tests;

use std::time::Duration;

use reqwest::{Client, RequestBuilder, redirect};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value as Json, json};
use url::Url;

use crate::secret::Secret;
use answer::Answer;
use endpoint::Call;
pub use error::{ExchangeError, SchemaRegistryError, SetupError};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// For one whole exchange with one of the URLs.
const EXCHANGE_TIMEOUT: Duration = Duration::from_secs(15);
const CONTENT_TYPE: &str = "application/vnd.schemaregistry.v1+json";

/// Where the registry is, and who asks it.
#[derive(Clone, Debug)]
pub struct SchemaRegistrySettings {
    /// At least one, of http or https, tried in this order; their paths are kept.
    pub urls: Vec<Url>,
    pub credentials: Option<SchemaRegistryCredentials>,
}

/// At one URL, without credentials.
impl From<Url> for SchemaRegistrySettings {
    fn from(url: Url) -> SchemaRegistrySettings {
        SchemaRegistrySettings { urls: vec![url], credentials: None }
    }
}

/// What would come of registering a schema.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TriedSchema {
    /// It is there, under this id.
    Registered(i32),
    /// It would be the first of its subject.
    New,
    /// It would follow on the last of its subject.
    Compatible,
    /// The registry would refuse it, with these words.
    Incompatible(String),
}

/// Sent to every URL by HTTP basic authentication.
#[derive(Clone, Debug)]
pub struct SchemaRegistryCredentials {
    pub username: String,
    pub password: Secret,
}

/// A client of one registry, which may be reached under several URLs.
pub struct SchemaRegistry {
    client: Client,
    settings: SchemaRegistrySettings,
}

impl SchemaRegistry {
    /// Asks nobody yet. Certificates are checked against the system's authorities.
    ///
    /// # Errors
    /// Where the system's TLS can't be set up.
    pub fn new(settings: SchemaRegistrySettings) -> Result<SchemaRegistry, SetupError> {
        let client = Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(EXCHANGE_TIMEOUT)
            // A redirect could carry the credentials to another host.
            .redirect(redirect::Policy::none())
            .build()
            .map_err(SetupError)?;
        Ok(SchemaRegistry { client, settings })
    }

    /// The id under which records of `subject` (`<topic>-value`) are written with `schema`. Registers the text
    /// where the registry does not know it yet.
    ///
    /// # Errors
    /// [`SchemaRegistryError`] where no URL answers, or the registry refuses: [`SchemaRegistryError::is_retriable`]
    /// tells whether that may pass.
    pub async fn resolve(&self, subject: &str, schema: &str) -> Result<i32, SchemaRegistryError> {
        match self.look_up(subject, schema).await? {
            Some(id) => Ok(id),
            None => self.register(subject, schema).await,
        }
    }

    /// The id of `schema` under `subject`, if it stands there as it is.
    ///
    /// Some registries find a schema that differs in what they leave out of a comparison, be it a `doc` or a
    /// logical type, and some hand a text back without its white space. So the texts are compared as JSON.
    ///
    /// # Errors
    /// As [`resolve`](Self::resolve).
    pub async fn look_up(&self, subject: &str, schema: &str) -> Result<Option<i32>, SchemaRegistryError> {
        let answer = self.post(Call::LookUp, subject, schema).await?;
        if answer.is_not_found()? {
            return Ok(None);
        }
        match answer.schema() {
            Some(found) if !same_json(found, schema) => Ok(None),
            _ => answer.id().map(Some),
        }
    }

    /// Puts `schema` under `subject` and returns its id, which is the old one where it is there already.
    ///
    /// # Errors
    /// As [`resolve`](Self::resolve); also where the schema is incompatible with those before it.
    pub async fn register(&self, subject: &str, schema: &str) -> Result<i32, SchemaRegistryError> {
        let answer = self.post(Call::Register, subject, schema).await?;
        if answer.is_not_found()? {
            return Err(answer.refused(subject));
        }
        answer.id()
    }

    /// Whether `schema` could be registered under `subject`. Nothing is registered.
    ///
    /// # Errors
    /// As [`resolve`](Self::resolve).
    pub(crate) async fn try_register(&self, subject: &str, schema: &str) -> Result<TriedSchema, SchemaRegistryError> {
        if let Some(id) = self.look_up(subject, schema).await? {
            return Ok(TriedSchema::Registered(id));
        }
        let answer = self.post(Call::Compare, subject, schema).await?;
        if answer.is_not_found()? {
            return Ok(TriedSchema::New);
        }
        Ok(answer.incompatibility()?.map_or(TriedSchema::Compatible, TriedSchema::Incompatible))
    }

    /// The text of the schema with this id, if there is one.
    ///
    /// # Errors
    /// As [`resolve`](Self::resolve).
    pub async fn schema(&self, id: i32) -> Result<Option<String>, SchemaRegistryError> {
        let request = |base: &Url| self.client.get(endpoint::schema_url(base, id));
        let answer = self.send_to_each(&format!("id {id}"), request).await?;
        if answer.is_not_found()? {
            return Ok(None);
        }
        answer
            .schema()
            .map(|text| Some(text.to_owned()))
            .ok_or_else(|| answer.unexpected("its answer lacks the schema"))
    }

    /// # Errors
    /// As [`send_to_each`](Self::send_to_each).
    async fn post(&self, call: Call, subject: &str, schema: &str) -> Result<Answer, SchemaRegistryError> {
        let body = json!({ "schema": schema }).to_string();
        let request = |base: &Url| {
            self.client.post(call.url(base, subject)).header("content-type", CONTENT_TYPE).body(body.clone())
        };
        self.send_to_each(subject, request).await
    }

    /// Sends to one URL after the other until one can answer. `subject` is what an error names.
    ///
    /// # Errors
    /// The refusal of the first that can answer; where none can, why the last could not.
    async fn send_to_each(
        &self,
        subject: &str,
        request: impl Fn(&Url) -> RequestBuilder,
    ) -> Result<Answer, SchemaRegistryError> {
        let mut last = None;
        for url in &self.settings.urls {
            match self.send(url, &request).await {
                Ok(answer) => match answer.classified(subject) {
                    Err(error) if error.is_retriable() => last = Some(error),
                    classified => return classified,
                },
                Err(cause) => last = Some(SchemaRegistryError::Unavailable { url: url.to_string(), cause }),
            }
        }
        let no_url = || SchemaRegistryError::Unavailable { url: String::new(), cause: ExchangeError::NoUrl };
        Err(last.unwrap_or_else(no_url))
    }

    /// The answer of one URL. A password that it refuses is read again from its file, and another one that stands there by now is
    /// tried at once.
    ///
    /// # Errors
    /// As [`exchange`].
    async fn send(&self, base: &Url, request: impl Fn(&Url) -> RequestBuilder) -> Result<Answer, ExchangeError> {
        let Some(SchemaRegistryCredentials { username, password }) = &self.settings.credentials else {
            return exchange(base, request(base)).await;
        };
        let with = |password: &SecretString| request(base).basic_auth(username, Some(password.expose_secret()));
        let tried = password.latest();
        let answer = exchange(base, with(&tried)).await?;
        if !answer.is_unauthenticated() {
            return Ok(answer);
        }
        match password.other_than(&tried).await {
            Ok(Some(other)) => {
                tracing::info!("the schema registry's password was read again from its file");
                exchange(base, with(&other)).await
            }
            Ok(None) => Ok(answer),
            Err(error) => {
                tracing::warn!(reason = %error, "the schema registry's password can't be read again from its file");
                Ok(answer)
            }
        }
    }
}

/// One exchange.
///
/// # Errors
/// Where there is no answer, or none that can be read to its end.
async fn exchange(base: &Url, request: RequestBuilder) -> Result<Answer, ExchangeError> {
    Answer::read(base, request.header("accept", CONTENT_TYPE).send().await?).await
}

fn same_json(one: &str, other: &str) -> bool {
    let [one, other] = [one, other].map(serde_json::from_str::<Json>);
    matches!((one, other), (Ok(one), Ok(other)) if one == other)
}
