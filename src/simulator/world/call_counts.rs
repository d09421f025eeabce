//! What was asked, and how it was answered.

use std::collections::BTreeMap;

/// Calls by path and outcome: an errcode, or the name of the fault that struck.
#[derive(Default, serde::Serialize)]
pub struct ServedCalls(BTreeMap<&'static str, BTreeMap<String, u64>>);

impl ServedCalls {
    pub fn count(&mut self, path: &'static str, outcome: String) {
        *self.0.entry(path).or_default().entry(outcome).or_default() += 1;
    }
}
