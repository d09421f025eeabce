//! The schemas of `schemas/*.avsc`: their texts, parsed once, and their fingerprints.

use std::fmt;
use std::sync::LazyLock;

use apache_avro::Schema;
use apache_avro::rabin::Rabin;
use serde_json::Value as Json;

use crate::model::feed::EventTopic;
use crate::model::row::RowKind;

/// Declares the kinds of records, each once: its variant, the full name of its Avro record, and its file in `schemas/`. So
/// none can be left out of [`RecordKind::ALL`], by whose order what is made of each schema is found.
macro_rules! record_kinds {
    ($($kind:ident: $name:literal in $file:literal,)*) => {
        /// A kind of record that goes over a topic, each with its own schema.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum RecordKind {
            $($kind,)*
        }

        impl RecordKind {
            pub const ALL: [RecordKind; [$($name),*].len()] = [$(RecordKind::$kind),*];

            /// The full name of the Avro record.
            pub fn name(self) -> &'static str {
                match self {
                    $(RecordKind::$kind => $name,)*
                }
            }

            /// The schema as it stands in `schemas/`. This text is what a registry gets: a re-serialised schema would
            /// lose attributes.
            pub fn text(self) -> &'static str {
                match self {
                    $(RecordKind::$kind => include_str!(concat!("../../schemas/", $file)),)*
                }
            }

            /// The name of its file in `schemas/`.
            pub fn file(self) -> &'static str {
                match self {
                    $(RecordKind::$kind => $file,)*
                }
            }

            /// As it stood in the last release, which consumers out there were built with.
            #[cfg(test)]
            fn released(self) -> &'static str {
                match self {
                    $(RecordKind::$kind => include_str!(concat!("../../schemas/released/", $file)),)*
                }
            }
        }
    };
}

record_kinds! {
    Touch: "promoter.Touch" in "touch.avsc",
    Order: "promoter.Order" in "order.avsc",
    MaterialRequest: "promoter.MaterialRequest" in "material-request.avsc",
    MaterialResult: "promoter.MaterialResult" in "material-result.avsc",
    DeadLetter: "promoter.DeadLetter" in "dead-letter.avsc",
    Promoter: "promoter.Promoter" in "promoter.avsc",
    LedgerDay: "promoter.LedgerDay" in "ledger-day.avsc",
}

impl RecordKind {
    /// What the events of a topic are.
    pub(crate) fn of_events(topic: EventTopic) -> RecordKind {
        match topic.rows() {
            RowKind::Touch => RecordKind::Touch,
            RowKind::Order => RecordKind::Order,
        }
    }

    pub fn fingerprint(self) -> Fingerprint {
        PARSED[self as usize].fingerprint
    }

    pub(super) fn schema(self) -> &'static Schema {
        &PARSED[self as usize].schema
    }
}

impl fmt::Display for RecordKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// CRC-64-AVRO of a schema's Parsing Canonical Form, in the byte order of the single-object header
/// (little-endian). Shown in hex in that order.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint(pub [u8; 8]);

