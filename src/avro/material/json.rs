//! Requests that come as JSON: read field by field, so that a reply can name the one that is wrong.

use super::{RequestError, unreadable};
use crate::avro::json_object::{FieldFlaw, JsonObject, JsonText};
use crate::model::material::MaterialRequest;

/// The names of the fields.
const NAMES: [&str; 9] =
    ["request_id", "app_id", "promoter_openid", "path", "extra_info", "title", "env_version", "share_type", "deadline"];

/// Field names as in Avro; `deadline` as RFC 3339 or in milliseconds, and a number may stand as text. Without a readable
/// `request_id`, or with a field twice, it is unreadable: nobody can be told which request it is.
///
/// # Errors
/// [`RequestError`], by whether nobody can read it, or one of its fields is wrong.
pub(super) fn decode(bytes: &[u8]) -> Result<MaterialRequest, RequestError> {
    let text = JsonText::new(bytes);
    let fields = text.object(&NAMES).map_err(unreadable)?;
    let mut request =
        MaterialRequest { request_id: fields.needed("request_id").map_err(unreadable)?, ..MaterialRequest::default() };
    let read = read_into(&mut request, &fields);
    read.map(|()| request.clone()).map_err(|flaw| RequestError::Flawed { request: Box::new(request), flaw })
}

/// Whose request it is comes first: the reply to a flaw further on repeats it.
///
/// # Errors
/// [`FieldFlaw`] of the first field that is missing or wrong; those before it are read.
fn read_into(request: &mut MaterialRequest, fields: &JsonObject<'_>) -> Result<(), FieldFlaw> {
    request.app_id = fields.needed("app_id")?;
    request.promoter_openid = fields.needed("promoter_openid")?;
    request.path = fields.needed("path")?;
    request.extra_info = fields.text("extra_info")?;
    request.title = fields.text("title")?;
    request.env_version = fields.text("env_version")?;
    request.share_type = fields.whole_number("share_type")?;
    request.deadline = fields.time("deadline")?;
    Ok(())
}
