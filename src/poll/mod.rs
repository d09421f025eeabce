//! When whom is asked: due work by interface, and the polls themselves.

pub mod schedule;

mod minute_counts;

pub mod due_queue;

pub mod due_queues;

mod feed_slots;

pub mod polled_feeds;

pub mod scheduler;

pub mod poller;

pub mod parked;

pub mod reports;
