//! What is there to be shown: the promoters, their touches and orders by chance, and what each row says.

pub(in crate::simulator) mod details;
pub(in crate::simulator) mod promoters;
pub(in crate::simulator) mod shares;
