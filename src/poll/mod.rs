//! When whom is asked: due work, gates, and the polls themselves.

pub mod schedule;

pub mod gate;

pub mod pages;
