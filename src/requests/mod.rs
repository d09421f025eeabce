//! Requests for material: each record of the request topic gets exactly one committed reply, or one dead letter.
//!
//! ```text
//!  request topic ─RequestRecord─> session ─> executor: decode, check, breaker, call ──> upstream
//!        │                         ^  │                     │
//!        └── read again ───────────┤  └── RequestAnswer ────┘
//!            when there is room    │
//!            for its app           └─ one transaction { replies, dead letters, how far it is answered, offsets } ─> log
//!                                     (what is answered: a tracker for each app of each partition)
//! ```
//!
//! What users see of them is called *commands*: the section of the configuration, and the `source` of a dead letter.
//!
//! How far the requests are answered is written to `promoter.state`, and read from there alone. The offsets carry no progress:
//! the broker checks with them who answers, and they show how many requests wait.
//!
//! The same five parts as those of the polls: the source is the request topic ([`log`]), the breakers are the client's
//! (`app`), the work is a call ([`executor`]), the batch is what has been answered meanwhile (`session`), and the
//! transaction is the log's ([`crate::commit`]).
//!
//! The pipeline has a consumer group, a producer and transactions of its own, so a reply never waits behind what was polled.
//! A crash between a call and its commit asks the upstream again: material is then made twice, and replied once.
//!
//! Nothing is kept free for it from polling: the upstream counts calls by interface, and no feed polls this one.

mod material;

mod app;

pub mod executor;

mod partition;

mod memory_quota;

pub mod log;

#[cfg(any(test, debug_assertions, feature = "testing"))]
pub mod testing;

pub(crate) mod totals;

pub(crate) mod reply_figures;

pub(crate) mod waiting;

mod session;

pub mod pipeline;
