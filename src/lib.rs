//! promoter-connector: polls WeChat's promoter API and publishes each fact to Kafka exactly once, and answers each request
//! for material exactly once.
//!
//! # The way of the data
//!
//! Two pipelines of the same five parts, source, breaker, work, batch and transaction. `app` makes both, and each runs under
//! a supervisor of its own ([`supervisor::run`]), session after session; where one ends, the other stops.
//!
//! | part | the polls | the requests |
//! |---|---|---|
//! | source | `poll::scheduler`: what is due | `kafka::requests_log`: what stands in the topic |
//! | breaker | `upstream::breaker` | the same ones |
//! | work | `poll::poller` | `requests::executor` |
//! | batch | `commit::committer`, a `Batch` | `requests::session`, an `AnswerBatch` |
//! | transaction | `kafka::facts_log` | `kafka::requests_log` |
//!
//! ```text
//!  config ──> app ──> app::pipelines ──> supervisor::run ──┬──> the polls:    session::PollPipeline
//!                                                          └──> the requests: requests::pipeline::RequestPipeline
//! ```
//!
//! A session runs from one opening of its log ([`commit::log::CommitLog::open`]) to what ends it ([`commit::log::Ended`]): it
//! was told to stop, what was done is durable, and others have taken over from the polls; or the log has to be opened again, with which the next
//! session begins; or only an operator can help, and the process stops, both pipelines of it; or, of the requests, what the group has given
//! to this instance changes. Between two sessions the log is released. Where something failed, a pause is made by the policy of retries,
//! without end.
//!
//! Opening is the same for both: `kafka::transaction::partition_session` has the topics made and checked (`kafka::topics::preparation`), joins
//! the group, and waits until something is owned (whoever is one too many stands by in there). The `start` of each log then makes a
//! transactional producer, which fences the earlier ones of its name. Once in a process, before the first of these, a producer of its own
//! tries by a transaction that it aborts whether these brokers check who writes (`kafka::transaction::generation`).
//!
//! The polls, a [`session::PollPipeline`]. Opening their log hands over how many shards there are in all, how old facts may
//! be, and who tells which shards are this instance's ([`commit::log::Opened`]). Shards come and go while a session runs
//! (below).
//!
//! ```text
//!  session::shard_coordinator ──whom to poll──> session::polls (one for each app) ──first cursors──┐
//!                                                 │                                                │
//!   ┌─── feeds, once their first cursors are durable                                               │
//!   v                                                                                              │
//!  poll::scheduler (one for each app) <──ready, changed── upstream::breaker                        │
//!    due work ──Pull──> poll::poller ──RowsRequest──> upstream::client: breakers, budget,          │
//!        ^                │   ^                         token, host ──> HTTP                       │
//!        └── Polled ──────┘   └─── page of rows ────────┘ wire: bytes → rows                       │
//!                         │                                                                        │
//!                         │ model::pull: what to ask next, when it ends, what the page brought     │
//!                         │ (PageFacts: facts with identities, model::fact, and a dead letter for  │
//!                         v each row that can't be read)                                           │
//!            [ commit::queue, bounded in bytes ] <─────────────────────────────────────────────────┘
//!                         │ QueuedWrite: page facts, first cursors; fences of shards that come, and how budgets are
//!                         │ divided (session::share_exchange); what of the registry can't be read, as dead letters;
//!                         │ whoever was removed, or is forgotten; rewinds
//!                         v
//!        commit::committer: Shards::take(write, &mut batch)   all decisions, one writer (model::shards, model::state);
//!                         │                                   a dead letter for each event that the log refuses
//!                         │ Batch                             (model::refusal)
//!                         v
//!        kafka::facts_log: one transaction { promoter.touches, promoter.orders; promoter.dead-letters; promoter.state, promoter.ledger; offsets }
//!                                             (an event that can't be written as it is, is made a dead letter here)
//! ```
//!
//! What the committer knows goes back whenever whom an app polls changes, before anything of a promoter is polled: `session::polls`
//! asks it through the same queue for the cursors, behind the states of the shards, which went in there, too. The coordinator puts
//! those there itself, with removals and what of the registry can't be read. One batch is one transaction, or several where the log
//! is too slow for it (`commit::planned`).
//!
//! Whoever sends waits while the queue is full, and one page after the other is decoded once there is room for it
//! (`upstream::client::ResponseGuard`). Changes of shards and of the configuration come through channels that
//! hold the latest of them, those of the registry through one for each shard that is bounded: none grows. Requests for material wait in memory in a room of their app's (`requests::memory_quota`), and are read again when there is
//! some.
//!
//! All I/O with the upstream happens before the queue, all decisions after it. What the connector knows of facts stands in
//! the compacted topic `promoter.state` and nowhere else; it is written in the transaction of the events it belongs to.
//!
//! Instances share the promoters out in shards ([`model::shard`]): one is a partition of `promoter.registry`, and that of
//! `promoter.state` with the same number. Each comes and goes as a whole, beside those that stay: a rebalance ends no
//! session of the polls.
//!
//! ```text
//!  kafka::group ───────────┬──> kafka::facts_log::ownership ──OwnershipChange──> session::shard_coordinator
//!  kafka::registry_topic ──┘    (a commit::log::ShardOwnership)
//!
//!    assigned ───> facts_log::takeover reads, fences and compares its state, and the registry is read ──> the committer
//!                  knows it ──> it is polled, as configuration and registry say together (session::shard_promoters);
//!                  what fails and may pass is tried again, and nothing that runs hears of it (session::restores)
//!    registered ─> who is polled changes; or a feed is to be asked again: its polls end, its cursor goes back (model::rewind),
//!                  and they begin by that
//!    configured ─> the configuration was read again (app::reload): who is polled changes where it says so
//!    revoked ────> told when the group has moved on: its polls end, and the committer forgets it with what is still planned
//!                  of it, which whoever has it now asks for again; until then it is polled and committed as before
//!    lost ───────> the same, at once
//! ```
//!
//! Of an app's budget of calls each instance has what the partitions have that it owns: those of the registry for what is polled, by what
//! each needs ([`model::shares`]); those of the requests for material, all alike. So all together have no more than all of it
//! (`upstream::budget_shares`). `session::share_exchange` reads what others need and tells what the own shards do; the owner of shard 0
//! divides. The list of promoters is read by one instance, and the budget of that is its own.
//!
//! Beside a session of the polls, from the opening of its log to its end: `kafka::facts_log::peers` compares what the instances poll and how
//! they are configured, by notes beside the offsets. Beside both pipelines, for as long as they run: each app's client keeps asking for its
//! quotas ([`keep_quotas`](upstream::client::Client::keep_quotas)); `kafka::client::broker_probe` asks the brokers whether they are there, and
//! `kafka::client::tokens` hands on tokens to those that want some; `telemetry::traces` sends what was traced, where somebody wants that;
//! `app::reload` reads the configuration again; `admin` serves its port, tells a service manager how it is, and the log what has changed. What
//! `admin` can't see in what others have noted, it asks: a session where a promoter stands (`session::registration_query`), its schedulers
//! what they would do next (`poll::feed_query`).
//!
//! Where promoters are discovered, whoever owns shard 0 reads the upstream's lists of them and writes what these come to to the
//! registry (`session::discovery`, `registry::discovery`), by a producer beside these transactions; from there it acts as what operators
//! write does.
//!
//! Whom nobody names any more is polled no longer, and what is known of the promoter stays in the state until it has been away
//! for `registry.forget` (`registry::removed`).
//!
//! The requests for material, a [`requests::pipeline::RequestPipeline`], with a consumer group and a producer of their own,
//! through the same clients and breakers. Opening their log hands over how far each partition is answered, the records from
//! there on, and who reads some of them again ([`requests::log::OpenedRequests`]).
//!
//! ```text
//!  kafka::requests_log ──RequestRecord──> requests::session ──> requests::executor ──> requests::app ──> upstream::client
//!    │   ^    ^                            │   │   ^   ^         │ decode, check        waits at the      breakers, budget,
//!    │   │    └── FetchRange: when there   │   │   │   │         │                      breakers          token, host ──> HTTP
//!    │   │        is room for its app, or ─┘   │   │   │         └── schemas of others ──> avro::schema_registry
//!    │   │        its schema is known          │   │   │
//!    └───│─────── read again ──────────────────│───┘   └── RequestAnswer: a reply, or a dead letter for a record that
//!        │                                     │           can't be read
//!        │                                     └── AnswerBatch: answers, and how far each partition is answered with them
//!        │                                         (model::request::offset_tracker), back to kafka::requests_log, in
//!        └── one transaction { replies, dead letters, how far it is answered, offsets }
//!            (a reply that can't be published as it is, is made a short one here, or a dead letter)
//! ```
//!
//! The topics are `promoter.material.requests`, whose replies go to `promoter.material.results` or where a request says, and
//! `promoter.dead-letters`. How far the requests are answered stands in `promoter.state` too, in partition 0; the offsets, of both pipelines,
//! only make the broker check who writes ([`kafka::transaction`]).
//!
//! The requests wait for the polls once: opening writes a record in a transaction of its own (the barrier, behind which nothing of an earlier
//! owner can come), reads the state up to it, and goes on only when the fence that this connector's polls leave in partition 0 is
//! confirmed there: then no connector of another name answers them (`kafka::requests_log::restored`).
//!
//! Two more transactions stand outside the pictures: one for partitions of requests whose record somebody has taken away
//! (`kafka::requests_log::answered`), and those of `run --adopt`, which give topics to a connector of another name before either
//! pipeline begins (`kafka::facts_log::adoption`).
//!
//! # The modules, in the order in which data passes them
//!
//! | module | is |
//! |---|---|
//! | [`cli`] | commands, exit codes, signals |
//! | `config` | the file, validated at once and as a whole, at the start and whenever it is read again |
//! | `app` | the wiring, and both pipelines to their end; alone sees everything, decides nothing |
//! | `admin` | the admin port: probes, metrics, status and its page, over HTTP; reads what the others have noted, and has whoever may change promoters do so by `changes` |
//! | `changes` | what operators change of promoters, from the command line or over the admin port: records that are written to the registry topic |
//! | [`supervisor`] | session after session of one pipeline: recovery is start-up |
//! | [`session`] | the polls, from an open log to its end, as shards come and go; nothing of one session reaches the next |
//! | [`poll`] | who is asked when, and the polls |
//! | [`upstream`] | the upstream: breakers, tokens, errors, retries, bytes to rows; with `avro::schema_registry`, `oauth` and `web` the only user of reqwest |
//! | [`retry`] | the policy of pauses between tries, but for those that last no longer than a session; the only user of backoff |
//! | [`model`] | the rules: plain data and plain functions, without I/O, clock or async |
//! | [`registry`] | the promoters, as configuration, registry topic and discovery together say; rules like those of the model |
//! | [`requests`] | requests for material: each answered exactly once |
//! | [`commit`] | queue, committer, and the log as a trait; for tests, with one in memory |
//! | [`kafka`] | the log on Kafka; the only user of rdkafka |
//! | `oauth` | the tokens of brokers that want some |
//! | [`user_ids`] | users' ids as records show them; the only user of hmac and sha2 |
//! | [`avro`] | schemas, encoding, decoding, schema registry; the only user of apache-avro |
//! | [`telemetry`] | the log that people read, how each pipeline is, and traces; the only user of tonic |
//! | [`simulator`] | the upstream as it really behaves, seeded: for the demo, for tests, for users' own consumers |
//! | `demo` | simulator, mock cluster or a real broker that is named, connector and a checking consumer in one process |
//!
//! Used by many of these:
//!
//! | module | is |
//! |---|---|
//! | [`allocator`] | what the allocator of the system is told |
//! | `clock` | the wall clock of this host, read in one place |
//! | [`secret`] | secrets, which are read again from their files where they are refused |
//! | `patient_reads` | reads of a file that may never come back |
//! | `text` | what is done in one way to texts of others |
//! | `web` | what upstream, `oauth` and schema registry read of an answer over HTTP in one way |
//!
//! # What always holds
//!
//! 1. A fact and the memory of it are written in one transaction ([`model::state`]).
//! 2. A cursor moves only when a pull was read to its end, and never beyond what the upstream had to show by then
//!    ([`model::scope`]).
//! 3. A pull's pages reach the committer in order, within one session and one assignment of their shard, or not at all
//!    ([`session`], `model::shards`).
//! 4. Only the current owner of a partition can write to it: older producers of its name are fenced, and that of an instance that is gone
//!    by whoever takes its partitions over (`kafka::transaction::abandoned`); older generations are
//!    refused, and what was planned under an earlier assignment of a shard is dropped ([`kafka::group`], [`kafka::transaction`],
//!    [`commit::log::CommitError::ShardsLost`]).
//! 5. A promoter is polled only when the state of its shard is whole and this connector's, and holds the first cursors
//!    ([`kafka::facts_log`], [`session`]).
//! 6. After any doubt about a transaction the log is opened anew, and Kafka's word counts ([`kafka::transaction`] has
//!    the table).
//! 7. What can't be read or published is a dead letter in the same transaction; it never holds up the rest.
//! 8. A reply, and that its request is answered, are written in one transaction (`model::request::answered_offsets`).
//! 9. No call for data is sent to the upstream past an open breaker, and no token is fetched for one: polls and requests ask
//!    the same ones ([`upstream::breaker`]). Three things are sent past them, since they use no quota of data: the first token at
//!    the start, what makes a host tell its clock ([`upstream::client::Client::warm_up`],
//!    [`await_clock`](upstream::client::Client::await_clock)), and the question for the quota of an interface, which no app is asked that is
//!    stopped ([`keep_quotas`](upstream::client::Client::keep_quotas)).
//! 10. There is no lock around the state, and no store of our own. No fact is forgotten by time, but with all of a promoter who was
//!     away for `registry.forget` ([`registry::removed`]).
//! 11. A panic anywhere ends the process: a part that is half gone is worse than a start ([`telemetry::last_words`]).

pub mod cli;

mod config;

mod app;

mod admin;

mod changes;

pub mod allocator;

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

mod patient_reads;

pub mod secret;

pub mod user_ids;

pub mod avro;

pub mod telemetry;

pub mod simulator;

mod demo;
