pub mod domain;
pub mod simulator;
pub mod wechat;
