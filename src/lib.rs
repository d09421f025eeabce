pub mod domain;
pub mod commit;
pub mod wechat;
pub mod kafka;
pub mod avro;
