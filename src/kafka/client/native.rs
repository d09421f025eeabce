//! What librdkafka itself can be asked by, where rdkafka does not offer it.

use rdkafka::bindings as native;

/// A client of librdkafka's.
pub trait NativeClient: Send + Sync + 'static {
    /// Valid as long as `self`.
    fn native(&self) -> *mut native::rd_kafka_t;
}
