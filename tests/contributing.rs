//! What CONTRIBUTING.md names is there.

#![allow(clippy::unwrap_used, reason = "a test that can't go on fails")]

use std::path::Path;

const TEXT: &str = include_str!("../CONTRIBUTING.md");
const ROOTS: [&str; 6] = ["src/", "tests/", "schemas/", "config/", ".ci/", ".github/"];

/// The texts between two backticks that begin like a path.
fn paths() -> Vec<&'static str> {
    let words = TEXT.lines().flat_map(|line| line.split('`').skip(1).step_by(2)).flat_map(str::split_whitespace);
    words.filter(|word| ROOTS.iter().any(|root| word.starts_with(root))).collect()
}

#[test]
fn every_file_that_a_recipe_names_is_there() {
    let paths = paths();
    assert!(paths.len() > 30, "only {paths:?}");
    let missing: Vec<_> = paths.into_iter().filter(|path| !Path::new(path).exists()).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

/// The tests that hold a step in place, which the recipes set in italics.
#[test]
fn every_test_that_a_recipe_names_is_there() {
    let sources: String = ["src", "tests"].iter().flat_map(|root| files(Path::new(root))).collect();
    let names = TEXT.split('`').skip(1).step_by(2).filter(|word| word.matches('_').count() > 2 && !word.contains('.'));
    let names: Vec<_> = names.filter(|word| !word.contains(['/', ' ', '='])).collect();
    assert!(names.len() > 5, "only {names:?}");
    let missing: Vec<_> =
        names.into_iter().filter(|name| !sources.contains(&format!("fn {}", name.trim_end_matches('…')))).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

fn files(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let read = |path: std::path::PathBuf| match path.extension() {
        _ if path.is_dir() => files(&path),
        Some(extension) if extension == "rs" => vec![std::fs::read_to_string(&path).unwrap()],
        _ => Vec::new(),
    };
    entries.flat_map(read).collect()
}
