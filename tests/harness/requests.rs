//! Requests for material as they stand on their topic: whole ones in both forms, and every flaw that the pipeline must find.

use std::sync::LazyLock;

use promoter_connector::avro::framing::Framing;
use promoter_connector::avro::material::{RequestEncoder, ResultEncoder};
use promoter_connector::model::material::{MaterialOutcome, MaterialRefusal, MaterialRequest, MaterialResult};
use promoter_connector::model::time::UnixMillis;

pub const AVRO: &str = "application/avro";
pub const JSON: &str = "application/json";
/// Without being authorised: one of whom the upstream knows, and one of whom it does not.
const UNAUTHORISED: [&str; 2] = ["oSimulated000011", "oStranger"];

/// How a request has to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Succeeded,
    /// A reply of this status, whose `errmsg` holds these words.
    Refused(&'static str, &'static str),
    /// A dead letter of this reason.
    DeadLetter(&'static str),
}

/// A request as it stands on its topic.
pub struct Asked {
    pub request: MaterialRequest,
    pub content_type: &'static str,
    /// Absent in a tombstone.
    pub value: Option<Vec<u8>>,
    pub end: End,
}

/// What is wrong with a request that can be read, and how it ends.
type Flaw = (fn(&mut MaterialRequest), End);

const FLAWS: [Flaw; 14] = [
    (|request| request.title = Some("a title that is too long".into()), rejected("title has 24 bytes")),
    (|request| request.extra_info = Some("字".repeat(27)), rejected("extra_info has 81 bytes")),
    (|request| request.app_id = "wx_unknown".into(), rejected("none of this connector's apps")),
    (|request| request.app_id = "".into(), rejected("app_id ")),
    (|request| request.promoter_openid = "".into(), rejected("promoter_openid ")),
    (|request| request.path = "".into(), rejected("path is empty")),
    (|request| request.request_id = "".into(), rejected("request_id is empty")),
    (|request| request.request_id = "r".repeat(300), rejected("request_id has 300 bytes")),
    (|request| request.share_type = Some(4), rejected("share_type is 4")),
    (|request| request.env_version = Some("beta".into()), rejected("env_version is none of")),
    (
        |request| (request.env_version, request.share_type) = (Some("trial".into()), Some(3)),
        rejected("env_version trial and develop need a short link"),
    ),
    (|request| request.deadline = Some(UnixMillis(1_600_000_000_000)), End::Refused("EXPIRED", "deadline had passed")),
    (|request| request.promoter_openid = UNAUTHORISED[0].into(), End::Refused("FAILED", "")),
    (|request| request.promoter_openid = UNAUTHORISED[1].into(), End::Refused("FAILED", "")),
];

const fn rejected(words: &'static str) -> End {
    End::Refused("REJECTED", words)
}

/// What stands there instead of a request, how its header calls it, and how it ends.
type Breakage = (fn(&MaterialRequest) -> Option<Vec<u8>>, &'static str, End);

const BREAKAGES: [Breakage; 10] = [
    (|_| None, AVRO, End::DeadLetter("no_value")),
    (|_| Some(b"neither Avro nor JSON".to_vec()), AVRO, End::DeadLetter("not_avro")),
    (|request| Some(single_object(request)[..30].to_vec()), AVRO, End::DeadLetter("not_avro")),
    (|_| Some(a_reply()), AVRO, End::DeadLetter("not_avro")),
    (|_| Some(b"\x00\x00\x00\x00\x09for a registry".to_vec()), AVRO, End::DeadLetter("unknown_schema")),
    (|request| Some(single_object(request)), JSON, End::DeadLetter("not_json")),
    (|request| Some(json_with(request, "\"request_id\"", "\"id\"")), JSON, End::DeadLetter("not_json")),
    (|request| Some(json_with(request, "\"title\":", "\"path\":")), JSON, End::DeadLetter("not_json")),
    (|request| Some(json_with(request, "\"path\"", "\"paths\"")), JSON, rejected("path is missing")),
    (
        |request| Some(json_with(request, "\"deadline\":null", "\"deadline\":\"2099-01-01T00:00:00\"")),
        JSON,
        rejected("deadline is neither"),
    ),
];

/// How many flaws there are.
pub const FLAWS_COUNT: usize = FLAWS.len() + BREAKAGES.len();

/// The request written as `content_type` says, with one of the flaws or without. One that gets a flaw has no deadline.
pub fn asked(mut request: MaterialRequest, content_type: &'static str, flaw: Option<usize>) -> Asked {
    let mut end = End::Succeeded;
    if let Some(flaw) = flaw {
        match FLAWS.get(flaw) {
            Some((flaw, bad_end)) => {
                flaw(&mut request);
                end = *bad_end;
            }
            None => {
                let (broken, content_type, end) = BREAKAGES[flaw - FLAWS.len()];
                return Asked { value: broken(&request), request, content_type, end };
            }
        }
    }
    let value = if content_type == JSON { json(&request) } else { single_object(&request) };
    Asked { request, content_type, value: Some(value), end }
}

fn single_object(request: &MaterialRequest) -> Vec<u8> {
    static ENCODER: LazyLock<RequestEncoder> = LazyLock::new(|| RequestEncoder::new(Framing::SingleObject));
    let mut bytes = Vec::new();
    ENCODER.encode(request, &mut bytes).expect("any request can be written");
    bytes
}

/// A whole single object of another kind.
fn a_reply() -> Vec<u8> {
    let [request_id, app_id, promoter_openid] = ["r", "a", "p"].map(str::to_owned);
    let outcome = MaterialOutcome::Failed(MaterialRefusal::own("no request"));
    let mut bytes = Vec::new();
    let written = ResultEncoder::new(Framing::SingleObject)
        .encode(&MaterialResult { request_id, app_id, promoter_openid, outcome }, &mut bytes);
    written.expect("any reply can be written");
    bytes
}

/// As JSON, with one text in place of another that must be there.
fn json_with(request: &MaterialRequest, from: &str, to: &str) -> Vec<u8> {
    let text = String::from_utf8(json(request)).expect("JSON is text");
    assert!(text.contains(from), "{from} is not in {text}");
    text.replace(from, to).into_bytes()
}

pub fn json(request: &MaterialRequest) -> Vec<u8> {
    let deadline = request.deadline.map(|time| jiff::Timestamp::from_millisecond(time.0).expect("a time").to_string());
    let json = serde_json::json!({
        "request_id": request.request_id, "app_id": request.app_id, "promoter_openid": request.promoter_openid,
        "path": request.path, "extra_info": request.extra_info, "title": request.title,
        "env_version": request.env_version, "share_type": request.share_type, "deadline": deadline,
    });
    json.to_string().into_bytes()
}
