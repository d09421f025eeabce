use proptest::prelude::*;

use super::*;
use crate::model::time::UnixTime;
use crate::registry::discovered::discovery_key;

/// Kafka's time of the records.
const SENT: UnixMillis = UnixMillis(1_700_000_000_000);
const CONFLUENT: Framing = Framing::Confluent { schema_id: 7 };

fn text() -> impl Strategy<Value = String> {
    prop::collection::vec(any::<char>(), 0..20).prop_map(String::from_iter)
}

fn any_promoter() -> impl Strategy<Value = Promoter> {
    ("[a-z0-9]{1,9}", "[a-zA-Z0-9_-]{1,30}").prop_map(|(app, id)| promoter(&app, &id).unwrap())
}

fn start() -> impl Strategy<Value = Option<StartFrom>> {
    let time = (0..253_402_000_000i64).prop_map(|time| StartFrom::At(UnixTime(time).max(UnixTime::EARLIEST)));
    prop::option::of(prop_oneof![Just(StartFrom::Now), Just(StartFrom::Earliest), time])
}

fn any_record() -> impl Strategy<Value = PromoterRecord> {
    let feeds = prop::sample::subsequence(Feed::ALL.to_vec(), 0..=3).prop_map(FeedSet::from_iter);
    let tag = (prop::collection::vec(any::<char>(), 1..9).prop_map(String::from_iter), text());
    let tags = prop::collection::vec(tag, 0..4).prop_map(|tags| Tags::new(tags).unwrap());
    (feeds, start(), any::<bool>(), tags, 1..200_000_000_000_000i64).prop_map(
        |(feeds, start_from, paused, tags, time)| {
            let updated_at = UnixMillis(time);
            PromoterRecord { feeds, start_from, paused, tags, updated_at }
        },
    )
}

fn encoded(promoter: &Promoter, record: &PromoterRecord, framing: Framing) -> Vec<u8> {
    let mut buffer = b"what the last record left".to_vec();
    PromoterEncoder::new(framing).encode(promoter, record, &mut buffer).unwrap();
    buffer
}

fn of<'a>(key: &'a str, value: &'a [u8], is_json: bool) -> RegistryRecord<'a> {
    RegistryRecord {
        key: Some(key.as_bytes()),
        value: Some(value),
        is_json,
        timestamp: SENT,
        read_at: UnixMillis(i64::MAX),
    }
}

fn as_json(promoter: &Promoter, record: &PromoterRecord) -> String {
    let feeds: Vec<&str> = record.feeds.iter().map(Feed::word).collect();
    let tags: BTreeMap<&str, &str> = record.tags.iter().collect();
    serde_json::json!({
        "app_id": promoter.app_id(), "promoter_openid": promoter.promoter_id(), "feeds": feeds,
        "start_from": record.start_from.map(|start| start.to_string()), "paused": record.paused, "tags": tags,
        "updated_at": record.updated_at.0, "a_field_to_come": [{}],
    })
    .to_string()
}

#[test]
fn the_schema_tells_the_word_of_every_feed() {
    let schema: serde_json::Value = serde_json::from_str(RecordKind::Promoter.text()).unwrap();
    let fields = schema["fields"].as_array().unwrap();
    let doc = fields.iter().find(|field| field["name"] == "feeds").unwrap()["doc"].as_str().unwrap();
    let told: Vec<&str> = doc.split(|character: char| !character.is_ascii_alphabetic()).collect();
    for feed in Feed::ALL {
        assert!(told.contains(&feed.word()), "{feed}: {doc}");
    }
}

#[test]
fn json_that_does_not_say_so_is_told_which_header_it_lacks() {
    let told = |value: &[u8]| {
        let decoder = PromoterDecoder::new(Framing::SingleObject);
        decoder.decode(of("wx1/oA", value, false)).unwrap_err().to_string()
    };
    for json in ["{}", " \n{\"app_id\":\"wx1\"}", "\u{feff}{}"] {
        assert!(told(json.as_bytes()).ends_with("send the header content-type: application/json"), "{json}");
    }
    for other in [&b"?"[..], b"", b"\xc3\x01{"] {
        assert!(!told(other).contains("header"), "{other:?}");
    }
}

