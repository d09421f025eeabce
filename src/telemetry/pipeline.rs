//! What both pipelines are called: in the log, in metrics, in answers, in the names of threads.

pub const POLLS: &str = "polls";
pub const REQUESTS: &str = "requests";
