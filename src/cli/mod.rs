//! The command line: what can be asked, and what the process answers the shell.

use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::Duration;

use clap::{Parser, Subcommand};

use crate::changes::ChangeError;
use crate::config::ConfigError;
use crate::kafka::client::library_version;
use crate::model::duration::parse_duration;

mod blocks;
pub mod check;
pub mod completions;
pub mod demo;
pub mod explain;
mod learning_decoder;
pub mod man;
pub mod material;
mod own_client;
pub mod promoters;
pub mod rewind;
pub mod run;
pub mod schemas;
mod signals;
pub mod simulate;
pub mod status;
mod stdout;
pub mod tail;
mod times;
pub mod topics;
pub mod verify;
pub mod whereabouts;

/// This program's, and that of what it speaks to Kafka with.
static VERSION: LazyLock<String> =
    LazyLock::new(|| format!("{} (librdkafka {})", env!("CARGO_PKG_VERSION"), library_version()));

/// Publishes WeChat promoter touches, orders and refunds to Kafka, each fact exactly once.
#[derive(Debug, Parser)]
#[command(name = "promoter-connector", version = VERSION.as_str(), about)]
pub struct Cli {
    /// The configuration file.
    #[arg(
        long,
        global = true,
        env = "PROMOTER_CONFIG",
        value_name = "FILE",
        default_value = "promoter-connector.toml"
    )]
    pub config: PathBuf,

    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the connector until SIGTERM or SIGINT.
    Run(run::RunOptions),
    /// Do what run does first, and stop: say every problem at once, and what to do about each.
    Check(check::CheckOptions),
    /// The topics: what is missing or differs, and making those that are missing.
    #[command(subcommand)]
    Topics(topics::TopicsCommand),
    /// The Avro schemas of the records: which there are, and what a schema registry has of them.
    #[command(subcommand)]
    Schemas(schemas::SchemasCommand),
    /// Compare what the upstream shows of a promoter with what is published.
    Verify(verify::VerifyOptions),
    /// Say what has become of an order: published, a dead letter, not due yet, or none of the promoter's.
    Where(whereabouts::WhereOptions),
    /// Have a feed of a promoter asked again from an earlier time on: whatever runs acts on it, or whatever starts next.
    Rewind(rewind::RewindOptions),
    /// Say how far the facts of everybody are published, as it stands in Kafka, whether instances run or not.
    Status(status::StatusOptions),
    /// Say why a promoter is where it is: as the instance tells that polls it, or else as it stands in Kafka.
    Explain(explain::ExplainOptions),
    /// Show the records of a topic as they come, decoded, as far as they are committed.
    Tail(tail::TailOptions),
    /// Serve the simulated upstream over HTTP.
    Simulate(Box<simulate::SimulateOptions>),
    /// Ask for material that a promoter shares.
    #[command(subcommand)]
    Material(material::MaterialCommand),
    /// Say who is polled: look at the registry of promoters, and change it.
    #[command(subcommand)]
    Promoters(Box<promoters::PromotersCommand>),
    /// Show everything in one process, with nothing to install; or on a real broker that is named.
    Demo(demo::DemoOptions),
    /// Print what a shell completes this program's arguments with.
    Completions(completions::CompletionsOptions),
    /// Print this program's manual page.
    Man(man::ManOptions),
}

/// Why a command ended without having done its work.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// What was asked for can't be begun; to be corrected by whoever asked.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// As above, found by the library or the broker that the setting is for.
    #[error("{0}")]
    Refused(String),
    /// It failed while it ran.
    #[error("{0:#}")]
    Running(#[from] anyhow::Error),
    /// What was found stands on stdout, and is not as it should be.
    #[error("what was found is not as it should be")]
    Found {
        /// What the shell is told.
        exit_code: u8,
    },
}

impl Failure {
    /// 1 for what failed while running, 2 for usage and configuration (as clap exits for usage).
    pub fn exit_code(&self) -> u8 {
        match self {
            Failure::Config(_) | Failure::Refused(_) => 2,
            Failure::Running(_) => 1,
            Failure::Found { exit_code } => *exit_code,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a duration such as 30s or 5m")]
pub(crate) struct InvalidDuration;

/// A stretch of time as an argument, written as in the configuration; never none at all.
fn duration(text: &str) -> Result<Duration, InvalidDuration> {
    let duration = parse_duration(text).filter(|duration| !duration.is_zero());
    duration.ok_or(InvalidDuration)
}

impl From<ChangeError> for Failure {
    fn from(error: ChangeError) -> Failure {
        match error {
            ChangeError::Unknown(why) | ChangeError::Refused(why) => Failure::Refused(why),
            ChangeError::WrittenOver(told) => Failure::Running(anyhow::Error::msg(told)),
            ChangeError::Failed(error) => Failure::Running(error),
        }
    }
}

/// The runtime of a command that runs until it is told to stop.
///
/// # Errors
/// Where the system gives it no queue of events to wait on.
fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread().enable_all().build()?)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn command(line: &str) -> Result<Command, clap::Error> {
        Cli::try_parse_from(line.split(' ')).map(|cli| cli.command)
    }

    #[test]
    fn the_definitions_agree_with_each_other() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_configuration_is_named_before_or_after_the_command() {
        for line in ["promoter-connector --config a.toml run", "promoter-connector run --config a.toml"] {
            assert_eq!(Cli::try_parse_from(line.split(' ')).unwrap().config, PathBuf::from("a.toml"));
        }
    }

    #[test]
    fn the_demo_runs_for_a_while_from_a_seed() {
        let Ok(Command::Demo(options)) = command("promoter-connector demo --seed 7 --for 1m30s") else { panic!() };
        assert_eq!((options.seed, options.duration), (Some(7), Some(Duration::from_secs(90))));
        assert!(command("promoter-connector demo --for 1d12h").is_ok());
        assert!(command("promoter-connector demo --for 0s").is_err());
        assert!(command("promoter-connector demo --for soon").is_err());
        assert!(command("promoter-connector demo --bootstrap localhost:9092").is_ok());
        assert!(command("promoter-connector demo --bootstrap localhost").is_err());
    }

    #[test]
    fn an_image_is_no_part_of_a_json_object() {
        let line = "promoter-connector material request --app wx1 --promoter o1 --path p --show";
        let Ok(Command::Material(material::MaterialCommand::Request(options))) = command(line) else { panic!() };
        assert!(options.show && options.out.is_none());
        assert!(command(&format!("{line} --json")).is_err());
    }

    #[test]
    fn the_simulator_needs_an_address() {
        let Ok(Command::Simulate(options)) = command("promoter-connector simulate --listen 127.0.0.1:1") else {
            panic!()
        };
        assert_eq!(options.listen, "127.0.0.1:1".parse().unwrap());
        assert!(command("promoter-connector simulate").is_err());
        assert!(command("promoter-connector simulate --listen 127.0.0.1:1 --promoters 100001").is_err());
    }
}
