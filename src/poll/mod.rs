//! When whom is asked: due work, gates, and the polls themselves.

pub mod schedule;

pub mod gate;

pub mod scheduler;

pub mod poller;

pub mod pages;

pub mod reports;
