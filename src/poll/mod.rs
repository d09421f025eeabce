//! When whom is asked: due work by interface, and the polls themselves.
//!
//! ```text
//!  session ──> polled_feeds: feeds that come and go ──> scheduler, one for each app
//!                                                         │  who is polled:  feed_slots, in blocks
//!                                                         │  who waits:      catching_up, parked
//!                                                         │
//!   due_queues ── one due_queue for each interface ───────┤
//!     │  at a time of its own:   schedule; first_turns, of those that were never polled
//!     │  as often as facts come: usual_turns, in waiting_line
//!     └─ as calls are left:      call_budget; minute_counts, how many will be due
//!                                                         │
//!   poller <── what is due and may be asked ──────────────┤
//!     └─────── how it has ended: scheduler::ended_polls ──┤
//!                                                         │
//!   reports <── freshness, share_needs, sums ─────────────┤   for log, metrics, status and shares
//!   queries <── scheduler::answers, to a feed_query ──────┘   of single promoters
//! ```

mod schedule;

mod first_turns;

mod minute_counts;

mod call_budget;

mod waiting_line;

mod usual_turns;

pub mod due_queue;

mod due_queues;

mod blocks;

mod feed_slots;

mod catching_up;

pub(crate) mod polled_feeds;

pub(crate) mod scheduler;

pub(crate) mod poller;

pub(crate) mod outcome;

mod poll_trace;

pub(crate) mod parked;

pub(crate) mod freshness;

pub(crate) mod queries;

pub(crate) mod feed_query;

mod share_needs;

pub mod reports;
