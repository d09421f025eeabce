use std::process::ExitCode;

use clap::Parser;
use promoter_connector::cli::{Cli, Command, demo, material, run, simulate};

fn main() -> ExitCode {
    let cli = Cli::parse();
    let outcome = match cli.command {
        Command::Run => run::run(&cli.config),
        Command::Simulate(options) => simulate::run(&options),
        Command::Material(command) => material::run(&cli.config, &command),
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
