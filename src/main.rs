use std::process::ExitCode;

use clap::Parser;
use promoter_connector::cli::{Cli, Command, demo, run, simulate};

fn main() -> ExitCode {
    let cli = Cli::parse();
    let outcome = match cli.command {
        Command::Run => run::run(&cli.config),
        Command::Simulate(options) => simulate::run(&options),
        Command::Demo(options) => demo::run(&options),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{failure}");
            failure.exit_code()
        }
    }
}
