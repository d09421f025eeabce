//! When whom is asked: due work by interface, and the polls themselves.

pub mod schedule;

mod minute_counts;

pub mod due_queue;

pub mod due_queues;

pub mod scheduler;

pub mod poller;

pub mod parked;

pub mod reports;
