//! Our records and our registry client, judged by programs that are not ours.

mod avro_cases;

#[path = "harness/apicurio.rs"]
mod apicurio;
#[path = "harness/python.rs"]
#[expect(dead_code, reason = "the tests with a broker consume")]
mod python;

use apicurio::Apicurio;
use avro_cases::{elsewhere, registry};
use python::Python;

#[test]
#[ignore = "needs Python"]
fn fastavro_finds_our_fingerprints_and_reads_our_records() {
    Python::available().unwrap();
    let python = Python::prepare().unwrap();
    elsewhere::fastavro_finds_our_fingerprints(&python).unwrap();
    elsewhere::fastavro_reads_single_objects(&python).unwrap();
}

#[test]
#[ignore = "needs Python, Java and Maven"]
fn a_real_registry_takes_our_schemas_and_others_read_through_it() {
    Apicurio::available().unwrap();
    let apicurio = Apicurio::start().unwrap();
    registry::every_schema_is_registered_once(&apicurio).unwrap();
    registry::an_incompatible_schema_is_refused_by_name(&apicurio).unwrap();
    registry::a_url_without_the_path_is_told_to_be_no_registry(&apicurio).unwrap();
    elsewhere::confluent_kafka_reads_records_through_the_registry(&Python::prepare().unwrap(), &apicurio).unwrap();
}
