//! What only other people's programs can tell about our records: each case takes the programs it needs.

pub mod elsewhere;
pub mod registry;
