//! The rules of the business: plain data and plain functions.
//!
//! Nothing in this directory does I/O, reads a clock, or is async. Time is an argument. The modules stand in
//! the order in which the data flows through them.

pub mod dead_letter;
pub mod fact;
pub mod feed;
pub mod promoter;
pub mod row;
pub mod time;
