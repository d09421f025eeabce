//! Records as bytes: the Avro contract that other people's consumers rely on, and the registry it is
//! published in. The only user of apache-avro.

pub mod schemas;

pub mod framing;
mod positional;
mod records;

pub mod encode;

pub mod decode;
mod flat;
pub(crate) mod json_object;
pub(crate) mod kind_decoder;

pub mod material;

pub(crate) mod promoter_error;

pub mod promoter;

pub(crate) mod rewind;

pub mod schema_registry;

pub mod schema_lookup;

pub(crate) mod unavailable_schemas;

#[cfg(test)]
pub(crate) mod round_trip;