impl Fingerprint {
    /// The same as a number, as the Avro specification computes it.
    pub(crate) fn crc64(self) -> u64 {
        u64::from_le_bytes(self.0)
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

struct Parsed {
    schema: Schema,
    fingerprint: Fingerprint,
}

/// In the order of [`RecordKind::ALL`], which is that of the variants.
static PARSED: LazyLock<[Parsed; RecordKind::ALL.len()]> = LazyLock::new(|| {
    RecordKind::ALL.map(|kind| {
        let schema = parse(kind.text()).expect("it is built in, and the tests below parse every one");
        let fingerprint = fingerprint(kind.text()).expect("what parses with logical types parses without them");
        Parsed { schema, fingerprint }
    })
});

fn parse(text: &str) -> Result<Schema, apache_avro::Error> {
    Schema::parse_str(text)
}

/// The canonical form of the Avro specification reduces `{"type": "long", "logicalType": …}` to `"long"`, and
/// so do the implementations in Java and Python; apache-avro keeps it as `{"type":"long"}`, which would give a
/// fingerprint that nobody else finds. So logical types are taken out before.
///
/// # Errors
/// Where the text is no schema, be it that it is no JSON: that counts as `null`, which is none.
fn fingerprint(text: &str) -> Result<Fingerprint, apache_avro::Error> {
    let mut json = serde_json::from_str(text).unwrap_or(Json::Null);
    remove_logical_types(&mut json);
    let digest = Schema::parse(&json)?.fingerprint::<Rabin>();
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&digest.bytes);
    Ok(Fingerprint(bytes))
}

fn remove_logical_types(json: &mut Json) {
    match json {
        Json::Object(attributes) => {
            attributes.remove("logicalType");
            attributes.values_mut().for_each(remove_logical_types);
        }
        Json::Array(items) => items.iter_mut().for_each(remove_logical_types),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use apache_avro::schema_compatibility::{Compatibility, SchemaCompatibility};

    use super::*;

    /// Both directions, and the logical types, which apache-avro does not compare.
    fn check_compatible(old: &str, new: &str) -> Result<(), String> {
        let schemas = [old, new].map(|text| parse(text).unwrap());
        match SchemaCompatibility::mutual_read(&schemas[0], &schemas[1]) {
            Ok(Compatibility::Full) => {}
            Ok(Compatibility::Partial) => return Err("some values can't be read".into()),
            Err(error) => return Err(error.to_string()),
        }
        let [old, new] = [old, new].map(logical_types);
        for (field, logical_type) in &old {
            if new.get(field).is_some_and(|of_new| of_new != logical_type) {
                return Err(format!("the logical type of {field} changed"));
            }
        }
        Ok(())
    }

    /// Each field of a record, with all the logical types within it.
    fn logical_types(text: &str) -> BTreeMap<String, Vec<String>> {
        fn collect(json: &Json, found: &mut Vec<String>) {
            match json {
                Json::Object(attributes) => {
                    found.extend(attributes.get("logicalType").map(Json::to_string));
                    attributes.values().for_each(|value| collect(value, found));
                }
                Json::Array(items) => items.iter().for_each(|item| collect(item, found)),
                _ => {}
            }
        }
        let json: Json = serde_json::from_str(text).unwrap();
        let fields = json["fields"].as_array().unwrap().iter();
        let named = fields.map(|field| {
            let mut found = Vec::new();
            collect(&field["type"], &mut found);
            (field["name"].to_string(), found)
        });
        named.collect()
    }

    #[test]
    fn every_schema_reads_what_the_released_one_wrote_and_the_other_way_round() {
        for kind in RecordKind::ALL {
            assert_eq!(check_compatible(kind.released(), kind.text()), Ok(()), "{kind}");
        }
    }

    #[test]
    fn changes_that_would_break_a_consumer_are_caught() {
        let touch = RecordKind::Touch.text();
        let changed = |from: &str, to: &str| {
            assert!(touch.contains(from), "the schema has no {from}");
            check_compatible(touch, &touch.replacen(from, to, 1)).unwrap_err()
        };
        changed("timestamp-millis", "timestamp-micros");
        changed(r#""name": "openid","#, r#""name": "user","#);
        changed(r#"["null", "long"]"#, r#"["null", "string"]"#);
    }

    #[test]
    fn a_new_optional_field_breaks_nobody() {
        let touch = RecordKind::Touch.text();
        let more = touch.replacen(
            r#""fields": ["#,
            r#""fields": [{"name": "more", "type": ["null", "string"], "default": null},"#,
            1,
        );
        assert_ne!(more, touch);
        assert_eq!(check_compatible(touch, &more), Ok(()));
    }

    /// Others write records of the registry, in schemas of their own that need not have every field.
    fn may_be_left_out(kind: RecordKind, field: &str) -> bool {
        kind == RecordKind::Promoter && !matches!(field, "app_id" | "promoter_openid")
    }

    /// A word that is added to an enum breaks its readers, and Flink SQL can't read one at all.
    #[test]
    fn no_schema_has_an_enum() {
        for kind in RecordKind::ALL {
            assert!(!kind.text().contains("\"enum\""), "{kind}");
        }
    }

    #[test]
    fn every_schema_has_its_name_and_documents_every_field() {
        for kind in RecordKind::ALL {
            let Schema::Record(record) = kind.schema() else { panic!("{kind} is no record") };
            assert_eq!(record.name.to_string(), kind.name());
            assert!(record.doc.is_some(), "{kind}");
            for field in &record.fields {
                assert!(field.doc.as_ref().is_some_and(|doc| !doc.is_empty()), "{kind}.{}", field.name);
                let nullable = matches!(&field.schema, Schema::Union(union) if union.is_nullable());
                if nullable || !may_be_left_out(kind, &field.name) {
                    let expected = nullable.then_some(&Json::Null);
                    assert_eq!(field.default.as_ref(), expected, "{kind}.{}", field.name);
                }
            }
        }
    }

    /// Made with fastavro 1.13.1: `fingerprint(to_parsing_canonical_form(json.load(file)), "CRC-64-AVRO")`.
    #[test]
    fn fingerprints_are_those_that_fastavro_finds() {
        let expected: [_; RecordKind::ALL.len()] = [
            (RecordKind::Touch, "09ffd4cbe3583819"),
            (RecordKind::Order, "3f632d74f263d5b2"),
            (RecordKind::MaterialRequest, "c426e544e66bfef8"),
            (RecordKind::MaterialResult, "84549984e461ae99"),
            (RecordKind::DeadLetter, "a82cf420624b510d"),
            (RecordKind::Promoter, "f1eba50eb8a9906d"),
            (RecordKind::LedgerDay, "8fbf754bc35334fa"),
        ];
        for (kind, fingerprint) in expected {
            assert_eq!(kind.fingerprint().to_string(), fingerprint, "{kind}");
            let reversed = u64::from_str_radix(fingerprint, 16).unwrap().swap_bytes();
            assert_eq!(kind.fingerprint().crc64(), reversed, "{kind}");
        }
    }
}
