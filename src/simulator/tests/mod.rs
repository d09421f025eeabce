//! The world as its callers see it.

mod agreement;
mod answers;
mod client;
mod faults;
mod http;
mod material;
mod shown;
