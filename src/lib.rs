//! promoter-connector: polls WeChat's promoter API and publishes each fact to Kafka exactly once, and answers each request
//! for material exactly once.
//!
//! # The way of the data
//!
//! Two pipelines of the same five parts, source, breaker, work, batch and transaction. `app` makes both, and each runs under
//! a supervisor of its own ([`supervisor::run`]), session after session; where one ends, the other stops.
//!
//! The polls, a [`session::Session`]:
//!
//! ```text
//!  config ──> app ──> app::pipelines ──> supervisor::run ──> session      (and again for the requests, below)
//!                                                               │
//!   ┌───────────────────────────────────────────────────────────┘
//!   │  poll::scheduler (one for each app)                     upstream::client
//!   │    due work ──Pull──> poll::poller ──RowsRequest───> breakers, budget, token, host ──HTTP──> upstream
//!   │        ^                │   ^                                  │
//!   │        └── Polled ──────┘   └────────── page of rows ──────────┘ wire: bytes → rows
//!   │                         │
//!   │                         │ model::pull: what to ask next, when it ends, what the page brought (PageFacts: facts
//!   │                         │ with identities, model::fact, and a dead letter for each row that can't be read)
//!   │                         v
//!   │            [ commit::queue, bounded in bytes ]
//!   │                         │ QueuedWrite: page facts, or first cursors
//!   │                         v
//!   └─> commit::committer: State::take(write, &mut batch)   all decisions, one writer (model::state); a dead letter
//!                             │                             for each event that the log refuses (model::refusal)
//!                             │ Batch
//!                             v
//!       kafka::facts_log: one transaction { events, dead letters, state, offsets }
//! ```
//!
//! All I/O with the upstream happens before the queue, all decisions after it. What the connector knows of facts stands in
//! the compacted topic `promoter.state` and nowhere else; it is written in the transaction of the events it belongs to.
//!
//! The requests for material, a [`requests::pipeline::RequestPipeline`], with a consumer group and a producer of their own,
//! through the same clients and breakers:
//!
//! ```text
//!   kafka::requests_log ──RequestRecord──> requests::session ──> requests::executor ──> upstream::client ──HTTP──> upstream
//!            ^                              │            ^              │ decode, check, call; a dead letter for each
//!            │                              │            │              v record that can't be read
//!            │                              │            └─ RequestAnswer: a reply or a dead letter
//!            └── one transaction { replies, dead letters, offsets }
//!                (a reply that can't be published is made a dead letter here)
//! ```
//!
//! # The modules, in the order in which data passes them
//!
//! | module | is |
//! |---|---|
//! | [`cli`] | commands, exit codes, signals |
//! | `config` | the file, validated at once and as a whole |
//! | `app` | the wiring, and both pipelines to their end; alone sees everything, decides nothing |
//! | [`supervisor`] | session after session of one pipeline: recovery is start-up |
//! | [`session`] | one session of the polls, from an open log to its end; nothing of one session reaches the next |
//! | [`poll`] | who is asked when, and the polls |
//! | [`upstream`] | the upstream: breakers, tokens, errors, retries, bytes to rows; with `avro::schema_registry`, `oauth` and `web` the only user of reqwest |
//! | [`retry`] | the one policy of retries; the only user of backoff |
//! | [`model`] | the rules: plain data and plain functions, without I/O, clock or async |
//! | [`registry`] | the promoters, as configuration, registry topic and discovery together say; rules like those of the model |
//! | [`requests`] | requests for material: each answered exactly once |
//! | [`commit`] | queue, committer, and the log as a trait, with one in memory |
//! | [`kafka`] | the log on Kafka; the only user of rdkafka |
//! | `oauth` | the tokens of brokers that want some; uses reqwest too |
//! | `clock` | the wall clock of this host, read in one place |
//! | `text` | what is done in one way to texts of others |
//! | `web` | what these and the schema registry read of an answer over HTTP in one way |
//! | [`avro`] | schemas, encoding, decoding, schema registry; the only user of apache-avro |
//! | [`telemetry`] | the log that people read |
//! | [`simulator`] | the upstream as it really behaves, seeded: for the demo, for tests, for users' own consumers |
//! | `demo` | simulator, mock cluster, connector and a judging consumer in one process |
//!
//! # What always holds
//!
//! 1. A fact and the memory of it are written in one transaction ([`model::state`]).
//! 2. A cursor moves only when a pull was read to its end, and never beyond what the upstream had to show by then
//!    ([`model::scope`]).
//! 3. A pull's pages reach the committer in order, within one session, or not at all ([`session`]).
//! 4. Only the current owner of a partition can write to it: older producers are fenced, older generations are refused
//!    ([`kafka::group::member`], [`kafka::transaction`]).
//! 5. Polling begins only when the state is whole, is this connector's, and holds the first cursors
//!    ([`kafka::facts_log`], [`session`]).
//! 6. After any doubt about a transaction the log is opened anew, and Kafka's word counts ([`kafka::transaction`] has
//!    the table).
//! 7. What can't be read or published is a dead letter in the same transaction; it never holds up the rest.
//! 8. A reply, and that its request is answered, are written in one transaction ([`model::request::answered_offsets`]).
//! 9. Nothing is sent to the upstream past an open breaker: polls and requests ask the same ones ([`upstream::breaker`]).
//! 10. There is no lock around the state, no store of our own, and no timer of ours that forgets.
//! 11. A panic anywhere ends the process: a part that is half gone is worse than a start ([`telemetry::last_words`]).

pub mod cli;

mod config;

mod app;

mod clock;

pub mod supervisor;

pub mod session;

pub mod poll;

pub mod upstream;

pub mod retry;

pub mod model;

pub mod registry;

pub mod requests;

pub mod commit;

pub mod kafka;

mod oauth;

mod web;

mod text;

pub mod avro;

pub mod telemetry;

pub mod simulator;

mod demo;
