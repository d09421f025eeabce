//! Where the harness puts its files: all of them below cargo's target directory.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use tempfile::TempDir;

/// Cargo's target directory: the one above the running program that bears cargo's mark.
pub fn target() -> Result<PathBuf> {
    let program = std::env::current_exe().context("the running program is nowhere")?;
    let marked = program.ancestors().find(|path| path.join("CACHEDIR.TAG").is_file());
    Ok(marked.context("the running program is not in a target directory of cargo")?.to_owned())
}

/// A directory that is removed with its handle.
pub fn temporary(name: &str) -> Result<TempDir> {
    let parent = target()?.join("tmp");
    create(&parent)?;
    tempfile::Builder::new()
        .prefix(&format!("{name}-"))
        .tempdir_in(&parent)
        .with_context(|| format!("no directory can be made in {}", parent.display()))
}

pub fn create(path: &Path) -> Result<()> {
    fs::create_dir_all(path).with_context(|| format!("{} can't be made", path.display()))
}
