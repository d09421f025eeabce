use std::process::ExitCode;

use clap::Parser;
use promoter_connector::cli::{Cli, Command, Failure, run};

fn main() -> ExitCode {
    let cli = Cli::parse();
    let outcome = match cli.command {
        Command::Run => run::prepare(&cli.config).map(drop),
        Command::Simulate(_) | Command::Demo(_) => {
            Err(Failure::Running(anyhow::anyhow!("this build has neither the simulator nor the demo")))
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{failure}");
            failure.exit_code()
        }
    }
}
