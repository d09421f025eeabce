//! The few bytes before a record's Avro body, which tell a reader the schema it was written with.

use super::schemas::Fingerprint;

/// How records of one topic are framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// A zero byte and the schema's id in a registry, big-endian: what the Confluent serializers write.
    Confluent { schema_id: i32 },
    /// The bytes C3 01 and the schema's fingerprint: Avro's own single-object encoding, for topics without registry.
    SingleObject,
}

const CONFLUENT_MAGIC: u8 = 0;
const SINGLE_OBJECT_MAGIC: [u8; 2] = [0xC3, 0x01];

/// What the frame of a record says about its schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SchemaReference {
    Id(i32),
    Fingerprint(Fingerprint),
}

impl Framing {
    /// The bytes that begin every record of a topic.
    pub(super) fn header(self, fingerprint: Fingerprint) -> Vec<u8> {
        match self {
            Framing::Confluent { schema_id } => [&[CONFLUENT_MAGIC], &schema_id.to_be_bytes()[..]].concat(),
            Framing::SingleObject => [&SINGLE_OBJECT_MAGIC, &fingerprint.0[..]].concat(),
        }
    }
}

/// Splits a record into its schema reference and its body; nothing where it has no frame of either kind.
pub(super) fn split(record: &[u8]) -> Option<(SchemaReference, &[u8])> {
    if let Some(rest) = record.strip_prefix(&SINGLE_OBJECT_MAGIC) {
        let (fingerprint, body) = rest.split_first_chunk()?;
        return Some((SchemaReference::Fingerprint(Fingerprint(*fingerprint)), body));
    }
    let (schema_id, body) = record.strip_prefix(&[CONFLUENT_MAGIC])?.split_first_chunk()?;
    Some((SchemaReference::Id(i32::from_be_bytes(*schema_id)), body))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FINGERPRINT: Fingerprint = Fingerprint([1, 2, 3, 4, 5, 6, 7, 8]);

    #[test]
    fn a_confluent_header_is_a_zero_and_the_id_in_network_order() {
        let header = Framing::Confluent { schema_id: 258 }.header(FINGERPRINT);
        assert_eq!(header, [0, 0, 0, 1, 2]);
        assert_eq!(split(&header), Some((SchemaReference::Id(258), &[][..])));
    }

    #[test]
    fn a_single_object_header_is_its_marker_and_the_fingerprint() {
        let header = Framing::SingleObject.header(FINGERPRINT);
        assert_eq!(header, [0xC3, 1, 1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(split(&header), Some((SchemaReference::Fingerprint(FINGERPRINT), &[][..])));
    }

    #[test]
    fn a_header_that_is_cut_or_unknown_is_none() {
        for record in [&[][..], &[0, 0, 0, 1], &[0xC3], &[0xC3, 1, 1, 2, 3, 4, 5, 6, 7], &[0xC3, 2], b"{}"] {
            assert_eq!(split(record), None, "{record:?}");
        }
    }
}
