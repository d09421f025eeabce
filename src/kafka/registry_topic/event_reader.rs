//! From a record of the registry topic to what it says.

use crate::avro::framing::Framing;
use crate::avro::kind_decoder::UnusableSchema;
use crate::avro::promoter::{PromoterDecoder, RegistryRecord};
use crate::avro::promoter_error::PromoterError;
use crate::clock;
use crate::model::dead_letter::{DeadLetter, Origin};
use crate::model::promoter::Promoter;
use crate::model::shard::Shard;
use crate::registry::discovered::discovered_of_key;
use crate::registry::event::{MISPLACED, MISPLACED_DETAIL, RegistryEvent};
use crate::registry::rewind::rewind_of_key;
use crate::text;

/// How many characters of a key are told that is none.
const KEY_CHARS_MAX: usize = 80;

/// Reads the records of one registry topic. Any bytes give an event, unless a schema has to be learnt first.
pub(super) struct EventReader {
    decoder: PromoterDecoder,
    topic: String,
    /// Of the topic.
    partitions: i32,
}

/// The schema with this id has to be learnt first.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct SchemaNeeded(pub i32);

impl EventReader {
    pub fn new(framing: Framing, topic: String, partitions: i32) -> EventReader {
        EventReader { decoder: PromoterDecoder::new(framing), topic, partitions }
    }

    /// Takes the text of a schema that a registry has under `id`.
    ///
    /// # Errors
    /// Where records can't be read with it.
    pub fn learn(&self, id: i32, schema: &str) -> Result<(), UnusableSchema> {
        self.decoder.learn(id, schema)
    }

    /// What the record at `offset` of `shard` says. `unavailable` says why a schema will not be known.
    ///
    /// # Errors
    /// [`SchemaNeeded`] where it can only be read once a schema is known. That it can't be read at all is no error, but
    /// an event.
    pub fn read(
        &self,
        shard: Shard,
        offset: i64,
        record: RegistryRecord<'_>,
        unavailable: impl Fn(i32) -> Option<String>,
    ) -> Result<RegistryEvent, SchemaNeeded> {
        let unreadable = |reason, detail| Ok(self.unreadable(shard, offset, record, reason, detail));
        match self.decoder.decode(record) {
            Ok((promoter, _)) if Shard::of(&promoter, self.partitions) != shard => {
                unreadable(MISPLACED, MISPLACED_DETAIL.to_owned())
            }
            Ok((promoter, content)) => Ok(RegistryEvent::Said { promoter, content }),
            Err(error @ PromoterError::UnknownSchema(id)) => match unavailable(id) {
                Some(why) => unreadable(error.reason(), why),
                None => Err(SchemaNeeded(id)),
            },
            Err(error @ PromoterError::Key) => {
                // What stands under no promoter's key could not be found again without it.
                let key = String::from_utf8_lossy(record.key.unwrap_or_default());
                unreadable(error.reason(), format!("{error}: {:?}", text::bounded(&key, KEY_CHARS_MAX)))
            }
            Err(error) => unreadable(error.reason(), text::with_causes(&error)),
        }
    }

    fn unreadable(
        &self,
        Shard(partition): Shard,
        offset: i64,
        record: RegistryRecord<'_>,
        reason: &'static str,
        detail: String,
    ) -> RegistryEvent {
        let key = record.key.and_then(|key| std::str::from_utf8(key).ok());
        let whose = key.map(|key| match rewind_of_key(key) {
            Some((promoter, _)) => promoter,
            None => discovered_of_key(key).unwrap_or(key),
        });
        let promoter = whose.and_then(|key| Promoter::from_key(key).ok());
        let origin = Origin { topic: self.topic.clone(), partition, offset };
        let raw = record.value.unwrap_or_default().into();
        let letter = DeadLetter::of_registration(origin, promoter, reason, detail, raw, clock::now());
        RegistryEvent::Unreadable { offset, letter: Box::new(letter) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::avro::promoter::PromoterEncoder;
    use crate::model::dead_letter::DeadLetterSource;
    use crate::model::time::UnixMillis;
    use crate::registry::record::{PromoterRecord, RegistryContent};

    const PARTITIONS: i32 = 3;

    fn reader() -> EventReader {
        EventReader::new(Framing::SingleObject, "registry".into(), PARTITIONS)
    }

    fn promoter() -> Promoter {
        Promoter::from_key("wx1/o1").unwrap()
    }

    fn framed(framing: Framing) -> Vec<u8> {
        let mut bytes = Vec::new();
        PromoterEncoder::new(framing).encode(&promoter(), &PromoterRecord::default(), &mut bytes).unwrap();
        bytes
    }

    fn record<'a>(key: &'a str, value: Option<&'a [u8]>) -> RegistryRecord<'a> {
        RegistryRecord {
            key: Some(key.as_bytes()),
            value,
            is_json: false,
            timestamp: UnixMillis(7),
            read_at: UnixMillis(7),
        }
    }

    fn letter(event: RegistryEvent) -> DeadLetter {
        let RegistryEvent::Unreadable { letter, .. } = event else { panic!("{event:?} can be read") };
        *letter
    }

    #[test]
    fn a_record_says_something_only_where_its_promoter_is_looked_for() {
        let home = Shard::of(&promoter(), PARTITIONS);
        let value = framed(Framing::SingleObject);
        for (value, is_there) in [(Some(value.as_slice()), true), (None, false)] {
            let event = reader().read(home, 5, record("wx1/o1", value), |_| None).unwrap();
            assert!(
                matches!(&event, RegistryEvent::Said { promoter: of, content: RegistryContent::Record(record) } if *of == promoter() && record.is_some() == is_there),
                "{event:?}"
            );
            let elsewhere = Shard((home.0 + 1) % PARTITIONS);
            let letter = letter(reader().read(elsewhere, 5, record("wx1/o1", value), |_| None).unwrap());
            assert_eq!((letter.reason, letter.promoter), ("misplaced", Some(promoter())));
        }
    }

    #[test]
    fn a_dead_letter_tells_where_the_record_stands_and_what_it_holds() {
        let letter = letter(reader().read(Shard(2), 9, record("no promoter", Some(b"raw")), |_| None).unwrap());
        let origin = Origin { topic: "registry".into(), partition: 2, offset: 9 };
        assert_eq!((letter.source, letter.reason), (DeadLetterSource::Registry, "invalid_key"));
        assert_eq!((letter.origin, &*letter.raw, letter.promoter), (Some(origin), &b"raw"[..], None));
        assert_eq!(letter.detail, "its key is not app_id/promoter_openid: \"no promoter\"");
    }

    #[test]
    fn a_schema_is_needed_until_it_is_learnt_or_will_not_be_known() {
        let (reader, home) = (reader(), Shard::of(&promoter(), PARTITIONS));
        let value = framed(Framing::Confluent { schema_id: 7 });
        let record = record("wx1/o1", Some(&value));
        assert_eq!(reader.read(home, 0, record, |_| None), Err(SchemaNeeded(7)));
        let unavailable = letter(reader.read(home, 0, record, |id| Some(format!("nobody knows {id}"))).unwrap());
        assert_eq!((unavailable.reason, unavailable.detail.as_str()), ("unknown_schema", "nobody knows 7"));
        reader.learn(7, crate::avro::schemas::RecordKind::Promoter.text()).unwrap();
        assert!(matches!(reader.read(home, 0, record, |_| None), Ok(RegistryEvent::Said { .. })));
    }
}
