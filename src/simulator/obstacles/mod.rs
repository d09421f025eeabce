//! What stands before the data: tokens, limits, and whatever else goes wrong.

pub mod faults;
pub(in crate::simulator) mod limits;
pub(in crate::simulator) mod tokens;
