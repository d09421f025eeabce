//! How the schedulers react to each class of answer: who is asked again, when, and who is not held up by it.
//! On paused time, with an upstream that is a function of the call.

#![allow(clippy::unwrap_used, reason = "a test that can't go on fails")]

mod scheduling {
    mod answers;
    mod backfills;
    mod breakers;
    mod long_pulls;
    mod reports;
    mod shares;
    mod starving;
    mod world;
}
