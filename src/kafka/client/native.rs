//! What librdkafka itself can be asked by, where rdkafka does not offer it.

use std::collections::BTreeMap;
use std::sync::Weak;

use rdkafka::bindings as native;

/// A client of librdkafka's.
pub trait NativeClient: Send + Sync + 'static {
    /// Valid as long as `self`.
    fn native(&self) -> *mut native::rd_kafka_t;
}

/// The clients that are handed something while they live, each by a number of its own.
#[derive(Default)]
pub struct NativeClients {
    by_number: BTreeMap<u64, Weak<dyn NativeClient>>,
    last_number: u64,
}

impl NativeClients {
    pub fn add(&mut self, client: Weak<dyn NativeClient>) -> u64 {
        self.last_number += 1;
        self.by_number.insert(self.last_number, client);
        self.last_number
    }

    pub fn remove(&mut self, number: u64) {
        self.by_number.remove(&number);
    }

    pub fn iter(&self) -> impl Iterator<Item = &Weak<dyn NativeClient>> {
        self.by_number.values()
    }
}
