pub mod avro;
pub mod domain;
pub mod wechat;
