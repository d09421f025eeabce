//! `[schema_registry]`: where schemas are registered. Without it records are framed by themselves.

use secrecy::SecretString;

use super::reader::document::Value;
use super::reader::problem::Mistake;
use super::reader::section::Section;
use super::reader::value::{base_url, text};

#[derive(Clone, Debug)]
pub struct SchemaRegistry {
    /// At least one, without a trailing slash; the next is asked where one does not answer.
    pub urls: Vec<String>,
    pub basic_auth: Option<BasicAuth>,
}

#[derive(Clone, Debug)]
pub struct BasicAuth {
    pub username: String,
    pub password: SecretString,
}

impl SchemaRegistry {
    pub fn read(mut section: Section) -> SchemaRegistry {
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
        let basic_auth = username.zip(password).map(|(username, password)| BasicAuth { username, password });
        SchemaRegistry { urls: urls.unwrap_or_default(), basic_auth }
    }
}

/// One URL, or a list of them.
fn urls(value: &Value) -> Result<Vec<String>, Mistake> {
    match value {
        Value::List(items) if items.is_empty() => Err(Mistake::new("is an empty list", "write one URL or more")),
        Value::List(items) => {
            let unreported = items.iter().filter(|item| !matches!(item.value, Value::Reported));
            unreported.map(|item| base_url(&item.value)).collect()
        }
        _ => Ok(vec![base_url(value)?]),
    }
}
