//! The world as its callers see it.

mod answers;
mod client;
mod faults;
mod http;
mod shown;
