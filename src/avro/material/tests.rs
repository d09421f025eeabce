use apache_avro::types::Value;
use proptest::prelude::*;

use super::*;
use crate::avro::decode::Decoder;
use crate::model::material::{Image, ImageKind, Material, MaterialRefusal};

const CONFLUENT: Framing = Framing::Confluent { schema_id: 7 };

fn text() -> impl Strategy<Value = String> {
    prop::collection::vec(any::<char>(), 0..20).prop_map(String::from_iter)
}

/// Times that RFC 3339 has digits for.
fn time() -> impl Strategy<Value = UnixMillis> {
    (0..200_000_000_000_000i64).prop_map(UnixMillis)
}

fn any_request() -> impl Strategy<Value = MaterialRequest> {
    let optional = || prop::option::of(text());
    let needed = (text(), text(), text(), text());
    (needed, optional(), optional(), optional(), any::<Option<i32>>(), prop::option::of(time())).prop_map(
        |((request_id, app_id, promoter_openid, path), extra_info, title, env_version, share_type, deadline)| {
            MaterialRequest {
                request_id,
                app_id,
                promoter_openid,
                path,
                extra_info,
                title,
                env_version,
                share_type,
                deadline,
            }
        },
    )
}

fn encoded(request: &MaterialRequest, framing: Framing) -> Vec<u8> {
    let mut buffer = b"what the last record left".to_vec();
    RequestEncoder::new(framing).encode(request, &mut buffer).unwrap();
    buffer
}

fn as_json(request: &MaterialRequest) -> serde_json::Value {
    let deadline = request.deadline.map(|time| jiff::Timestamp::from_millisecond(time.0).unwrap().to_string());
    serde_json::json!({
        "request_id": request.request_id, "app_id": request.app_id, "promoter_openid": request.promoter_openid,
        "path": request.path, "extra_info": request.extra_info, "title": request.title,
        "env_version": request.env_version, "share_type": request.share_type, "deadline": deadline,
        "a_field_to_come": {"of": ["any", "kind"]},
    })
}

proptest! {
    #[test]
    fn a_request_is_read_back_as_it_was(request in any_request()) {
        for framing in [CONFLUENT, Framing::SingleObject] {
            let decoder = RequestDecoder::new(framing);
            prop_assert_eq!(&decoder.decode_avro(&encoded(&request, framing)).unwrap(), &request);
        }
        let json = as_json(&request).to_string();
        prop_assert_eq!(RequestDecoder::new(CONFLUENT).decode_json(json.as_bytes()).unwrap(), request);
    }

    #[test]
    fn any_bytes_give_a_request_or_an_error(request in any_request(), at: prop::sample::Index, byte: u8) {
        let decoder = RequestDecoder::new(CONFLUENT);
        let mut bytes = encoded(&request, CONFLUENT);
        let cut = at.index(bytes.len());
        prop_assert!(decoder.decode_avro(&bytes[..cut]).is_err());
        prop_assert!(decoder.decode_json(&bytes).is_err());
        bytes[cut] = byte;
        let _ = decoder.decode_avro(&bytes);
    }
}

const WHOLE: &str =
    r#"{"request_id":"r","app_id":"a","promoter_openid":"p","path":"x","deadline":"2026-01-01T00:00:00+08:00"}"#;

fn read_json(text: impl AsRef<[u8]>) -> Result<MaterialRequest, RequestError> {
    RequestDecoder::new(CONFLUENT).decode_json(text.as_ref())
}

#[test]
fn a_json_request_without_a_readable_id_or_with_a_field_twice_is_unreadable() {
    assert_eq!(read_json(WHOLE).unwrap().deadline, Some(UnixMillis(1_767_196_800_000)));
    for (from, to) in [
        ("request_id", "id"),
        ("\"r\"", "1"),
        ("\"r\"", "null"),
        ("\"r\"", "\"\\ud83d\""),
        ("}", "} x"),
        ("}", ""),
        ("{", "[{"),
        ("}", ",\"path\":\"x\"}"),
        ("}", ",\"p\\u0061th\":\"y\"}"),
    ] {
        let broken = WHOLE.replacen(from, to, 1);
        assert!(matches!(read_json(&broken), Err(RequestError::Unreadable(_))), "{broken}");
    }
}

