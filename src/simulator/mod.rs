//! The simulated upstream: a seeded world that behaves as the promoter API does, faults and all, and can say
//! afterwards exactly what it showed.
//!
//! ```text
//!  http (wall clock) ──────────┐                        ┌─ facts: by chance, each with its time and a later moment from
//!                              ├─ World::answer(now, …) ┤         which it is visible
//!  transport (paused time) ────┘        │               ├─ pages: which rows, on which page, in which words
//!                                       │               ├─ obstacles: tokens, limits and faults before the data
//!          World::delivered(receipt) <──┘               └─ truth: the facts that pages showed which arrived whole
//!                                                               │
//!  what a consumer read ── fact_key ──> ledger <── fact_key ────┘
//! ```
//!
//! | module | is |
//! |---|---|
//! | `options`, `arguments` | how the world is to be, as flags |
//! | `exchange` | a request to the world and its answer |
//! | `http`, `transport` | the two ways in: over HTTP, or as the connector's own transport |
//! | `world` | the interfaces: what stands before the data, and which answer goes out |
//! | `obstacles` | tokens, limits, faults |
//! | `pages` | the data of one call |
//! | `facts` | what there is to be shown, of one promoter |
//! | `truth` | what was shown, and the judge of what a consumer read |
//! | `seed` | chance that depends on names |
//!
//! `world` uses all of them; `truth` uses `pages`, for the bytes of unreadable rows, and both use `facts`.
//!
//! The world reads no clock and does no I/O. What happens to a promoter depends on the seed, on time, on how often that
//! promoter was asked, and for which material; not on others. Only tokens and limits belong to an app, so what kills a
//! token is shared.
//!
//! What the upstream's documents leave open is decided like this:
//!
//! | open | here |
//! |---|---|
//! | order of rows | ascending, descending or mixed within blocks, by promoter |
//! | rows that move while paging | those that appeared within `--moving` stand last, in another order at each call |
//! | ends of a window | each end inclusive or not by promoter (`--bounds`) |
//! | `start_id` | number or text by promoter; sometimes there on a last page; refused (40097) with any other request |
//! | no data | 103006, an empty list, or null |
//! | a refunded order | its row turns to status 2; several refunds are several rows; the row of status 1 may stay beside them |
//! | the refund's time | `refunded_time`, or a second `paid_time`, another choice at each call; now and then none |
//! | the day of `date` | Beijing's (`--days` for UTC's) |
//! | `scene`, `path` as filters | equal, letter for letter |
//! | which code refuses which material | 103001 `extra_info`, 103002 `title`, 103004 `env_version`, 103005 the rest |
//! | how long a `path` may be | 1024 bytes |
//! | which touches come from a material | half of those after the promoter's first one, from any of the newest 16 |
//! | the key of `getpromoter`'s list | `promoter_list` |
//! | a dead token | 42001 once its life is over, 40001 for any other reason |
//!
//! What one row shows: by date PAID, and REFUNDED too with status 2; asked for by status 2 without a date only REFUNDED;
//! with an undocumented status UNKNOWN. A row that can't be read keeps its bytes for ever, so it is one dead letter.

mod arguments;
mod exchange;
mod facts;
mod http;
mod obstacles;
pub mod options;
mod pages;
mod seed;
mod transport;
mod truth;
mod world;

pub use exchange::{Delivery, SimRequest, SimResponse};
pub use http::server::serve;
pub use obstacles::faults;
pub use options::WorldOptions;
pub use pages::page::Receipt;
pub use transport::SimulatedTransport;
pub use truth::shown::{Shown, ShownContent};
pub use truth::{fact_key, ledger};
pub use world::settlement::Settlement;
pub use world::shared::SharedWorld;
pub use world::shown_facts::TruthPosition;
pub use world::state::World;

#[cfg(test)]
mod tests;
