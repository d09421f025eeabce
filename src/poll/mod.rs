//! When whom is asked: due work, lanes, and the polls themselves.

pub mod schedule;

mod tally;

pub mod lane;

pub mod lanes;

pub mod scheduler;

pub mod poller;

pub mod parked;

pub mod reports;
