//! `where`: what has become of one order, by the upstream's number of its payment.
//!
//! It is looked for in the topic of orders and among the dead letters, as they are committed. Where it stands in neither and a promoter
//! is named, one call asks the upstream whether it shows the order, and how far the promoter's orders are complete tells the rest.

use std::path::Path;
use std::time::Instant;

use clap::Args;
use tokio_util::sync::CancellationToken;

use self::shown::UpstreamLook;
use self::topics::TopicSearch;
use self::verdict::Whereabouts;
use super::promoters::{TimeBound, names};
use super::{Failure, signals, stdout};
use crate::config::{Config, RegistryClientConfig, RequestClientConfig};
use crate::model::cursor::Cursor;
use crate::model::promoter::Promoter;
use crate::telemetry::log;

mod report;
mod shown;
mod topics;
mod verdict;

/// Longer than any number of a payment, in bytes.
const TRADE_NO_BYTES_MAX: usize = 128;

#[derive(Clone, Debug, Args)]
pub struct WhereOptions {
    /// The payment's number, as the upstream has it: the `trade_no` of events.
    #[arg(long, value_name = "NUMBER", value_parser = trade_no)]
    pub trade_no: String,
    /// By whom it should have come, APP_ID/ID, or the id alone where one app is configured: then the upstream is asked, too, with
    /// one call.
    #[arg(long, value_name = "PROMOTER")]
    pub promoter: Option<String>,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub bound: TimeBound,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("write the number of a payment, without spaces")]
pub(crate) struct InvalidTradeNo;

fn trade_no(text: &str) -> Result<String, InvalidTradeNo> {
    let is_number = !text.is_empty() && text.len() <= TRADE_NO_BYTES_MAX && !text.contains(char::is_whitespace);
    is_number.then(|| text.to_owned()).ok_or(InvalidTradeNo)
}

/// Prints what has become of it.
///
/// # Errors
/// [`Failure::Found`] with 1 where it is not published; else why that can't be told.
pub fn run(path: &Path, options: &WhereOptions) -> Result<(), Failure> {
    let environment = |name: &str| std::env::var(name).ok();
    let config = RequestClientConfig::load(path, &environment)?;
    log::start(&config.log)?;
    let promoter = options.promoter.as_deref().map(|name| promoter(path, name)).transpose()?;
    let (runtime, stop, until) = (super::runtime()?, CancellationToken::new(), options.bound.until());
    let search = TopicSearch { kafka: config.kafka, schema_registry: config.schema_registry, until };
    let found = runtime.block_on(async {
        signals::cancel_on_signal(stop.clone())?;
        let config = || Config::load(path, &environment).ok();
        let looking = whereabouts(search, config, &options.trade_no, promoter.as_ref(), until);
        stop.run_until_cancelled(looking).await.unwrap_or_else(|| Err(anyhow::anyhow!("stopped by a signal")))
    });
    runtime.shutdown_background();
    let found = found?;
    stdout::print(&if options.json { found.json()? } else { found.text() })?;
    if found.is_published() { Ok(()) } else { Err(Failure::Found { exit_code: 1 }) }
}

/// The promoter of this name. Which apps there are is looked for only where it names none.
///
/// # Errors
/// [`Failure`] where it is none of a promoter, or the configuration does not tell of which app.
fn promoter(path: &Path, name: &str) -> Result<Promoter, Failure> {
    let apps = match name.contains('/') {
        true => Vec::new(),
        false => RegistryClientConfig::load(path, &|name| std::env::var(name).ok())?.changes.apps,
    };
    names::promoter_of_any_app(name, apps.iter().map(|app| &app.app_id))
}

/// `config` is the whole configuration, where it has all that a call needs.
///
/// # Errors
/// Where a topic can't be read to its end. What the upstream does not tell is a part of the answer.
async fn whereabouts(
    search: TopicSearch,
    config: impl FnOnce() -> Option<Config>,
    trade_no: &str,
    promoter: Option<&Promoter>,
    until: Instant,
) -> anyhow::Result<Whereabouts> {
    // The cursor before the topics: what it calls complete stands there by then.
    let cursor: Option<Cursor> = match promoter {
        Some(promoter) => search.orders_cursor(promoter).await?,
        None => None,
    };
    let in_topics = search.find(trade_no, promoter).await?;
    let upstream = match promoter {
        None => UpstreamLook::NotAsked("name the promoter with --promoter, and the upstream is asked"),
        Some(_) if !in_topics.is_empty() => UpstreamLook::NotAsked("there is no need to ask"),
        Some(promoter) => match config() {
            None => {
                UpstreamLook::NotAsked("the configuration has not all that a call needs; check says what is missing")
            }
            Some(config) => shown::look(&config, promoter, trade_no, until).await,
        },
    };
    let promoter = promoter.map(|promoter| promoter.key().to_owned());
    Ok(Whereabouts { trade_no: trade_no.to_owned(), promoter, in_topics, cursor, upstream })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_one_word() {
        assert_eq!(trade_no("4200001234"), Ok("4200001234".to_owned()));
        for text in ["", "42 00", "4200\n", &"4".repeat(129)] {
            assert_eq!(trade_no(text), Err(InvalidTradeNo), "{text:?}");
        }
    }
}