proptest! {
    #[test]
    fn a_record_is_read_back_as_it_was(promoter in any_promoter(), record in any_record()) {
        for framing in [CONFLUENT, Framing::SingleObject] {
            let bytes = encoded(&promoter, &record, framing);
            let sent = RegistryRecord { timestamp: record.updated_at, ..of(promoter.key(), &bytes, false) };
            let read = PromoterDecoder::new(framing).decode(sent);
            prop_assert_eq!(read, Ok((promoter.clone(), RegistryContent::Record(Some(record.clone())))));
        }
        let json = as_json(&promoter, &record);
        let sent = RegistryRecord { timestamp: record.updated_at, ..of(promoter.key(), json.as_bytes(), true) };
        let read = PromoterDecoder::new(CONFLUENT).decode(sent);
        prop_assert_eq!(read, Ok((promoter, RegistryContent::Record(Some(record)))));
    }

    #[test]
    fn any_bytes_give_a_promoter_or_an_error(
        (promoter, record) in (any_promoter(), any_record()),
        at: prop::sample::Index,
        byte: u8,
        is_json: bool,
    ) {
        let mut bytes = encoded(&promoter, &record, CONFLUENT);
        let at = at.index(bytes.len());
        prop_assert!(PromoterDecoder::new(CONFLUENT).decode(of(promoter.key(), &bytes[..at], is_json)).is_err());
        bytes[at] = byte;
        let _ = PromoterDecoder::new(CONFLUENT).decode(of(promoter.key(), &bytes, is_json));
    }
}

fn read_json(text: &str) -> Result<(Promoter, Option<PromoterRecord>), PromoterError> {
    let (promoter, content) = PromoterDecoder::new(CONFLUENT).decode(of("wx1/o1", text.as_bytes(), true))?;
    let RegistryContent::Record(record) = content else { panic!("{content:?} is no operator's") };
    Ok((promoter, record))
}

#[test]
fn what_discovery_has_found_stands_under_a_key_of_its_own_and_nowhere_else() {
    let (encoder, decoder) = (PromoterEncoder::new(CONFLUENT), PromoterDecoder::new(CONFLUENT));
    let whom = promoter("wx1", "o1").unwrap();
    let key = discovery_key(&whom);
    assert_eq!(key, "wx1/o1/discovered");
    let mut bytes = Vec::new();
    for status in DiscoveryStatus::ALL {
        let found = DiscoveredPromoter { status, tags: Tags::new([("role_id", "7")]).unwrap() };
        encoder.encode_discovered(&whom, &found, UnixMillis(9), &mut bytes).unwrap();
        let read = decoder.decode(of(&key, &bytes, false));
        assert_eq!(read, Ok((whom.clone(), RegistryContent::Discovery(Some(found)))));
        let error = decoder.decode(of("wx1/o1", &bytes, false)).unwrap_err();
        assert_eq!(error.to_string(), "its key is not one of discovery, and its value is one of discovery");
    }
    let operators = encoded(&whom, &PromoterRecord::default(), CONFLUENT);
    assert_eq!(decoder.decode(of(&key, &operators, false)).unwrap_err().reason(), "key_mismatch");
    let tombstone = RegistryRecord { value: None, ..of(&key, b"", false) };
    assert_eq!(decoder.decode(tombstone), Ok((whom, RegistryContent::Discovery(None))));
}

#[test]
fn the_schema_tells_the_words_of_discovery() {
    let schema: serde_json::Value = serde_json::from_str(RecordKind::Promoter.text()).unwrap();
    let fields = schema["fields"].as_array().unwrap();
    let doc = fields.iter().find(|field| field["name"] == "discovered").unwrap()["doc"].as_str().unwrap();
    assert!(DiscoveryStatus::ALL.iter().all(|status| doc.contains(status.word())), "{doc}");
}

#[test]
fn a_tombstone_deregisters_whom_its_key_names() {
    let decoder = PromoterDecoder::new(Framing::SingleObject);
    let tombstone = RegistryRecord { value: None, ..of("wx1/o1", b"", true) };
    assert_eq!(decoder.decode(tombstone), Ok((promoter("wx1", "o1").unwrap(), RegistryContent::Record(None))));
    for key in [None, Some(&b"wx1"[..]), Some(b"wx1/o 1"), Some(b"wx1/\xFF"), Some(b"/o1"), Some(b"")] {
        assert_eq!(decoder.decode(RegistryRecord { key, ..tombstone }), Err(PromoterError::Key));
    }
}

