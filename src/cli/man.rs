//! `man`: manual pages, from the definitions of the arguments themselves.

use std::fs;
use std::path::PathBuf;

use anyhow::Context;
use clap::{Args, CommandFactory};
use clap_mangen::Man;

use super::{Cli, Failure, stdout};

#[derive(Clone, Debug, Args)]
pub struct ManOptions {
    /// Write the pages of all commands into this directory instead; it is made where it is not there.
    #[arg(long, value_name = "DIRECTORY")]
    pub out: Option<PathBuf>,
}

/// # Errors
/// Where they can't be written.
pub fn run(options: &ManOptions) -> Result<(), Failure> {
    if let Some(directory) = &options.out {
        let written = fs::create_dir_all(directory).and_then(|()| clap_mangen::generate_to(Cli::command(), directory));
        return Ok(written.with_context(|| format!("{} can't be written to", directory.display()))?);
    }
    let mut page = Vec::new();
    Man::new(Cli::command()).render(&mut page).context("the page")?;
    Ok(stdout::print(&String::from_utf8_lossy(&page))?)
}
