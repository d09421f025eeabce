//! Which schemas of others are read.
//!
//! A record is decoded as its writer's schema says, before any field is looked at. A schema that refers to itself, or
//! nests collections, lets a few bytes ask for a stack or a heap without end; none of our records needs that. A collection of
//! texts does not: each of them takes a byte at least.

use apache_avro::Schema;
use apache_avro::schema::{FixedSchema, InnerDecimalSchema, RecordSchema};

/// The largest `fixed` that is read.
const FIXED_BYTES_MAX: usize = 64 * 1024;

/// Whether it is a record whose fields are all plain values, lists or maps of texts, or unions of these.
pub(super) fn is_flat_record(schema: &Schema) -> bool {
    let Schema::Record(RecordSchema { fields, .. }) = schema else { return false };
    fields.iter().all(|field| match &field.schema {
        Schema::Union(union) => union.variants().iter().all(is_bounded),
        schema => is_bounded(schema),
    })
}

fn is_bounded(schema: &Schema) -> bool {
    match schema {
        Schema::Array(array) => matches!(*array.items, Schema::String),
        Schema::Map(map) => matches!(*map.types, Schema::String),
        schema => is_plain(schema),
    }
}

fn is_plain(schema: &Schema) -> bool {
    match schema {
        Schema::Array(_) | Schema::Map(_) | Schema::Union(_) | Schema::Record(_) | Schema::Ref { .. } => false,
        Schema::Fixed(fixed) => is_small(fixed),
        Schema::Decimal(decimal) => match &decimal.inner {
            InnerDecimalSchema::Fixed(fixed) => is_small(fixed),
            InnerDecimalSchema::Bytes => true,
        },
        _ => true,
    }
}

fn is_small(fixed: &FixedSchema) -> bool {
    fixed.size <= FIXED_BYTES_MAX
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(fields: &str) -> bool {
        let text = format!(r#"{{"type": "record", "name": "Asked", "fields": [{fields}]}}"#);
        is_flat_record(&Schema::parse_str(&text).unwrap())
    }

    #[test]
    fn plain_fields_and_collections_of_texts_are_read() {
        assert!(record(
            r#"{"name": "a", "type": "string"}, {"name": "b", "type": ["null", "int"], "default": null},
            {"name": "c", "type": {"type": "enum", "name": "E", "symbols": ["X"]}},
            {"name": "d", "type": {"type": "fixed", "name": "F", "size": 16}},
            {"name": "e", "type": {"type": "long", "logicalType": "timestamp-millis"}},
            {"name": "f", "type": ["null", {"type": "array", "items": "string"}]},
            {"name": "g", "type": {"type": "map", "values": "string"}}"#
        ));
    }

    #[test]
    fn what_nests_or_is_huge_is_not() {
        for field in [
            r#"{"type": "array", "items": "null"}"#,
            r#"{"type": "map", "values": "int"}"#,
            r#"["null", {"type": "array", "items": {"type": "array", "items": "null"}}]"#,
            r#"["null", "Asked"]"#,
            r#"{"type": "record", "name": "Inner", "fields": [{"name": "x", "type": "int"}]}"#,
            r#"{"type": "fixed", "name": "F", "size": 1000000000}"#,
            r#"{"type": "fixed", "name": "F", "size": 1000000000, "logicalType": "decimal", "precision": 4}"#,
        ] {
            assert!(!record(&format!(r#"{{"name": "a", "type": {field}}}"#)), "{field}");
        }
        assert!(!is_flat_record(&Schema::parse_str(r#""string""#).unwrap()));
    }
}
