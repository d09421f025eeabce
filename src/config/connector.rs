//! `[connector]`: which connector this is, and which instance of it.

use super::reader::document::TomlValue;
use super::reader::problem::Mistake;
use super::reader::section::Section;
use super::reader::value::quoted;

/// The name of the connector, which all its instances share, and that of the instance: stable over restarts and different
/// for each.
pub fn read(mut section: Section) -> (String, String) {
    let name = section.or("name", "promoter-connector".to_owned(), identifier);
    let written = section.optional("instance_id", identifier);
    let instance_id = match section.has("instance_id") {
        true => written.unwrap_or_default(),
        false => host_name(&section),
    };
    section.end();
    (name, instance_id)
}

fn host_name(section: &Section) -> String {
    let name = gethostname::gethostname().to_string_lossy().into_owned();
    identifier(&TomlValue::Text(name)).unwrap_or_else(|_| {
        let what = "is not given, and the host has no name that can serve";
        let remedy = "write instance_id = \"…\", stable over restarts and different for each instance";
        section.problem("instance_id", Mistake::new(what, remedy));
        String::new()
    })
}

/// Kafka takes far longer ids; two of these fit in one with room to spare.
const IDENTIFIER_BYTES_MAX: usize = 100;

/// What can stand in a group id, a transactional id, an ACL and a metric label without quoting.
///
/// # Errors
/// [`Mistake`] where it is no text, empty, too long, or has other characters.
fn identifier(value: &TomlValue) -> Result<String, Mistake> {
    let legal = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
    let text = quoted(value)?;
    if (1..=IDENTIFIER_BYTES_MAX).contains(&text.len()) && legal(text) {
        return Ok(text.to_owned());
    }
    let remedy = format!("write 1 to {IDENTIFIER_BYTES_MAX} of the characters A-Z a-z 0-9 . _ -");
    Err(Mistake::new("can't be part of a consumer group's or transaction's id", remedy))
}
