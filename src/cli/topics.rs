//! `topics`: what there is of the topics, and what is missing or differs; made where they are missing.

use std::path::Path;

use anyhow::anyhow;
use clap::{Args, Subcommand};

use self::table::TopicTable;
use super::Failure;
use crate::commit::log::OpenError;
use crate::config::RequestClientConfig;
use crate::kafka::all_topics;
use crate::kafka::client::settings::{Settings, TopicPolicy};
use crate::telemetry::log;
use crate::text::with_causes;

mod table;

#[derive(Clone, Debug, Subcommand)]
pub enum TopicsCommand {
    /// Say what is missing or differs, and make nothing.
    Plan(TopicsOptions),
    /// Make those that are missing, also where topics.create is false. What differs is left alone.
    Create(TopicsOptions),
}

#[derive(Clone, Copy, Debug, Args)]
pub struct TopicsOptions {
    /// Print the topics as one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// Prints the topics as they are then.
///
/// # Errors
/// [`Failure::Found`] with 1 where one is not as it must be, which only somebody else can mend; else why they can't be looked
/// at or made.
pub fn run(path: &Path, command: &TopicsCommand) -> Result<(), Failure> {
    let config = RequestClientConfig::load(path, &|name| std::env::var(name).ok())?;
    log::start(&config.log)?;
    let settings = Settings { topic_policy: TopicPolicy::Create(config.topic_defaults), ..config.kafka };
    let requests = config.requests.map(|requests| requests.topics);
    let runtime = super::runtime()?;
    let (found, options) = match command {
        TopicsCommand::Plan(options) => (runtime.block_on(all_topics::inspect(&settings, requests.as_ref())), options),
        TopicsCommand::Create(options) => (runtime.block_on(all_topics::make(&settings, requests.as_ref())), options),
    };
    let table = TopicTable::of(found.map_err(failure)?, settings.bootstrap_servers());
    table.print(options.json)?;
    if table.is_sound() { Ok(()) } else { Err(Failure::Found { exit_code: 1 }) }
}

fn failure(error: OpenError) -> Failure {
    Failure::Running(anyhow!("{}", with_causes(&error)))
}