#[test]
fn a_flaw_of_a_json_request_names_the_field_and_whose_request_it_is() {
    for (from, to, words) in [
        ("\"path\":\"x\"", "\"paths\":\"x\"", "path is missing"),
        ("\"path\":\"x\"", "\"path\":5", "path is not a text"),
        ("\"path\":\"x\"", "\"path\":\"\\ud83d\"", "path is not a text"),
        ("}", ",\"title\":[\"t\"]}", "title is not a text"),
        ("}", ",\"share_type\":\"one\"}", "share_type is not a whole number"),
        ("}", ",\"share_type\":1.5}", "share_type is not a whole number"),
        ("}", ",\"share_type\":4294967296}", "share_type is not a whole number"),
        ("+08:00", "", "deadline is neither"),
        ("\"2026-01-01T00:00:00+08:00\"", "true", "deadline is neither"),
        ("2026-01-01T00:00:00", "10000-01-01T00:00:00", "deadline is neither"),
    ] {
        let flawed = WHOLE.replacen(from, to, 1);
        let Err(RequestError::Flawed { request, flaw }) = read_json(&flawed) else { panic!("{flawed}") };
        assert!(flaw.to_string().starts_with(words), "{flaw}");
        assert_eq!([&*request.request_id, &*request.app_id, &*request.promoter_openid], ["r", "a", "p"]);
    }
    let damaged = [b"{\"request_id\":\"r\",\"app_id\":\"".as_slice(), b"\xff", &WHOLE.as_bytes()[28..]].concat();
    let Err(RequestError::Flawed { flaw, .. }) = read_json(&damaged) else { panic!() };
    assert_eq!(flaw.to_string(), "app_id is not UTF-8");
}

#[test]
fn a_json_request_may_begin_with_a_mark_and_write_numbers_as_text_and_times_as_numbers() {
    let marked = ["\u{FEFF}", WHOLE].concat();
    assert_eq!(read_json(&marked), read_json(WHOLE));
    for (written, share_type) in [("\"1\"", Some(1)), ("3", Some(3)), ("null", None), ("\"-1\"", Some(-1))] {
        let text = WHOLE.replacen('}', &format!(",\"share_type\":{written}}}"), 1);
        assert_eq!(read_json(&text).unwrap().share_type, share_type, "{text}");
    }
    for (written, millis) in [
        ("1767196800123", 1_767_196_800_123),
        ("\"1767196800123\"", 1_767_196_800_123),
        ("-1", -1),
        ("\"1970-01-01T00:00:00.5Z\"", 500),
        ("\"9999-12-31T23:59:59.999Z\"", 253_402_300_799_999),
        ("\"9999-12-31T23:59:59-23:59\"", 253_402_300_799_000 + (23 * 60 + 59) * 60_000),
        ("\"0000-01-01T00:00:00Z\"", -62_167_219_200_000),
    ] {
        let text = WHOLE.replacen("\"2026-01-01T00:00:00+08:00\"", written, 1);
        assert_eq!(read_json(&text).unwrap().deadline, Some(UnixMillis(millis)), "{text}");
    }
}

#[test]
fn a_record_of_another_kind_is_no_request() {
    let framing = Framing::SingleObject;
    let bytes =
        [framing.header(RecordKind::Promoter.fingerprint()), b"\x02a\x02p\x00\x00\x00\x00\x00\x00".to_vec()].concat();
    let error = RequestDecoder::new(framing).decode_avro(&bytes).unwrap_err();
    assert_eq!(error, RequestError::Unreadable("a promoter.Promoter, where a promoter.MaterialRequest belongs".into()));
}

