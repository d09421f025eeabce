pub mod avro;
pub mod commit;
pub mod domain;
pub mod kafka;
pub mod poll;
pub mod wechat;
