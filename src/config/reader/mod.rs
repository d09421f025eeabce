//! The first step of the configuration, and the tools of the second: the file's image, its values, and all that is wrong with
//! them at once.

pub mod document;

pub mod environment;

pub mod problem;

pub mod secret;

pub mod quantity;

pub mod section;

pub mod value;

pub mod watched_file;
