//! Talking to the upstream. The only user of reqwest towards WeChat.

pub mod transport;
