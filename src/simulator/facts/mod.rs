//! What is there to be shown: the promoters, their touches and orders by chance, and what each row says.
//!
//! [`promoter`] makes the facts of one promoter: [`source`] says when one happens, [`fates`] what becomes of it, with
//! [`lateness`] when it appears. What stays is a [`fact`]; [`details`] draws the rest whenever a row is written.

pub(in crate::simulator) mod details;
pub(in crate::simulator) mod fact;
mod fates;
mod lateness;
pub(in crate::simulator) mod promoter;
pub(in crate::simulator) mod shares;
mod source;
pub(in crate::simulator) mod traits;