#[test]
fn a_schema_of_the_requesters_own_is_matched_by_its_fields() {
    let decoder = RequestDecoder::new(CONFLUENT);
    // As a Java class has it that was written by hand: other order, other name, one field more and five fewer.
    let schema = r#"{"type":"record","name":"Ask","namespace":"shop","fields":[
        {"name":"path","type":{"type":"string","avro.java.string":"String"}},
        {"name":"shop","type":"long"},
        {"name":"promoter_openid","type":"string"},
        {"name":"app_id","type":"string"},
        {"name":"title","type":["null","string"]},
        {"name":"request_id","type":"string"}]}"#;
    let bytes = b"\x00\x00\x00\x00\x09\x02x\x54\x02p\x02a\x02\x02t\x02r";
    assert_eq!(decoder.decode_avro(bytes), Err(RequestError::UnknownSchema(9)));
    assert!(decoder.learn(8, "{").is_err());
    decoder.learn(9, schema).unwrap();
    let request = decoder.decode_avro(bytes).unwrap();
    let [request_id, app_id, promoter_openid, path] = ["r", "a", "p", "x"].map(str::to_owned);
    let title = Some("t".to_owned());
    assert_eq!(
        request,
        MaterialRequest { request_id, app_id, promoter_openid, path, title, ..MaterialRequest::default() }
    );
    let RequestError::Unreadable(_) = decoder.decode_avro(&bytes[..bytes.len() - 1]).unwrap_err() else { panic!() };
    decoder.learn(9, r#"{"type":"record","name":"Ask","fields":[{"name":"path","type":"string"}]}"#).unwrap();
    let RequestError::Unreadable(_) = decoder.decode_avro(b"\x00\x00\x00\x00\x09\x02x").unwrap_err() else { panic!() };
}

fn fields_of(outcome: MaterialOutcome) -> Vec<(String, Value)> {
    let result = MaterialResult { request_id: "r".into(), app_id: "a".into(), promoter_openid: "p".into(), outcome };
    let mut buffer = Vec::new();
    ResultEncoder::new(CONFLUENT).encode(&result, &mut buffer).unwrap();
    let (kind, fields) = Decoder::new([(7, RecordKind::MaterialResult)]).fields(&buffer).unwrap();
    assert_eq!(kind, RecordKind::MaterialResult);
    fields
}

fn some(value: Value) -> Value {
    Value::Union(1, Box::new(value))
}

fn expected(values: [Value; 9]) -> Vec<(String, Value)> {
    let names =
        ["status", "share_path", "qrcode", "qrcode_type", "tag", "errcode", "errmsg", "issued_at", "expires_at"];
    let ids = [("request_id", "r"), ("app_id", "a"), ("promoter_openid", "p")];
    let ids = ids.map(|(name, text)| (name.to_owned(), Value::String(text.into())));
    ids.into_iter().chain(names.map(str::to_owned).into_iter().zip(values)).collect()
}

#[test]
fn material_is_written_with_its_image_and_thirty_days() {
    let image = Image { kind: ImageKind::Jpeg, bytes: vec![0xFF, 0xD8] };
    let material =
        Material { share_path: Some("x?m".into()), qrcode: Some(image), tag: None, issued_at: UnixMillis(1000) };
    let null = || Value::Union(0, Box::new(Value::Null));
    assert_eq!(
        fields_of(MaterialOutcome::Succeeded(material)),
        expected([
            Value::String("SUCCEEDED".into()),
            some(Value::String("x?m".into())),
            some(Value::Bytes(vec![0xFF, 0xD8])),
            some(Value::String("image/jpeg".into())),
            null(),
            null(),
            null(),
            some(Value::TimestampMillis(1000)),
            some(Value::TimestampMillis(1000 + 30 * 86_400_000)),
        ])
    );
}

#[test]
fn a_refusal_is_written_with_its_code_and_words() {
    let null = || Value::Union(0, Box::new(Value::Null));
    let refusal = |errcode| MaterialRefusal { errcode, message: "no".into() };
    for (outcome, status, errcode) in [
        (MaterialOutcome::Failed(refusal(Some(103_006))), Value::String("FAILED".into()), some(Value::Int(103_006))),
        (MaterialOutcome::Rejected(refusal(None)), Value::String("REJECTED".into()), null()),
        (MaterialOutcome::Expired(refusal(Some(i64::MAX))), Value::String("EXPIRED".into()), null()),
    ] {
        let words = some(Value::String("no".into()));
        let values = [status, null(), null(), null(), null(), errcode, words, null(), null()];
        assert_eq!(fields_of(outcome), expected(values));
    }
}
