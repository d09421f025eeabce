//! Records that are written field by field in the order of their schema.
//!
//! apache-avro takes a tuple for a record of as many fields, and then looks up no names. A struct it would ask for the name of
//! each field of each record, which takes a third of the time of the whole encoding. So here the order is what counts, and
//! a test compares the names with the schemas.

use serde::Serialize;

use super::schemas::RecordKind;

/// What is written as a tuple.
pub(super) trait PositionalRecord: Serialize {
    const KIND: RecordKind;
    /// As they stand in the schema.
    const FIELDS: &'static [&'static str];
}

/// Defines a struct that is a [`PositionalRecord`].
macro_rules! positional_record {
    (
        $(#[$doc:meta])*
        $kind:path:
        $visibility:vis struct $Record:ident<$lifetime:lifetime> {
            $($field:ident: $Type:ty,)*
        }
    ) => {
        $(#[$doc])*
        $visibility struct $Record<$lifetime> {
            $($field: $Type,)*
        }

        impl $crate::avro::positional::PositionalRecord for $Record<'_> {
            const KIND: $crate::avro::schemas::RecordKind = $kind;
            const FIELDS: &'static [&'static str] = &[$(stringify!($field)),*];
        }

        impl serde::Serialize for $Record<'_> {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                use serde::ser::SerializeTuple as _;

                let fields = <Self as $crate::avro::positional::PositionalRecord>::FIELDS;
                let mut tuple = serializer.serialize_tuple(fields.len())?;
                $(tuple.serialize_element(&self.$field)?;)*
                tuple.end()
            }
        }
    };
}

pub(super) use positional_record;

#[cfg(test)]
mod tests {
    use apache_avro::Schema;

    use super::super::material::{EncodedRequest, EncodedResult};
    use super::super::promoter::EncodedPromoter;
    use super::super::records::{DeadLetterRecord, LedgerDayRecord, OrderRecord, TouchRecord};
    use super::*;

    fn names_of<R: PositionalRecord>() -> (RecordKind, &'static [&'static str]) {
        (R::KIND, R::FIELDS)
    }

    /// Two fields of one type that change places are two columns that change their contents.
    #[test]
    fn every_record_has_the_fields_of_its_schema_in_their_order() {
        let records: [_; RecordKind::ALL.len()] = [
            names_of::<TouchRecord>(),
            names_of::<OrderRecord>(),
            names_of::<DeadLetterRecord>(),
            names_of::<EncodedRequest>(),
            names_of::<EncodedResult>(),
            names_of::<EncodedPromoter>(),
            names_of::<LedgerDayRecord>(),
        ];
        for (kind, fields) in records {
            let Schema::Record(schema) = kind.schema() else { panic!("{kind} is no record") };
            let names: Vec<_> = schema.fields.iter().map(|field| field.name.as_str()).collect();
            assert_eq!(fields, names, "{kind}");
        }
    }
}
