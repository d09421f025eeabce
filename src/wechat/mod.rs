mod fields;
pub mod question;
mod repair;
mod split;
pub mod transport;
mod value;
pub mod wire;
