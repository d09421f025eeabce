//! `completions`: for the shells, from the definitions of the arguments themselves.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::{Cli, Failure, stdout};

#[derive(Clone, Debug, Args)]
pub struct CompletionsOptions {
    #[arg(value_enum)]
    pub shell: Shell,
}

/// # Errors
/// Where it can't be written.
pub fn run(options: &CompletionsOptions) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(options.shell, &mut Cli::command(), "promoter-connector", &mut script);
    Ok(stdout::print(&String::from_utf8_lossy(&script))?)
}
