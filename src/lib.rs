pub mod commit;
pub mod domain;
pub mod wechat;
