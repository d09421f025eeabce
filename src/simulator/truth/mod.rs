//! What the world has shown, against what a consumer read.
//!
//! [`promoter_truth`] tells what one promoter's pages showed, as [`shown`] facts; [`fact_key`] makes the same text of such
//! a fact and of an event; [`ledger`] compares the two multisets.

pub mod fact_key;
pub mod ledger;
pub(in crate::simulator) mod promoter_truth;
pub(in crate::simulator) mod shown;
