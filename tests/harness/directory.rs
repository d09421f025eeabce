//! Where the harness puts its files: all of them below cargo's target directory.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use tempfile::TempDir;

/// What cargo leaves in its target directory: the first only in one that it makes itself, and not where something else stands there
/// before the first build.
const MARKS: [&str; 2] = ["CACHEDIR.TAG", ".rustc_info.json"];

/// Cargo's target directory: the one above the running program that bears one of cargo's marks.
pub fn target() -> Result<PathBuf> {
    let program = std::env::current_exe().context("the running program is nowhere")?;
    let is_marked = |path: &&Path| MARKS.iter().any(|mark| path.join(mark).is_file());
    let marked = program.ancestors().find(is_marked);
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
