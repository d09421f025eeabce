//! What a request shows of it: which rows, in which order, on which page, and in which words.

pub(in crate::simulator) mod data_request;
pub(in crate::simulator) mod page;
pub(in crate::simulator) mod rows;
pub(in crate::simulator) mod selection;
pub(in crate::simulator) mod start_id;
