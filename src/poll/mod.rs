//! When whom is asked: due work by interface, and the polls themselves.

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

pub(crate) mod parked;

pub(crate) mod freshness;

pub(crate) mod feed_query;

mod answers;

mod share_needs;

pub mod reports;
