//! The registry topic as the commands use it: read to its end, and written outside transactions.

pub mod reader;

pub mod writer;
