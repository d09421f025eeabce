//! Records as bytes: the Avro contract that other people's consumers rely on, and the registry it is
//! published in. The only user of apache-avro.

pub mod schemas;

pub mod framing;
mod positional;
mod records;

pub mod encode;

pub mod decode;

pub mod material;

pub mod registry;

#[cfg(test)]
mod round_trip;
