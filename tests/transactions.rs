//! The decision table of `kafka::transaction`, row by row, on librdkafka's mock cluster, which answers with the errors
//! that it is told. What only a real broker does (fencing, isolation, generations) is in `tests/broker.rs`.

#![allow(clippy::unwrap_used, reason = "a test that can't go on fails")]

#[path = "transactions/bench.rs"]
mod bench;
#[path = "transactions/endings.rs"]
mod endings;
#[path = "transactions/offsets.rs"]
mod offsets;
#[path = "transactions/opening.rs"]
mod opening;
#[path = "transactions/producers.rs"]
mod producers;
#[path = "transactions/records.rs"]
mod records;
#[path = "transactions/replies.rs"]
mod replies;
#[path = "transactions/waiting.rs"]
mod waiting;