#[test]
fn a_value_that_names_another_than_its_key_registers_nobody() {
    let error = read_json(r#"{"app_id": "wx1", "promoter_openid": "o2"}"#).unwrap_err();
    assert_eq!(
        (error.reason(), error.to_string()),
        ("key_mismatch", "its key is of wx1/o1, and its value of wx1/o2".into())
    );
}

#[test]
fn json_says_as_little_as_it_likes() {
    let (_, record) = read_json("\u{FEFF}{\"app_id\":\"wx1\",\"promoter_openid\":\"o1\",\"paused\":\"true\"}").unwrap();
    let expected = PromoterRecord { paused: true, updated_at: SENT, ..PromoterRecord::default() };
    assert_eq!(record, Some(expected));
}

#[test]
fn when_a_record_was_written_it_says_itself_where_that_can_be_meant() {
    let read = |stated: i64| written_at(Some(UnixMillis(stated)), SENT).0 - SENT.0;
    for waited in [0, 1, 59_000, 3_600_000] {
        assert_eq!(read(SENT.0 - waited), -waited);
    }
    // Of long ago, ahead, nothing, in seconds, and what can't be reckoned with.
    for stated in [SENT.0 - 3_600_001, SENT.0 + 1, SENT.0 + 300_000, 0, SENT.0 / 1000, -SENT.0, i64::MIN, i64::MAX] {
        assert_eq!(read(stated), 0, "{stated}");
    }
    assert_eq!(written_at(None, SENT), SENT);
}

#[test]
fn no_record_was_written_after_it_was_read() {
    let ahead = |stated: i64| {
        let json = format!(r#"{{"app_id":"wx1","promoter_openid":"o1","updated_at":{}}}"#, SENT.0 + stated);
        let record = RegistryRecord { read_at: UnixMillis(SENT.0 - 5000), ..of("wx1/o1", json.as_bytes(), true) };
        let (_, content) = PromoterDecoder::new(Framing::SingleObject).decode(record).unwrap();
        let RegistryContent::Record(Some(record)) = content else { panic!("{content:?}") };
        record.updated_at.0 - SENT.0
    };
    assert_eq!([0, -1000, -5000, -7000].map(ahead), [-5000, -5000, -5000, -7000]);
}

#[test]
fn a_wrong_field_is_named() {
    for (field, words) in [
        (r#""feeds":"touches""#, "feeds is not a list of texts"),
        (r#""feeds":["touchs"]"#, "feeds: \"touchs\" is none of the feeds touches, orders, refunds"),
        (r#""start_from":"yesterday""#, "start_from is neither now"),
        (r#""start_from":5"#, "start_from is not a text"),
        (r#""paused":"yes""#, "paused is neither true nor false"),
        (r#""tags":{"a":1}"#, "tags is not an object of texts"),
        (r#""tags":{"":"x"}"#, "tags hold a text without a name"),
        (r#""updated_at":"then""#, "updated_at is neither a time"),
    ] {
        let text = format!(r#"{{"app_id":"wx1","promoter_openid":"o1",{field}}}"#);
        let error = read_json(&text).unwrap_err();
        assert!(error.to_string().starts_with(words) && error.reason() == "invalid_field", "{text}: {error}");
    }
    for (text, words) in [
        (r#"{"promoter_openid":"o1"}"#, "app_id is missing"),
        (r#"{"app_id":"wx1","promoter_openid":""}"#, "promoter_openid is empty"),
    ] {
        assert_eq!(read_json(text).unwrap_err().to_string(), words);
    }
    assert_eq!(read_json("[]").unwrap_err().reason(), "not_json");
}

#[test]
fn what_json_says_is_none_is_told_from_what_it_does_not_say() {
    let text = r#"{"app_id":"wx1","promoter_openid":"o1","start_from":null,"tags":null}"#;
    let patch = PromoterStatement::from_json(text.as_bytes()).unwrap().patch;
    let expected = PromoterPatch { start_from: Some(None), tags: Some(Tags::default()), ..PromoterPatch::default() };
    assert_eq!(patch, expected);
}

#[test]
fn a_schema_of_anothers_own_is_matched_by_its_fields_and_may_lack_most() {
    let decoder = PromoterDecoder::new(Framing::SingleObject);
    let bytes = b"\x00\x00\x00\x00\x09\x04o1\x02\x0etouches\x00\x06wx1";
    assert_eq!(decoder.decode(of("wx1/o1", bytes, false)), Err(PromoterError::UnknownSchema(9)));
    let schema = r#"{"type":"record","name":"Shop","fields":[
        {"name":"promoter_openid","type":"string"},
        {"name":"feeds","type":{"type":"array","items":"string"}},
        {"name":"app_id","type":"string"}]}"#;
    decoder.learn(9, schema).unwrap();
    let (_, record) = decoder.decode(of("wx1/o1", bytes, false)).unwrap();
    let feeds = FeedSet::from_iter([Feed::Touches]);
    let expected = PromoterRecord { feeds, updated_at: SENT, ..PromoterRecord::default() };
    assert_eq!(record, RegistryContent::Record(Some(expected)));
    assert!(decoder.learn(9, r#""string""#).is_err());
}

#[test]
fn the_own_schema_is_known_under_whatever_id_a_registry_has_it() {
    let (whom, record) =
        (promoter("wx1", "o1").unwrap(), PromoterRecord { updated_at: SENT, ..PromoterRecord::default() });
    let bytes = encoded(&whom, &record, Framing::Confluent { schema_id: 8 });
    let decoder = PromoterDecoder::new(CONFLUENT);
    decoder.learn(8, RecordKind::Promoter.text()).unwrap();
    assert_eq!(decoder.decode(of("wx1/o1", &bytes, false)), Ok((whom, RegistryContent::Record(Some(record)))));
}
