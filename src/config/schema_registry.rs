//! `[schema_registry]`: where schemas are registered. Without it records are framed by themselves.

use url::Url;

use super::reader::document::TomlValue;
use super::reader::problem::Mistake;
use super::reader::section::Section;
use super::reader::value::{base_url, text};
use crate::avro::schema_registry::{SchemaRegistryCredentials, SchemaRegistrySettings};

pub fn read(mut section: Section) -> SchemaRegistrySettings {
    let urls = section.required("url", "write url = \"http://host:8081\", or leave out the whole section", urls);
    let username = section.optional("username", text);
    let password = section.secret("password", "password_file");
    let has_password = section.has("password") || section.has("password_file");
    if has_password && !section.has("username") {
        let remedy = "write username = \"…\", or remove the password";
        section.problem("username", Mistake::new("is missing beside the password", remedy));
    }
    if section.has("username") && !has_password {
        let remedy = "write password_file = \"…\", or remove the username";
        section.problem("password", Mistake::new("is missing beside the username", remedy));
    }
    section.end();
    let credentials =
        username.zip(password).map(|(username, password)| SchemaRegistryCredentials { username, password });
    SchemaRegistrySettings { urls: urls.unwrap_or_default(), credentials }
}

/// One URL, or a list of them.
///
/// # Errors
/// [`Mistake`] of the first that is no base of URLs; or where the list is empty.
fn urls(value: &TomlValue) -> Result<Vec<Url>, Mistake> {
    match value {
        TomlValue::List(items) if items.is_empty() => Err(Mistake::new("is an empty list", "write one URL or more")),
        TomlValue::List(items) => {
            let unreported = items.iter().filter(|item| !matches!(item.value, TomlValue::Reported));
            unreported.map(|item| base_url(&item.value)).collect()
        }
        _ => Ok(vec![base_url(value)?]),
    }
}
