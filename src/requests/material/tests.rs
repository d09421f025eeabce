use std::time::Duration;

use base64::prelude::BASE64_STANDARD;
use proptest::prelude::*;

use super::*;
use crate::upstream::error::StopReason;

const NOW: UnixMillis = UnixMillis(1_700_000_000_000);

fn request() -> MaterialRequest {
    MaterialRequest {
        request_id: "r".into(),
        app_id: "wx1".into(),
        promoter_openid: "oP".into(),
        path: "pages/a".into(),
        ..MaterialRequest::default()
    }
}

fn checked(request: &MaterialRequest) -> Result<ShareMaterialRequest, MaterialOutcome> {
    check(request, |app| (app == "wx1").then_some(()), NOW).map(|((), upstream_request)| upstream_request)
}

/// The message of a rejection.
fn rejection(change: impl FnOnce(&mut MaterialRequest)) -> String {
    let mut request = request();
    change(&mut request);
    match checked(&request).unwrap_err() {
        MaterialOutcome::Rejected(MaterialRefusal { errcode: None, message }) => message,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_rejection_names_the_field_and_its_limit() {
    assert_eq!(rejection(|request| request.request_id.clear()), "request_id is empty");
    assert_eq!(
        rejection(|request| request.request_id = "x".repeat(257)),
        "request_id has 257 bytes of UTF-8, 256 are allowed"
    );
    assert_eq!(rejection(|request| request.app_id.clear()), "app_id is empty");
    assert_eq!(rejection(|request| request.app_id = "wx2".into()), "app_id wx2 is none of this connector's apps");
    assert_eq!(rejection(|request| request.promoter_openid.clear()), "promoter_openid is empty");
    assert!(rejection(|request| request.promoter_openid = "a/b".into()).starts_with("promoter_openid holds a slash"));
    assert_eq!(rejection(|request| request.path.clear()), "path is empty");
    assert_eq!(
        rejection(|request| request.extra_info = Some("推".repeat(27))),
        "extra_info has 81 bytes of UTF-8, 80 are allowed"
    );
    assert_eq!(
        rejection(|request| request.title = Some("x".repeat(21))),
        "title has 21 bytes of UTF-8, 20 are allowed"
    );
    assert_eq!(rejection(|request| request.share_type = Some(4)), "share_type is 4, 0 to 3 are allowed");
    assert_eq!(rejection(|request| request.share_type = Some(-1)), "share_type is -1, 0 to 3 are allowed");
    assert!(rejection(|request| request.env_version = Some("Trial".into())).starts_with("env_version is none of"));
}

#[test]
fn other_versions_need_a_short_link() {
    for (share_type, allowed) in [(None, true), (Some(0), true), (Some(1), true), (Some(2), false), (Some(3), false)] {
        let of = |word: &str| checked(&MaterialRequest { env_version: Some(word.into()), share_type, ..request() });
        assert_eq!(of("release").unwrap().env_version, None);
        for (word, version) in [("trial", EnvVersion::Trial), ("develop", EnvVersion::Develop)] {
            assert_eq!(
                of(word).is_ok_and(|upstream_request| upstream_request.env_version == Some(version)),
                allowed,
                "{share_type:?}"
            );
        }
    }
}

#[test]
fn a_deadline_that_has_come_has_passed() {
    let with = |deadline| checked(&MaterialRequest { deadline: Some(UnixMillis(deadline)), ..request() });
    assert!(with(NOW.0 + 1).is_ok());
    assert!(matches!(with(NOW.0), Err(MaterialOutcome::Expired(_))));
    assert!(matches!(with(i64::MIN), Err(MaterialOutcome::Expired(_))));
    // What can't be carried out at all is told first.
    let broken = MaterialRequest { path: String::new(), deadline: Some(UnixMillis(0)), ..request() };
    assert!(matches!(checked(&broken), Err(MaterialOutcome::Rejected(_))));
}

proptest! {
    #[test]
    fn what_passes_keeps_every_limit_and_every_word(
        texts in prop::array::uniform4(prop::option::of("[a推]{0,60}")),
        share_type in prop::option::of(-2..6i32),
    ) {
        let [path, extra_info, title, env_version] = texts;
        let env_version = env_version.map(|text| if text.len() % 2 == 0 { "trial".into() } else { text });
        let request = MaterialRequest {
            path: path.unwrap_or_default(), extra_info, title, env_version, share_type, ..request()
        };
        if let Ok(upstream_request) = checked(&request) {
            prop_assert!(!upstream_request.path.is_empty());
            prop_assert!(upstream_request.extra_info.as_ref().is_none_or(|text| text.len() <= 80));
            prop_assert!(upstream_request.title.as_ref().is_none_or(|text| text.len() <= 20));
            prop_assert!(upstream_request.share_type.is_none_or(|kind| kind <= 3));
            prop_assert_eq!(upstream_request.share_type.map(u32::cast_signed), request.share_type);
            prop_assert_eq!(upstream_request.extra_info.unwrap_or_default(), request.extra_info.unwrap_or_default());
            prop_assert_eq!(upstream_request.title.unwrap_or_default(), request.title.unwrap_or_default());
        }
    }

    #[test]
    fn any_qrcode_is_an_image_or_a_failure(text in "[ -~]{0,40}") {
        if let Err(outcome) = accept(ShareMaterial { qrcode: Some(text), ..ShareMaterial::default() }, NOW) {
            prop_assert!(matches!(outcome, MaterialOutcome::Failed(_)));
        }
    }
}

fn given_image(bytes: &[u8]) -> ShareMaterial {
    ShareMaterial { qrcode: Some(BASE64_STANDARD.encode(bytes)), ..ShareMaterial::default() }
}

fn failure(given: ShareMaterial) -> String {
    match accept(given, NOW) {
        Err(MaterialOutcome::Failed(MaterialRefusal { errcode: None, message })) => message,
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_image_is_known_by_its_bytes() {
    let png = [PNG_START, b"chunks", PNG_END].concat();
    let jpeg = [JPEG_START, b"segments", JPEG_END].concat();
    for (bytes, kind) in [(png, ImageKind::Png), (jpeg, ImageKind::Jpeg)] {
        let material = accept(given_image(&bytes), NOW).unwrap();
        assert_eq!(material.qrcode, Some(Image { kind, bytes: bytes.clone() }));
        assert_eq!(material.expires_at().0 - NOW.0, 2_592_000_000);
        // In lines, and without padding.
        let mut text = BASE64_STANDARD.encode(&bytes).replace('=', "");
        text.insert_str(8, "\r\n");
        let given = ShareMaterial { qrcode: Some(text), ..ShareMaterial::default() };
        assert_eq!(accept(given, NOW).unwrap(), material);
        assert_eq!(failure(given_image(&bytes[..bytes.len() - 1])), "the qrcode is damaged: the image has no end");
    }
    assert_eq!(failure(given_image(b"GIF89a")), "the qrcode is damaged: it is neither PNG nor JPEG");
    let given = ShareMaterial { qrcode: Some("%%%".into()), ..ShareMaterial::default() };
    assert_eq!(failure(given), "the qrcode is damaged: it is no base64");
}

#[test]
fn an_answer_without_material_is_a_failure() {
    assert_eq!(failure(ShareMaterial::default()), "the upstream's answer holds no material");
    let given = ShareMaterial { tag: Some("#short".into()), ..ShareMaterial::default() };
    assert_eq!(accept(given, NOW).unwrap().tag.as_deref(), Some("#short"));
}

#[test]
fn every_class_of_error_has_its_verdict() {
    let cause = || Cause { errcode: Some(1), text: "no".into() };
    let refusal = || MaterialRefusal { errcode: Some(1), message: "no".into() };
    let breaker_open = |reason| CallError::BreakerOpen { reason, cause: cause(), by_response: true };
    let minute = Duration::from_secs(60);
    let table = [
        (CallError::RefuseRequest(cause()), AfterCall::Final(MaterialOutcome::Rejected(refusal()))),
        (CallError::ParkPromoter(cause()), AfterCall::Final(MaterialOutcome::Failed(refusal()))),
        (CallError::Unforeseen(cause()), AfterCall::Final(MaterialOutcome::Failed(refusal()))),
        (CallError::ClientFault(cause()), AfterCall::Final(MaterialOutcome::Failed(refusal()))),
        (CallError::Unreadable(cause()), AfterCall::Final(MaterialOutcome::Failed(refusal()))),
        (CallError::TryLater(cause()), AfterCall::Again(refusal())),
        (CallError::Exhausted { attempts: 8, cause: cause() }, AfterCall::Again(refusal())),
        (breaker_open(OpenReason::Unanswered), AfterCall::Again(refusal())),
        (breaker_open(OpenReason::TooFast { retry_after: None }), AfterCall::BreakerOpen(Some(refusal()))),
        (breaker_open(OpenReason::RetryAfter(minute)), AfterCall::BreakerOpen(Some(refusal()))),
        (
            CallError::BreakerOpen {
                reason: OpenReason::TooFast { retry_after: None },
                cause: cause(),
                by_response: false,
            },
            AfterCall::BreakerOpen(None),
        ),
        (breaker_open(OpenReason::TokenRejected), AfterCall::BreakerOpen(None)),
        (breaker_open(OpenReason::Stopped(StopReason::Credentials)), AfterCall::BreakerOpen(None)),
        (breaker_open(OpenReason::QuotaSpent { day_left: minute }), AfterCall::BreakerOpen(None)),
        (breaker_open(OpenReason::QuotaSpent { day_left: minute }), AfterCall::BreakerOpen(None)),
        (CallError::Cancelled, AfterCall::Cancelled),
    ];
    for (error, verdict) in table {
        assert_eq!(after_failure(error), verdict);
    }
}
