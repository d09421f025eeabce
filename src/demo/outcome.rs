//! How the demo ended.

use super::materials::Materials;
use crate::simulator::ledger::LedgerVerdict;

/// The verdict on each half.
pub struct DemoOutcome {
    pub(super) facts: LedgerVerdict,
    pub(super) materials: Materials,
}

impl DemoOutcome {
    /// Whether each fact was published once, no other was, and each request was answered once.
    pub fn is_exact(&self) -> bool {
        self.facts.is_exact() && self.materials.is_exact()
    }
}
