//! `[connector]`: which connector this is, and which instance of it.

use super::reader::document::Value;
use super::reader::problem::Mistake;
use super::reader::section::Section;
use super::reader::value::quoted;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connector {
    /// The consumer group and the stem of the transactional id. All instances of one connector share it.
    pub name: String,
    /// Stable over restarts and different for each instance.
    pub instance_id: String,
}

impl Connector {
    pub fn read(mut section: Section) -> Connector {
        let name = section.or("name", "promoter-connector".to_owned(), identifier);
        let written = section.optional("instance_id", identifier);
        let instance_id = match section.has("instance_id") {
            true => written.unwrap_or_default(),
            false => host_name(&section),
        };
        section.end();
        Connector { name, instance_id }
    }
}

fn host_name(section: &Section) -> String {
    let name = gethostname::gethostname().to_string_lossy().into_owned();
    identifier(&Value::Text(name)).unwrap_or_else(|_| {
        let what = "is not given, and the host has no name that can serve";
        let remedy = "write instance_id = \"…\", stable over restarts and different for each instance";
        section.problem("instance_id", Mistake::new(what, remedy));
        String::new()
    })
}

/// Kafka takes far longer ids; two of these fit in one with room to spare.
const IDENTIFIER_BYTES_MAX: usize = 100;

/// What can stand in a group id, a transactional id, an ACL and a metric label without quoting.
fn identifier(value: &Value) -> Result<String, Mistake> {
    let legal = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
    let text = quoted(value)?;
    if (1..=IDENTIFIER_BYTES_MAX).contains(&text.len()) && legal(text) {
        return Ok(text.to_owned());
    }
    let remedy = format!("write 1 to {IDENTIFIER_BYTES_MAX} of the characters A-Z a-z 0-9 . _ -");
    Err(Mistake::new("can't be part of a consumer group's or transaction's id", remedy))
}
