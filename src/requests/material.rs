//! The rules of a request for material: what is checked before a call is spent, and what an answer means.

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use crate::model::material::{Image, ImageKind, Material, MaterialOutcome, MaterialRefusal, MaterialRequest};
use crate::model::promoter::{AppId, InvalidId, Promoter};
use crate::model::time::UnixMillis;
use crate::upstream::error::{CallError, Cause, OpenReason};
use crate::upstream::material::{EnvVersion, ShareMaterial, ShareMaterialRequest};

/// Official page: "no more than 80 characters", which sibling pages count in bytes of UTF-8; so do we, as a call that
/// is refused is spent.
pub const EXTRA_INFO_BYTES_MAX: usize = 80;
/// Official page: "no more than 20 characters"; counted as above.
pub const TITLE_BYTES_MAX: usize = 20;
/// Of a `request_id` that is carried out, and of the other ids that a reply repeats.
pub const ID_BYTES_MAX: usize = 256;
/// Official page: 0 gives all three kinds, 1 the short link, 2 the path, 3 the code.
const SHARE_TYPE_MAX: u32 = 3;

/// What is wrong with a request, in the words of its rejection.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
enum InvalidField {
    #[error("{0} is empty")]
    Empty(&'static str),
    #[error("{field} has {bytes} bytes of UTF-8, {bytes_max} are allowed")]
    TooLong { field: &'static str, bytes: usize, bytes_max: usize },
    #[error("{field} {invalid}")]
    Id { field: &'static str, invalid: InvalidId },
    #[error("app_id {0} is none of this connector's apps")]
    UnknownApp(AppId),
    #[error("share_type is {0}, 0 to {SHARE_TYPE_MAX} are allowed")]
    ShareType(i32),
    #[error("env_version is none of release, trial and develop")]
    EnvVersion,
    #[error("env_version trial and develop need a short link, which share_type 0 and 1 give")]
    EnvVersionWithoutLink,
}

/// The app of the request, as `known_app` finds it by its id, and the call that carries the request out.
///
/// # Errors
/// The outcome, which needs no call: something in the request is wrong, or its deadline has passed at `now`.
pub fn check<A>(
    request: &MaterialRequest,
    known_app: impl FnOnce(&str) -> Option<A>,
    now: UnixMillis,
) -> Result<(A, ShareMaterialRequest), MaterialOutcome> {
    let rejected = |invalid: InvalidField| MaterialOutcome::Rejected(MaterialRefusal::own(invalid.to_string()));
    let checked = upstream_request(request, known_app).map_err(rejected)?;
    match request.deadline {
        Some(deadline) if deadline <= now => {
            Err(MaterialOutcome::Expired(MaterialRefusal::own("deadline had passed when the request was read")))
        }
        _ => Ok(checked),
    }
}

/// # Errors
/// [`InvalidField`] of the first field that the upstream would refuse, or whose app is not known.
fn upstream_request<A>(
    request: &MaterialRequest,
    known_app: impl FnOnce(&str) -> Option<A>,
) -> Result<(A, ShareMaterialRequest), InvalidField> {
    if request.request_id.is_empty() {
        return Err(InvalidField::Empty("request_id"));
    }
    at_most("request_id", &request.request_id, ID_BYTES_MAX)?;
    let invalid_id = |field| move |invalid| InvalidField::Id { field, invalid };
    let app_id = AppId::new(&request.app_id).map_err(invalid_id("app_id"))?;
    let promoter = Promoter::new(&app_id, &request.promoter_openid).map_err(invalid_id("promoter_openid"))?;
    let Some(app) = known_app(app_id.as_str()) else { return Err(InvalidField::UnknownApp(app_id)) };
    if request.path.is_empty() {
        return Err(InvalidField::Empty("path"));
    }
    let extra_info = given(&request.extra_info);
    let title = given(&request.title);
    extra_info.iter().try_for_each(|text| at_most("extra_info", text, EXTRA_INFO_BYTES_MAX))?;
    title.iter().try_for_each(|text| at_most("title", text, TITLE_BYTES_MAX))?;
    let share_type = request.share_type.map(share_type).transpose()?;
    let env_version = env_version(given(&request.env_version).as_deref(), share_type)?;
    let path = request.path.clone();
    Ok((app, ShareMaterialRequest { promoter, path, extra_info, title, share_type, env_version }))
}

/// Empty text counts as absent.
fn given(text: &Option<String>) -> Option<String> {
    text.clone().filter(|text| !text.is_empty())
}

fn at_most(field: &'static str, text: &str, bytes_max: usize) -> Result<(), InvalidField> {
    match text.len() {
        bytes if bytes <= bytes_max => Ok(()),
        bytes => Err(InvalidField::TooLong { field, bytes, bytes_max }),
    }
}

fn share_type(number: i32) -> Result<u32, InvalidField> {
    let kind = u32::try_from(number).ok().filter(|kind| *kind <= SHARE_TYPE_MAX);
    kind.ok_or(InvalidField::ShareType(number))
}

/// Official page: only short links lead to the other versions, and they come with share_type 0 (or none) and 1.
///
/// # Errors
/// [`InvalidField`] where it is none of the words, or asks for a version without asking for a link.
fn env_version(text: Option<&str>, share_type: Option<u32>) -> Result<Option<EnvVersion>, InvalidField> {
    let version = match text {
        None | Some("release") => return Ok(None),
        Some("develop") => EnvVersion::Develop,
        Some("trial") => EnvVersion::Trial,
        Some(_) => return Err(InvalidField::EnvVersion),
    };
    if matches!(share_type, None | Some(0 | 1)) {
        return Ok(Some(version));
    }
    Err(InvalidField::EnvVersionWithoutLink)
}

/// Why an answer without an error is no material, in the words of the reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum InvalidMaterial {
    #[error("the upstream's answer holds no material")]
    Nothing,
    #[error("the qrcode is damaged: it is no base64")]
    NotBase64,
    #[error("the qrcode is damaged: it is neither PNG nor JPEG")]
    UnknownImage,
    #[error("the qrcode is damaged: the image has no end")]
    ImageWithoutEnd,
}

/// The material in its final form.
///
/// # Errors
/// The outcome of an answer that is no material, or whose image is damaged.
pub fn accept(given: ShareMaterial, now: UnixMillis) -> Result<Material, MaterialOutcome> {
    material(given, now).map_err(|invalid| MaterialOutcome::Failed(MaterialRefusal::own(invalid.to_string())))
}

/// # Errors
/// [`InvalidMaterial`] where there is nothing in it, or the image is damaged.
fn material(given: ShareMaterial, now: UnixMillis) -> Result<Material, InvalidMaterial> {
    let ShareMaterial { share_path, qrcode, tag } = given;
    if share_path.is_none() && qrcode.is_none() && tag.is_none() {
        return Err(InvalidMaterial::Nothing);
    }
    let qrcode = qrcode.map(|text| image(&text)).transpose()?;
    Ok(Material { share_path, qrcode, tag, issued_at: now })
}

/// Padding may be missing, as some encoders leave it out.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

const PNG_START: &[u8] = b"\x89PNG\r\n\x1a\n";
/// The type and the checksum of the chunk that ends every PNG.
const PNG_END: &[u8] = b"IEND\xaeB`\x82";
const JPEG_START: &[u8] = b"\xff\xd8\xff";
const JPEG_END: &[u8] = b"\xff\xd9";

/// What is neither a whole PNG nor a whole JPEG is no image: half a code that nobody can scan must not be handed out.
///
/// # Errors
/// [`InvalidMaterial`], by what is wrong with it.
fn image(text: &str) -> Result<Image, InvalidMaterial> {
    let digits: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let bytes = BASE64.decode(digits).map_err(|_| InvalidMaterial::NotBase64)?;
    let kinds = [(ImageKind::Png, PNG_START, PNG_END), (ImageKind::Jpeg, JPEG_START, JPEG_END)];
    let Some((kind, start, end)) = kinds.into_iter().find(|(_, start, _)| bytes.starts_with(start)) else {
        return Err(InvalidMaterial::UnknownImage);
    };
    if !bytes[start.len()..].windows(end.len()).any(|window| window == end) {
        return Err(InvalidMaterial::ImageWithoutEnd);
    }
    Ok(Image { kind, bytes })
}

/// What a call without an answer asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AfterCall {
    /// That is the reply.
    Final(MaterialOutcome),
    /// The upstream was unable; it may be able to within the deadline.
    Again(MaterialRefusal),
    /// A breaker is open: no more calls may be made until it lets them pass. With the upstream's answer, where that is
    /// about this request: too fast is, and what stops the app is not.
    BreakerOpen(Option<MaterialRefusal>),
    /// The pipeline ends; nobody replies.
    Cancelled,
}

pub fn after_failure(error: CallError) -> AfterCall {
    match error {
        CallError::RefuseRequest(cause) => AfterCall::Final(MaterialOutcome::Rejected(refusal(cause))),
        CallError::ParkPromoter(cause) | CallError::Unforeseen(cause) | CallError::ClientFault(cause) => {
            AfterCall::Final(MaterialOutcome::Failed(refusal(cause)))
        }
        CallError::Unreadable(cause) => AfterCall::Final(MaterialOutcome::Failed(refusal(cause))),
        CallError::TryLater(cause) | CallError::Exhausted { cause, .. } => AfterCall::Again(refusal(cause)),
        CallError::BreakerOpen { reason: OpenReason::Unanswered, cause, .. } => AfterCall::Again(refusal(cause)),
        CallError::BreakerOpen {
            reason: OpenReason::TooFast { .. } | OpenReason::RetryAfter(_),
            cause,
            by_response: true,
        } => AfterCall::BreakerOpen(Some(refusal(cause))),
        CallError::BreakerOpen { .. } => AfterCall::BreakerOpen(None),
        CallError::Cancelled => AfterCall::Cancelled,
    }
}

fn refusal(Cause { errcode, text }: Cause) -> MaterialRefusal {
    MaterialRefusal { errcode, message: text }
}

#[cfg(test)]
mod tests;
