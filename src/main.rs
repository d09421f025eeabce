use std::process::ExitCode;

use clap::Parser;
use promoter_connector::allocator;
use promoter_connector::cli::{
    Cli, Command, Failure, check, completions, demo, explain, man, material, promoters, rewind, run, schemas, simulate,
    status, tail, topics, verify, whereabouts,
};
use promoter_connector::telemetry::{last_words, log};

fn main() -> ExitCode {
    allocator::bound_arenas();
    last_words::exit_on_panic();
    let cli = Cli::parse();
    let outcome = match &cli.command {
        Command::Run(options) => run::run(&cli.config, *options),
        Command::Check(options) => check::run(&cli.config, options),
        Command::Topics(command) => topics::run(&cli.config, command),
        Command::Schemas(command) => schemas::run(&cli.config, command),
        Command::Rewind(options) => rewind::run(&cli.config, options),
        Command::Status(options) => status::run(&cli.config, options),
        Command::Explain(options) => explain::run(&cli.config, options),
        Command::Verify(options) => verify::run(&cli.config, options),
        Command::Where(options) => whereabouts::run(&cli.config, options),
        Command::Tail(options) => tail::run(&cli.config, options),
        Command::Simulate(options) => simulate::run(options),
        Command::Material(command) => material::run(&cli.config, command),
        Command::Promoters(command) => promoters::run(&cli.config, command),
        Command::Demo(options) => demo::run(options),
        Command::Completions(options) => completions::run(options),
        Command::Man(options) => man::run(options),
    };
    log::flush();
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            match cli.command {
                // It is told already, where reports are.
                _ if matches!(failure, Failure::Found { .. }) => {}
                Command::Run(_) => last_words::give_up(&failure, failure.exit_code()),
                // Somebody waits for the answer, and does not read it as a log.
                _ => last_words::say(&failure),
            }
            failure.exit_code().into()
        }
    }
}
